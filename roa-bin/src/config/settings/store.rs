//! `[store]`: where resources are kept.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use roa_core::HumanDuration;
use serde::{Deserialize, Serialize};

use super::seconds;
use crate::config::secret::{Secret, SecretUrl};

/// `[store]`: where resources are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreConfig {
    pub(crate) backend: StoreBackend,
    pub(crate) memory: MemoryStoreConfig,
    pub(crate) sqlite: SqliteStoreConfig,
    pub(crate) redis: RedisStoreConfig,
}

impl StoreConfig {
    pub(super) fn defaults(data_dir: &Path) -> Self {
        let memory = MemoryStoreConfig { log_max_batches: 100_000, log_max_bytes: 64 << 20, log_min_age: seconds(75) };
        let sqlite = SqliteStoreConfig {
            path: data_dir.join("roa.db"),
            durability: SqliteDurability::PowerLoss,
            max_bytes: 8 << 30,
            log_max_batches: 100_000,
            log_max_bytes: 512 << 20,
            log_min_age: seconds(75),
            readers: NonZeroUsize::MIN.saturating_add(3),
            busy_timeout: seconds(5),
        };
        Self { backend: StoreBackend::Sqlite, memory, sqlite, redis: RedisStoreConfig::default() }
    }
}

/// Which store holds the resources. One variant for each backend that this binary contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreBackend {
    /// In a file: the default.
    Sqlite,
    /// In Redis: shared by the processes of many machines.
    Redis,
    /// In memory: gone when `roa` ends.
    Memory,
}

/// `[store.memory]`: how much of its change log the memory store keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryStoreConfig {
    pub(crate) log_max_batches: usize,
    pub(crate) log_max_bytes: usize,
    pub(crate) log_min_age: HumanDuration,
}

/// `[store.sqlite]`: which file, how durable, which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqliteStoreConfig {
    pub(crate) path: PathBuf,
    pub(crate) durability: SqliteDurability,
    pub(crate) max_bytes: u64,
    pub(crate) log_max_batches: u64,
    pub(crate) log_max_bytes: u64,
    pub(crate) log_min_age: HumanDuration,
    pub(crate) readers: NonZeroUsize,
    pub(crate) busy_timeout: HumanDuration,
}

/// When a commit is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SqliteDurability {
    /// When the disk has it.
    PowerLoss,
    /// When the operating system has it.
    ProcessCrash,
}

/// `[store.redis]`: which server, how to reach it, which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisStoreConfig {
    pub(crate) url: SecretUrl,
    pub(crate) name: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) password_file: Option<PathBuf>,
    /// `HOST:PORT`, several with commas between them.
    pub(crate) sentinels: Option<String>,
    pub(crate) sentinel_service: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) connect_timeout: HumanDuration,
    pub(crate) response_timeout: HumanDuration,
    pub(crate) wait_replicas: u32,
    pub(crate) wait_timeout: HumanDuration,
    pub(crate) strict: bool,
    pub(crate) require_persistence: bool,
    pub(crate) refuse_eviction: bool,
    pub(crate) log_max_batches: u64,
    pub(crate) log_max_bytes: u64,
    pub(crate) log_min_age: HumanDuration,
    pub(crate) block: HumanDuration,
}

impl Default for RedisStoreConfig {
    fn default() -> Self {
        Self {
            url: SecretUrl::new("redis://localhost:6379"),
            name: "default".to_owned(),
            username: None,
            password: None,
            password_file: None,
            sentinels: None,
            sentinel_service: "mymaster".to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            connect_timeout: seconds(5),
            response_timeout: seconds(5),
            wait_replicas: 0,
            wait_timeout: seconds(1),
            strict: false,
            require_persistence: false,
            refuse_eviction: true,
            log_max_batches: 100_000,
            log_max_bytes: 256 << 20,
            log_min_age: seconds(75),
            block: seconds(1),
        }
    }
}
