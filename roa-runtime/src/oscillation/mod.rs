//! Writers that work against each other: a field that one changes and another changes back.

mod detector;
mod fields;
mod metrics;
mod watch;

pub use detector::{Oscillation, OscillationConfig, OscillationDetector};
pub use watch::OscillationWatch;

pub(crate) use metrics::OscillationMetrics;
