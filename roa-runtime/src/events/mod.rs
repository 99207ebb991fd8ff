//! Events as objects: kept for a time, counted instead of repeated.

mod kind;
mod metrics;
mod pending;
mod recorder;
mod sinks;
mod write;

pub use kind::event_kind;
pub use recorder::{EventRecorder, EventRecorderConfig};
pub use sinks::{ChannelSink, FanOutSink, LogSink};

pub(crate) use metrics::EventMetrics;
