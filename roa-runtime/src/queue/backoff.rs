//! [`next_run`]: when a key runs again, decided in one place, purely from how its run ended and how those before did.

use std::time::Duration;

/// How a run ended.
///
/// ```
/// # use std::time::Duration;
/// # use roa_runtime::{Outcome, Run};
/// fn end(run: Run<String>, worked: bool) {
///     run.finish(if worked { Outcome::RequeueAfter(Duration::from_secs(60)) } else { Outcome::Failed });
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is done, until the key is added again.
    Done,
    /// It went well; the same again after this time.
    RequeueAfter(Duration),
    /// It went well; the same again after the key's back-off.
    Requeue,
    /// It failed; the same again after the key's back-off.
    Failed,
    /// It failed; the same again after the key's back-off, and not before this time.
    FailedAfter(Duration),
    /// It could not be tried now; the same again after this time and up to a tenth more, at random, so that keys that
    /// wait for the same do not come back together. Neither a success nor a failure.
    Defer(Duration),
    /// It is given up: not again until the key is added again, which may have happened during the run.
    Drop,
}

impl Outcome {
    /// Whether it counts as one.
    pub(super) const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::FailedAfter(_))
    }
}

/// How long a key waits after runs that left it unsettled: `base`, doubled with each such run in a row, up to `max`.
///
/// ```
/// # use std::time::Duration;
/// # use roa_runtime::{BackoffPolicy, Outcome, Streak, next_run};
/// let policy = BackoffPolicy { base: Duration::from_secs(1), max: Duration::from_secs(60), jitter_percent: 0 };
/// let first = next_run(Outcome::Failed, Streak::default(), &policy, 0.0);
/// let second = next_run(Outcome::Failed, first.streak, &policy, 0.0);
/// assert_eq!((first.after, second.after), (Some(Duration::from_secs(1)), Some(Duration::from_secs(2))));
/// assert_eq!(next_run(Outcome::Done, second.streak, &policy, 0.0).streak, Streak::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The first wait.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Up to so many percent are taken off each wait, at random, so that keys that failed together do not come back
    /// together. More than 100 counts as 100.
    pub jitter_percent: u8,
}

impl Default for BackoffPolicy {
    /// 100 ms, doubled up to 5 minutes, less up to 20%.
    fn default() -> Self {
        Self { base: Duration::from_millis(100), max: Duration::from_secs(300), jitter_percent: 20 }
    }
}

impl BackoffPolicy {
    /// The wait after `unsettled` runs in a row before this one; `jitter` from 0 to 1 says how much is taken off.
    fn wait(&self, unsettled: u32, jitter: f64) -> Duration {
        let mut wait = self.base;
        for _ in 0..unsettled {
            if wait.is_zero() || wait >= self.max {
                break;
            }
            wait = wait.saturating_mul(2);
        }
        let wait = wait.min(self.max);
        let kept = 1.0 - f64::from(self.jitter_percent.min(100)) / 100.0 * jitter.clamp(0.0, 1.0);
        Duration::try_from_secs_f64(wait.as_secs_f64() * kept).unwrap_or(wait).min(wait)
    }
}

/// How a key's runs ended, back to the last that settled it.
///
/// ```
/// use roa_runtime::{BackoffPolicy, Outcome, Streak, next_run};
/// let failed = next_run(Outcome::Failed, Streak::default(), &BackoffPolicy::default(), 0.0);
/// assert_eq!(failed.streak, Streak { unsettled: 1, failures: 1 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streak {
    /// Runs in a row that ended with [`Outcome::Failed`] or [`Outcome::Requeue`]: the exponent of the back-off.
    pub unsettled: u32,
    /// Failures in a row.
    pub failures: u32,
}

/// What [`next_run`] decides.
///
/// ```
/// use roa_runtime::{BackoffPolicy, Outcome, Streak, next_run};
/// let next = next_run(Outcome::Done, Streak::default(), &BackoffPolicy::default(), 0.0);
/// assert_eq!(next.after, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRun {
    /// After which time the key runs again; `None` if not by itself.
    pub after: Option<Duration>,
    /// How its runs ended so far.
    pub streak: Streak,
}

/// When a key runs again whose run, after the runs in `streak`, ended with `outcome`. Success and
/// [`Outcome::RequeueAfter`] reset the back-off; `jitter` is a random number from 0 to 1.
#[must_use]
pub fn next_run(outcome: Outcome, streak: Streak, policy: &BackoffPolicy, jitter: f64) -> NextRun {
    let unsettled = streak.unsettled.saturating_add(1);
    let again = |failures| NextRun {
        after: Some(policy.wait(streak.unsettled, jitter)),
        streak: Streak { unsettled, failures },
    };
    match outcome {
        Outcome::Done | Outcome::Drop => NextRun { after: None, streak: Streak::default() },
        Outcome::RequeueAfter(after) => NextRun { after: Some(after), streak: Streak::default() },
        Outcome::Requeue => again(0),
        Outcome::Failed => again(streak.failures.saturating_add(1)),
        Outcome::FailedAfter(least) => {
            let next = again(streak.failures.saturating_add(1));
            NextRun { after: next.after.max(Some(least)), ..next }
        }
        Outcome::Defer(after) => NextRun { after: Some(spread(after, jitter)), streak },
    }
}

