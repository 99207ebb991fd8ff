//! What keeps a failure from spreading: [`Breaker`], [`Bulkhead`], [`Protected`] dependencies, [`RetryBudget`],
//! [`Quarantine`] of keys that panic, and the finding of writers that work against each other.

mod breaker;
mod budget;
mod bulkhead;
mod metrics;
mod protected;
mod quarantine;
mod trip;

pub use breaker::{Breaker, BreakerConfig, BreakerState, Refused};
pub use budget::{RetryBudget, RetryBudgetConfig};
pub use bulkhead::{Bulkhead, BulkheadConfig, Full, Place};
pub use metrics::DependencyMetrics;
pub use protected::Protected;
pub use quarantine::RELEASE_ANNOTATION;
pub use trip::Trip;

pub(crate) use metrics::SafetyMetrics;
pub(crate) use quarantine::{Quarantine, what_frees};
