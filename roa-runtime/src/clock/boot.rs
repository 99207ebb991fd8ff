//! [`BootClock`]: the machine's time, with the time that the machine slept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Clock, Monotonic, Timestamp};

use super::SystemClock;

/// The longest sleep in one piece. The runtime's timer stands still while the machine is suspended, so a sleep ends at
/// most this long after the machine has woken.
const SLICE: Duration = Duration::from_secs(1);

/// A shorter difference of the two times is what passes between their readings when the clock begins.
const ROUNDING: Duration = Duration::from_millis(1);

/// The machine's time, whose monotonic reading also counts the time that the machine was suspended: the clock for
/// leases (L4), since other machines do not stand still meanwhile.
///
/// On Linux it compares `CLOCK_BOOTTIME` with the monotonic time: what it is ahead by is time slept, found to a
/// millisecond. Elsewhere it is a [`SystemClock`]; [`BootClock::counts_suspend`] tells.
///
/// ```
/// use roa_core::Clock;
/// use roa_runtime::BootClock;
/// let clock = BootClock::new();
/// let begun = clock.monotonic();
/// assert!(clock.monotonic() >= begun);
/// ```
#[derive(Debug)]
pub struct BootClock {
    awake: SystemClock,
    uptime: fn() -> Option<Duration>,
    /// The uptime when the clock began.
    begin: Option<Duration>,
    /// The nanoseconds slept that are known of. Never less than before, or time would go back.
    slept: AtomicU64,
}

impl BootClock {
    /// A clock that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::with_uptime(read_uptime)
    }

    fn with_uptime(uptime: fn() -> Option<Duration>) -> Self {
        Self { awake: SystemClock::new(), uptime, begin: uptime(), slept: AtomicU64::new(0) }
    }

    /// Whether it counts the time that the machine was suspended.
    #[must_use]
    pub const fn counts_suspend(&self) -> bool {
        self.begin.is_some()
    }

    fn slept(&self, uptime: Option<Duration>, awake: Duration) -> Duration {
        let known = self.slept.load(Ordering::Acquire);
        let ahead = uptime.zip(self.begin).map_or(Duration::ZERO, |(now, begin)| now.saturating_sub(begin + awake));
        let found = u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX);
        if ahead <= ROUNDING || found <= known {
            return Duration::from_nanos(known);
        }
        Duration::from_nanos(found.max(self.slept.fetch_max(found, Ordering::AcqRel)))
    }
}

impl Default for BootClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The time since boot, suspended or not.
#[cfg(target_os = "linux")]
fn read_uptime() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
const fn read_uptime() -> Option<Duration> {
    None
}

#[async_trait]
impl Clock for BootClock {
    fn now(&self) -> Timestamp {
        self.awake.now()
    }

    fn monotonic(&self) -> Monotonic {
        // In this order: a pause between the two makes the time slept seem shorter until the next reading, not longer.
        let uptime = (self.uptime)();
        let awake = self.awake.monotonic().since_start();
        Monotonic::from_start(awake + self.slept(uptime, awake))
    }

    async fn sleep_until(&self, deadline: Monotonic) {
        loop {
            let left = deadline.saturating_since(self.monotonic());
            if left.is_zero() {
                return;
            }
            self.awake.sleep_until(self.awake.monotonic() + left.min(SLICE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::ClockExt;
    use std::cell::Cell;

    thread_local! {
        static UPTIME: Cell<Option<Duration>> = const { Cell::new(None) };
    }

    fn clock_at_uptime(uptime: Option<Duration>) -> BootClock {
        UPTIME.set(uptime);
        BootClock::with_uptime(|| UPTIME.get())
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_uptime_is_the_kernels() {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
        let uptime = read_uptime().unwrap();
        assert!((uptime.as_secs_f64() - seconds).abs() < 60.0, "{uptime:?}, beside {text}");
    }

    #[tokio::test(start_paused = true)]
    async fn l4_time_that_the_machine_slept_counts() {
        let clock = clock_at_uptime(Some(secs(100)));
        tokio::time::advance(secs(5)).await;
        UPTIME.set(Some(secs(105 + 3_600)));
        assert_eq!(clock.monotonic().since_start(), secs(5 + 3_600));
        assert!(clock.counts_suspend());
    }

    #[tokio::test(start_paused = true)]
    async fn l4_a_deadline_that_passed_while_the_machine_slept_has_passed() {
        let clock = clock_at_uptime(Some(secs(100)));
        let mut sleep = Box::pin(clock.sleep(secs(60)));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        UPTIME.set(Some(secs(100 + 90)));
        tokio::time::advance(SLICE + Duration::from_millis(2)).await;
        assert!(futures_util::poll!(&mut sleep).is_ready(), "it ends within a slice of waking");
    }

    #[tokio::test(start_paused = true)]
    async fn time_never_goes_back_and_rounding_is_not_sleep() {
        let clock = clock_at_uptime(Some(secs(100)));
        UPTIME.set(Some(secs(100) + ROUNDING));
        assert_eq!(clock.monotonic().since_start(), Duration::ZERO);
        UPTIME.set(Some(secs(110)));
        assert_eq!(clock.monotonic().since_start(), secs(10));
        for lost in [Some(secs(50)), None] {
            UPTIME.set(lost);
            assert_eq!(clock.monotonic().since_start(), secs(10), "{lost:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_uptime_it_counts_the_time_awake() {
        let clock = clock_at_uptime(None);
        clock.sleep(secs(5)).await;
        assert!(clock.monotonic().since_start() >= secs(5) && !clock.counts_suspend());
    }

    #[test]
    fn the_real_clock_goes_on() {
        let clock = BootClock::default();
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
        assert_eq!(clock.counts_suspend(), cfg!(target_os = "linux"));
    }
}
