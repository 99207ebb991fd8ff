//! How a process runs.

use std::time::Duration;

use thiserror::Error;

use crate::tasks::SpawnError;
use crate::{HubConfig, LayoutError, LeaseConfig, LeaseConfigError, ShardBy};

/// How the processes that share a store divide the work.
///
/// ```
/// use roa_runtime::{LeaseConfig, Mode};
/// let one_of_several = Mode::Leader { lease: "labs".into(), holder: "host-1".into(), config: LeaseConfig::default() };
/// # drop(one_of_several);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Mode {
    /// There is one process: it needs no leadership.
    Single,
    /// One of several processes works, the others stand by with their caches filled.
    Leader {
        /// The name of what is led.
        lease: String,
        /// The name of this process.
        holder: String,
        /// How leadership is kept.
        config: LeaseConfig,
    },
    /// Each of several processes handles a part of the objects: those in the shards that it has.
    Sharded {
        /// The name of what is divided.
        group: String,
        /// The name of this process.
        holder: String,
        /// How long a process that vanished is waited for.
        config: LeaseConfig,
        /// What decides the shard of an object.
        by: ShardBy,
    },
}

impl Mode {
    pub(super) fn lease(&self) -> Option<&LeaseConfig> {
        match self {
            Self::Single => None,
            Self::Leader { config, .. } | Self::Sharded { config, .. } => Some(config),
        }
    }

    /// What the processes divide.
    pub(super) fn group(&self) -> Option<&str> {
        match self {
            Self::Single => None,
            Self::Leader { lease, .. } => Some(lease),
            Self::Sharded { group, .. } => Some(group),
        }
    }

    pub(super) fn retry_period(&self) -> Duration {
        self.lease().map_or(Duration::ZERO, |config| config.retry_period)
    }
}

/// How changes are seen.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::{ManagerConfig, Mode, WatchKind};
/// let watch = WatchKind::Poll(Duration::from_secs(5));
/// let config = ManagerConfig { watch, ..ManagerConfig::new(Mode::Single) };
/// # drop(config);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchKind {
    /// At once, over the change feed.
    Stream,
    /// At an interval.
    Poll(Duration),
}

/// How a process runs. There is no default mode: whoever starts a manager says whether it is alone.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::{ManagerConfig, Mode};
/// let config = ManagerConfig { shutdown_grace: Duration::from_secs(60), ..ManagerConfig::new(Mode::Single) };
/// # drop(config);
/// ```
#[derive(Debug, Clone)]
pub struct ManagerConfig {
    /// How the processes that share the store divide the work.
    pub mode: Mode,
    /// How the caches see changes.
    pub watch: WatchKind,
    /// The bounds of the hub.
    pub hub: HubConfig,
    /// How long running calls may go on at shutdown.
    pub shutdown_grace: Duration,
    /// Where people ask this process, such as the path of a socket: the others tell it to those who look for who handles
    /// an object.
    pub address: Option<String>,
}

impl ManagerConfig {
    /// A process that runs in this mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let hub = HubConfig::default();
        Self { mode, watch: WatchKind::Stream, hub, shutdown_grace: Duration::from_secs(20), address: None }
    }

    pub(super) fn validate(&self) -> Result<(), ManagerError> {
        Ok(self.mode.lease().map_or(Ok(()), LeaseConfig::validate)?)
    }
}

/// Why a manager can't run.
///
/// ```
/// # use roa_runtime::ManagerError;
/// fn is_misconfigured(error: &ManagerError) -> bool {
///     matches!(error, ManagerError::Lease(_) | ManagerError::Layout(_))
/// }
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The store can't be read, or a kind is not registered.
    #[error(transparent)]
    Resource(#[from] roa_core::Error),
    /// The lease's times contradict each other.
    #[error(transparent)]
    Lease(#[from] LeaseConfigError),
    /// Other processes divide the work otherwise, or can't be asked.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A task can't be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}
