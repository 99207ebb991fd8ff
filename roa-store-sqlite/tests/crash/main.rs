//! What survives: processes that are killed, machines that lose power, and processes that share one file.
//!
//! - `child`: this program, started again as a process that can be killed
//! - `history`: what a file must hold, folded from all that was seen of it
//! - `kill9`: processes that end at any moment
//! - `power_cut`: write-ahead logs that end at any byte
//! - `two_processes`: one file, several processes

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod child;
mod history;
mod kill9;
mod power_cut;
mod two_processes;
mod workload;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Key, SystemRandom, Txn, TxnId};
use roa_runtime::SystemClock;
use roa_store_sqlite::{SqliteConfig, SqliteStore};

/// How long anything may take before a test fails: it bounds what hangs, it measures nothing.
const PATIENCE: Duration = Duration::from_secs(60);
const FILE: &str = "roa.db";

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn config(directory: &Path) -> SqliteConfig {
    SqliteConfig::new(directory.join(FILE)).log_max_batches(u64::MAX).log_max_bytes(u64::MAX)
}

async fn open(config: &SqliteConfig) -> SqliteStore {
    SqliteStore::open(config.clone(), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await.unwrap()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

fn key(name: &str) -> Key {
    Key::new("g", "things", "n", name).unwrap()
}

fn txn(writer: &str) -> Txn {
    Txn::new(TxnId::random(&SystemRandom), writer)
}
