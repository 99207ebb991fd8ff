//! Which store: the one place that names them all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use roa_core::{Clock, Random, Store};
use roa_runtime::DeadlineStore;
use roa_store_memory::{MemoryConfig, MemoryStore};
use roa_store_redis::{RedisConfig, RedisStore};
use roa_store_sqlite::{SqliteConfig, SqliteStore};

use crate::config::settings::{SqliteDurability, StoreBackend, StoreConfig};

/// How long a store may take beyond what it waits for other processes.
const ANSWER: Duration = Duration::from_secs(30);

/// How often to look for commits of other processes, each of which wakes this one at once: a look finds something only where
/// that got lost, and one that finds nothing costs what all else of an idle process does.
const LOOK: Duration = Duration::from_millis(50);

/// The store, and how it is closed.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    closing: Closing,
}

/// What must be closed for all to be where it belongs.
enum Closing {
    Nothing,
    Sqlite(Arc<SqliteStore>),
    Redis(Arc<RedisStore>),
}

impl Opened {
    /// Leaves all on the disk.
    pub(crate) async fn close(self) {
        match self.closing {
            Closing::Nothing => {}
            Closing::Sqlite(sqlite) => sqlite.close().await,
            Closing::Redis(redis) => redis.close().await,
        }
    }
}

/// Opens the store that is configured.
///
/// In Redis it is made only if `create` says so.
pub(crate) async fn open(
    config: &StoreConfig,
    create: bool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> anyhow::Result<Opened> {
    match config.backend {
        StoreBackend::Memory => {
            let memory = &config.memory;
            let bounds = MemoryConfig::default()
                .log_max_batches(memory.log_max_batches)
                .log_max_bytes(memory.log_max_bytes)
                .log_min_age(memory.log_min_age.0);
            let store = Arc::new(MemoryStore::new(bounds, clock, random));
            Ok(Opened { store, closing: Closing::Nothing })
        }
        StoreBackend::Sqlite => {
            let sqlite = Arc::new(open_sqlite(config, Arc::clone(&clock), random).await?);
            let limit = config.sqlite.busy_timeout.0 + ANSWER;
            let store = Arc::new(DeadlineStore::new(sqlite.clone(), clock, limit));
            Ok(Opened { store, closing: Closing::Sqlite(sqlite) })
        }
        StoreBackend::Redis => {
            let redis = Arc::new(open_redis(config, create, Arc::clone(&clock), random).await?);
            let limit = config.redis.connect_timeout.0 + config.redis.response_timeout.0 + ANSWER;
            let store = Arc::new(DeadlineStore::new(redis.clone(), clock, limit));
            Ok(Opened { store, closing: Closing::Redis(redis) })
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

/// Opens the store in Redis that is configured; makes it only if that is asked for.
pub(crate) async fn open_redis(
    config: &StoreConfig,
    create: bool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> anyhow::Result<RedisStore> {
    RedisStore::open(redis(config)?.create(create), clock, random).await.context("failed to open the store")
}

/// Whether the store that is configured can be used, as far as that can be told without opening it.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(config: &StoreConfig) -> anyhow::Result<()> {
    match config.backend {
        StoreBackend::Redis => Ok(redis(config)?.check()?),
        StoreBackend::Memory | StoreBackend::Sqlite => Ok(()),
    }
}

/// The Redis store, as configured.
fn redis(config: &StoreConfig) -> anyhow::Result<RedisConfig> {
    let redis = &config.redis;
    let password = match (&redis.password, &redis.password_file) {
        (Some(password), _) => Some(password.expose().into()),
        (None, Some(file)) => Some(read_password(file)?.into()),
        (None, None) => None,
    };
    let sentinels = redis.sentinels.iter().flat_map(|list| list.split(',')).map(|one| one.trim().to_owned()).collect();
    let mut chosen = RedisConfig::new(redis.url.expose())
        .name(&redis.name)
        .credentials(redis.username.clone(), password)
        .sentinels(sentinels, &redis.sentinel_service)
        .timeouts(redis.connect_timeout.0, redis.response_timeout.0)
        .block(redis.block.0)
        .wait_replicas(redis.wait_replicas)
        .wait_timeout(redis.wait_timeout.0)
        .strict(redis.strict)
        .require_persistence(redis.require_persistence)
        .refuse_eviction(redis.refuse_eviction)
        .log_max_batches(redis.log_max_batches)
        .log_max_bytes(redis.log_max_bytes)
        .log_min_age(redis.log_min_age.0);
    if let Some(file) = &redis.ca_file {
        chosen = chosen.ca_file(file);
    }
    match (&redis.cert_file, &redis.key_file) {
        (Some(certificate), Some(key)) => Ok(chosen.client_certificate(certificate, key)),
        (None, None) => Ok(chosen),
        _ => bail!("store.redis.cert_file and store.redis.key_file belong together, expected both or none"),
    }
}

fn read_password(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read store.redis.password_file {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
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
        .poll_interval(LOOK)
}
