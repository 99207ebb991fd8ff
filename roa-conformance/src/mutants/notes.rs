//! [`Notes`]: what a mutant remembers between calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use roa_core::{Entry, Key, Read};
use tokio::sync::Notify;

/// What a mutant remembers between calls.
#[derive(Debug, Default)]
pub(super) struct Notes {
    calls: AtomicU64,
    /// Whether it was compacted.
    pub(super) compacted: AtomicBool,
    /// What keys were when they were first read.
    first: Mutex<HashMap<Key, Arc<Entry>>>,
    /// What keys were when they were last read.
    last: Mutex<HashMap<Key, Read>>,
    /// How many batches each open feed has yet to give.
    feeds: Mutex<Vec<Weak<AtomicU64>>>,
    /// Told when a feed has given a batch.
    pub(super) given: Notify,
}

impl Notes {
    /// How often this was called, this call included.
    pub(super) fn count(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn is_compacted(&self) -> bool {
        self.compacted.load(Ordering::SeqCst)
    }

    /// What a key was when it was first read.
    pub(super) fn first_of(&self, entry: &Arc<Entry>) -> Arc<Entry> {
        Arc::clone(lock(&self.first).entry(entry.key.clone()).or_insert_with(|| Arc::clone(entry)))
    }

    /// What a key was when it was last read; remembers what it is now.
    pub(super) fn last_of(&self, key: &Key, read: Read) -> Option<Read> {
        lock(&self.last).insert(key.clone(), read)
    }

    /// Counts what a new feed has yet to give.
    pub(super) fn open_feed(&self) -> Arc<AtomicU64> {
        let owed = Arc::new(AtomicU64::new(0));
        lock(&self.feeds).push(Arc::downgrade(&owed));
        owed
    }

    /// The most that an open feed has yet to give.
    pub(super) fn most_owed(&self) -> u64 {
        let mut feeds = lock(&self.feeds);
        feeds.retain(|feed| feed.strong_count() > 0);
        feeds.iter().filter_map(Weak::upgrade).map(|owed| owed.load(Ordering::SeqCst)).max().unwrap_or(0)
    }

    /// Each open feed has one more to give.
    pub(super) fn owe(&self) {
        for owed in lock(&self.feeds).iter().filter_map(Weak::upgrade) {
            owed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What is guarded is whole whatever panicked beside it: each change is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
