//! What became of effects.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Performed {
    handler: String,
    result: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct OutboxMetrics {
    performed: Family<Performed, Counter>,
}

impl OutboxMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("effects", "Calls of effect handlers, by how they ended", self.performed.clone());
    }

    pub(super) fn note(&self, handler: &str, result: &'static str) {
        self.performed.get_or_create(&Performed { handler: handler.to_owned(), result }).inc();
    }

    pub(crate) fn count(&self, handler: &str, result: &'static str) -> u64 {
        self.performed.get_or_create(&Performed { handler: handler.to_owned(), result }).get()
    }
}
