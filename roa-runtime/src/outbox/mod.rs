//! Effects outside of the store, done at least once by handlers that recognise them by their ids.

mod metrics;
mod relay;

pub use relay::{EffectHandler, OutboxConfig, OutboxRelay};

pub(crate) use metrics::OutboxMetrics;
