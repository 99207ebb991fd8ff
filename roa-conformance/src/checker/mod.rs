//! Whether what a store's users saw can have happened.
//!
//! [`Recorder`] wraps a store and writes down each call and its answer; [`check`] compares that [`History`] with the
//! store's log. Since each commit has a revision of its own and the log says in which order they happened, no search is
//! needed: each operation gets the earliest place in the log that its answer and real time allow, and one that has none
//! is an [`Anomaly`]. [`check_watches`] compares what change feeds and watches delivered with the same log.
//!
//! [`workload`] makes such histories: seeded clients that collide on few keys.
//!
//! # Layout
//! - What is written down: [`History`], [`Operation`], [`Recorder`]; [`WatchHistory`], [`WatchRecorder`]
//! - What it is compared with: a [`State`] and the batches after it
//! - What is found: [`Report`], [`Anomaly`] and the four enums in it
//! - How it is made: [`workload`], [`Recording`]; how it outlives its process: [`Journal`]

mod anomaly;
mod answers;
mod attribution;
mod check;
mod epochs;
mod gaps;
mod history;
mod journal;
mod log;
mod order;
mod recorder;
mod recording;
mod replay;
mod state;
mod timeline;
mod watch;
mod watch_check;
mod watch_recorder;
pub mod workload;

#[cfg(test)]
mod tests;

pub use anomaly::{Anomaly, CommitAnomaly, LogAnomaly, MAX_ANOMALIES, ReadAnomaly, Site, WatchAnomaly, WatchSite};
pub use check::{Report, check, check_watches};
pub use history::{ClientId, History, Operation, Step, Tick};
pub use journal::{Journal, JournalError};
pub use recorder::Recorder;
pub use recording::{Failure, Recording};
pub use state::State;
pub use watch::{Selection, WatchEnd, WatchHistory, WatchItem, WatchSession};
pub use watch_recorder::WatchRecorder;
