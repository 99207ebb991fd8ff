//! [`Clock`]: the time, injected. [`ManualClock`]: a clock that a test moves.

use std::fmt::Debug;
use std::future::poll_fn;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use crate::Timestamp;

/// A point on a monotonic clock: the time since that clock's own begin. Points of different clocks do not compare.
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
    watching_timers: Vec<Waker>,
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
        let state = State { wall, monotonic, timers: Vec::new(), next_id: 0, watching_timers: Vec::new() };
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
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.timers.len() >= count {
                return Poll::Ready(());
            }
            if !state.watching_timers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.watching_timers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn poll_timer(&self, id: u64, deadline: Monotonic, waker: &Waker) -> Poll<()> {
        let mut state = self.lock();
        if state.monotonic >= deadline {
            return Poll::Ready(());
        }
        match state.timers.iter_mut().find(|timer| timer.id == id) {
            Some(timer) => timer.waker.clone_from(waker),
            None => state.timers.push(Timer { id, deadline, waker: waker.clone() }),
        }
        let watching = std::mem::take(&mut state.watching_timers);
        drop(state);
        watching.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

/// Takes a timer off its clock when the wait is given up.
struct Registration<'a> {
    clock: &'a ManualClock,
    id: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.clock.lock().timers.retain(|timer| timer.id != self.id);
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
        let id = {
            let mut state = self.lock();
            state.next_id += 1;
            state.next_id
        };
        let registration = Registration { clock: self, id };
        poll_fn(|cx| self.poll_timer(registration.id, deadline, cx.waker())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

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
        clock.set_wall(Timestamp::from_unix_seconds(9_999).unwrap());
        assert_eq!((clock.monotonic(), clock.now().as_unix_seconds()), (before, 9_999));
    }
}
