//! [`Wakers`]: who waits for the next batch. Each watcher has one slot, so their number is bounded.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use crate::locks;

/// Slots for the wakers of a bounded number of watchers. To wait and to wake takes no lock: the pump holds up no watcher,
/// and no watcher another.
pub(super) struct Wakers {
    /// Made when their first slot is taken, in order.
    chunks: Box<[OnceLock<Box<Chunk>>]>,
    free: Mutex<Free>,
    open: AtomicUsize,
    max: usize,
}

/// Which slots are free.
#[derive(Default)]
struct Free {
    /// Those that were given back: the first ones are used first, so that few chunks are looked at.
    again: BTreeSet<usize>,
    /// How many were ever taken.
    ever: usize,
}

/// How many slots a chunk has: one for each bit.
const CHUNK: usize = 64;

struct Chunk {
    /// Whose waker is set. A wake-up takes all bits at once, and looks at no other slot.
    waiting: AtomicU64,
    wakers: [AtomicWaker; CHUNK],
}

impl Wakers {
    pub(super) fn new(max: usize) -> Self {
        let chunks = std::iter::repeat_with(OnceLock::new).take(max.div_ceil(CHUNK)).collect();
        Self { chunks, free: Mutex::default(), open: AtomicUsize::new(0), max }
    }

    /// How many slots are taken.
    pub(super) fn len(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// A slot; `None` if all are taken.
    pub(super) fn take(&self) -> Option<usize> {
        let mut free = locks::lock(&self.free);
        if self.len() >= self.max {
            return None;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        let slot = free.again.pop_first().unwrap_or_else(|| {
            free.ever += 1;
            free.ever - 1
        });
        // Here, so that no chunk is made before the one in front of it.
        self.find(slot)?;
        Some(slot)
    }

    /// Gives a slot back.
    pub(super) fn release(&self, slot: usize) {
        if let Some((chunk, at)) = self.find(slot) {
            chunk.waiting.fetch_and(!(1 << at), Ordering::AcqRel);
            drop(chunk.wakers[at].take());
        }
        let mut free = locks::lock(&self.free);
        free.again.insert(slot);
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Wakes `waker` at the next [`Wakers::wake_all`]. The caller looks once more afterwards for what it waits for: if
    /// its bit was set too late for a wake-up, it sees all that came before that.
    pub(super) fn register(&self, slot: usize, waker: &Waker) {
        let Some((chunk, at)) = self.find(slot) else { return };
        chunk.wakers[at].register(waker);
        chunk.waiting.fetch_or(1 << at, Ordering::AcqRel);
    }

    /// Wakes all who wait.
    pub(super) fn wake_all(&self) {
        for chunk in self.chunks.iter().map_while(OnceLock::get) {
            // Also when none is set: who sets a bit afterwards sees what was put into the ring before.
            let mut waiting = chunk.waiting.swap(0, Ordering::AcqRel);
            while waiting != 0 {
                chunk.wakers[waiting.trailing_zeros() as usize].wake();
                waiting &= waiting - 1;
            }
        }
    }

    fn find(&self, slot: usize) -> Option<(&Chunk, usize)> {
        let chunk = self.chunks.get(slot / CHUNK)?.get_or_init(Box::default);
        Some((chunk, slot % CHUNK))
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Self { waiting: AtomicU64::new(0), wakers: std::array::from_fn(|_| AtomicWaker::new()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn w14_slots_are_bounded_and_used_again() {
        let wakers = Wakers::new(2);
        let (first, second) = (wakers.take().unwrap(), wakers.take().unwrap());
        assert_ne!(first, second);
        assert_eq!(wakers.take(), None);
        wakers.release(first);
        assert_eq!((wakers.take(), wakers.len()), (Some(first), 2));
    }

    #[test]
    fn a_waker_is_woken_once_for_each_registration() {
        let wakers = Wakers::new(2);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let (slot, other) = (wakers.take().unwrap(), wakers.take().unwrap());
        let waker = Waker::from(Arc::clone(&count));
        for _ in 0..3 {
            wakers.register(slot, &waker);
        }
        wakers.register(other, &waker);
        wakers.release(other);
        wakers.wake_all();
        wakers.wake_all();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn all_who_wait_are_woken_however_many_there_are() {
        let wakers = Wakers::new(1_000);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let slots: Vec<_> = (0..1_000).map(|_| wakers.take().unwrap()).collect();
        for slot in slots.iter().step_by(3) {
            wakers.register(*slot, &waker);
        }
        wakers.wake_all();
        assert_eq!(count.0.load(Ordering::SeqCst), slots.iter().step_by(3).count());
    }

    #[test]
    fn a_slot_that_is_taken_again_wakes_nobody_of_before() {
        let wakers = Wakers::new(1);
        let (before, after) = (Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0))));
        let slot = wakers.take().unwrap();
        wakers.register(slot, &Waker::from(Arc::clone(&before)));
        wakers.release(slot);
        let slot = wakers.take().unwrap();
        wakers.register(slot, &Waker::from(Arc::clone(&after)));
        wakers.wake_all();
        assert_eq!([before, after].map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
    }
}
