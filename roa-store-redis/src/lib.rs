//! [`RedisStore`]: a store that the processes of many machines share, in a Redis or Valkey that they trust.
//!
//! # Layout
//! - [`RedisConfig`], [`RedisTls`]: which server, how to reach it, which bounds
//! - `store`: the contract, over one connection that multiplexes and one that waits for changes
//! - `address`, `connect`, `link`: finding the primary, and keeping a connection to it
//! - `preflight`, `opening`, `migrate`: what the server promises, whose keys they are
//! - `commit`, `list`, `fence`, `compact`: one operation each, each one script
//! - `feed`, `tail`, `follow`: change feeds; `follow` reads the stream and notices what does not fit
//! - `lineage`: the signs of a broken history, and what is done about them
//! - `keys`, `meta`, `codec`, `scripts`: what the keys hold
//! - [`CheckReport`], [`RedisInfo`]: whether a store is whole, and where it is
#![cfg_attr(feature = "test-util", doc = "- [`test_util`]: a private server, and a proxy that fails on demand")]

mod address;
mod check;
mod chunk;
mod codec;
mod commit;
mod compact;
mod config;
mod connect;
mod error;
mod feed;
mod fence;
mod follow;
mod info;
mod keys;
mod lineage;
mod link;
mod list;
mod log;
mod meta;
mod migrate;
mod opening;
mod preflight;
mod scripts;
mod shared;
mod store;
mod tail;
#[cfg(feature = "test-util")]
pub mod test_util;

pub use check::CheckReport;
pub use config::{RedisConfig, RedisPersistence, RedisTls};
pub use error::OpenError;
pub use info::RedisInfo;
pub use store::RedisStore;
