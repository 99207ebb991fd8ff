//! [`RedisInfo`]: what a store is, and where.

use std::sync::atomic::Ordering;

use roa_core::{StoreId, StoreState};

use crate::RedisPersistence;
use crate::error::RedisStoreError;
use crate::preflight::Findings;
use crate::shared::Shared;

/// What a store is, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisInfo {
    /// Which store.
    pub id: StoreId,
    /// Where its history stands.
    pub state: StoreState,
    /// Where the server is, without credentials.
    pub address: String,
    /// The server's version.
    pub version: String,
    /// What the server keeps of what it answered.
    pub persistence: RedisPersistence,
    /// How many entries are live.
    pub entries: u64,
    /// How many batches the log keeps.
    pub log_batches: u64,
    /// How many bytes of changes they have.
    pub log_bytes: u64,
    /// How many breaks of the history this process has found.
    pub breaks: u64,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

pub(crate) async fn info(shared: &Shared, findings: &Findings) -> Result<RedisInfo, RedisStoreError> {
    let meta = shared.meta().await?;
    Ok(RedisInfo {
        id: meta.store,
        state: meta.state(),
        address: shared.address.to_string(),
        version: findings.version.clone(),
        persistence: findings.persistence,
        entries: meta.entries,
        log_batches: meta.head.get() - meta.floor.get(),
        log_bytes: meta.log_bytes,
        breaks: shared.breaks.load(Ordering::Relaxed),
        warnings: findings.warnings.clone(),
    })
}
