//! [`Chunk`]: how many batches to read at a time, so that the answer comes in time.

use std::num::NonZeroUsize;
use std::sync::Arc;

use roa_core::Batch;

use crate::meta::Meta;

/// How many bytes of batches are read from Redis at a time, about.
const READ_BYTES: usize = 8 << 20;

/// How many batches to read at a time: few, where they are large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    count: usize,
    max: usize,
}

impl Chunk {
    /// To begin with so many.
    pub(crate) const fn new(count: NonZeroUsize, max: NonZeroUsize) -> Self {
        Self { count: count.get(), max: max.get() }
    }

    /// How many to read next.
    pub(crate) const fn get(self) -> usize {
        self.count
    }

    /// Judges by all that the log has.
    pub(crate) fn fit(&mut self, meta: &Meta) {
        let batches = (meta.head.get() - meta.floor.get()).max(1);
        let size = usize::try_from(meta.log_bytes / batches).unwrap_or(usize::MAX);
        self.count = self.count.min(fitting(size)).max(1);
    }

    /// Judges by what was read last: at most twice as many next.
    pub(crate) fn read(&mut self, batches: &[Arc<Batch>]) {
        if batches.is_empty() {
            return;
        }
        let bytes: usize = batches.iter().map(|batch| batch.size()).sum();
        self.count = fitting(bytes / batches.len()).min(self.count * 2).clamp(1, self.max);
    }

    /// What was asked for did not come: perhaps it was too much.
    pub(crate) fn halve(&mut self) {
        self.count = (self.count / 2).max(1);
    }
}

/// How many batches of this size are read at a time.
fn fitting(size: usize) -> usize {
    READ_BYTES / size.max(1)
}

#[cfg(test)]
mod tests {
    use roa_core::{Change, Entry, Key, Revision, Timestamp, TxnId, Value};

    use super::*;

    fn batches(count: usize, bytes: usize) -> Vec<Arc<Batch>> {
        let (revision, txn) = (Revision::new(7).unwrap(), TxnId::none());
        let key = Key::new("g", "things", "n", "a").unwrap();
        let entry = Entry::created(key, Value::opaque(vec![0_u8; bytes]), revision, txn, "test".into());
        let changes = Change::Put { entry: entry.into(), previous: None }.into();
        let committed_at = Timestamp::from_unix_seconds(0).unwrap();
        let batch = Arc::new(Batch { revision, txn, previous_txn: txn, committed_at, changes });
        vec![batch; count]
    }

    #[test]
    fn large_batches_are_read_a_few_at_a_time_and_small_ones_soon_many() {
        let count = |count| NonZeroUsize::new(count).unwrap();
        let mut chunk = Chunk::new(count(1_000), count(1_000));
        chunk.read(&batches(10, 100));
        assert_eq!(chunk.get(), 1_000);
        chunk.read(&batches(3, 1 << 20));
        assert_eq!(chunk.get(), 7, "each is a little more than a MiB");
        chunk.halve();
        assert_eq!(chunk.get(), 3);
        chunk.read(&[]);
        chunk.read(&batches(3, 100));
        assert_eq!(chunk.get(), 6, "no more than twice as many");
        (0..20).for_each(|_| chunk.halve());
        assert_eq!(chunk.get(), 1);
        (0..20).for_each(|_| chunk.read(&batches(1, 100)));
        assert_eq!(chunk.get(), 1_000);
    }
}
