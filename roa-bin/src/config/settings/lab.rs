//! `[lab]`: the policies of the lab domain.

use std::time::Duration;

use roa_core::HumanDuration;
use serde::{Deserialize, Serialize};

use super::seconds;

/// `[lab]`: the policies of the lab domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabConfig {
    pub(crate) profile: Profile,
    pub(crate) poll_interval: HumanDuration,
    pub(crate) sweep_interval: HumanDuration,
    pub(crate) provisioning_timeout: HumanDuration,
    pub(crate) max_retries: u32,
    pub(crate) retry_backoff: HumanDuration,
    pub(crate) default_duration: HumanDuration,
    pub(crate) cleanup_grace: HumanDuration,
    pub(crate) max_concurrent_provisionings: usize,
    pub(crate) breaker_failures: u32,
    pub(crate) breaker_open_for: HumanDuration,
    /// Calls of one provisioner at a time, …
    pub(crate) bulkhead_calls: usize,
    /// … how many more may wait for a place, …
    pub(crate) bulkhead_waiting: usize,
    /// … and how long each.
    pub(crate) bulkhead_wait: HumanDuration,
    pub(crate) concurrency: ConcurrencyConfig,
    pub(crate) worker: WorkerConfig,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) components: ComponentsConfig,
}

impl LabConfig {
    pub(super) fn defaults(profile: Profile) -> Self {
        Self {
            profile,
            poll_interval: HumanDuration(profile.poll_interval()),
            sweep_interval: HumanDuration(profile.sweep_interval()),
            provisioning_timeout: seconds(300),
            max_retries: 3,
            retry_backoff: seconds(30),
            default_duration: seconds(3600),
            cleanup_grace: seconds(300),
            max_concurrent_provisionings: 10,
            breaker_failures: 5,
            breaker_open_for: seconds(30),
            bulkhead_calls: 32,
            bulkhead_waiting: 64,
            bulkhead_wait: seconds(1),
            concurrency: ConcurrencyConfig { labs: None, workers: None, pools: None },
            worker: WorkerConfig { cpu: None, memory: None, max_labs: None, heartbeat: seconds(10) },
            scheduler: SchedulerConfig { strategy: SchedulerStrategy::BestFit, seed: 0 },
            components: ComponentsConfig { watcher: true, controller: true, reconciler: true, provisioner: true },
        }
    }
}

/// A named set of defaults. A key that is set anywhere wins over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// Quick to notice: for one's own machine.
    Development,
    /// Fewer polls and sweeps: for many labs.
    Production,
    /// Between the two.
    Default,
}

impl Profile {
    /// The profile of that name in `roa.toml`.
    pub(in crate::config) fn named(name: &str) -> Option<Self> {
        [Self::Development, Self::Production, Self::Default].into_iter().find(|profile| profile.name() == name)
    }

    /// Its name in `roa.toml`.
    pub(in crate::config) const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
            Self::Default => "default",
        }
    }

    const fn poll_interval(self) -> Duration {
        match self {
            Self::Development => Duration::from_secs(1),
            Self::Production => Duration::from_secs(5),
            Self::Default => Duration::from_secs(2),
        }
    }

    const fn sweep_interval(self) -> Duration {
        match self {
            Self::Development => Duration::from_secs(5),
            Self::Production => Duration::from_secs(30),
            Self::Default => Duration::from_secs(10),
        }
    }
}

/// `[lab.concurrency]`: how many objects each controller handles at a time; what is absent is `runtime.workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConcurrencyConfig {
    pub(crate) labs: Option<usize>,
    pub(crate) workers: Option<usize>,
    pub(crate) pools: Option<usize>,
}

/// `[lab.scheduler]`: which of several workers a lab gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchedulerConfig {
    pub(crate) strategy: SchedulerStrategy,
    /// For `random`.
    pub(crate) seed: u64,
}

/// By which rule a worker is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SchedulerStrategy {
    /// The fullest that has room.
    BestFit,
    /// The one with the least given away.
    LeastUtilized,
    /// The one with the fewest labs.
    LeastLabs,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}

/// `[lab.worker]`: the capacity of the implicit local worker, and how often declared ones give a sign of life. What is
/// absent of the capacity is taken from the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerConfig {
    /// A quantity, such as `8` or `500m`.
    pub(crate) cpu: Option<String>,
    /// A quantity, such as `16Gi`.
    pub(crate) memory: Option<String>,
    pub(crate) max_labs: Option<usize>,
    pub(crate) heartbeat: HumanDuration,
}

/// `[lab.components]`: which parts run. All of them, unless somebody debugs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComponentsConfig {
    pub(crate) watcher: bool,
    pub(crate) controller: bool,
    pub(crate) reconciler: bool,
    pub(crate) provisioner: bool,
}
