//! The log of a store: what was written, in order, and what can be told from it.

mod batch;
mod recent;
mod rewind;

pub use batch::{Batch, ChainBreak, Change, Changes, Tail, TailChecker, TailEnd};
pub use recent::{LookBack, RecentBatches};
pub use rewind::Rewind;
