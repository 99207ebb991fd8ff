//! Raw limits: what the machine can do with the same guarantees and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use roa_core::{Batch, Entry, Key, Revision};
use tokio::sync::watch;

/// One shared log; each reader walks it by reference and waits for the head to move.
#[derive(Debug)]
pub struct RawLog {
    batches: RwLock<Vec<Arc<Batch>>>,
    head: watch::Sender<usize>,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { batches: RwLock::default(), head: watch::channel(0).0 }
    }
}

impl RawLog {
    /// Appends, and wakes the readers.
    pub fn append(&self, more: &[Arc<Batch>]) {
        let head = {
            let mut batches = self.batches.write().unwrap_or_else(PoisonError::into_inner);
            batches.extend_from_slice(more);
            batches.len()
        };
        self.head.send_replace(head);
    }

    /// Walks `count` batches, at most `step` at a time, and hands each to `visit`.
    pub async fn read(&self, count: usize, step: usize, mut visit: impl FnMut(&Arc<Batch>)) {
        let mut head = self.head.subscribe();
        let mut cursor = 0;
        while cursor < count {
            if head.wait_for(|head| *head > cursor).await.is_err() {
                return;
            }
            {
                let batches = self.batches.read().unwrap_or_else(PoisonError::into_inner);
                let to = batches.len().min(cursor + step);
                batches[cursor..to].iter().for_each(&mut visit);
                cursor = to;
            }
            tokio::task::consume_budget().await;
        }
    }
}

/// A map and a log behind one lock: compare-and-swap, append, done.
#[derive(Debug)]
pub struct RawStore {
    state: Mutex<RawState>,
}

#[derive(Debug)]
struct RawState {
    map: HashMap<Key, Arc<Entry>>,
    /// What each commit wrote, and what was there before.
    log: Vec<(Arc<Entry>, Option<Arc<Entry>>)>,
    head: Revision,
}

impl RawStore {
    /// An empty one.
    #[must_use]
    pub fn new(head: Revision) -> Self {
        Self { state: Mutex::new(RawState { map: HashMap::new(), log: Vec::new(), head }) }
    }

    /// Writes `make(revision)` under `key` if the entry there is at `expect`.
    pub fn commit(
        &self,
        key: &Key,
        expect: Option<Revision>,
        make: impl FnOnce(Revision) -> Entry,
    ) -> Option<Revision> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let RawState { map, log, head } = &mut *state;
        if map.get(key).map(|entry| entry.revision) != expect {
            return None;
        }
        *head = head.next().ok()?;
        let entry = Arc::new(make(*head));
        let previous = map.insert(key.clone(), Arc::clone(&entry));
        log.push((entry, previous));
        Some(*head)
    }
}
