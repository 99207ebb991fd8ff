//! [`Ring`]: the newest part of the log, in segments that watchers borrow.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use roa_core::{Batch, Key, Revision};

use super::Selection;
use super::selection::Coverage;
use super::sketch::{LazySketch, Sketch};

/// How many batches a segment has at most.
const MAX_SEGMENT: usize = 1_024;
/// A segment has at most this part of what the ring may hold: the ring forgets whole segments.
const PART: usize = 8;

/// How many kinds a segment tells apart.
const KINDS: usize = 8;
/// The number of none of them: what is changed is of several kinds, or of one more than are told apart.
const MIXED: u8 = u8::MAX;

/// A batch in its place.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) batch: Arc<Batch>,
    /// Of which of the segment's kinds is all that it changes.
    kind: u8,
    labels: LazySketch,
}

/// What a selection covers of each kind of a segment, and what labels it needs: a batch of which it covers nothing is
/// passed over without a look at it, and where it covers everything no key is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cover {
    kinds: [Coverage; KINDS],
    needed: Option<Sketch>,
}

impl Cover {
    /// Each key must be looked at.
    pub(super) const UNKNOWN: Self = Self { kinds: [Coverage::Part; KINDS], needed: None };

    pub(super) fn of(&self, slot: &Slot) -> Coverage {
        let coverage = self.kinds.get(usize::from(slot.kind)).copied().unwrap_or(Coverage::Part);
        match self.needed {
            Some(needed) if coverage != Coverage::Nothing && !slot.labels.may_have(needed, &slot.batch) => {
                Coverage::Nothing
            }
            _ => coverage,
        }
    }
}

/// What the keys of this one's kind begin with: the first two segments, see [`KeyPrefix::resource`](roa_core::KeyPrefix).
fn kind_of(key: &Key) -> &str {
    let encoded = key.encoded();
    // A byte for the layout, and one after each of both.
    let end = 1 + key.group().len() + 1 + key.resource().len() + 1;
    encoded.get(..end).unwrap_or(encoded)
}

/// Batches that follow each other without a gap. It grows at its end alone: watchers read what is there without a lock,
/// while the next batches are put after it.
#[derive(Debug)]
pub(super) struct Segment {
    first: u64,
    /// Each is filled once, in order.
    slots: Box<[OnceLock<Slot>]>,
    /// What keys of each kind begin with; filled in order too, each before the first batch of it.
    kinds: [OnceLock<Box<str>>; KINDS],
    /// How many are filled.
    filled: AtomicUsize,
}

impl Segment {
    fn new(first: Revision, capacity: usize) -> Self {
        let slots = std::iter::repeat_with(OnceLock::new).take(capacity).collect();
        Self { first: first.get(), slots, kinds: Default::default(), filled: AtomicUsize::new(0) }
    }

    /// Puts a batch at the end. Only the ring does, which is written by one at a time.
    fn push(&self, batch: Arc<Batch>) {
        let end = self.len();
        let kind = self.number_of(&batch);
        if self.slots.get(end).is_some_and(|slot| slot.set(Slot { batch, kind, labels: LazySketch::default() }).is_ok())
        {
            self.filled.store(end + 1, Ordering::Release);
        }
    }

    /// The number of the kind of all that a batch changes.
    fn number_of(&self, batch: &Batch) -> u8 {
        let mut kinds = batch.changes.iter().map(|change| kind_of(change.key()));
        let Some(kind) = kinds.next() else { return MIXED };
        if kinds.any(|other| other != kind) {
            return MIXED;
        }
        let place = self.kinds.iter().position(|known| **known.get_or_init(|| kind.into()) == *kind);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(MIXED)
    }

    /// What a selection covers of what it has by now.
    pub(super) fn cover(&self, selection: &Selection) -> Cover {
        let mut cover = Cover { needed: selection.needed(), ..Cover::UNKNOWN };
        for (coverage, kind) in cover.kinds.iter_mut().zip(self.kinds.iter().map_while(OnceLock::get)) {
            *coverage = selection.coverage(kind);
        }
        cover
    }

