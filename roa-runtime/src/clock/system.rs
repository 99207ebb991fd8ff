//! [`SystemClock`]: the machine's time.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use roa_core::{Clock, Monotonic, Timestamp};
use tokio::time::Instant;

/// The machine's time; its monotonic time begins when it is created.
///
/// On Linux and macOS the monotonic time stands still while the machine is suspended; [`BootClock`](crate::BootClock)
/// counts that time. Sleeping needs a tokio runtime with its timer enabled.
///
/// ```
/// use roa_core::Clock;
/// use roa_runtime::SystemClock;
/// assert!(SystemClock::new().now().as_unix_seconds() > 1_700_000_000);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    /// To the microsecond: as precise as its text form, so that what is stored compares equal.
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place where the calendar is read")]
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_1970.as_micros()).ok().and_then(Timestamp::from_unix_micros);
        now.unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.start.elapsed())
    }

    async fn sleep_until(&self, deadline: Monotonic) {
        let Some(end) = self.start.checked_add(deadline.since_start()) else { return std::future::pending().await };
        // The runtime's timer ends a sleep of more than two years early.
        while self.monotonic() < deadline {
            tokio::time::sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use roa_core::ClockExt;

    #[test]
    fn the_calendar_reads_a_time_that_survives_its_text_form() {
        let now = SystemClock::default().now();
        assert!(now > Timestamp::from_unix_seconds(1_700_000_000).unwrap());
        assert_eq!(now.to_string().parse::<Timestamp>().unwrap(), now);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_lasts_as_long_as_it_was_asked_to() {
        let clock = SystemClock::new();
        clock.sleep(Duration::from_secs(90)).await;
        let slept = clock.monotonic().since_start();
        assert!((Duration::from_secs(90)..Duration::from_secs(91)).contains(&slept), "slept {slept:?}");
        clock.sleep_until(Monotonic::default()).await;
        assert_eq!(clock.monotonic().since_start(), slept, "what is past is not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_of_ten_years_is_not_cut_short() {
        let clock = SystemClock::new();
        let ten_years = Duration::from_secs(10 * 366 * 86_400);
        clock.sleep(ten_years).await;
        assert!(clock.monotonic().since_start() >= ten_years);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_without_end_does_not_panic() {
        let clock = SystemClock::new();
        let endless = tokio::time::timeout(Duration::from_secs(3600), clock.sleep(Duration::MAX));
        assert!(endless.await.is_err());
    }
}
