//! What authentication and authorisation measure.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Decision;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shown {
    method: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    decision: &'static str,
}

/// What authentication and authorisation measure, never by user. A clone measures the same.
#[derive(Debug, Clone, Default)]
pub struct AuthMetrics {
    authentications: Family<Shown, Counter>,
    decisions: Family<Decided, Counter>,
}

impl AuthMetrics {
    /// Metrics in `registry`, which prefixes their names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let help = "Requests by what they showed (certificate, token, oidc, none) and whether that was recognised";
        registry.register("authentications", help, this.authentications.clone());
        registry.register("authorizations", "Decisions whether a request may be done", this.decisions.clone());
        this
    }

    pub(super) fn authenticated(&self, method: &'static str, recognised: bool) {
        let result = if recognised { "recognised" } else { "refused" };
        self.authentications.get_or_create(&Shown { method, result }).inc();
    }

    /// Counts a decision.
    pub fn decided(&self, decision: &Decision) {
        self.decisions.get_or_create(&Decided { decision: decision.as_str() }).inc();
    }
}
