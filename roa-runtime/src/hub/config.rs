//! The bounds of a hub.

use std::time::Duration;

/// The bounds of a [`WatchHub`](crate::WatchHub).
///
/// ```
/// # use std::time::Duration;
/// # use roa_runtime::HubConfig;
/// // For a process that watches little: who falls behind by more reads the store's log instead.
/// let config = HubConfig { max_batches: 4_096, max_bytes: 4 << 20, ..HubConfig::default() };
/// assert_eq!(config.progress_interval, Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// How many batches its ring keeps at most.
    pub max_batches: usize,
    /// How many bytes its ring keeps alive at most, roughly.
    pub max_bytes: usize,
    /// How many watches may be open at once.
    pub max_watchers: usize,
    /// How many batches one item of a watch spans at most: a watcher yields to others after so many.
    pub max_slice: usize,
    /// How many objects one page of a snapshot has.
    pub page_size: usize,
    /// How often a watch that sees events also says how far it is, and one of an idle store. One that sees none of the
    /// store's changes says so at each. With [`Duration::MAX`], an idle store is followed without a timer.
    pub progress_interval: Duration,
    /// How long to wait before following a store again that failed; doubled with each failure in a row.
    pub retry_base: Duration,
    /// How long to wait at most.
    pub retry_max: Duration,
    /// How long closing waits for the hub's own task.
    pub close_timeout: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            max_batches: 65_536,
            max_bytes: 64 << 20,
            max_watchers: 16_384,
            max_slice: 1_024,
            page_size: 500,
            progress_interval: Duration::from_secs(5),
            retry_base: Duration::from_millis(50),
            retry_max: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
        }
    }
}
