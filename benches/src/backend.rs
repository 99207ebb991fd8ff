//! [`Backend`]: a store of each kind, private and ready, and the raw limit of each.

use std::path::Path;
use std::sync::Arc;

use roa_core::{SeededRandom, Store};
use roa_runtime::SystemClock;
use roa_store_memory::{MemoryConfig, MemoryStore};
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{RedisConfig, RedisStore};
use roa_store_sqlite::{SqliteConfig, SqliteStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Roa;

/// How much of the log each keeps: all that a benchmark writes.
const LOGGED: u64 = 4_000_000;

/// A store that nobody else uses.
#[derive(Debug)]
pub struct Backend {
    /// What writes to it.
    pub roa: Roa,
    keeps: Keeps,
}

/// What must outlive the store, and be closed.
#[derive(Debug)]
enum Keeps {
    Nothing,
    File(Arc<SqliteStore>, #[expect(dead_code, reason = "held, not used")] TempDir),
    Server(Arc<RedisStore>, #[expect(dead_code, reason = "held, not used")] RedisServer),
}

#[expect(clippy::expect_used, reason = "a benchmark that can't set up must stop")]
impl Backend {
    /// The kinds, as ids name them.
    pub const ALL: [&'static str; 3] = ["memory", "sqlite", "redis"];

    /// One of this kind; files lie below `folder`.
    ///
    /// # Panics
    /// If it can't be made.
    #[must_use]
    pub fn open(kind: &str, runtime: &Runtime, folder: &Path) -> Self {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SeededRandom::new(1)));
        let (store, keeps): (Arc<dyn Store>, Keeps) = match kind {
            "sqlite" => {
                let directory = TempDir::new_in(folder).expect("a directory");
                let config = SqliteConfig::new(directory.path().join("roa.db")).log_max_batches(LOGGED);
                let store = runtime.block_on(SqliteStore::open(config, clock, random));
                let store = Arc::new(store.expect("a database"));
                (store.clone(), Keeps::File(store, directory))
            }
            "redis" => {
                let server = runtime.block_on(async { RedisServer::start() });
                let config = RedisConfig::new(server.unix_url()).name("bench").log_max_batches(LOGGED);
                let store = runtime.block_on(RedisStore::open(config, clock, random));
                let store = Arc::new(store.expect("a store in Redis"));
                (store.clone(), Keeps::Server(store, server))
            }
            _ => return Self::memory(),
        };
        Self { roa: Roa::over(store), keeps }
    }

    /// The one in memory.
    #[must_use]
    pub fn memory() -> Self {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SeededRandom::new(1)));
        let store = MemoryStore::new(MemoryConfig::default(), clock, random);
        Self { roa: Roa::over(Arc::new(store)), keeps: Keeps::Nothing }
    }

    /// Ends it.
    pub fn close(self, runtime: &Runtime) {
        match &self.keeps {
            Keeps::Nothing => {}
            Keeps::File(store, _) => runtime.block_on(store.close()),
            Keeps::Server(store, _) => runtime.block_on(store.close()),
        }
    }
}
