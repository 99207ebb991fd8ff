//! The Redis store, seen from outside, on real servers: what breaks a history, what a network does, what is refused.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod breaks;
mod chaos;
mod connections;
mod large;
mod network;
mod passwords;
mod processes;
mod refusals;
mod support;
mod swaps;
mod topology;
