//! A workload that finds out what a store does wrong: seeded clients that collide on few keys, watchers that drop and
//! resume, compaction below them; all recorded, to be checked.
//!
//! Choices come from the seed; how the clients interleave does not. Faults are not made here: give it a store that
//! fails, or end the store's process while it runs. A call that is not answered in time is given up, an unavailable
//! store is waited for, and both with bounds.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # async fn example(store: Arc<dyn roa_core::Store>) {
//! use roa_conformance::checker::workload::run_workload;
//! let recording = run_workload(store, 42, 4, 500).await.unwrap();
//! println!("{}", recording.check().unwrap()); // an error names the seed
//! # }
//! ```

mod client;
mod collector;
mod keys;
mod pace;
mod run;
mod watcher;

pub use collector::read_log;
pub use run::{Workload, run_workload};
