//! [`Wakers`]: who waits for the next batch. Each watcher has one slot, so their number is bounded.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use crate::locks;

/// Slots for the wakers of a bounded number of watchers.
pub(super) struct Wakers {
    slots: Mutex<Slots>,
    open: AtomicUsize,
    max: usize,
}

#[derive(Default)]
struct Slots {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
    /// Slots whose waker is set: what a wake-up has to look at.
    waiting: Vec<usize>,
}

impl Wakers {
    pub(super) fn new(max: usize) -> Self {
        Self { slots: Mutex::default(), open: AtomicUsize::new(0), max }
    }

    /// How many slots are taken.
    pub(super) fn len(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// A slot; `None` if all are taken.
    pub(super) fn take(&self) -> Option<usize> {
        let mut slots = locks::lock(&self.slots);
        if self.len() >= self.max {
            return None;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        let slots = &mut *slots;
        Some(slots.free.pop().unwrap_or_else(|| {
            slots.wakers.push(None);
            slots.wakers.len() - 1
        }))
    }

    /// Gives a slot back.
    pub(super) fn release(&self, slot: usize) {
        let mut slots = locks::lock(&self.slots);
        if let Some(waker) = slots.wakers.get_mut(slot) {
            *waker = None;
        }
        slots.waiting.retain(|waiting| *waiting != slot);
        slots.free.push(slot);
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Wakes `waker` at the next [`Wakers::wake_all`]. The caller looks once more afterwards for what it waits for.
    pub(super) fn register(&self, slot: usize, waker: &Waker) {
        let mut slots = locks::lock(&self.slots);
        let Some(place) = slots.wakers.get_mut(slot) else { return };
        match place {
            Some(known) => known.clone_from(waker),
            None => {
                *place = Some(waker.clone());
                slots.waiting.push(slot);
            }
        }
    }

    /// Wakes all who wait. They are woken without a lock.
    pub(super) fn wake_all(&self) {
        let woken: Vec<Waker> = {
            let mut slots = locks::lock(&self.slots);
            let waiting = std::mem::take(&mut slots.waiting);
            waiting.into_iter().filter_map(|slot| slots.wakers.get_mut(slot)?.take()).collect()
        };
        for waker in woken {
            waker.wake();
        }
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
}
