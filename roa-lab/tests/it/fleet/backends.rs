//! Stores of all three backends.

use std::sync::Arc;

use roa_core::{Store, SystemRandom};
use roa_runtime::SystemClock;
use roa_store_memory::{MemoryConfig, MemoryStore};
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{RedisConfig, RedisStore};
use roa_store_sqlite::{SqliteConfig, SqliteDurability, SqliteStore};
use tempfile::TempDir;

/// Where stores are made. What they need is gone with it.
pub enum Backend {
    Memory,
    Sqlite(TempDir),
    Redis(Box<RedisServer>),
}

impl Backend {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub fn redis() -> Self {
        Self::Redis(Box::new(RedisServer::start()))
    }

    /// A new store with this name.
    pub async fn open(&self, name: &str) -> Arc<dyn Store> {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        match self {
            Self::Memory => Arc::new(MemoryStore::new(MemoryConfig::default(), clock, random)),
            Self::Sqlite(directory) => {
                let path = directory.path().join(format!("{name}.db"));
                let config = SqliteConfig::new(path).durability(SqliteDurability::ProcessCrash);
                Arc::new(SqliteStore::open(config, clock, random).await.unwrap())
            }
            Self::Redis(server) => {
                let config = RedisConfig::new(server.url()).name(name);
                Arc::new(RedisStore::open(config, clock, random).await.unwrap())
            }
        }
    }
}
