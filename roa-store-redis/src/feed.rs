//! [`Feed`]: the newest batches in memory, and who waits for more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roa_core::{Batch, Epoch, LookBack, RecentBatches, Revision, StoreState};
use tokio::sync::Notify;

use crate::error::RedisStoreError;
use crate::shared::Shared;

/// What change feeds look at first: the batches that this process has read last, dense up to the newest.
/// What is not here is in Redis.
#[derive(Debug)]
pub(crate) struct Feed {
    recent: Mutex<Recent>,
    /// Wakes the feeds that wait. It tells nothing but that they are to look again, so that many commits are one
    /// wake-up.
    pub(crate) changed: Notify,
    /// How many feeds there are: without one, nobody reads the log.
    feeds: AtomicUsize,
    /// Wakes who reads the log when the first feed begins.
    begun: Notify,
}

/// One feed that there is, until it is dropped.
#[derive(Debug)]
pub(crate) struct Following(Arc<Shared>);

impl Following {
    pub(crate) fn begin(shared: &Arc<Shared>) -> Self {
        shared.feed.feeds.fetch_add(1, Ordering::SeqCst);
        shared.feed.begun.notify_one();
        Self(Arc::clone(shared))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.feed.feeds.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Recent {
    batches: RecentBatches,
    end: Option<RedisStoreError>,
}

/// Whether a state is of a later epoch than another. The counter rises with each break; where two processes broke the
/// same epoch on servers that did not know of each other, the one with the higher head is later.
pub(crate) fn is_newer(state: StoreState, than: StoreState) -> bool {
    state.epoch != than.epoch && (state.epoch.counter, state.head) > (than.epoch.counter, than.head)
}

/// What there is after a revision.
#[derive(Debug)]
pub(crate) enum Look {
    /// These batches.
    Batches(Vec<Arc<Batch>>),
    /// Nothing yet.
    Nothing,
    /// Something that only Redis has.
    InRedis,
}

impl Feed {
    pub(crate) fn new(state: StoreState, max_bytes: usize) -> Self {
        let recent = Recent { batches: RecentBatches::new(state, max_bytes), end: None };
        Self { recent: Mutex::new(recent), changed: Notify::new(), feeds: AtomicUsize::new(0), begun: Notify::new() }
    }

    /// Whether there is a feed.
    pub(crate) fn is_followed(&self) -> bool {
        self.feeds.load(Ordering::SeqCst) > 0
    }

    /// Resolves when a feed begins, at once if one has begun since the last call.
    pub(crate) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// The newest revision that feeds know of, and its epoch.
    pub(crate) fn newest(&self) -> (Epoch, Revision) {
        let state = self.lock().batches.state();
        (state.epoch, state.head)
    }

    /// Takes what was read: batches that follow each other up to the head of `state`. Those that are here already are
    /// left out; those after a gap begin anew.
    pub(crate) fn publish(&self, state: StoreState, batches: &[Arc<Batch>]) {
        if self.lock().batches.take(state, batches) {
            self.changed.notify_waiters();
        }
    }

    /// Takes over a newer epoch: the feeds of the one before end. Of the same epoch nothing is taken: its batches come
    /// in their order.
    pub(crate) fn enter(&self, state: StoreState) {
        let mut recent = self.lock();
        if is_newer(state, recent.batches.state()) {
            recent.batches.begin_anew(state);
            self.changed.notify_waiters();
        }
    }

    /// Ends the feeds that there are: what is behind the address is another store's.
    pub(crate) fn abandon(&self) {
        let mut recent = self.lock();
        let nobodys = StoreState { epoch: Epoch { counter: 0, nonce: 0 }, ..recent.batches.state() };
        recent.batches.begin_anew(nobodys);
        self.changed.notify_waiters();
    }

    /// Ends all feeds, after what was published before.
    pub(crate) fn end(&self, end: RedisStoreError) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_waiters();
    }

    /// Whether all feeds have ended.
    pub(crate) fn ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// What there is after a revision, at most `count` batches.
    pub(crate) fn after(&self, epoch: Epoch, cursor: Revision, count: usize) -> Result<Look, RedisStoreError> {
        let recent = self.lock();
        let or_the_end = |look| recent.end.clone().map_or(Ok(look), Err);
        match recent.batches.after(epoch, cursor, count) {
            LookBack::Batches(batches) => Ok(Look::Batches(batches)),
            LookBack::Nothing => or_the_end(Look::Nothing),
            LookBack::Earlier => or_the_end(Look::InRedis),
            LookBack::OtherEpoch(StoreState { head, floor, .. }) => Err(RedisStoreError::Expired { floor, head }),
        }
    }

    /// A panic under the lock poisons it. None of the code under it can panic midway through a change.
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
