//! [`Log`]: the newest batches, dense and bounded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Batch, Revision, Timestamp, TxnId};

use crate::MemoryConfig;
use crate::error::MemoryError;

/// One batch for each revision after `floor` up to `head`.
#[derive(Debug)]
pub(crate) struct Log {
    batches: VecDeque<Logged>,
    /// The sizes of all batches.
    bytes: usize,
    floor: Revision,
    head: Revision,
    head_txn: TxnId,
}

/// A batch, and what must be known to forget it: the batch itself has long left the processor's caches by then.
#[derive(Debug)]
struct Logged {
    batch: Arc<Batch>,
    bytes: usize,
    committed_at: Timestamp,
}

/// Batches that left the log. Whoever holds the lock hands them out, so that their memory is freed after it.
#[derive(Debug)]
#[must_use = "drop it after the lock is released"]
pub(crate) struct Forgotten(Vec<Logged>);

impl Log {
    /// An empty log whose first batch will follow `opening`.
    pub(crate) const fn new(opening: Revision) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, floor: opening, head: opening, head_txn: TxnId::none() }
    }

    /// The oldest revision that can be resumed after.
    pub(crate) const fn floor(&self) -> Revision {
        self.floor
    }

    /// The newest revision.
    pub(crate) const fn head(&self) -> Revision {
        self.head
    }

    /// The transaction of the head; none after a jump and in a new store.
    pub(crate) const fn head_txn(&self) -> TxnId {
        self.head_txn
    }

    /// Appends the batch of the next revision, then forgets what is over the bounds.
    pub(crate) fn append(&mut self, batch: Batch, config: &MemoryConfig) -> Forgotten {
        let (committed_at, bytes) = (batch.committed_at, batch.size());
        self.head = batch.revision;
        self.head_txn = batch.txn;
        self.bytes += bytes;
        self.batches.push_back(Logged { batch: Arc::new(batch), bytes, committed_at });
        self.forget_oldest(self.excess(committed_at, config))
    }

    /// How many of the oldest batches are over the bounds.
    fn excess(&self, now: Timestamp, config: &MemoryConfig) -> usize {
        let (mut batches, mut bytes) = (self.batches.len(), self.bytes);
        for oldest in self.batches.iter().take(self.batches.len().saturating_sub(1)) {
            let exceeds = |times| {
                batches > config.log_max_batches.saturating_mul(times)
                    || bytes > config.log_max_bytes.saturating_mul(times)
            };
            if !(exceeds(2) || exceeds(1) && oldest.age(now) >= config.log_min_age) {
                break;
            }
            batches -= 1;
            bytes -= oldest.bytes;
        }
        self.batches.len() - batches
    }

    fn forget_oldest(&mut self, count: usize) -> Forgotten {
        let forgotten: Vec<_> = self.batches.drain(..count).collect();
        for logged in &forgotten {
            self.bytes -= logged.bytes;
            // Dense, so there is a next revision, and it is the forgotten batch's.
            self.floor = self.floor.next().unwrap_or(self.head);
        }
        Forgotten(forgotten)
    }

    /// Forgets the batches up to and including a revision, which is not after the head.
    pub(crate) fn forget(&mut self, to: Revision) -> Forgotten {
        self.forget_oldest(self.position_after(to))
    }

    /// Forgets everything and goes on after `to`.
    pub(crate) fn jump(&mut self, to: Revision) -> Forgotten {
        Forgotten(std::mem::replace(self, Self::new(to)).batches.into())
    }

    /// Whether the history can be resumed after a revision.
    pub(crate) fn check(&self, revision: Revision) -> Result<(), MemoryError> {
        let (floor, head) = (self.floor, self.head);
        match revision {
            old if old < floor => Err(MemoryError::Expired { floor, head }),
            requested if requested > head => Err(MemoryError::TooLarge { requested, head }),
            _ => Ok(()),
        }
    }

    /// The oldest batches after a revision, at most `count`.
    pub(crate) fn after(&self, revision: Revision, count: usize) -> Result<Vec<Arc<Batch>>, MemoryError> {
        self.check(revision)?;
        let batches = self.batches.range(self.position_after(revision)..).take(count);
        Ok(batches.map(|logged| Arc::clone(&logged.batch)).collect())
    }

    /// The transaction of a revision that can be resumed after.
    pub(crate) fn txn_of(&self, revision: Revision) -> Result<TxnId, MemoryError> {
        self.check(revision)?;
        let next = self.batches.get(self.position_after(revision));
        Ok(next.map_or(self.head_txn, |next| next.batch.previous_txn))
    }

    /// Where the batch after a revision stands.
    fn position_after(&self, revision: Revision) -> usize {
        let distance = revision.get().saturating_sub(self.floor.get());
        usize::try_from(distance).unwrap_or(usize::MAX).min(self.batches.len())
    }
}

impl Logged {
    fn age(&self, now: Timestamp) -> Duration {
        now.duration_since(self.committed_at)
    }
}

impl Forgotten {
    /// How many batches.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roa_core::{Change, Entry, Key, Random, RandomExt, SeededRandom, Value};

    const OPENING: u64 = 100;
    const MINUTE: Duration = Duration::from_secs(60);

    fn revision(value: u64) -> Revision {
        Revision::new(value).unwrap()
    }

    fn config() -> MemoryConfig {
        MemoryConfig::default().log_max_batches(10).log_min_age(MINUTE)
    }

