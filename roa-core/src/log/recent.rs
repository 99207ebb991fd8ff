//! [`RecentBatches`]: the newest batches of a store's log, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{Batch, Epoch, Revision, StoreState};

/// The newest batches that a backend's process has committed or read, dense up to its head and bounded by their bytes:
/// what its change feeds look at first. What is not here is in the log.
///
/// ```
/// use roa_core::{Epoch, LookBack, RecentBatches, Revision, SeededRandom, StoreState};
/// let head = Revision::new(7)?;
/// let state = StoreState { head, floor: head, epoch: Epoch::first(&SeededRandom::new(1)) };
/// let recent = RecentBatches::new(state, 1 << 20);
/// assert!(matches!(recent.after(state.epoch, head, 10), LookBack::Nothing));
/// assert!(matches!(recent.after(state.epoch, Revision::new(6)?, 10), LookBack::Earlier));
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug)]
pub struct RecentBatches {
    state: StoreState,
    batches: VecDeque<(Arc<Batch>, usize)>,
    bytes: usize,
    max_bytes: usize,
}

/// What [`RecentBatches`] have after a revision.
///
/// ```
/// # use roa_core::LookBack;
/// fn must_read_the_log(found: &LookBack) -> bool {
///     matches!(found, LookBack::Earlier)
/// }
/// ```
#[derive(Debug)]
pub enum LookBack {
    /// These, from the next on.
    Batches(Vec<Arc<Batch>>),
    /// Nothing: it is the newest.
    Nothing,
    /// It is further back than what is kept here.
    Earlier,
    /// It is of another epoch than this.
    OtherEpoch(StoreState),
}

impl RecentBatches {
    /// None yet, of a history that stands at `state`; later the newest that have up to `max_bytes` together, one at least.
    #[must_use]
    pub const fn new(state: StoreState, max_bytes: usize) -> Self {
        Self { state, batches: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// Where the history stands, as far as is known here.
    #[must_use]
    pub const fn state(&self) -> StoreState {
        self.state
    }

    /// Takes batches that follow each other up to the head of `state`. Those that are here already are left out; those
    /// after a gap, or of a later epoch, begin anew. Whether that was news.
    pub fn take(&mut self, state: StoreState, batches: &[Arc<Batch>]) -> bool {
        let known = self.state;
        let same = state.epoch == known.epoch;
        if same && state.head <= known.head || state.epoch.counter < known.epoch.counter {
            return false;
        }
        let new: Vec<_> = batches.iter().filter(|batch| !same || batch.revision > known.head).collect();
        let follows = same && new.first().is_some_and(|first| first.revision.get() == known.head.get() + 1);
        let reaches = new.last().is_some_and(|last| last.revision == state.head);
        if !(follows && reaches) {
            self.begin_anew(state);
        }
        if reaches {
            new.into_iter().for_each(|batch| self.push(batch));
        }
        self.state = state;
        self.bound();
        true
    }

    /// Forgets all batches: the history stands at `state`.
    pub fn begin_anew(&mut self, state: StoreState) {
        self.batches.clear();
        (self.bytes, self.state) = (0, state);
    }

    /// What there is after a revision of an epoch, at most `count` batches.
    #[must_use]
    pub fn after(&self, epoch: Epoch, cursor: Revision, count: usize) -> LookBack {
        if epoch != self.state.epoch {
            return LookBack::OtherEpoch(self.state);
        }
        if cursor >= self.state.head {
            return LookBack::Nothing;
        }
        let oldest = self.batches.front().map_or(u64::MAX, |(oldest, _)| oldest.revision.get());
        let Some(skip) = (cursor.get() + 1).checked_sub(oldest) else { return LookBack::Earlier };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.batches.len());
        LookBack::Batches(self.batches.range(skip..).take(count).map(|(batch, _)| Arc::clone(batch)).collect())
    }

    fn push(&mut self, batch: &Arc<Batch>) {
        let bytes = batch.size();
        self.bytes += bytes;
        self.batches.push_back((Arc::clone(batch), bytes));
    }

    /// Forgets the oldest, up to the bound. The newest stays.
    fn bound(&mut self) {
        while self.bytes > self.max_bytes && self.batches.len() > 1 {
            self.bytes -= self.batches.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, Entry, Key, SeededRandom, Timestamp, TxnId, Value};

    /// Bytes that the batches keep alive, each entry counted once.
    fn kept(recent: &RecentBatches) -> usize {
        let entries = recent.batches.iter().flat_map(|(batch, _)| batch.changes.iter());
        let entries = entries.flat_map(|change| change.current().into_iter().chain(change.previous()));
        let mut bytes: Vec<_> = entries.map(|entry| (Arc::as_ptr(entry), entry.value.bytes.len())).collect();
        bytes.sort_unstable();
        bytes.dedup();
        bytes.into_iter().map(|(_, bytes)| bytes).sum()
    }

    #[test]
    fn what_shrinks_is_bounded_by_what_it_was() {
        let revision = |number| Revision::new(number).unwrap();
        let epoch = Epoch::first(&SeededRandom::new(1));
        let state = |head| StoreState { head: revision(head), floor: revision(1), epoch };
        let mut recent = RecentBatches::new(state(1), 4 << 20);
        let key = Key::new("g", "things", "n", "a").unwrap();
        let entry = |bytes, at| {
            Arc::new(Entry::created(key.clone(), Value::opaque(vec![0_u8; bytes]), at, TxnId::none(), "test".into()))
        };
        for number in 2..102 {
            let (at, txn) = (revision(number), TxnId::none());
            let change = Change::Put { entry: entry(1, at), previous: Some(entry(1 << 20, at)) };
            let committed_at = Timestamp::from_unix_seconds(0).unwrap();
            let batch = Batch { revision: at, txn, previous_txn: txn, committed_at, changes: change.into() };
            assert!(recent.take(state(number), &[Arc::new(batch)]));
            assert!(kept(&recent) <= 4 << 20, "{} bytes", kept(&recent));
        }
    }
}
