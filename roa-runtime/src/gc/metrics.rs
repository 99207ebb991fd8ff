//! What a garbage collector did.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Done {
    action: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct CollectorMetrics {
    done: Family<Done, Counter>,
}

impl CollectorMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("gc_actions", "What the garbage collector did", self.done.clone());
    }

    pub(super) fn note(&self, action: &'static str) {
        self.done.get_or_create(&Done { action }).inc();
    }

    pub(crate) fn count(&self, action: &'static str) -> u64 {
        self.done.get_or_create(&Done { action }).get()
    }
}
