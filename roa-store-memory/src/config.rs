//! [`MemoryConfig`]: the bounds of the history that is kept.

use std::num::NonZeroUsize;
use std::time::Duration;

use roa_core::Revision;

/// How much history a [`MemoryStore`](crate::MemoryStore) keeps. The live entries are not bounded by it.
///
/// The log forgets its oldest batches when there are more than `log_max_batches` of them or when they have more than
/// `log_max_bytes` together. A batch younger than `log_min_age` stays nevertheless, until the log has twice as many
/// batches or bytes. The newest batch always stays. So the log never has more than twice each bound, or one batch.
///
/// ```
/// use roa_store_memory::MemoryConfig;
/// let small = MemoryConfig::default().log_max_batches(1_000).log_max_bytes(1 << 20).min_retain(0);
/// assert_eq!(small.log_max_batches, 1_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// How many batches the log keeps; 100,000 by default.
    pub log_max_batches: usize,
    /// How many bytes the log keeps, counted by [`Batch::size`](roa_core::Batch::size); 64 MiB by default.
    pub log_max_bytes: usize,
    /// How long a batch is kept beyond these bounds; 75 s by default. It is measured with the injected clock's time of
    /// day: if that is set, the log is cut earlier or later, between once and twice its bounds.
    pub log_min_age: Duration,
    /// How many of the newest revisions a compaction keeps; 1,000 by default.
    pub min_retain: u64,
    /// How many batches a change feed gives at a time at most; 256 by default.
    pub tail_chunk: NonZeroUsize,
    /// Where the history begins; by default at [`Revision::opening`]. For tests of what happens near the last revision.
    pub opening: Option<Revision>,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            log_max_batches: 100_000,
            log_max_bytes: 64 << 20,
            log_min_age: Duration::from_secs(75),
            min_retain: 1_000,
            tail_chunk: NonZeroUsize::MIN.saturating_add(255),
            opening: None,
        }
    }
}

impl MemoryConfig {
    /// How many batches the log keeps.
    #[must_use]
    pub const fn log_max_batches(mut self, batches: usize) -> Self {
        self.log_max_batches = batches;
        self
    }

    /// How many bytes the log keeps.
    #[must_use]
    pub const fn log_max_bytes(mut self, bytes: usize) -> Self {
        self.log_max_bytes = bytes;
        self
    }

    /// How long a batch is kept beyond the bounds.
    #[must_use]
    pub const fn log_min_age(mut self, age: Duration) -> Self {
        self.log_min_age = age;
        self
    }

    /// How many of the newest revisions a compaction keeps.
    #[must_use]
    pub const fn min_retain(mut self, revisions: u64) -> Self {
        self.min_retain = revisions;
        self
    }

    /// How many batches a change feed gives at a time at most.
    #[must_use]
    pub const fn tail_chunk(mut self, batches: NonZeroUsize) -> Self {
        self.tail_chunk = batches;
        self
    }

    /// Where the history begins.
    #[must_use]
    pub const fn opening(mut self, revision: Revision) -> Self {
        self.opening = Some(revision);
        self
    }
}
