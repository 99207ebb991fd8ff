//! [`Anomaly`]: something that a correct store can't have answered or delivered.

use std::fmt;
use std::sync::Arc;

use roa_core::{Entry, Revision};
use thiserror::Error;

use super::{ClientId, History};

mod commit;
mod log;
mod read;
mod watch;

pub use commit::CommitAnomaly;
pub use log::LogAnomaly;
pub use read::ReadAnomaly;
pub use watch::{WatchAnomaly, WatchSite};

/// How many anomalies one check reports: the first ones. One defect can break everything after it.
pub const MAX_ANOMALIES: usize = 64;

/// Something that a correct store can't have answered or delivered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Anomaly {
    /// The log contradicts itself.
    #[error(transparent)]
    Log(#[from] LogAnomaly),
    /// The answer to a commit contradicts the log or real time.
    #[error(transparent)]
    Commit(#[from] CommitAnomaly),
    /// The answer to a read contradicts the log or real time.
    #[error(transparent)]
    Read(#[from] ReadAnomaly),
    /// What a watch delivered contradicts the log.
    #[error(transparent)]
    Watch(#[from] WatchAnomaly),
}

/// Which operation of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Its place in [`History::operations`].
    pub operation: usize,
    /// Who called it.
    pub client: ClientId,
}

impl Site {
    pub(super) fn of(history: &History, operation: usize) -> Self {
        let client = history.operations.get(operation).map_or(ClientId(u32::MAX), |found| found.client);
        Self { operation, client }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} of {}", self.operation, self.client)
    }
}

/// The first [`MAX_ANOMALIES`] that are found.
#[derive(Debug, Default)]
pub(super) struct Anomalies(Vec<Anomaly>);

impl Anomalies {
    pub(super) fn add(&mut self, anomaly: impl Into<Anomaly>) {
        if self.0.len() < MAX_ANOMALIES {
            self.0.push(anomaly.into());
        }
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, Vec<Anomaly>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// What is known of an entry, in few words.
pub(super) struct Brief<'a>(pub(super) &'a Option<Arc<Entry>>);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(entry) = self.0 else { return f.write_str("nothing") };
        let shown = &entry.value.bytes[..entry.value.bytes.len().min(24)];
        write!(
            f,
            "revision {} (created {}, version {}, {}, {} bytes {:?})",
            entry.revision,
            entry.create_revision,
            entry.version,
            entry.txn,
            entry.value.bytes.len(),
            String::from_utf8_lossy(shown),
        )
    }
}

/// A revision that may not be there.
pub(super) struct At<'a>(pub(super) &'a Option<Revision>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(revision) => write!(f, "at revision {revision}"),
            None => f.write_str("absent"),
        }
    }
}

/// The operation before which something was known; without one it was known from the begin.
pub(super) struct Earlier<'a>(pub(super) &'a Option<Site>);

impl fmt::Display for Earlier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(site) => site.fmt(f),
            None => f.write_str("the read before all operations"),
        }
    }
}
