//! Which store: the one place that names them all.

use std::sync::Arc;

use anyhow::Context as _;
use roa_core::{Clock, Random, Store};
use roa_runtime::{Clocks, DeadlineStore};
use roa_store_memory::{MemoryConfig, MemoryStore};
use roa_store_sqlite::{SqliteConfig, SqliteStore};

use crate::config::settings::{Config, SqliteDurability, StoreBackend, StoreConfig};

/// How long a store may take beyond what it waits for other processes.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(30);

/// The store, and how it is closed.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    sqlite: Option<Arc<SqliteStore>>,
}

impl Opened {
    /// Leaves all on the disk.
    pub(super) async fn close(self) {
        if let Some(sqlite) = self.sqlite {
            sqlite.close().await;
        }
    }
}

/// Opens the store that is configured.
pub(super) async fn open(config: &Config, clocks: &Clocks, random: Arc<dyn Random>) -> anyhow::Result<Opened> {
    match config.store.backend {
        StoreBackend::Memory => {
            let memory = &config.store.memory;
            let bounds = MemoryConfig::default()
                .log_max_batches(memory.log_max_batches)
                .log_max_bytes(memory.log_max_bytes)
                .log_min_age(memory.log_min_age.0);
            let store = Arc::new(MemoryStore::new(bounds, Arc::clone(&clocks.io), random));
            Ok(Opened { store, sqlite: None })
        }
        StoreBackend::Sqlite => {
            let sqlite = Arc::new(open_sqlite(&config.store, Arc::clone(&clocks.io), random).await?);
            let limit = config.store.sqlite.busy_timeout.0 + ANSWER;
            let store = Arc::new(DeadlineStore::new(sqlite.clone(), Arc::clone(&clocks.io), limit));
            Ok(Opened { store, sqlite: Some(sqlite) })
        }
    }
}

/// Opens the database file that is configured.
pub(crate) async fn open_sqlite(
    config: &StoreConfig,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> anyhow::Result<SqliteStore> {
    SqliteStore::open(sqlite(config), clock, random).await.context("failed to open the store")
}

/// The SQLite store, as configured.
pub(crate) fn sqlite(config: &StoreConfig) -> SqliteConfig {
    let sqlite = &config.sqlite;
    let durability = match sqlite.durability {
        SqliteDurability::PowerLoss => roa_store_sqlite::SqliteDurability::PowerLoss,
        SqliteDurability::ProcessCrash => roa_store_sqlite::SqliteDurability::ProcessCrash,
    };
    SqliteConfig::new(&sqlite.path)
        .durability(durability)
        .max_bytes(sqlite.max_bytes)
        .log_max_batches(sqlite.log_max_batches)
        .log_max_bytes(sqlite.log_max_bytes)
        .log_min_age(sqlite.log_min_age.0)
        .readers(sqlite.readers)
        .busy_timeout(sqlite.busy_timeout.0)
}
