//! Behaviour of the engine over the memory store, through its public interface.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod cache;
mod children;
mod cloudevents;
mod controllers;
mod deadline;
mod driving;
mod events;
mod garbage;
mod giving_up;
mod handlers;
mod hub;
mod large;
mod leadership;
mod managers;
mod measured;
mod metrics;
mod namespaces;
mod outbox;
mod related;
mod resources;
mod runnables;
mod safety;
mod sharding;
mod spans;
mod support;
mod sweeps;
mod trials;
mod unclear;
mod units;
mod unreconciled;
mod watchers;
mod why;