    /// How many batches it has by now.
    pub(super) fn len(&self) -> usize {
        self.filled.load(Ordering::Acquire)
    }

    /// Where in it the batch after a revision is, or will be; `None` if that is certainly not in it.
    pub(super) fn offset_after(&self, revision: Revision) -> Option<usize> {
        let offset = usize::try_from((revision.get() + 1).checked_sub(self.first)?).ok()?;
        (offset < self.slots.len()).then_some(offset)
    }

    /// Some of its batches.
    pub(super) fn range(&self, range: Range<usize>) -> impl Iterator<Item = &Slot> + Clone {
        self.slots.get(range).unwrap_or_default().iter().filter_map(OnceLock::get)
    }

    fn is_full(&self) -> bool {
        self.len() == self.slots.len()
    }

    fn last(&self) -> Option<Revision> {
        let last = self.slots.get(self.len().checked_sub(1)?)?;
        last.get().map(|slot| slot.batch.revision)
    }
}

/// A segment, and how much it keeps alive.
#[derive(Debug)]
struct Kept {
    segment: Arc<Segment>,
    bytes: usize,
}

/// A batch, and what has to be known of it to append it. The batch itself may be far from the processor's caches: whoever
/// looks at many of them one right after the other waits for all of them at once, and no one else waits for a lock.
#[derive(Debug)]
pub(super) struct Weighed {
    batch: Arc<Batch>,
    revision: Revision,
    bytes: usize,
}

impl Weighed {
    pub(super) fn all(batches: Vec<Arc<Batch>>) -> Vec<Self> {
        batches.into_iter().map(|batch| Self { revision: batch.revision, bytes: batch.size(), batch }).collect()
    }
}

/// A bounded stretch of the log: what was appended last, in order, without a gap.
#[derive(Debug)]
pub(super) struct Ring {
    segments: VecDeque<Kept>,
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
    pub(super) fn append(&mut self, batches: Vec<Weighed>) -> Vec<Arc<Segment>> {
        for batch in batches {
            self.push(batch);
        }
        self.evict()
    }

    fn push(&mut self, Weighed { batch, revision, bytes }: Weighed) {
        let goes_on = |kept: &Kept| !kept.segment.is_full() && kept.bytes < self.max_bytes / PART;
        if !self.segments.back().is_some_and(goes_on) {
            let capacity = (self.max_batches / PART).clamp(1, MAX_SEGMENT);
            self.segments.push_back(Kept { segment: Arc::new(Segment::new(revision, capacity)), bytes: 0 });
        }
        let Some(kept) = self.segments.back_mut() else { return };
        kept.segment.push(batch);
        kept.bytes += bytes;
        self.head = revision;
        self.batches += 1;
        self.bytes += bytes;
    }