    /// The batch after the log's head, committed at a second, with a value of some bytes.
    fn batch(log: &Log, second: i64, bytes: usize, random: &dyn Random) -> Batch {
        let (revision, txn) = (log.head().next().unwrap(), TxnId(random.uuid()));
        let key = Key::new("g", "things", "n", "a").unwrap();
        let entry = Entry::created(key, Value::opaque(vec![0; bytes]), revision, txn, "test".into());
        Batch {
            revision,
            txn,
            previous_txn: log.head_txn(),
            committed_at: Timestamp::from_unix_seconds(second).unwrap(),
            changes: Change::Put { entry: entry.into(), previous: None }.into(),
        }
    }

    /// A log with one batch for each of `seconds`.
    fn log(seconds: impl IntoIterator<Item = i64>, config: &MemoryConfig) -> Log {
        let (mut log, random) = (Log::new(revision(OPENING)), SeededRandom::new(1));
        for second in seconds {
            drop(log.append(batch(&log, second, 10, &random), config));
        }
        log
    }

    #[test]
    fn the_log_keeps_its_bound_of_old_batches_and_twice_as_many_young_ones() {
        let kept = |seconds: &mut dyn Iterator<Item = i64>| log(seconds, &config()).batches.len();
        assert_eq!(kept(&mut (0..10)), 10);
        assert_eq!(kept(&mut (0..50)), 20, "none is a minute old, so twice the bound holds");
        assert_eq!(kept(&mut (0..50).map(|n| n * 60)), 10, "each is a minute older than the next");
        assert_eq!(kept(&mut (0..30).map(|n| n * 4)), 15, "those younger than a minute stay");
        assert_eq!(kept(&mut (0..50).map(|n| -n)), 20, "a clock that is set back leaves twice the bound");
    }

    #[test]
    fn the_log_is_bounded_in_bytes_and_keeps_the_newest_batch() {
        let (mut log, random) = (Log::new(revision(OPENING)), SeededRandom::new(1));
        let config = MemoryConfig::default().log_max_bytes(10_000).log_min_age(Duration::ZERO);
        for _ in 0..100 {
            drop(log.append(batch(&log, 0, 1_000, &random), &config));
            assert!(log.bytes <= 10_000);
        }
        assert!(log.batches.len() > 5);
        let forgotten = log.append(batch(&log, 0, 50_000, &random), &config);
        assert_eq!((forgotten.len() > 5, log.batches.len()), (true, 1));
        assert_eq!(log.after(log.floor(), 10).unwrap().len(), 1);
    }

    #[test]
    fn w7_at_the_floor_is_resumable_and_one_before_is_expired() {
        let log = log((0..50).map(|n| n * 60), &config());
        let (floor, head) = (log.floor(), log.head());
        assert_eq!((floor, head), (revision(OPENING + 40), revision(OPENING + 50)));
        let before = revision(floor.get() - 1);
        assert_eq!(log.after(before, 1).unwrap_err(), MemoryError::Expired { floor, head });
        assert_eq!(log.after(floor, 1).unwrap()[0].revision, floor.next().unwrap());
    }

    #[test]
    fn w8_the_head_is_resumable_and_one_after_is_too_large() {
        let log = log(0..3, &config());
        let (head, after) = (log.head(), log.head().next().unwrap());
        assert_eq!(log.after(head, 1).unwrap(), []);
        assert_eq!(log.after(after, 1).unwrap_err(), MemoryError::TooLarge { requested: after, head });
    }

    #[test]
    fn w18_the_chain_is_known_at_each_revision_that_can_be_resumed_after() {
        let log = log((0..50).map(|n| n * 60), &config());
        for batch in log.after(log.floor(), usize::MAX).unwrap() {
            assert_eq!(log.txn_of(batch.revision).unwrap(), batch.txn);
            assert_eq!(log.txn_of(revision(batch.revision.get() - 1)).unwrap(), batch.previous_txn);
        }
        assert_eq!(Log::new(revision(5)).txn_of(revision(5)).unwrap(), TxnId::none());
    }

    #[test]
    fn s14_after_a_jump_nothing_older_is_kept() {
        let mut log = log(0..5, &config());
        assert_eq!(log.jump(revision(1_000)).len(), 5);
        assert_eq!(
            (log.floor(), log.head(), log.head_txn(), log.bytes),
            (revision(1_000), revision(1_000), TxnId::none(), 0)
        );
    }

    proptest! {
        #[test]
        fn s1_the_log_stays_dense_and_its_bytes_add_up(
            steps in prop::collection::vec((0..3_u8, 0..30_u64), 0..200),
            max_batches in 0..20_usize,
        ) {
            let (mut log, random) = (Log::new(revision(OPENING)), SeededRandom::new(7));
            let config = MemoryConfig::default().log_max_batches(max_batches).log_max_bytes(10_000);
            for (step, number) in steps {
                if step == 0 {
                    let to = revision((log.floor().get() + number).min(log.head().get()));
                    drop(log.forget(to));
                    prop_assert_eq!(log.floor(), to);
                } else {
                    let bytes = usize::try_from(number).unwrap() * 100;
                    drop(log.append(batch(&log, 0, bytes, &random), &config));
                }
                let kept: Vec<_> = log.after(log.floor(), usize::MAX).unwrap().iter().map(|b| b.revision.get()).collect();
                prop_assert_eq!(kept, (log.floor().get() + 1..=log.head().get()).collect::<Vec<_>>());
                prop_assert_eq!(log.bytes, log.batches.iter().map(|logged| logged.batch.size()).sum::<usize>());
                prop_assert!(log.batches.len() <= (2 * max_batches).max(1));
            }
        }
    }
}
