//! What became of events.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    fate: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct EventMetrics {
    fates: Family<Fate, Counter>,
}

impl EventMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("events", "Events, by what became of them", self.fates.clone());
    }

    pub(super) fn note(&self, fate: &'static str, count: u64) {
        self.fates.get_or_create(&Fate { fate }).inc_by(count);
    }

    pub(crate) fn count(&self, fate: &'static str) -> u64 {
        self.fates.get_or_create(&Fate { fate }).get()
    }
}
