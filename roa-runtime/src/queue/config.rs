//! [`QueueConfig`]: the bounds of a queue.

use std::time::Duration;

use super::{BackoffPolicy, RateLimit};

/// The bounds of a [`WorkQueue`](crate::WorkQueue).
///
/// ```
/// use roa_runtime::QueueConfig;
/// let small = QueueConfig { max_keys: 1_000, ..QueueConfig::default() };
/// # drop(small);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// How many keys it knows at most: waiting, delayed and running together; 1,048,576 by default.
    pub max_keys: usize,
    /// How long a key waits after a failure.
    pub backoff: BackoffPolicy,
    /// After which wait a key no longer waits for all that is more urgent; 30 s by default.
    pub promote_after: Duration,
    /// How many runs may begin in a time, for all keys together; no limit by default.
    pub rate: Option<RateLimit>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            max_keys: 1 << 20,
            backoff: BackoffPolicy::default(),
            promote_after: Duration::from_secs(30),
            rate: None,
        }
    }
}
