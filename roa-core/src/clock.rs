//! [`Clock`]: the time, injected. [`ManualClock`]: a clock that a test moves.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::poll_fn;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use crate::Timestamp;

/// A point on a monotonic clock: the time since that clock's own begin. Points of different clocks do not compare.
///
/// ```
/// # use std::time::Duration;
/// # use roa_core::Monotonic;
/// let begun = Monotonic::from_start(Duration::from_secs(5));
/// let deadline = begun + Duration::from_secs(60);
/// assert_eq!(deadline.saturating_since(begun), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The point this long after the clock's begin.
    #[must_use]
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the clock's begin it is.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` it is; zero if it is before.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The time. Two readings: that of the calendar, which people set, and one that only goes on.
///
/// ```
/// # use std::time::Duration;
/// # use roa_core::Clock;
/// /// Waits until a minute after `begun`, whatever time it is by now.
/// async fn until_a_minute_later(clock: &dyn Clock, begun: roa_core::Monotonic) {
///     clock.sleep_until(begun + Duration::from_secs(60)).await;
/// }
/// ```
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// The calendar's time.
    fn now(&self) -> Timestamp;

    /// The monotonic time: for deadlines, delays, leases.
    fn monotonic(&self) -> Monotonic;

    /// Waits until the monotonic time is `deadline` or later.
    ///
    /// # Cancel safety
    /// Safe.
    async fn sleep_until(&self, deadline: Monotonic);
}

/// What else any clock can do.
///
/// ```
/// # use std::time::Duration;
/// # use roa_core::{Clock, ClockExt};
/// async fn rest(clock: &dyn Clock) {
///     clock.sleep(Duration::from_secs(5)).await;
/// }
/// ```
#[async_trait]
pub trait ClockExt {
    /// Waits this long.
    ///
    /// # Cancel safety
    /// Safe.
    async fn sleep(&self, duration: Duration);
}

#[async_trait]
impl<T: Clock + ?Sized> ClockExt for T {
    async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.monotonic() + duration).await;
    }
}

/// A clock that stands still until it is moved. A clone is the same clock.
///
/// ```
/// use std::time::Duration;
/// use roa_core::{Clock, ManualClock, Timestamp};
/// let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().as_unix_seconds(), 90);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    wall: Timestamp,
    monotonic: Monotonic,
    timers: Vec<Timer>,
    next_id: u64,
    counting: HashMap<u64, Waker>,
}

#[derive(Debug)]
struct Timer {
    id: u64,
    deadline: Monotonic,
    waker: Waker,
}

impl ManualClock {
    /// A clock that shows `wall`.
    #[must_use]
    pub fn new(wall: Timestamp) -> Self {
        let monotonic = Monotonic::default();
        let state = State { wall, monotonic, timers: Vec::new(), next_id: 0, counting: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves both readings on, and wakes those whose time has come.
    pub fn advance(&self, duration: Duration) {
        let due: Vec<Timer> = {
            let mut state = self.lock();
            state.wall = state.wall.saturating_add(duration);
            state.monotonic = state.monotonic + duration;
            let now = state.monotonic;
            state.timers.extract_if(.., |timer| timer.deadline <= now).collect()
        };
        for timer in due {
            timer.waker.wake();
        }
    }

    /// Moves on to the next timer, if there is one, and says by how much.
    pub fn advance_to_next_timer(&self) -> Option<Duration> {
        let wait = {
            let state = self.lock();
            let next = state.timers.iter().map(|timer| timer.deadline).min()?;
            next.saturating_since(state.monotonic)
        };
        self.advance(wait);
        Some(wait)
    }

    /// Sets the calendar, as people do; the monotonic reading stays (L7).
    pub fn set_wall(&self, wall: Timestamp) {
        self.lock().wall = wall;
    }

    /// How many are waiting for a time.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.lock().timers.len()
    }

    /// Waits until at least `count` are waiting for a time.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn timers_pending(&self, count: usize) {
        let registration = self.register();
        poll_fn(|cx| self.poll_count(registration.id, count, cx.waker())).await;
    }

