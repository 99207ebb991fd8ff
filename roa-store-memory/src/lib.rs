//! [`MemoryStore`]: a store in this process's memory. It is the reference for what a store does and for how fast one
//! can be, and the store that tests use.
//!
//! Nothing is persisted, so there is nothing to migrate: each new store has a new id, and all that was resumable in
//! another one is answered with `Expired`.
//!
//! # Layout
//! - [`MemoryConfig`]: the bounds of the history that is kept
//! - `store`: the contract, under one lock
//! - `state`: what the lock guards, and commits
//! - `entries`: the live keys, by hash and in order
//! - `log`: the newest batches, dense and bounded
//! - `changed`: who waits for more of it
//! - `list`, `tail`, `compact`, `fence`: one operation each

mod changed;
mod compact;
mod config;
mod entries;
mod error;
mod fence;
mod list;
mod log;
mod state;
mod store;
mod tail;

pub use config::MemoryConfig;
pub use store::MemoryStore;
