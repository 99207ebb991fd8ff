//! Stores around a store: [`DeadlineStore`] bounds its answers in time, [`MeasuredStore`] measures them.

mod deadline;
mod measured;

pub use deadline::DeadlineStore;
pub use measured::MeasuredStore;

pub(crate) use measured::CommitMetrics;