    fn register(&self) -> Registration<'_> {
        let mut state = self.lock();
        state.next_id += 1;
        Registration { clock: self, id: state.next_id }
    }

    fn poll_count(&self, id: u64, count: usize, waker: &Waker) -> Poll<()> {
        let mut state = self.lock();
        if state.timers.len() >= count {
            return Poll::Ready(());
        }
        let replaced = state.counting.insert(id, waker.clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    fn poll_timer(&self, id: u64, deadline: Monotonic, waker: &Waker) -> Poll<()> {
        let mut state = self.lock();
        if state.monotonic >= deadline {
            return Poll::Ready(());
        }
        if let Some(timer) = state.timers.iter_mut().find(|timer| timer.id == id) {
            let replaced = std::mem::replace(&mut timer.waker, waker.clone());
            drop(state);
            drop(replaced);
            return Poll::Pending;
        }
        state.timers.push(Timer { id, deadline, waker: waker.clone() });
        let counting = std::mem::take(&mut state.counting);
        drop(state);
        counting.into_values().for_each(Waker::wake);
        Poll::Pending
    }
}

/// Takes a wait off its clock when it is given up.
struct Registration<'a> {
    clock: &'a ManualClock,
    id: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.lock();
        let timer = state.timers.iter().position(|timer| timer.id == self.id).map(|at| state.timers.remove(at));
        let counting = state.counting.remove(&self.id);
        // Wakers are dropped after the lock: one may own another wait, which takes the lock as it goes.
        drop(state);
        drop((timer, counting));
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().wall
    }

    fn monotonic(&self) -> Monotonic {
        self.lock().monotonic
    }

    async fn sleep_until(&self, deadline: Monotonic) {
        let registration = self.register();
        poll_fn(|cx| self.poll_timer(registration.id, deadline, cx.waker())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::{Context, Wake};

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::from_unix_seconds(1_000).unwrap())
    }

    #[test]
    fn a_sleep_ends_when_its_time_has_come_and_not_before() {
        let clock = clock();
        let mut sleep = clock.sleep(Duration::from_secs(10));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_secs(9));
        assert!((&mut sleep).now_or_never().is_none());
        assert_eq!(clock.advance_to_next_timer(), Some(Duration::from_secs(1)));
        assert!((&mut sleep).now_or_never().is_some());
        assert_eq!((clock.pending_timers(), clock.advance_to_next_timer()), (0, None));
    }

    #[test]
    fn a_sleep_that_is_given_up_leaves_no_timer() {
        let clock = clock();
        let mut sleep = clock.sleep(Duration::from_secs(10));
        assert!((&mut sleep).now_or_never().is_none());
        assert!(clock.timers_pending(1).now_or_never().is_some());
        drop(sleep);
        assert_eq!(clock.pending_timers(), 0);
        assert!(clock.timers_pending(1).now_or_never().is_none());
    }

    #[test]
    fn l7_setting_the_calendar_moves_no_timer() {
        let clock = clock();
        let before = clock.monotonic();
        let mut sleep = clock.sleep(Duration::from_secs(10));
        assert!((&mut sleep).now_or_never().is_none());
        for wall in [9_999, 0] {
            clock.set_wall(Timestamp::from_unix_seconds(wall).unwrap());
            assert_eq!((clock.monotonic(), clock.now().as_unix_seconds()), (before, wall));
            assert!((&mut sleep).now_or_never().is_none());
        }
        assert_eq!(clock.advance_to_next_timer(), Some(Duration::from_secs(10)));
        assert!(sleep.now_or_never().is_some());
    }

    struct CountWakes(AtomicUsize);

    impl Wake for CountWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_that_sleeps_and_counts_timers_does_not_wake_itself() {
        let clock = clock();
        let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let mut sleep = clock.sleep(Duration::from_secs(1));
        let mut two_timers = Box::pin(clock.timers_pending(2));
        for _ in 0..3 {
            assert!(sleep.poll_unpin(&mut cx).is_pending() && two_timers.poll_unpin(&mut cx).is_pending());
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "nothing happened");
        let mut second = clock.sleep(Duration::from_secs(2));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "a timer came");
        assert!(two_timers.poll_unpin(&mut cx).is_ready());
    }

    #[test]
    fn a_count_that_is_given_up_leaves_nothing() {
        let clock = clock();
        assert!(clock.timers_pending(1).now_or_never().is_none());
        assert!(clock.lock().counting.is_empty());
    }

    /// A waker that owns a wait of its own, as a task's waker owns the task.
    struct Owner {
        _wait: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    }

    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_waker_that_owns_another_sleep_may_go_with_its_own() {
        let (done, finished) = mpsc::channel();
        std::thread::spawn(move || {
            let clock = clock();
            let owned = clock.clone();
            let mut wait: Pin<Box<dyn Future<Output = ()> + Send>> =
                Box::pin(async move { owned.sleep(Duration::from_secs(1)).await });
            assert!((&mut wait).now_or_never().is_none());
            let mut outer = clock.sleep(Duration::from_secs(1));
            let waker = Waker::from(Arc::new(Owner { _wait: Mutex::new(wait) }));
            assert!(outer.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            drop(outer);
            done.send(clock.pending_timers())
        });
        assert_eq!(finished.recv_timeout(Duration::from_secs(10)), Ok(0), "it waits for its own lock");
    }
}
