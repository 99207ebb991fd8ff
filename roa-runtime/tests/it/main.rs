//! Behaviour of the engine over the memory store, through its public interface.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod cache;
mod controllers;
mod deadline;
mod handlers;
mod hub;
mod managers;
mod resources;
mod sharding;
mod support;
mod watchers;
