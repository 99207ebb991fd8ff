//! [`FaultStore`]: a store that fails as planned.

mod plan;
mod store;

pub use plan::{CallFault, CommitFault, FaultPlan, FeedFault};
pub use store::FaultStore;
