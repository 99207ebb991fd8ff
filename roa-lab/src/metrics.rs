//! [`LabMetrics`]: what is measured of labs. Labels are states and reasons, never names: their number is bounded.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::LabState;

/// Upper bounds of the buckets of the time to ready, in seconds: from a page that is served at once to the time-out and
/// all its retries.
const BUCKETS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 600.0, 1800.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: &'static str,
}

/// What is measured of labs, for a registry that the caller owns. A clone measures the same.
///
/// ```
/// use prometheus_client::registry::Registry;
/// use roa_lab::LabMetrics;
/// let mut registry = Registry::with_prefix("roa_lab");
/// let metrics = LabMetrics::register(&mut registry);
/// ```
#[derive(Debug, Clone)]
pub struct LabMetrics {
    by_state: Family<InState, Gauge>,
    seconds_to_ready: Histogram,
    failures: Family<Because, Counter>,
}

impl LabMetrics {
    /// Metrics in `registry`, which prefixes their names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::unregistered();
        registry.register("labs", "Labs by state, as of the last sweep", this.by_state.clone());
        let help = "How long labs took from their place to being ready, retries included";
        registry.register("seconds_to_ready", help, this.seconds_to_ready.clone());
        registry.register(
            "provisioning_failures",
            "Attempts to bring a lab up that failed, by reason",
            this.failures.clone(),
        );
        this
    }

    /// Metrics that nobody reads.
    #[must_use]
    pub fn unregistered() -> Self {
        Self { by_state: Family::default(), seconds_to_ready: Histogram::new(BUCKETS), failures: Family::default() }
    }

    /// How many labs there are of each state.
    pub(crate) fn count(&self, states: impl Iterator<Item = LabState>) {
        let mut counts = LabState::ALL.map(|state| (state, 0));
        for found in states {
            for (_, count) in counts.iter_mut().filter(|(state, _)| *state == found) {
                *count += 1;
            }
        }
        for (state, count) in counts {
            self.by_state.get_or_create(&InState { state: state.as_str() }).set(count);
        }
    }

    pub(crate) fn ready_after(&self, time: Duration) {
        self.seconds_to_ready.observe(time.as_secs_f64());
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Because { reason }).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_is_measured_can_be_read_and_every_state_is_there() {
        let mut registry = Registry::with_prefix("roa_lab");
        let metrics = LabMetrics::register(&mut registry);
        metrics.count([LabState::Ready, LabState::Ready, LabState::Failed].into_iter());
        metrics.count([LabState::Ready].into_iter());
        metrics.ready_after(Duration::from_secs(2));
        metrics.failed("Exited");
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for expected in [
            "roa_lab_labs{state=\"ready\"} 1",
            "roa_lab_labs{state=\"failed\"} 0",
            "roa_lab_seconds_to_ready_bucket{le=\"2.5\"} 1",
            "roa_lab_provisioning_failures_total{reason=\"Exited\"} 1",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(text.matches("roa_lab_labs{").count(), LabState::ALL.len());
    }
}
