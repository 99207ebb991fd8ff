//! [`QueueStats`]: a queue in numbers. [`KeyState`]: what a queue knows of one key.

use std::time::Duration;

use roa_core::{Cause, Key};

use super::Priority;

/// A queue in numbers, at one moment.
///
/// ```
/// # use roa_runtime::WorkQueue;
/// fn is_behind(queue: &WorkQueue<String>) -> bool {
///     queue.stats().ready.total() > 1_000
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueueStats {
    /// Keys that could run now, by priority.
    pub ready: Depths,
    /// How many share the queue now: those with a ready key of the priority of which most have one.
    pub sharers: usize,
    /// Keys whose time has not come.
    pub delayed: usize,
    /// Keys that run.
    pub in_flight: usize,
    /// Adds so far, those that were merged with others included.
    pub adds: u64,
    /// Adds so far that found the queue full.
    pub refused: u64,
    /// Runs so far that failed and were to be repeated.
    pub retries: u64,
    /// Runs so far whose key was given up.
    pub drops: u64,
    /// For how long the key runs that runs longest.
    pub longest_running: Option<Duration>,
    /// For how long the ready key waits that waits longest.
    pub oldest_waiting: Option<Duration>,
}

/// How many keys are ready, by priority.
///
/// ```
/// use roa_runtime::Depths;
/// assert_eq!(Depths { user: 1, retry: 2, resync: 3 }.total(), 6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depths {
    /// With [`Priority::User`].
    pub user: usize,
    /// With [`Priority::Retry`].
    pub retry: usize,
    /// With [`Priority::Resync`].
    pub resync: usize,
}

impl Depths {
    /// All together.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.user + self.retry + self.resync
    }
}

/// What a queue knows of one key.
///
/// ```
/// # use roa_runtime::WorkQueue;
/// fn failures(queue: &WorkQueue<String>, key: &String) -> u32 {
///     queue.why(key).map_or(0, |state| state.failures)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// Where it stands.
    pub phase: KeyPhase,
    /// How urgent its run is.
    pub priority: Priority,
    /// Why it runs, or is to run.
    pub causes: Vec<Cause>,
    /// Which other objects led to it; of many only the first few.
    pub related: Vec<Key>,
    /// How many runs failed in a row before.
    pub failures: u32,
}

/// Where a key stands.
///
/// ```
/// # use roa_runtime::{KeyPhase, WorkQueue};
/// fn runs(queue: &WorkQueue<String>, key: &String) -> bool {
///     queue.why(key).is_some_and(|state| matches!(state.phase, KeyPhase::Processing { .. }))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPhase {
    /// It could run, and waits for a worker.
    Waiting {
        /// For how long.
        waited: Duration,
    },
    /// It waits for its time.
    Delayed {
        /// For how much longer.
        left: Duration,
    },
    /// It runs.
    Processing {
        /// For how long.
        ran: Duration,
        /// Whether it was added meanwhile, and will run again.
        again: bool,
    },
}
