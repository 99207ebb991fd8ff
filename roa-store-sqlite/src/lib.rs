//! [`SqliteStore`]: a store in one file, durable by default, fast by group commit, shared by the processes of a machine.
//!
//! # Layout
//! - [`SqliteConfig`], [`SqliteDurability`]: which file, how durable, which bounds
//! - `store`: the contract, over a thread that writes and some that read
//! - `place`, `opening`, `migrate`, `connect`: whose file it is, and how it is opened
//! - `writer`: group commit, and the upkeep between groups; `compact`, `fence`: one operation each
//! - `readers`, `list`: reads in short snapshots
//! - `feed`, `tail`, `follow`: change feeds; `follow` sees the commits of other processes
//! - `meta`, `objects`, `log`, `codec`, `sidecar`: what the file, and the one beside it, hold
//! - [`restore`], [`CheckReport`]: copies of a store, and whether it is whole

mod backup;
mod check;
mod codec;
mod compact;
mod config;
mod connect;
mod error;
mod feed;
mod fence;
mod follow;
mod list;
mod log;
mod meta;
mod migrate;
mod objects;
mod opening;
mod place;
mod readers;
mod shared;
mod sidecar;
mod store;
mod tail;
mod writer;

pub use backup::restore;
pub use check::{CheckReport, check};
pub use config::{SqliteConfig, SqliteDurability};
pub use error::OpenError;
pub use store::SqliteStore;
