//! [`Shared`]: what all clones of a queue share, and how workers wait: who is woken for what.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use roa_core::{Clock, Monotonic, Random, RandomExt};
use tokio::sync::Notify;

use super::state::{Claim, Left, State, Take, Wake};
use super::{NextRun, Outcome, QueueKey};
use crate::locks;

/// The state behind its lock, and those who wait for it to change.
pub(super) struct Shared<K> {
    state: Mutex<State<K>>,
    pub(super) clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// For workers that wait: a key may be ready.
    pub(super) work: Notify,
    /// How many workers wait, or look for the last time before they do. Who comes later looks for itself.
    waiting_workers: AtomicUsize,
    /// For the timekeeper: the next due time has changed.
    pub(super) timer: Notify,
    /// For adders: there may be room for a key.
    pub(super) space: Notify,
    /// For those who wait until no key is left.
    pub(super) settled: Notify,
    /// Whether one of the workers that wait watches the clock for all.
    has_timekeeper: AtomicBool,
}

impl<K: QueueKey> Shared<K> {
    pub(super) fn new(state: State<K>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            state: Mutex::new(state),
            clock,
            random,
            work: Notify::new(),
            waiting_workers: AtomicUsize::new(0),
            timer: Notify::new(),
            space: Notify::new(),
            settled: Notify::new(),
            has_timekeeper: AtomicBool::new(false),
        }
    }

    pub(super) fn take(&self) -> Take<K> {
        let now = self.clock.monotonic();
        let (take, left) = {
            let mut state = self.lock();
            (state.take(now), state.left())
        };
        self.leave_to_others(&take, left);
        take
    }

    pub(super) fn finish(&self, claim: &Claim<K>, outcome: Outcome) -> NextRun {
        let jitter = self.jitter(outcome);
        let (next, wake) = self.shrink(|state| state.finish(claim, outcome, jitter, || self.clock.monotonic()));
        self.wake(wake);
        next
    }

    /// Ends a run and takes the next key: as one after the other, under one lock and at one time.
    pub(super) fn finish_and_take(&self, claim: &Claim<K>, outcome: Outcome) -> Take<K> {
        let (jitter, now) = (self.jitter(outcome), self.clock.monotonic());
        let (take, wake, left) = self.shrink(|state| {
            let (_, wake) = state.finish(claim, outcome, jitter, || now);
            (state.take(now), wake, state.left())
        });
        self.leave_to_others(&take, left);
        match (&take, wake) {
            // The key that became ready was taken, or is left to others already.
            (Take::Claim(_), Wake::Worker) => {}
            _ => self.wake(wake),
        }
        take
    }

    fn jitter(&self, outcome: Outcome) -> f64 {
        match outcome {
            Outcome::Failed | Outcome::FailedAfter(_) | Outcome::Requeue | Outcome::Defer(_) => self.random.unit(),
            Outcome::Done | Outcome::RequeueAfter(_) | Outcome::Drop => 0.0,
        }
    }

    /// Whoever got a key wakes the next worker, if there is something left for one: several keys may have become due at
    /// once, or were added at once, and only one worker was woken; and it may be the one that was to watch the clock.
    fn leave_to_others(&self, take: &Take<K>, left: Left) {
        step();
        let wanted = match left {
            Left::Nothing => false,
            Left::Ready => true,
            Left::Delayed => !self.has_timekeeper.load(Ordering::Acquire),
        };
        if wanted && matches!(take, Take::Claim(_)) {
            self.wake_worker();
        }
    }

    /// Does what may take keys out, and tells those who wait for that.
    pub(super) fn shrink<T>(&self, change: impl FnOnce(&mut State<K>) -> T) -> T {
        let (result, shrunk, emptied) = {
            let mut state = self.lock();
            let before = state.len();
            let result = change(&mut state);
            (result, state.len() < before, state.len() == 0)
        };
        step();
        if shrunk {
            self.space.notify_one();
        }
        if emptied {
            self.settled.notify_waiters();
        }
        result
    }
}

impl<K> Shared<K> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<K>> {
        step();
        locks::lock(&self.state)
    }

    pub(super) fn wake(&self, wake: Wake) {
        step();
        match wake {
            Wake::Nobody => {}
            Wake::Worker => self.wake_worker(),
            // Nobody watches the clock while there is nothing to wait for: then whoever wakes up does so from now on.
            Wake::Timekeeper if self.has_timekeeper.load(Ordering::Acquire) => self.timer.notify_one(),
            Wake::Timekeeper => self.wake_worker(),
        }
    }

    /// Wakes one of the workers that wait. One that is not counted yet looks under the lock after it is, and so after
    /// whatever it is to be woken for.
    fn wake_worker(&self) {
        if self.waiting_workers.load(Ordering::SeqCst) > 0 {
            step();
            self.work.notify_one();
        }
    }
}

/// Where another worker may come in between: here the model check of the tests switches between them.
#[cfg(not(test))]
pub(super) const fn step() {}
#[cfg(test)]
pub(super) use super::tests::step;

/// A worker that waits, counted from before it looks until it is done.
pub(super) struct Waits<'a, K> {
    shared: &'a Shared<K>,
}

impl<'a, K> Waits<'a, K> {
    pub(super) fn begin(shared: &'a Shared<K>) -> Self {
        shared.waiting_workers.fetch_add(1, Ordering::SeqCst);
        step();
        Self { shared }
    }
}

impl<K> Drop for Waits<'_, K> {
    fn drop(&mut self) {
        self.shared.waiting_workers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The one waiting worker that watches the clock, so that a due key wakes one worker and not all. When it leaves, another
/// takes its place.
pub(super) struct Timekeeper<'a, K> {
    shared: &'a Shared<K>,
}

impl<'a, K> Timekeeper<'a, K> {
    pub(super) fn become_one(shared: &'a Shared<K>) -> Option<Self> {
        step();
        // Lazily: a value that is not used would be dropped, and leave the place of another.
        (!shared.has_timekeeper.swap(true, Ordering::AcqRel)).then(|| Self { shared })
    }

    /// Waits for work, for another due time, or for the time that is due next.
    pub(super) async fn wait(&self, work: impl Future<Output = ()>, due: Monotonic) {
        tokio::select! {
            biased;
            () = work => {}
            () = self.shared.timer.notified() => {}
            () = self.shared.clock.sleep_until(due) => {}
        }
    }
}

impl<K> Drop for Timekeeper<'_, K> {
    fn drop(&mut self) {
        step();
        self.shared.has_timekeeper.store(false, Ordering::Release);
        self.shared.wake_worker();
    }
}
