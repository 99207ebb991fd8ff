//! [`LeaseConfig`]: the times of a lease.

use std::time::Duration;

use roa_core::{KeyError, Violations};
use thiserror::Error;

/// The times of a lease. All candidates should have the same; they need not.
///
/// A dead owner's successor takes over after at most `duration` and two retry periods.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::LeaseConfig;
/// let quick = LeaseConfig { duration: Duration::from_secs(5), renew_deadline: Duration::from_secs(3), retry_period: Duration::from_secs(1) };
/// assert!(quick.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long others wait without a sign of the owner before they take over; 15 s by default.
    pub duration: Duration,
    /// How long after the begin of its last good renewal the owner still acts; 10 s by default.
    pub renew_deadline: Duration,
    /// How often the owner renews and the others look, less up to a fifth at random; 2 s by default.
    pub retry_period: Duration,
}

/// Why a lease can't be had: every reason at once.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::{LeaseConfig, LeaseConfigError};
/// let wrong = LeaseConfig { duration: Duration::from_secs(1), ..LeaseConfig::default() };
/// assert!(matches!(wrong.validate(), Err(LeaseConfigError::Times(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeaseConfigError {
    /// The times contradict each other.
    #[error("configure a lease: {0}")]
    Times(Violations),
    /// The lease's or the holder's name makes no key.
    #[error("configure a lease: {0}")]
    Name(#[from] KeyError),
}

impl Default for LeaseConfig {
    fn default() -> Self {
        let [duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
        Self { duration, renew_deadline, retry_period }
    }
}

impl LeaseConfig {
    /// Checks that `duration` > `renew_deadline` > 1.2 x `retry_period` > 0 (L3).
    ///
    /// # Errors
    /// [`LeaseConfigError::Times`] with every reason.
    pub fn validate(&self) -> Result<(), LeaseConfigError> {
        let Self { duration, renew_deadline, retry_period } = *self;
        let mut found = Violations::unless(!retry_period.is_zero(), "retry_period", "is zero, expected more than zero");
        found.merge(Violations::unless(
            renew_deadline.saturating_mul(5) > retry_period.saturating_mul(6),
            "renew_deadline",
            format!("is {renew_deadline:?}, expected more than 1.2 times retry_period, which is {retry_period:?}"),
        ));
        found.merge(Violations::unless(
            duration > renew_deadline,
            "duration",
            format!("is {duration:?}, expected more than renew_deadline, which is {renew_deadline:?}"),
        ));
        found.into_result().map_err(LeaseConfigError::Times)
    }

    /// How long after one look at the owners the next begins at the earliest.
    pub(super) fn least_gap(&self) -> Duration {
        self.retry_period / 8
    }

    /// How long one attempt to write may take: two fit into the time that a renewal has.
    pub(super) fn attempt(&self) -> Duration {
        self.renew_deadline / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(duration: u64, renew_deadline: u64, retry_period: u64) -> LeaseConfig {
        let [duration, renew_deadline, retry_period] =
            [duration, renew_deadline, retry_period].map(Duration::from_millis);
        LeaseConfig { duration, renew_deadline, retry_period }
    }

    #[test]
    fn l3_every_contradiction_is_named_at_once() {
        let error = config(1_000, 1_000, 1_000).validate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "configure a lease: renew_deadline: is 1s, expected more than 1.2 times retry_period, which is 1s; \
             duration: is 1s, expected more than renew_deadline, which is 1s"
        );
        assert!(config(0, 0, 0).validate().unwrap_err().to_string().contains("retry_period: is zero"));
    }

    /// Lesson 42: a lease of half a second is no special case.
    #[test]
    fn l3_a_lease_below_a_second_is_fine() {
        assert_eq!(config(500, 300, 50).validate(), Ok(()));
        assert_eq!(LeaseConfig::default().validate(), Ok(()));
    }

    proptest! {
        #[test]
        fn l3_what_is_valid_leaves_time_for_a_renewal(duration in 0_u64..50, deadline in 0_u64..50, retry in 0_u64..50) {
            let valid = retry > 0 && deadline * 10 > retry * 12 && duration > deadline;
            prop_assert_eq!(config(duration, deadline, retry).validate().is_ok(), valid);
        }
    }
}
