//! [`Ring`]: the newest part of the log, in segments that watchers borrow.

use std::collections::VecDeque;
use std::sync::Arc;

use roa_core::{Batch, Revision};

/// How many batches a segment has at most: small ones that lie side by side are merged up to this.
const MAX_SEGMENT: usize = 1_024;

/// Batches that follow each other without a gap. Never changes: watchers hold on to it while they read.
#[derive(Debug)]
pub(super) struct Segment {
    first: u64,
    pub(super) batches: Vec<Arc<Batch>>,
    bytes: usize,
}

impl Segment {
    fn new(batches: Vec<Arc<Batch>>) -> Option<Self> {
        let first = batches.first()?.revision.get();
        let bytes = batches.iter().map(|batch| batch.size()).sum();
        Some(Self { first, batches, bytes })
    }

    /// Moves the batches where no watcher holds the segment, and shares them where one does.
    fn joined(left: Arc<Self>, right: Arc<Self>) -> Self {
        let bytes = left.bytes + right.bytes;
        let first = left.first;
        let into = |segment: Arc<Self>| match Arc::try_unwrap(segment) {
            Ok(owned) => owned.batches,
            Err(shared) => shared.batches.clone(),
        };
        let mut batches = into(left);
        batches.append(&mut into(right));
        Self { first, batches, bytes }
    }

    fn last(&self) -> Option<Revision> {
        self.batches.last().map(|batch| batch.revision)
    }
}

/// A bounded stretch of the log: what was appended last, in order, without a gap.
///
/// Batches come in whatever chunks the store gives, often one by one. As in a binary counter, a new segment is merged
/// with the one before while that is no larger; so each batch is moved a logarithmic number of times, and there are few
/// segments to search.
#[derive(Debug)]
pub(super) struct Ring {
    segments: VecDeque<Arc<Segment>>,
    /// The revision before the oldest batch: the least one to read after.
    base: Revision,
    head: Revision,
    batches: usize,
    bytes: usize,
    max_batches: usize,
    max_bytes: usize,
}

/// What a reader finds after its cursor.
#[derive(Debug)]
pub(super) enum Found {
    /// A segment, and where in it the reader goes on.
    Segment(Arc<Segment>, usize),
    /// Nothing yet.
    AtHead,
    /// The ring begins later.
    Behind,
}

impl Ring {
    pub(super) fn new(head: Revision, max_batches: usize, max_bytes: usize) -> Self {
        Self { segments: VecDeque::new(), base: head, head, batches: 0, bytes: 0, max_batches, max_bytes }
    }

    pub(super) fn head(&self) -> Revision {
        self.head
    }

    /// Appends batches that follow the head; gives the segments that fell out, to be dropped without a lock.
    pub(super) fn append(&mut self, batches: Vec<Arc<Batch>>) -> Vec<Arc<Segment>> {
        let Some(segment) = Segment::new(batches) else { return Vec::new() };
        self.head = segment.last().unwrap_or(self.head);
        self.batches += segment.batches.len();
        self.bytes += segment.bytes;
        self.segments.push_back(Arc::new(segment));
        self.merge();
        self.evict()
    }

    fn merge(&mut self) {
        while let Some(right) = self.segments.pop_back() {
            let fits = self.segments.back().is_some_and(|left| {
                let (left, right) = (left.batches.len(), right.batches.len());
                left <= right && left + right <= MAX_SEGMENT
            });
            let left = if fits { self.segments.pop_back() } else { None };
            match left {
                Some(left) => self.segments.push_back(Arc::new(Segment::joined(left, right))),
                None => return self.segments.push_back(right),
            }
        }
    }

    fn evict(&mut self) -> Vec<Arc<Segment>> {
        let mut evicted = Vec::new();
        while (self.batches > self.max_batches || self.bytes > self.max_bytes) && self.segments.len() > 1 {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.base = oldest.last().unwrap_or(self.base);
            self.batches -= oldest.batches.len();
            self.bytes -= oldest.bytes;
            evicted.push(oldest);
        }
        evicted
    }

    pub(super) fn read(&self, after: Revision) -> Found {
        if after < self.base {
            return Found::Behind;
        }
        if after >= self.head {
            return Found::AtHead;
        }
        let next = after.get() + 1;
        let index = self.segments.partition_point(|segment| segment.first <= next);
        match index.checked_sub(1).and_then(|index| self.segments.get(index)) {
            Some(segment) => {
                let offset = usize::try_from(next - segment.first).unwrap_or(usize::MAX);
                Found::Segment(Arc::clone(segment), offset)
            }
            None => Found::Behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roa_core::{Change, Entry, Key, Timestamp, TxnId, Value};

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn batch(number: u64) -> Arc<Batch> {
        let key = Key::new("g", "things", "n", "a").unwrap();
        let entry = Entry::created(key, Value::opaque("v"), revision(number), TxnId::none(), "t".into());
        Arc::new(Batch {
            revision: revision(number),
            txn: TxnId::none(),
            previous_txn: TxnId::none(),
            committed_at: Timestamp::from_unix_seconds(0).unwrap(),
            changes: Change::Put { entry: entry.into(), previous: None }.into(),
        })
    }

    fn read_all(ring: &Ring, mut after: u64) -> Option<Vec<u64>> {
        let mut seen = Vec::new();
        loop {
            match ring.read(revision(after)) {
                Found::Behind => return None,
                Found::AtHead => return Some(seen),
                Found::Segment(segment, from) => {
                    seen.extend(segment.batches[from..].iter().map(|batch| batch.revision.get()));
                    after = *seen.last().unwrap();
                }
            }
        }
    }

    proptest! {
        #[test]
        fn w4_a_reader_sees_each_revision_once_or_is_told(
            chunks in prop::collection::vec(1..40_usize, 1..60), bound in 10..500_usize, start in 100..1500_u64
        ) {
            let mut ring = Ring::new(revision(100), bound, usize::MAX);
            let mut next = 101;
            for chunk in chunks {
                let end = next + chunk as u64;
                ring.append((next..end).map(batch).collect());
                next = end;
            }
            let start = start.min(next - 1);
            let expected: Vec<u64> = (start + 1..next).collect();
            match read_all(&ring, start) {
                Some(seen) => prop_assert_eq!(seen, expected),
                None => prop_assert!(start < ring.base.get()),
            }
            prop_assert!(ring.batches <= bound + MAX_SEGMENT);
        }

        #[test]
        fn segments_stay_few(count in 1..3000_u64) {
            let mut ring = Ring::new(revision(100), usize::MAX, usize::MAX);
            for number in 0..count {
                ring.append(vec![batch(101 + number)]);
            }
            prop_assert!(ring.segments.len() <= usize::try_from(count).unwrap() / MAX_SEGMENT + 12);
        }
    }

    #[test]
    fn w7_the_revision_before_the_oldest_batch_can_be_read_after_and_the_one_before_cannot() {
        let mut ring = Ring::new(revision(10), 1, usize::MAX);
        assert!(matches!(ring.read(revision(9)), Found::Behind));
        assert!(matches!(ring.read(revision(10)), Found::AtHead));
        for number in 11..14 {
            ring.append(vec![batch(number); 1]);
        }
        let base = ring.base.get();
        assert!(base > 10, "the bound must have dropped something");
        assert_eq!(read_all(&ring, base), Some((base + 1..14).collect()));
        assert_eq!(read_all(&ring, base - 1), None);
    }
}