/// A wait, and up to a tenth more.
fn spread(wait: Duration, jitter: f64) -> Duration {
    let more = Duration::try_from_secs_f64(wait.as_secs_f64() * 0.1 * jitter.clamp(0.0, 1.0)).unwrap_or_default();
    wait.saturating_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_policy() -> impl Strategy<Value = BackoffPolicy> {
        (any::<Duration>(), any::<Duration>(), any::<u8>()).prop_map(|(base, max, jitter_percent)| BackoffPolicy {
            base,
            max,
            jitter_percent,
        })
    }

    fn any_streak() -> impl Strategy<Value = Streak> {
        (any::<u32>(), any::<u32>()).prop_map(|(unsettled, failures)| Streak { unsettled, failures })
    }

    fn unsettling() -> impl Strategy<Value = Outcome> {
        prop_oneof![Just(Outcome::Failed), Just(Outcome::Requeue)]
    }

    fn after(tries: u32, jitter: f64) -> Duration {
        let policy = BackoffPolicy { base: Duration::from_secs(1), max: Duration::from_secs(60), jitter_percent: 50 };
        next_run(Outcome::Failed, Streak { unsettled: tries, failures: tries }, &policy, jitter).after.unwrap()
    }

    #[test]
    fn c7_the_wait_doubles_up_to_its_greatest() {
        let waits: Vec<u64> = (0..8).map(|tries| after(tries, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn c7_jitter_takes_off_its_part() {
        assert_eq!(after(2, 1.0), Duration::from_secs(2));
        assert_eq!(after(2, 0.5), Duration::from_secs(3));
    }

    #[test]
    fn a_requeue_waits_longer_each_time_and_is_no_failure() {
        let policy = BackoffPolicy { jitter_percent: 0, ..BackoffPolicy::default() };
        let failed = next_run(Outcome::Failed, Streak::default(), &policy, 0.0);
        let requeued = next_run(Outcome::Requeue, failed.streak, &policy, 0.0);
        assert_eq!(requeued.streak, Streak { unsettled: 2, failures: 0 });
        assert_eq!(requeued.after, Some(policy.base * 2));
    }

    proptest! {
        /// Lesson 13: asking to be called again after a time is a success.
        #[test]
        fn c7_success_and_requeue_after_reset(streak in any_streak(), policy in any_policy(), wait: Duration, jitter: f64) {
            let reset = |after| NextRun { after, streak: Streak::default() };
            prop_assert_eq!(next_run(Outcome::Done, streak, &policy, jitter), reset(None));
            prop_assert_eq!(next_run(Outcome::Drop, streak, &policy, jitter), reset(None));
            prop_assert_eq!(next_run(Outcome::RequeueAfter(wait), streak, &policy, jitter), reset(Some(wait)));
        }

        #[test]
        fn what_is_deferred_keeps_its_past_and_comes_not_before_its_time(
            streak in any_streak(), policy in any_policy(), wait: Duration, jitter: f64,
        ) {
            let next = next_run(Outcome::Defer(wait), streak, &policy, jitter);
            prop_assert_eq!(next.streak, streak);
            prop_assert!(next.after >= Some(wait) && next.after <= Some(wait.saturating_add(wait / 9)));
        }

        #[test]
        fn a_failure_that_must_wait_is_a_failure_that_waits_at_least_so_long(
            streak in any_streak(), policy in any_policy(), wait: Duration, jitter in 0.0..1.0,
        ) {
            let usual = next_run(Outcome::Failed, streak, &policy, jitter);
            let next = next_run(Outcome::FailedAfter(wait), streak, &policy, jitter);
            prop_assert_eq!((next.streak, next.after), (usual.streak, usual.after.max(Some(wait))));
        }

        #[test]
        fn c7_no_wait_is_longer_than_the_greatest(
            outcome in unsettling(), streak in any_streak(), policy in any_policy(), jitter: f64,
        ) {
            prop_assert!(next_run(outcome, streak, &policy, jitter).after.unwrap() <= policy.max);
        }

        #[test]
        fn c7_more_failures_never_wait_less(streak in any_streak(), policy in any_policy(), jitter in 0.0..1.0) {
            let first = next_run(Outcome::Failed, streak, &policy, jitter);
            let second = next_run(Outcome::Failed, first.streak, &policy, jitter);
            prop_assert!(second.after >= first.after);
            prop_assert_eq!(first.streak.failures, streak.failures.saturating_add(1));
        }

        #[test]
        fn c7_jitter_only_shortens(outcome in unsettling(), streak in any_streak(), policy in any_policy(), jitter in 0.0..1.0) {
            let whole = next_run(outcome, streak, &policy, 0.0).after.unwrap();
            let shortened = next_run(outcome, streak, &policy, jitter).after.unwrap();
            let kept = 1.0 - f64::from(policy.jitter_percent.min(100)) / 100.0;
            prop_assert!(shortened <= whole);
            prop_assert!(shortened.as_secs_f64() >= whole.as_secs_f64() * kept * 0.999_999);
        }
    }
}
