//! What the audit log measures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fated {
    fate: &'static str,
}

/// What the audit log measures. A clone measures the same.
#[derive(Debug, Clone, Default)]
pub struct AuditMetrics {
    records: Family<Fated, Counter>,
}

impl AuditMetrics {
    /// Metrics in `registry`, which prefixes their names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let help = "Records of the audit log: written, dropped since the queue was full, failed to be written";
        registry.register("audit_records", help, this.records.clone());
        this
    }

    /// How many records were `written`, `dropped` or `failed` to be written.
    #[must_use]
    pub fn count(&self, fate: &'static str) -> u64 {
        self.records.get_or_create(&Fated { fate }).get()
    }

    pub(super) fn add(&self, fate: &'static str, count: u64) {
        self.records.get_or_create(&Fated { fate }).inc_by(count);
    }
}
