//! [`Places`]: how many requests and watches there may be at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::ApiLimits;

/// How many requests and watches there may be at once. Who finds no place is told to come back, and waits for nothing.
#[derive(Debug)]
pub(super) struct Places {
    reads: Semaphore,
    writes: Semaphore,
    watches: Arc<Semaphore>,
}

/// A request's place; given back when dropped.
pub(crate) type InFlight<'a> = SemaphorePermit<'a>;

/// A watch's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct WatchPlace(#[expect(dead_code, reason = "held, not used")] OwnedSemaphorePermit);

impl Places {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        Self {
            reads: Semaphore::new(limits.reads),
            writes: Semaphore::new(limits.writes),
            watches: Arc::new(Semaphore::new(limits.watches)),
        }
    }

    pub(super) fn take(&self, mutating: bool) -> Option<InFlight<'_>> {
        let places = if mutating { &self.writes } else { &self.reads };
        places.try_acquire().ok()
    }

    pub(super) fn take_watch(&self) -> Option<WatchPlace> {
        Arc::clone(&self.watches).try_acquire_owned().ok().map(WatchPlace)
    }
}
