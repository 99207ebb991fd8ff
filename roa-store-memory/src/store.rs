//! [`MemoryStore`]: the contract, under one lock.

use std::fmt;
use std::sync::{Arc, LockResult, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use roa_core::{
    Capabilities, Clock, CommitError, Epoch, Health, Key, ListRequest, Page, Random, RandomExt, Read, Result, Revision,
    Store, StoreId, StoreState, Tail, Txn,
};

use crate::changed::Changed;
use crate::error::MemoryError;
use crate::log::Forgotten;
use crate::state::State;
use crate::{MemoryConfig, compact, fence, list, tail};

/// A store in this process's memory. Share it as `Arc<MemoryStore>`.
///
/// When it is dropped or [closed](Self::close), its change feeds end with [`TailEnd::Closed`](roa_core::TailEnd), after
/// what was committed before. None of its futures ever waits, save that of a feed without news.
///
/// ```
/// use std::sync::Arc;
/// use roa_core::{ManualClock, Revision, SystemRandom, Timestamp};
/// use roa_store_memory::{MemoryConfig, MemoryStore};
///
/// let clock = Arc::new(ManualClock::new("2027-01-02T03:04:05Z".parse()?));
/// let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock, Arc::new(SystemRandom)));
/// assert!(store.to_string().starts_with("memory store "));
/// # Ok::<(), roa_core::TimeError>(())
/// ```
pub struct MemoryStore {
    shared: Arc<Shared>,
    capabilities: Capabilities,
}

/// What the store shares with its change feeds.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: StoreId,
    pub(crate) config: MemoryConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// Readers don't wait for each other; on an otherwise idle lock that costs no more than a mutex.
    state: RwLock<State>,
    pub(crate) changed: Changed,
}

impl MemoryStore {
    /// A new empty store with a random id.
    #[must_use]
    pub fn new(config: MemoryConfig, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let opening = config.opening.unwrap_or_else(|| Revision::opening(clock.now()));
        let state = RwLock::new(State::new(opening, Epoch::first(&*random)));
        let id = StoreId(random.uuid());
        let shared = Arc::new(Shared { id, config, clock, random, state, changed: Changed::default() });
        Self { shared, capabilities: Capabilities::volatile() }
    }

    /// Ends it: from now on it answers `Unavailable`, and its change feeds end. A second call does nothing.
    pub fn close(&self) {
        if let Ok(mut state) = self.shared.write() {
            state.closed = true;
        }
        self.shared.changed.notify();
    }
}

impl Shared {
    /// The state to look at, unless the store was closed.
    pub(crate) fn read(&self) -> Result<RwLockReadGuard<'_, State>, MemoryError> {
        let state = self.read_even_if_closed();
        if state.closed { Err(MemoryError::Closed) } else { Ok(state) }
    }

    /// The state to look at.
    pub(crate) fn read_even_if_closed(&self) -> RwLockReadGuard<'_, State> {
        whole(self.state.read())
    }

    /// The state to change, unless the store was closed.
    pub(crate) fn write(&self) -> Result<RwLockWriteGuard<'_, State>, MemoryError> {
        let state = whole(self.state.write());
        if state.closed { Err(MemoryError::Closed) } else { Ok(state) }
    }

    fn commit(&self, txn: &mut Txn) -> Result<(Revision, Forgotten), CommitError> {
        txn.validate()?;
        let now = self.clock.now();
        let committed = self.write()?.commit(txn, now, &self.config)?;
        self.changed.notify();
        Ok(committed)
    }
}

/// A panic under the lock poisons it. None of the code under it can panic midway through a change, so the state is
/// whole even then.
fn whole<Guard>(locked: LockResult<Guard>) -> Guard {
    locked.unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for MemoryStore {
    fn id(&self) -> StoreId {
        self.shared.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        let state = self.shared.read()?;
        Ok(Read { entry: state.entries.get(key).cloned(), revision: state.log.head() })
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        list::list(&self.shared, &request)
    }

    async fn commit(&self, mut txn: Txn) -> Result<Revision, CommitError> {
        self.shared.commit(&mut txn).map(|(revision, _forgotten)| revision)
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        Ok(tail::open(&self.shared, after)?)
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        Ok(compact::compact(&self.shared, to)?)
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        Ok(fence::fence(&self.shared, expected, highest)?)
    }

    async fn state(&self) -> Result<StoreState> {
        Ok(self.shared.read()?.summary())
    }

    async fn health(&self) -> Health {
        match self.shared.read() {
            Ok(state) => Health::of_head(state.log.head()),
            Err(closed) => Health::Failing(closed.to_string()),
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Display for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory store {}", self.shared.id)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("id", &self.shared.id)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
