//! [`TokenBucket`]: how many runs may begin in a time, for all keys together.

use std::num::NonZeroU32;
use std::time::Duration;

use roa_core::Monotonic;

/// A limit on how many runs begin, for all keys of a queue together.
///
/// ```
/// use std::num::NonZeroU32;
/// use roa_runtime::{QueueConfig, RateLimit};
/// let rate = RateLimit { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
/// let config = QueueConfig { rate: Some(rate), ..QueueConfig::default() };
/// # drop(config);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many runs may begin in a second, in the long run.
    pub per_second: NonZeroU32,
    /// How many may begin at once after a rest.
    pub burst: NonZeroU32,
}

/// Counts in time instead of tokens: each run takes up an interval, and those taken may reach ahead of now by as many
/// intervals as the burst has runs. Exact, without rounding errors that add up.
#[derive(Debug, Clone)]
pub(super) struct TokenBucket {
    interval: Duration,
    burst: Duration,
    /// When all intervals taken so far have passed.
    taken_until: Monotonic,
}

impl TokenBucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        let interval = Duration::from_secs(1) / limit.per_second.get();
        Self { interval, burst: interval.saturating_mul(limit.burst.get()), taken_until: Monotonic::default() }
    }

    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, now: Monotonic) -> Result<(), Monotonic> {
        let until = self.taken_until.max(now) + self.interval;
        let free = Monotonic::from_start(until.since_start().saturating_sub(self.burst));
        if free > now {
            return Err(free);
        }
        self.taken_until = until;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(per_second: u32, burst: u32) -> TokenBucket {
        let [per_second, burst] = [per_second, burst].map(|number| NonZeroU32::new(number).unwrap());
        TokenBucket::new(RateLimit { per_second, burst })
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn after_a_burst_one_token_comes_each_interval() {
        let mut bucket = bucket(10, 2);
        assert_eq!([bucket.take(at(0)), bucket.take(at(0)), bucket.take(at(0))], [Ok(()), Ok(()), Err(at(100))]);
        assert_eq!(
            [bucket.take(at(99)), bucket.take(at(100)), bucket.take(at(100))],
            [Err(at(100)), Ok(()), Err(at(200))]
        );
        assert_eq!([bucket.take(at(9_000)), bucket.take(at(9_000))], [Ok(()), Ok(())], "a rest fills it");
        assert!(bucket.take(at(9_000)).is_err(), "but not over the burst");
    }

    proptest! {
        #[test]
        fn no_more_than_burst_and_rate_begin_and_no_less_may(
            per_second in 1_u32..50, burst in 1_u32..20, steps in prop::collection::vec(0_u64..200, 1..200),
        ) {
            let mut bucket = bucket(per_second, burst);
            let (mut now, mut taken) = (0, 0_u64);
            for step in steps {
                now += step;
                match bucket.clone().take(at(now)) {
                    Ok(()) => taken += 1,
                    Err(free) => {
                        let before = Monotonic::from_start(free.since_start() - Duration::from_nanos(1));
                        prop_assert!(free > at(now) && bucket.clone().take(free).is_ok());
                        prop_assert_eq!(bucket.clone().take(before), Err(free));
                    }
                }
                let _counted = bucket.take(at(now));
            }
            prop_assert!(taken <= u64::from(burst) + now * u64::from(per_second) / 1000);
        }
    }
}
