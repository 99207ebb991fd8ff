//! [`LabPolicy`]: how patient the controllers of labs are, and how much room there is.

use std::time::Duration;

use roa_core::{Random, RandomExt};

use crate::Quantity;

/// How patient the controllers of labs are. All times are the labs' own.
#[derive(Debug, Clone, PartialEq)]
pub struct LabPolicy {
    /// How often a lab is looked at that waits for something outside.
    pub poll: Duration,
    /// How long one attempt to bring a lab up may take.
    pub provisioning_timeout: Duration,
    /// How often it is tried again.
    pub max_retries: u32,
    /// How long to wait before the first retry; doubled with each.
    pub retry_backoff: Duration,
    /// How much longer that may be, as a part of it.
    pub retry_jitter: f64,
    /// How long a lab lives that does not say.
    pub default_duration: Duration,
    /// How long a failed lab stays to be looked at.
    pub cleanup_grace: Duration,
    /// How many labs are brought up at once.
    pub max_provisionings: usize,
    /// How long before its scheduled start work on a lab begins.
    pub lead: Duration,
}

impl Default for LabPolicy {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            provisioning_timeout: Duration::from_secs(300),
            max_retries: 3,
            retry_backoff: Duration::from_secs(30),
            retry_jitter: 0.1,
            default_duration: Duration::from_secs(3600),
            cleanup_grace: Duration::from_secs(300),
            max_provisionings: 10,
            lead: Duration::from_secs(300),
        }
    }
}

impl LabPolicy {
    /// How long to wait after so many retries.
    #[must_use]
    pub fn backoff(&self, retries: u32, random: &dyn Random) -> Duration {
        let base = self.retry_backoff.saturating_mul(2_u32.saturating_pow(retries.min(16)));
        random.jitter(base, self.retry_jitter)
    }
}

/// How much room the machine has for labs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processors.
    pub cpu: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
    /// How many labs.
    pub labs: usize,
}

impl Default for Capacity {
    /// More than any machine has: room is bounded by configuration alone.
    fn default() -> Self {
        Self { cpu: Quantity::from_units(100_000), memory: Quantity::from_units(1 << 50), labs: 1_000_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::SeededRandom;

    #[test]
    fn the_wait_doubles_and_is_jittered() {
        let (policy, random) = (LabPolicy::default(), SeededRandom::new(1));
        for (retries, seconds) in [(0, 30), (1, 60), (2, 120)] {
            let wait = policy.backoff(retries, &random);
            assert!(wait >= Duration::from_secs(seconds) && wait <= Duration::from_secs(seconds * 11 / 10), "{wait:?}");
        }
    }
}
