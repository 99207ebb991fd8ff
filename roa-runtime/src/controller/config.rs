//! How a controller is driven.

use std::time::Duration;

use crate::{QueueConfig, RetryBudgetConfig};

/// How a controller is driven.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::ControllerConfig;
/// let slow_and_few = ControllerConfig { workers: 2, timeout: Duration::from_secs(600), ..ControllerConfig::default() };
/// # drop(slow_and_few);
/// ```
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// How many objects are handled at once.
    pub workers: usize,
    /// How long one call of `reconcile` or `finalize` may take; then it is dropped, and counts as failed.
    pub timeout: Duration,
    /// How many failures in a row are tried again. After the last, the object gets the condition `Reconciled` = False
    /// and an event, and is left alone until it changes. One that is to go is not: if trying again may help, it is tried
    /// again with the longest back-off. What the store could not do now counts as no failure of the object.
    pub max_retries: u32,
    /// How many panics in a row put an object into quarantine: it is given up as after the last retry, with the reason
    /// `Quarantined`. An object that was given up is tried again when its spec changes, when it is asked to go, or when
    /// its annotation [`RELEASE_ANNOTATION`](crate::RELEASE_ANNOTATION) is set to another value.
    pub max_panics: u32,
    /// How much of the work may be retries; no limit if `None`. A retry that is over it waits longer than its back-off.
    pub retry_budget: Option<RetryBudgetConfig>,
    /// Whether each call is a unit of work: what it reads through its context is noted, what it writes is held back and
    /// done in one commit after the call returned [`Ok`], and only if nothing that was read has changed; else it runs
    /// again. Such a controller reads single objects alone. See [`UnitOfWork`](roa_core::UnitOfWork).
    pub transactional: bool,
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
            max_panics: 3,
            retry_budget: Some(RetryBudgetConfig::default()),
            transactional: false,
            cache_timeout: Duration::from_secs(5),
            queue: QueueConfig::default(),
        }
    }
}
