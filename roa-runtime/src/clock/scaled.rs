//! [`ScaledClock`]: another clock's time, passing faster.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Clock, Monotonic, Timestamp};

/// Another clock's time, passing so many times as fast since it was created: calendar, monotonic time and sleeps
/// together. For the domain's time alone; leases and deadlines of I/O need a real clock.
///
/// ```
/// # use std::{num::NonZeroU32, sync::Arc, time::Duration};
/// # use roa_core::{Clock, ManualClock, Timestamp};
/// # use roa_runtime::ScaledClock;
/// let real = ManualClock::new(Timestamp::from_unix_seconds(1_000).unwrap());
/// let fast = ScaledClock::new(Arc::new(real.clone()), NonZeroU32::new(60).unwrap());
/// real.advance(Duration::from_secs(1));
/// assert_eq!(fast.now().as_unix_seconds(), 1_060);
/// ```
#[derive(Debug, Clone)]
pub struct ScaledClock {
    inner: Arc<dyn Clock>,
    scale: NonZeroU32,
    wall: Timestamp,
    start: Monotonic,
}

impl ScaledClock {
    /// A clock that begins at `inner`'s time now, and runs `scale` times as fast.
    #[must_use]
    pub fn new(inner: Arc<dyn Clock>, scale: NonZeroU32) -> Self {
        let (wall, start) = (inner.now(), inner.monotonic());
        Self { inner, scale, wall, start }
    }

    /// How many times as fast it runs.
    #[must_use]
    pub const fn scale(&self) -> NonZeroU32 {
        self.scale
    }

    fn elapsed(&self) -> Duration {
        self.inner.monotonic().saturating_since(self.start).saturating_mul(self.scale.get())
    }
}

#[async_trait]
impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        self.wall.saturating_add(self.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.elapsed())
    }

    async fn sleep_until(&self, deadline: Monotonic) {
        self.inner.sleep_until(self.start + divide_up(deadline.since_start(), self.scale.get())).await;
    }
}

/// Rounded up, so that a sleep never ends before its deadline.
fn divide_up(duration: Duration, divisor: u32) -> Duration {
    let quotient = duration / divisor;
    if quotient.saturating_mul(divisor) < duration { quotient + Duration::from_nanos(1) } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use roa_core::{ClockExt, ManualClock};

    fn clocks(scale: u32) -> (ManualClock, ScaledClock) {
        let real = ManualClock::new(Timestamp::from_unix_seconds(1_000).unwrap());
        real.advance(Duration::from_secs(7));
        let scaled = ScaledClock::new(Arc::new(real.clone()), NonZeroU32::new(scale).unwrap());
        (real, scaled)
    }

    #[test]
    fn a_minute_passes_in_a_second() {
        let (real, fast) = clocks(60);
        assert_eq!((fast.monotonic(), fast.now()), (Monotonic::default(), real.now()));
        let mut sleep = fast.sleep(Duration::from_secs(60));
        assert!((&mut sleep).now_or_never().is_none());
        real.advance(Duration::from_millis(999));
        assert!((&mut sleep).now_or_never().is_none());
        real.advance(Duration::from_millis(1));
        assert!((&mut sleep).now_or_never().is_some());
        assert_eq!(fast.monotonic().since_start(), Duration::from_secs(60));
        assert_eq!(fast.now().as_unix_seconds(), 1_007 + 60);
    }

    #[test]
    fn l7_setting_the_calendar_moves_nothing() {
        let (real, fast) = clocks(10);
        real.set_wall(Timestamp::from_unix_seconds(5).unwrap());
        assert_eq!(fast.now().as_unix_seconds(), 1_007);
        real.advance(Duration::from_secs(1));
        assert_eq!(fast.now().as_unix_seconds(), 1_017);
    }

    proptest! {
        #[test]
        fn a_sleep_never_ends_before_its_deadline(scale in 1_u32.., deadline: Duration) {
            let (real, scaled) = clocks(scale);
            let mut sleep = scaled.sleep_until(Monotonic::from_start(deadline));
            if (&mut sleep).now_or_never().is_none() {
                real.advance_to_next_timer();
                prop_assert!(sleep.now_or_never().is_some());
            }
            prop_assert!(scaled.monotonic().since_start() >= deadline);
        }
    }
}
