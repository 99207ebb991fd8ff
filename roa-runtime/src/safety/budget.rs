//! [`RetryBudget`]: how much of a controller's work may be retries.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roa_core::Monotonic;

use crate::locks;

/// How much of a controller's work may be retries, so that failures do not crowd out what is new.
///
/// ```
/// use roa_runtime::{ControllerConfig, RetryBudgetConfig};
/// let few = RetryBudgetConfig { percent: 5, ..RetryBudgetConfig::default() };
/// let config = ControllerConfig { retry_budget: Some(few), ..ControllerConfig::default() };
/// # drop(config);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudgetConfig {
    /// So many retries for a hundred runs that are none.
    pub percent: u32,
    /// And so many in a second in any case; at least one.
    pub per_second: u32,
    /// How many at once after a quiet time.
    pub burst: u32,
}

impl Default for RetryBudgetConfig {
    /// One for five runs, and 50 in a second in any case; 500 at once.
    fn default() -> Self {
        Self { percent: 20, per_second: 50, burst: 500 }
    }
}

/// Units of one retry: whole nanoseconds and whole percents are whole numbers of it.
const RETRY: i128 = 1_000_000_000;

/// Says when the next retry may be. In any time, no more retries begin than the burst, the share of the runs in it, and
/// what is allowed in any case.
///
/// ```
/// # use std::time::Duration;
/// # use roa_core::Monotonic;
/// # use roa_runtime::{RetryBudget, RetryBudgetConfig};
/// let budget = RetryBudget::new(RetryBudgetConfig { percent: 20, per_second: 10, burst: 1 });
/// let now = Monotonic::default();
/// assert_eq!(budget.spend(now), Duration::ZERO);
/// assert_eq!(budget.spend(now), Duration::from_millis(100));
/// (0..5).for_each(|_| budget.earn(now)); // five runs that are no retries earn one
/// assert_eq!(budget.spend(now), Duration::from_millis(100));
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    config: RetryBudgetConfig,
    balance: Mutex<Balance>,
    /// Whether it was full when somebody last looked, and nothing was spent since: then it still is, and nothing can be
    /// earned. Each call finds that out without the lock.
    full: AtomicBool,
}

#[derive(Debug)]
struct Balance {
    /// Below zero: what is promised for later.
    units: i128,
    at: Monotonic,
}

impl RetryBudget {
    /// A full budget.
    #[must_use]
    pub fn new(config: RetryBudgetConfig) -> Self {
        let units = i128::from(config.burst) * RETRY;
        let balance = Mutex::new(Balance { units, at: Monotonic::default() });
        Self { config, balance, full: AtomicBool::new(true) }
    }

    /// A run that is no retry: it earns its share of one.
    pub fn earn(&self, now: Monotonic) {
        if !self.full.load(Ordering::Acquire) {
            self.with(now, |balance| balance + i128::from(self.config.percent) * RETRY / 100);
        }
    }

    /// One more retry is wanted: gives how long it must wait at least.
    #[must_use]
    pub fn spend(&self, now: Monotonic) -> Duration {
        let owed = -self.with(now, |balance| balance - RETRY);
        let per_second = i128::from(self.config.per_second.max(1));
        u64::try_from((owed.max(0) + per_second - 1) / per_second).map_or(Duration::MAX, Duration::from_nanos)
    }

    fn with(&self, now: Monotonic, change: impl FnOnce(i128) -> i128) -> i128 {
        let mut balance = locks::lock(&self.balance);
        let passed = i128::try_from(now.saturating_since(balance.at).as_nanos()).unwrap_or(i128::MAX / 2);
        let earned = passed.saturating_mul(i128::from(self.config.per_second.max(1)));
        let most = i128::from(self.config.burst) * RETRY;
        balance.at = balance.at.max(now);
        let units = balance.units.saturating_add(earned).min(most);
        balance.units = change(units).min(most);
        self.full.store(balance.units == most, Ordering::Release);
        balance.units
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn after_the_burst_retries_come_at_the_rate_that_is_always_allowed() {
        let budget = RetryBudget::new(RetryBudgetConfig { percent: 50, per_second: 2, burst: 2 });
        let waits = [0, 0, 0, 0].map(|now| budget.spend(at(now)).as_millis());
        assert_eq!(waits, [0, 0, 500, 1_000]);
        budget.earn(at(0));
        budget.earn(at(0));
        assert_eq!(budget.spend(at(0)).as_millis(), 1_000, "two runs earned one");
        assert_eq!(budget.spend(at(9_000)), Duration::ZERO);
    }

    proptest! {
        /// However failures come: up to any time no more retries begin than the budget has.
        #[test]
        fn retries_never_exceed_their_share(
            percent in 0_u32..100, per_second in 1_u32..20, burst in 0_u32..10,
            steps in prop::collection::vec((0_u64..500, any::<bool>()), 1..200),
        ) {
            let budget = RetryBudget::new(RetryBudgetConfig { percent, per_second, burst });
            let (mut now, mut runs, mut begins) = (0, Vec::new(), Vec::new());
            for (wait, retry) in steps {
                now += wait;
                if retry {
                    begins.push(at(now) + budget.spend(at(now)));
                } else {
                    budget.earn(at(now));
                    runs.push(at(now));
                }
            }
            begins.sort_unstable();
            for (number, begin) in begins.iter().enumerate() {
                let earned = runs.iter().filter(|run| *run <= begin).count() as u128 * u128::from(percent) * 10_000_000;
                let allowed = begin.since_start().as_nanos() * u128::from(per_second);
                prop_assert!(
                    (number as u128 + 1) * 1_000_000_000 <= u128::from(burst) * 1_000_000_000 + earned + allowed,
                    "retry {number} begins at {begin:?}"
                );
            }
        }
    }
}
