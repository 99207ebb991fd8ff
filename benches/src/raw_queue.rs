//! [`RawQueue`]: keys to be worked on, each once, and nothing else.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use roa_core::Key;
use tokio::sync::Notify;

/// A queue in which each key is at most once: no priorities, no turns, no back-off, no delays, no bound.
#[derive(Debug, Default)]
pub struct RawQueue {
    state: Mutex<(VecDeque<Key>, HashSet<Key>)>,
    work: Notify,
}

impl RawQueue {
    /// Adds a key, unless it is there.
    pub fn add(&self, key: &Key) {
        {
            let (queue, known) = &mut *self.lock();
            if !known.insert(key.clone()) {
                return;
            }
            queue.push_back(key.clone());
        }
        self.work.notify_one();
    }

    /// The next key; waits for one.
    pub async fn next(&self) -> Key {
        loop {
            let (key, more) = self.take();
            if let Some(key) = key {
                if more {
                    self.work.notify_one();
                }
                return key;
            }
            self.work.notified().await;
        }
    }

    fn take(&self) -> (Option<Key>, bool) {
        let (queue, _) = &mut *self.lock();
        (queue.pop_front(), !queue.is_empty())
    }

    /// The key may be added again.
    pub fn done(&self, key: &Key) {
        self.lock().1.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, (VecDeque<Key>, HashSet<Key>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
