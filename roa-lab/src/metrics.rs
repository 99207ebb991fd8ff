//! [`LabMetrics`]: what is measured of labs. Labels are states and reasons, never names.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::LabState;

/// Upper bounds of the buckets of the time to ready, in seconds.
const BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What is measured of labs. A clone measures the same.
#[derive(Debug, Clone)]
pub struct LabMetrics {
    labs: Family<State, Gauge>,
    seconds_to_ready: Histogram,
    failures: Family<Reason, Counter>,
}

impl LabMetrics {
    /// Metrics in `registry`, which prefixes their names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::unregistered();
        registry.register("labs", "Labs by state, as of the last sweep", this.labs.clone());
        registry.register(
            "seconds_to_ready",
            "From a lab's creation until it was ready",
            this.seconds_to_ready.clone(),
        );
        registry.register("provisioning_failures", "Attempts that failed, by reason", this.failures.clone());
        this
    }

    /// Metrics that nobody reads.
    #[must_use]
    pub fn unregistered() -> Self {
        Self { labs: Family::default(), seconds_to_ready: Histogram::new(BUCKETS), failures: Family::default() }
    }

    pub(crate) fn became_ready(&self, after: Duration) {
        self.seconds_to_ready.observe(after.as_secs_f64());
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn count(&self, states: impl Iterator<Item = LabState>) {
        let mut counts = LabState::ALL.map(|state| (state, 0));
        for state in states {
            if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == state) {
                *count += 1;
            }
        }
        for (state, count) in counts {
            self.labs.get_or_create(&State { state: state.as_str() }).set(count);
        }
    }
}
