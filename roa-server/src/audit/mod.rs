//! The audit log: who wrote what, and whether it was allowed.
//!
//! A line of JSON for each request that would change something, also for one that was refused. It never has a body, a
//! header or a query: nothing of what was written, and no token.
//!
//! # Layout
//! - [`AuditConfig`]: the table `server.audit`
//! - [`AuditRecord`]: a line
//! - [`AuditLog`]: the queue; `writer`: the thread that empties it into a file

mod config;
mod log;
mod metrics;
mod record;
mod writer;

pub use config::AuditConfig;
pub use log::{AuditError, AuditLog};
pub use metrics::AuditMetrics;
pub use record::{AuditRecord, AuditedObject};
