//! The real `roa`, run as users run it.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod access;
mod bench;
mod client;
mod cloudevents;
mod cloudevents_sinks;
mod config;
mod control_plane;
mod copy;
mod demo;
mod fencing;
mod killed;
mod labs;
mod logs;
mod namespaces;
mod onlooker;
mod redis;
mod run;
mod running;
mod samples;
mod secrets;
mod sharded;
mod store;
mod told;
mod unix;
mod watchers;
mod why;
