//! [`LabPolicy`]: how patient the controllers of labs are.

use std::time::Duration;

use roa_core::{Random, RandomExt};

/// How much longer than its base a back-off may be, as a part of it: so that labs that failed together do not come back
/// together.
const JITTER: f64 = 0.2;
/// No back-off is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// How patient the controllers of labs are. All times are of the domain's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabPolicy {
    /// How often a lab that something is awaited of is looked at; 2 s by default.
    pub poll: Duration,
    /// How often all labs are looked at; 10 s by default.
    pub sweep: Duration,
    /// How long one attempt to bring a lab up may take; 300 s by default.
    pub provisioning_timeout: Duration,
    /// How many more attempts follow one that failed; 3 by default. As many times in a row a lab is brought up again
    /// that was ready.
    pub max_retries: u32,
    /// How long after the first failure the next attempt begins; twice that after the second, and so on; 30 s by default.
    pub retry_backoff: Duration,
    /// How long a lab lives that does not say; an hour by default.
    pub default_duration: Duration,
    /// How long a failed lab is kept for its owner to look at, and how long a deletion may take before people are told;
    /// 300 s by default.
    pub cleanup_grace: Duration,
    /// How many labs may be brought up at once; 10 by default.
    pub max_provisionings: usize,
    /// How long before its `scheduledStart` a lab is brought up; 5 minutes by default.
    pub lead: Duration,
    /// How long a lab that runs may not answer before it is ended and brought up again; 30 s by default.
    pub unhealthy_grace: Duration,
    /// How often a worker gives a sign of life; 10 s by default. After 3 of these without one it gets no new labs, after
    /// 10 it has failed.
    pub heartbeat: Duration,
}

impl Default for LabPolicy {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            sweep: Duration::from_secs(10),
            provisioning_timeout: Duration::from_secs(300),
            max_retries: 3,
            retry_backoff: Duration::from_secs(30),
            default_duration: Duration::from_secs(3600),
            cleanup_grace: Duration::from_secs(300),
            max_provisionings: 10,
            lead: Duration::from_secs(300),
            unhealthy_grace: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
        }
    }
}

impl LabPolicy {
    /// Quick to notice: for one's own machine.
    #[must_use]
    pub fn development() -> Self {
        Self { poll: Duration::from_secs(1), sweep: Duration::from_secs(5), ..Self::default() }
    }

    /// Fewer polls and sweeps: for many labs.
    #[must_use]
    pub fn production() -> Self {
        Self { poll: Duration::from_secs(5), sweep: Duration::from_secs(30), ..Self::default() }
    }

    /// How long to wait after `failures` failures before the next attempt.
    pub(crate) fn backoff(&self, failures: u32, random: &dyn Random) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let base = self.retry_backoff.saturating_mul(1 << doublings).min(MAX_BACKOFF);
        random.jitter(base, JITTER)
    }
}

#[cfg(test)]
mod tests {
    use roa_core::SeededRandom;

    use super::*;

    #[test]
    fn profiles_differ_in_how_often_they_look_and_in_nothing_else() {
        let profiles = [LabPolicy::development(), LabPolicy::default(), LabPolicy::production()];
        let seconds = profiles.clone().map(|policy| (policy.poll.as_secs(), policy.sweep.as_secs()));
        assert_eq!(seconds, [(1, 5), (2, 10), (5, 30)]);
        let LabPolicy { poll, sweep, .. } = LabPolicy::default();
        for profile in profiles {
            assert_eq!(LabPolicy { poll, sweep, ..profile }, LabPolicy::default());
        }
    }

    #[test]
    fn a_backoff_doubles_is_jittered_and_ends_somewhere() {
        let (policy, random) = (LabPolicy::default(), SeededRandom::new(1));
        for (failures, seconds) in [(1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (u32::MAX, 3600)] {
            for _ in 0..20 {
                let least = Duration::from_secs(seconds);
                let backoff = policy.backoff(failures, &random);
                assert!((least..=least.mul_f64(1.0 + JITTER)).contains(&backoff), "{failures}: {backoff:?}");
            }
        }
    }
}
