//! Raw limits: what the machine can do with the same guarantees and nothing else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use roa_core::{Batch, Entry, Key, RandomExt, Revision, SeededRandom, TxnId, Value};
use tokio::sync::watch;

use crate::Side;

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

    /// A reader that begins after what is there.
    #[must_use]
    pub fn reader(&self) -> RawCursor {
        let head = self.head.subscribe();
        let cursor = *head.borrow();
        RawCursor { head, cursor }
    }

    /// Waits for batches after a reader's cursor, and hands at most `step` of them to `visit`.
    pub async fn next(&self, reader: &mut RawCursor, step: usize, visit: impl FnMut(&Arc<Batch>)) {
        let RawCursor { head, cursor } = reader;
        if head.wait_for(|head| *head > *cursor).await.is_err() {
            return;
        }
        let batches = self.batches.read().unwrap_or_else(PoisonError::into_inner);
        let to = batches.len().min(*cursor + step);
        batches[*cursor..to].iter().for_each(visit);
        *cursor = to;
    }

    /// Walks `count` batches from the beginning, at most `step` at a time, and hands each to `visit`.
    pub async fn read(&self, count: usize, step: usize, mut visit: impl FnMut(&Arc<Batch>)) {
        let mut reader = RawCursor { head: self.head.subscribe(), cursor: 0 };
        while reader.cursor < count {
            self.next(&mut reader, step, &mut visit).await;
            tokio::task::consume_budget().await;
        }
    }
}

/// Where a reader of a [`RawLog`] is.
#[derive(Debug)]
pub struct RawCursor {
    head: watch::Receiver<usize>,
    cursor: usize,
}

/// How many commits [`RawStore`] keeps in its log; a log without a bound is no limit of one that has one.
const KEPT: usize = 65_536;

/// A map and a log behind one lock: compare-and-swap, append, done.
#[derive(Debug)]
pub struct RawStore {
    state: Mutex<RawState>,
    random: SeededRandom,
    writer: Arc<str>,
}

#[derive(Debug)]
struct RawState {
    map: HashMap<Key, Arc<Entry>>,
    /// What each commit wrote, and what was there before.
    log: VecDeque<(Arc<Entry>, Option<Arc<Entry>>)>,
    head: Revision,
}

impl RawStore {
    /// An empty one.
    #[must_use]
    pub fn new(head: Revision) -> Self {
        let state = RawState { map: HashMap::new(), log: VecDeque::new(), head };
        Self { state: Mutex::new(state), random: SeededRandom::new(1), writer: "bench".into() }
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
        log.push_back((entry, previous));
        let forgotten = if log.len() > KEPT { log.pop_front() } else { None };
        let head = *head;
        drop(state);
        drop(forgotten);
        Some(head)
    }
}

impl Side for Arc<RawStore> {
    type At = Revision;

    #[expect(clippy::expect_used, reason = "a benchmark that can't write must stop")]
    async fn write(&self, keys: &[Key], value: &Value, expect: Option<Revision>) -> Revision {
        let txn = TxnId(self.random.uuid());
        let make = |key: &Key, at| Entry::created(key.clone(), value.clone(), at, txn, Arc::clone(&self.writer));
        let written = keys
            .iter()
            .fold(None, |_, key| Some(self.commit(key, expect, |at| make(key, at)).expect("nobody disturbs")));
        written.expect("a transaction has a key")
    }
}
