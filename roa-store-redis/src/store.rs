//! [`RedisStore`]: the contract, over one connection that multiplexes and one that waits for changes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use roa_core::{
    Capabilities, Clock, CommitError, Epoch, Health, Key, Linearizable, ListRequest, Page, Random, Read, Result,
    Revision, Store, StoreId, StoreState, Tail, Txn,
};
use tokio::task::JoinSet;

use crate::codec::{self, Writers};
use crate::error::{OpenError, RedisStoreError};
use crate::link::Link;
use crate::meta::array;
use crate::preflight::Findings;
use crate::shared::Shared;
use crate::{CheckReport, RedisConfig, RedisInfo};
use crate::{check, commit, compact, fence, follow, info, link, list, log, opening, tail};

/// A store in Redis or Valkey. Share it as `Arc<RedisStore>`.
///
/// Any number of processes, on any number of machines, can use the same store. When it is dropped or
/// [closed](Self::close), its change feeds end with [`TailEnd::Closed`](roa_core::TailEnd).
///
/// ```no_run
/// use std::sync::Arc;
/// use roa_core::{ManualClock, Store, SystemRandom};
/// use roa_store_redis::{RedisConfig, RedisStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::new("2027-01-02T03:04:05Z".parse()?));
/// let config = RedisConfig::new("redis://localhost:6379").name("school");
/// let store = RedisStore::open(config, clock, Arc::new(SystemRandom)).await?;
/// println!("{store}: head {}, {} survives", store.state().await?.head, store.capabilities().durability);
/// store.close().await;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    shared: Arc<Shared>,
    findings: Findings,
    capabilities: Capabilities,
    tasks: Mutex<JoinSet<()>>,
}

impl RedisStore {
    /// Opens a store, or makes it. If its history may have been broken while nobody looked, that is fenced: what was
    /// resumable before is answered with `Expired`.
    ///
    /// What the server promises is checked first, and what somebody should look at is logged.
    ///
    /// # Errors
    /// [`OpenError`]; the store is as it was.
    ///
    /// # Cancel safety
    /// Safe; there is a store then, or there is none.
    pub async fn open(config: RedisConfig, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, OpenError> {
        let (shared, findings) = opening::open(config, clock, random).await?;
        for warning in &findings.warnings {
            tracing::warn!(store = %shared.id, "{warning}");
        }
        let mut capabilities = Capabilities::volatile();
        capabilities.durability = findings.durability(&shared.config);
        capabilities.linearizable = Linearizable::UnlessFailover;
        (capabilities.reopens, capabilities.shared) = (true, true);
        let mut tasks = JoinSet::new();
        tasks.spawn(link::keep(Arc::clone(&shared), |shared| Some(&shared.link)));
        tasks.spawn(link::keep(Arc::clone(&shared), |shared| shared.waiting.as_ref()));
        tasks.spawn(follow::run(Arc::clone(&shared)));
        tasks.spawn(compact::keep_bounds(Arc::clone(&shared)));
        Ok(Self { shared, findings, capabilities, tasks: Mutex::new(tasks) })
    }

    /// Ends it: its tasks have ended then, and its connections are closed. Commits that are under way are answered
    /// with what happened, or are unclear. A second call does nothing.
    ///
    /// # Cancel safety
    /// Safe; it ends nevertheless.
    pub async fn close(&self) {
        self.end();
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the Redis store ended by a panic");
            }
        }
    }

    /// Removes the store with all that is in it, and ends it. Whoever else has it open finds that as it finds a server that
    /// lost everything.
    ///
    /// # Errors
    /// [`Error::Unavailable`](roa_core::Error): it may be there still.
    ///
    /// # Cancel safety
    /// It is there as it was, or it is gone.
    pub async fn remove(&self) -> Result<()> {
        // Those who look after it would take its absence for a loss.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        let keys = &self.shared.keys;
        let mut unlink = redis::pipe();
        unlink.cmd("UNLINK").arg(&[&keys.meta, &keys.objects, &keys.index, &keys.log]);
        let removed = self.shared.ask_all(&unlink).await;
        self.end();
        removed.map(drop).map_err(Into::into)
    }

    fn end(&self) {
        self.shared.feed.end(RedisStoreError::Closed);
        self.shared.links().for_each(Link::close);
    }

    /// What the store is, and where.
    ///
    /// # Errors
    /// [`Error::Unavailable`](roa_core::Error), [`Error::Corrupt`](roa_core::Error).
    ///
    /// # Cancel safety
    /// Safe: nothing changes.
    pub async fn info(&self) -> Result<RedisInfo> {
        Ok(info::info(&self.shared, &self.findings).await?)
    }

    /// Looks through the whole store, as of one revision, and compares its log with its entries. It may be in use
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`](roa_core::Error), [`Error::Corrupt`](roa_core::Error) if nothing can be read.
    ///
    /// # Cancel safety
    /// Safe: nothing changes.
    pub async fn check(&self) -> Result<CheckReport> {
        Ok(check::check(&self.shared).await?)
    }
}

#[async_trait]
impl Store for RedisStore {
    fn id(&self) -> StoreId {
        self.shared.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        Ok(get(&self.shared, key).await?)
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        list::list(&self.shared, request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        commit::commit(&self.shared, txn).await
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        Ok(tail::open(&self.shared, after).await?)
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        Ok(compact::compact(&self.shared, to).await?)
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        Ok(fence::fence(&self.shared, expected, highest).await?)
    }

    async fn state(&self) -> Result<StoreState> {
        Ok(self.shared.meta().await?.state())
    }

    async fn health(&self) -> Health {
        if self.shared.feed.ended() {
            return Health::Failing(RedisStoreError::Closed.to_string());
        }
        match self.shared.trouble.health() {
            Health::Healthy => Health::of_head(self.shared.feed.newest().1),
            trouble => trouble,
        }
    }
}

async fn get(shared: &Shared, key: &Key) -> Result<Read, RedisStoreError> {
    let keys = [shared.keys.meta.as_str(), &shared.keys.objects];
    let asked_at = shared.mark();
    let answer = shared.ask(&shared.scripts.get, &keys, |call| {
        call.arg(key.encoded());
    });
    let [position, entry] = array(answer.await?)?;
    let (_, revision) = log::parse_head(shared, asked_at, array(position)?)?;
    let decode = |bytes: Vec<u8>| codec::decode_entry(key.clone(), bytes.into(), &mut Writers::default());
    let entry = log::optional(entry)?.map(decode).transpose()?;
    Ok(Read { entry: entry.map(Arc::new), revision })
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        // The tasks are aborted with their set.
        self.end();
    }
}

impl fmt::Display for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { id, config, address, .. } = &*self.shared;
        write!(f, "Redis store {id} named {} at {address}", config.name)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("id", &self.shared.id)
            .field("address", &self.shared.address)
            .field("name", &self.shared.config.name)
            .finish_non_exhaustive()
    }
}
