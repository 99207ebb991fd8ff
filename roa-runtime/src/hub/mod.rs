//! The watch hub: one change feed per process and store, walked by any number of watchers.
//!
//! The hub follows [`Store::tail`] and appends what it reads to a shared ring of segments. A watcher owns nothing but a
//! cursor: it borrows a stretch of a segment, looks at it through its [`Selection`], and moves on. So a watcher costs a
//! few hundred bytes however slow it is, never delays a writer, and an event is never copied.

mod config;
#[cfg(test)]
mod handover;
mod pump;
mod ring;
mod selection;
mod sketch;
mod slice;
mod wakers;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use config::HubConfig;
pub use selection::Selection;
pub use slice::{EventSlice, HubEvent};
pub use watch::{HubItem, HubWatch};

use ring::Ring;
use roa_core::{Clock, Error, Monotonic, Position, Result, Revision, Start, Store, TailEnd};
use tokio::sync::watch as watch_channel;
use wakers::Wakers;

use crate::{Tasks, locks};

/// Follows a store's change feed and hands it to watchers. A clone shares all of it.
///
/// ```
/// # use std::sync::Arc;
/// # use futures_util::StreamExt;
/// # use roa_core::{Key, KeyPrefix, Start, Store, SystemRandom, Txn, TxnId, Value};
/// # use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(SystemClock::new());
/// # let random = Arc::new(SystemRandom);
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
/// let hub = WatchHub::start(store.clone(), clock, HubConfig::default()).await?;
/// let labs = Selection::prefix(KeyPrefix::resource("lab.example.com", "labs")?);
/// let mut watch = hub.watch(labs, Start::Now).await?;
///
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// store.commit(Txn::new(TxnId::random(&*random), "docs").create(key, Value::opaque("hello"))).await?;
/// if let Some(Ok(HubItem::Events(slice))) = watch.next().await {
///     assert_eq!(slice.events().next().unwrap().entry.key.name(), "one");
/// }
/// hub.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WatchHub {
    shared: Arc<Shared>,
    tasks: Tasks,
}

/// What the pump writes and the watchers read.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    config: HubConfig,
    state: RwLock<State>,
    wakers: Wakers,
    /// Rises when the history breaks: watches of an older one end. Changed under the lock of `state`.
    incarnation: AtomicU64,
    /// The newest revision in the ring, written after what is in it: a watcher at the head needs no lock to know.
    newest: AtomicU64,
    /// The newest revision in the ring, for those who wait for one.
    head: watch_channel::Sender<Revision>,
}

struct State {
    ring: Ring,
    position: Position,
    /// How often the store began another epoch.
    discontinuities: u64,
    /// Why the watches of older incarnations ended.
    ended: TailEnd,
    closed: bool,
}

impl WatchHub {
    /// Starts following `store` from its head.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store can't be read.
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: HubConfig) -> Result<Self> {
        let begin = store.state().await?;
        let position = Position { store: store.id(), epoch: begin.epoch, revision: begin.head };
        let state = State {
            ring: Ring::new(begin.head, config.max_batches, config.max_bytes),
            position,
            discontinuities: 0,
            ended: TailEnd::Closed,
            closed: false,
        };
        let wakers = Wakers::new(config.max_watchers);
        let (head, _) = watch_channel::channel(begin.head);
        let (incarnation, newest) = (AtomicU64::new(0), AtomicU64::new(begin.head.get()));
        let state = RwLock::new(state);
        let shared = Arc::new(Shared { store, clock, config, state, wakers, incarnation, newest, head });
        let tasks = Tasks::new("watch-hub", 1);
        tasks.spawn("pump", pump::run(Arc::clone(&shared))).map_err(|error| Error::unavailable(error.to_string()))?;
        Ok(Self { shared, tasks })
    }

    /// Begins a watch.
    ///
    /// # Errors
    /// [`Error::Expired`] if the start is no longer kept or of another history, [`Error::TooLarge`] if it has not been
    /// reached, [`Error::Unavailable`] if the hub is closed or has as many watchers as it may.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn watch(&self, selection: Selection, start: Start) -> Result<HubWatch> {
        HubWatch::begin(Arc::clone(&self.shared), self.tasks.clone(), selection, start).await
    }

    /// Up to where it has read.
    #[must_use]
    pub fn position(&self) -> Position {
        self.shared.read().position
    }

    /// Waits until it has read up to a revision.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if that has not happened by `deadline`.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for(&self, revision: Revision, deadline: Monotonic) -> Result<()> {
        let mut head = self.shared.head.subscribe();
        tokio::select! {
            biased;
            reached = head.wait_for(|head| *head >= revision) => {
                reached.map(|_| ()).map_err(|_| Error::unavailable("the watch hub is closed"))
            }
            () = self.shared.clock.sleep_until(deadline) => {
                Err(Error::TooLarge { requested: revision, head: self.position().revision })
            }
        }
    }

    /// How many watches are open.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.shared.wakers.len()
    }

    /// How often the store's history was broken while it was followed: all watches had to list again.
    #[must_use]
    pub fn discontinuities(&self) -> u64 {
        self.shared.read().discontinuities
    }

    /// The store that it follows.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Ends all watches with [`TailEnd::Closed`] and stops following the store.
    pub async fn close(&self) {
        self.shared.end(TailEnd::Closed, |state| state.closed = true);
        let deadline = self.shared.config.close_timeout;
        let left = self.tasks.shutdown(&*self.shared.clock, deadline).await;
        if !left.is_empty() {
            tracing::warn!(tasks = ?left, "watch hub closed before its tasks ended");
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        locks::read(&self.state)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        locks::write(&self.state)
    }

    fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// The newest revision in the ring.
    fn head(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Ends all watches for one reason.
    fn end(&self, reason: TailEnd, change: impl FnOnce(&mut State)) {
        let mut state = self.write();
        if !state.closed {
            state.ended = reason;
            change(&mut state);
            // In this order: whoever sees the new head sees that it is of another incarnation.
            self.incarnation.fetch_add(1, Ordering::AcqRel);
            self.newest.store(state.ring.head().get(), Ordering::Release);
        }
        drop(state);
        self.wakers.wake_all();
    }
}

impl std::fmt::Debug for WatchHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchHub({} at {:?}, {} watchers)", self.shared.store, self.position().revision, self.watchers())
    }
}
