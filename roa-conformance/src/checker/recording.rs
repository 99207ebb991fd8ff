//! [`Recording`]: all that one run of a workload left behind.

use std::fmt;
use std::sync::Arc;

use roa_core::{Batch, Error};

use super::check::Evidence;
use super::{Anomaly, History, Report, State, WatchHistory};

/// All that one run of a [`workload`](super::workload) left behind.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What the run's choices came from.
    pub seed: u64,
    /// The state before the run.
    pub initial: State,
    /// The calls and their answers.
    pub history: History,
    /// The batches after the initial state.
    pub log: Vec<Arc<Batch>>,
    /// The states that were read where the log was broken off: after a jump, or since it was forgotten too early.
    pub resyncs: Vec<State>,
    /// What watches delivered, that from which the log was taken among them.
    pub watches: Vec<WatchHistory>,
}

impl Recording {
    /// Checks everything, as [`check`](super::check()) and [`check_watches`](super::check_watches) do.
    ///
    /// # Errors
    /// [`Failure::Anomalies`], with the seed.
    pub fn check(&self) -> Result<Report, Failure> {
        let Self { initial, history, log, resyncs, watches, .. } = self;
        let found = Evidence { history, log, initial, resyncs, watches }.check();
        found.map_err(|anomalies| Failure::Anomalies { seed: self.seed, anomalies })
    }
}

/// Why a run of a workload failed. Its text names the seed, so that the run can be repeated.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The store could not be read at all.
    #[error("run the workload with seed {seed}: {error}")]
    Store {
        /// What the run's choices came from.
        seed: u64,
        /// What the store answered.
        error: Error,
    },
    /// The store answered or delivered what can't be.
    #[error("check the workload with seed {seed}: {} anomalies{}", anomalies.len(), Lines(anomalies))]
    Anomalies {
        /// What the run's choices came from.
        seed: u64,
        /// The first ones.
        anomalies: Vec<Anomaly>,
    },
}

/// As [`Display`](fmt::Display): this is what `unwrap` prints in a test.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Lines<'a>(&'a [Anomaly]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|anomaly| write!(f, "\n- {anomaly}"))
    }
}
