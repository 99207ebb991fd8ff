//! How a controller is driven.

use std::time::Duration;

use crate::QueueConfig;

/// How a controller is driven.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// How many objects are handled at once.
    pub workers: usize,
    /// How long one call of `reconcile` or `finalize` may take; then it is dropped, and counts as failed.
    pub timeout: Duration,
    /// How many failures in a row are tried again. After the last, the object gets the condition `Reconciled` = False
    /// and an event, and is left alone until it changes.
    pub max_retries: u32,
    /// How long to wait for the cache to show the controller's own writes before the object is read from the store.
    pub cache_timeout: Duration,
    /// The queue's bounds, back-off and rate.
    pub queue: QueueConfig,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            workers: 16,
            timeout: Duration::from_secs(60),
            max_retries: 15,
            cache_timeout: Duration::from_secs(5),
            queue: QueueConfig::default(),
        }
    }
}
