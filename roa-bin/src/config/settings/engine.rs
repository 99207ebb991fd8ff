//! `[runtime]`, `[watch]`, `[oscillation]`: how objects are handled. `[engine]`, `[lease]`, `[namespaces]`, `[time]`: by
//! whom, where and when.

use std::num::NonZeroU32;
use std::time::Duration;

use roa_core::HumanDuration;
use serde::{Deserialize, Serialize};

use super::seconds;

/// `[runtime]`: how controllers are driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeConfig {
    pub(crate) shutdown_grace: HumanDuration,
    pub(crate) reconcile_timeout: HumanDuration,
    /// Reconciles of one controller at a time.
    pub(crate) workers: usize,
    pub(crate) retry_base: HumanDuration,
    pub(crate) retry_max: HumanDuration,
    pub(crate) max_retries: u32,
    pub(crate) max_panics: u32,
    /// So many retries for a hundred runs that are none, …
    pub(crate) retry_budget_percent: u32,
    /// … and so many in a second in any case, …
    pub(crate) retry_budget_per_second: u32,
    /// … and so many at once after a quiet time.
    pub(crate) retry_budget_burst: u32,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            shutdown_grace: seconds(30),
            reconcile_timeout: seconds(60),
            workers: 16,
            retry_base: HumanDuration(Duration::from_millis(100)),
            retry_max: seconds(300),
            max_retries: 15,
            max_panics: 3,
            retry_budget_percent: 20,
            retry_budget_per_second: 50,
            retry_budget_burst: 500,
        }
    }
}

/// `[watch]`: how changes are seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchConfig {
    pub(crate) kind: WatchKind,
    pub(crate) poll_interval: HumanDuration,
    pub(crate) max_watchers: usize,
    pub(crate) ring_max_batches: usize,
    pub(crate) ring_max_bytes: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            kind: WatchKind::Stream,
            poll_interval: seconds(2),
            max_watchers: 10_000,
            ring_max_batches: 65_536,
            ring_max_bytes: 64 << 20,
        }
    }
}

/// Which watcher feeds the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WatchKind {
    /// The store's change feed.
    Stream,
    /// Lists at an interval.
    Poll,
}

/// `[oscillation]`: when writers that change a field back and forth are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OscillationConfig {
    pub(crate) window: HumanDuration,
    pub(crate) status_turns: u32,
    pub(crate) max_fields: usize,
}

impl Default for OscillationConfig {
    fn default() -> Self {
        Self { window: seconds(60), status_turns: 10, max_fields: 16_384 }
    }
}

/// `[engine]`: how the processes that share a store divide the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EngineConfig {
    pub(crate) mode: EngineMode,
    pub(crate) shard_by: ShardBy,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { mode: EngineMode::Auto, shard_by: ShardBy::Object }
    }
}

/// How many of the processes that share a store work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineMode {
    /// One, on a store that several can share; on another there is only one.
    Auto,
    /// There is only one, and nothing is asked of the store about that.
    Single,
    /// One.
    Leader,
    /// All, each with a part of the objects.
    Sharded,
}

/// What decides which part an object is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShardBy {
    /// Its namespace and name.
    Object,
    /// Its namespace.
    Namespace,
}

/// `[lease]`: how long a process that vanished is waited for. Checked together: invariant L3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseConfig {
    pub(crate) duration: HumanDuration,
    pub(crate) renew_deadline: HumanDuration,
    pub(crate) retry_period: HumanDuration,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { duration: seconds(15), renew_deadline: seconds(10), retry_period: seconds(2) }
    }
}

/// `[namespaces]`: where objects may be created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespacesConfig {
    /// Only in namespaces that somebody created.
    pub(crate) strict: bool,
}

/// `[time]`: the clock of the domain. Input, output and leases always run on real time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeConfig {
    /// Seconds of the domain that pass in one real second.
    pub(crate) scale: u32,
}

impl Default for TimeConfig {
    fn default() -> Self {
        Self { scale: 1 }
    }
}

impl TimeConfig {
    /// The scale as a whole number; the configuration takes no less than 1.
    pub(crate) fn scale(&self) -> NonZeroU32 {
        NonZeroU32::new(self.scale.max(1)).unwrap_or(NonZeroU32::MIN)
    }
}