    fn evict(&mut self) -> Vec<Arc<Segment>> {
        let mut evicted = Vec::new();
        while (self.batches > self.max_batches || self.bytes > self.max_bytes) && self.segments.len() > 1 {
            let Some(Kept { segment, bytes }) = self.segments.pop_front() else { break };
            self.base = segment.last().unwrap_or(self.base);
            self.batches -= segment.len();
            self.bytes -= bytes;
            evicted.push(segment);
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
        let index = self.segments.partition_point(|kept| kept.segment.first <= next);
        let found = index.checked_sub(1).and_then(|index| self.segments.get(index));
        let place = found.and_then(|kept| Some((&kept.segment, kept.segment.offset_after(after)?)));
        place.map_or(Found::Behind, |(segment, offset)| Found::Segment(Arc::clone(segment), offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roa_core::{Change, Entry, KeyPrefix, Timestamp, TxnId, Value};

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn batch(number: u64) -> Arc<Batch> {
        batch_of(number, &["things"])
    }

    /// A batch that changes one object of each resource.
    fn batch_of(number: u64, resources: &[&str]) -> Arc<Batch> {
        let change = |resource: &&str| {
            let key = Key::new("g", resource, "n", "a").unwrap();
            let entry = Entry::created(key, Value::opaque("v"), revision(number), TxnId::none(), "t".into());
            Change::Put { entry: entry.into(), previous: None }
        };
        Arc::new(Batch {
            revision: revision(number),
            txn: TxnId::none(),
            previous_txn: TxnId::none(),
            committed_at: Timestamp::from_unix_seconds(0).unwrap(),
            changes: resources.iter().map(change).collect::<Vec<_>>().into(),
        })
    }

    #[test]
    fn of_batches_of_more_kinds_than_are_told_apart_and_of_several_at_once_the_keys_are_looked_at() {
        let kinds: Vec<String> = (0..12).map(|number| format!("kind{number}")).collect();
        let mut ring = Ring::new(revision(10), 1_024, usize::MAX);
        let mut batches: Vec<_> = (11..).zip(&kinds).map(|(number, kind)| batch_of(number, &[kind])).collect();
        batches.push(batch_of(23, &["kind3", "kind4"]));
        batches.push(batch_of(24, &["kind3", "kind3"]));
        ring.append(Weighed::all(batches));
        let Found::Segment(segment, from) = ring.read(revision(10)) else { panic!("it has batches") };
        let see = |prefix: KeyPrefix| {
            let cover = segment.cover(&Selection::prefix(prefix));
            segment.range(from..segment.len()).map(|slot| cover.of(slot)).collect::<Vec<_>>()
        };
        use Coverage::{Everything, Nothing, Part};
        let mut expected = vec![Nothing; 8];
        expected[3] = Everything;
        expected.extend([Part, Part, Part, Part, Part, Everything]);
        assert_eq!(see(KeyPrefix::resource("g", "kind3").unwrap()), expected);
        expected[3] = Part;
        expected[13] = Part;
        assert_eq!(see(KeyPrefix::namespace("g", "kind3", "n").unwrap()), expected);
    }

    fn append(ring: &mut Ring, numbers: Range<u64>) {
        ring.append(Weighed::all(numbers.map(batch).collect()));
    }

    fn read_all(ring: &Ring, mut after: u64) -> Option<Vec<u64>> {
        let mut seen = Vec::new();
        loop {
            match ring.read(revision(after)) {
                Found::Behind => return None,
                Found::AtHead => return Some(seen),
                Found::Segment(segment, from) => {
                    seen.extend(segment.range(from..segment.len()).map(|slot| slot.batch.revision.get()));
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
                append(&mut ring, next..end);
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
                append(&mut ring, 101 + number..102 + number);
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
            append(&mut ring, number..number + 1);
        }
        let base = ring.base.get();
        assert!(base > 10, "the bound must have dropped something");
        assert_eq!(read_all(&ring, base), Some((base + 1..14).collect()));
        assert_eq!(read_all(&ring, base - 1), None);
    }

    #[test]
    fn w4_what_a_reader_holds_goes_on_growing_under_it() {
        let mut ring = Ring::new(revision(10), 64, usize::MAX);
        append(&mut ring, 11..12);
        let Found::Segment(segment, from) = ring.read(revision(10)) else { panic!("it has one batch") };
        assert_eq!((segment.len(), from), (1, 0));
        append(&mut ring, 12..14);
        let seen: Vec<_> = segment.range(from..segment.len()).map(|slot| slot.batch.revision.get()).collect();
        assert_eq!(seen, [11, 12, 13]);
        assert_eq!(segment.offset_after(revision(13)), Some(3), "the next one will be there too");
        assert_eq!((segment.offset_after(revision(9)), segment.offset_after(revision(100))), (None, None));
    }

    #[test]
    fn large_batches_make_short_segments_so_that_the_bound_in_bytes_holds() {
        let size = batch(1).size();
        let mut ring = Ring::new(revision(10), usize::MAX, 80 * size);
        for number in 11..511 {
            append(&mut ring, number..number + 1);
            assert!(ring.bytes <= 80 * size, "{} of {}", ring.bytes, 80 * size);
        }
        assert!(ring.batches >= 60, "{} batches are kept", ring.batches);
    }
}
