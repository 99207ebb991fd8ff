//! What is measured of dependencies, and of keys that are left alone.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::BreakerState;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DependencyLabel {
    dependency: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    dependency: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transition {
    dependency: String,
    to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Component {
    component: String,
}

/// The part of the runtime's metrics that is about safety.
#[derive(Debug, Clone, Default)]
pub(crate) struct SafetyMetrics {
    breaker_state: Family<DependencyLabel, Gauge>,
    breaker_transitions: Family<Transition, Counter>,
    refusals: Family<Refusal, Counter>,
    parked: Family<Component, Gauge>,
    quarantines: Family<Component, Counter>,
    budget_waits: Family<Component, Counter>,
}

impl SafetyMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let state = "What each breaker does: 0 closed, 1 half open, 2 open";
        registry.register("breaker_state", state, self.breaker_state.clone());
        registry.register("breaker_transitions", "Changes of each breaker", self.breaker_transitions.clone());
        registry.register("dependency_refusals", "Calls that were not made, by reason", self.refusals.clone());
        registry.register("parked_objects", "Objects that were given up until they change", self.parked.clone());
        registry.register("quarantines", "Objects given up because their calls panicked", self.quarantines.clone());
        registry.register("budget_waits", "Retries that had to wait for their budget", self.budget_waits.clone());
    }

    pub(crate) fn parked(&self, component: &str, count: usize) {
        let gauge = self.parked.get_or_create(&Component { component: component.to_owned() });
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn quarantined(&self, component: &str) {
        self.quarantines.get_or_create(&Component { component: component.to_owned() }).inc();
    }

    pub(crate) fn quarantines(&self, component: &str) -> u64 {
        self.quarantines.get_or_create(&Component { component: component.to_owned() }).get()
    }

    pub(crate) fn waits_for_budget(&self, component: &str) {
        self.budget_waits.get_or_create(&Component { component: component.to_owned() }).inc();
    }

    pub(crate) fn budget_waits(&self, component: &str) -> u64 {
        self.budget_waits.get_or_create(&Component { component: component.to_owned() }).get()
    }
}

/// What is measured of one dependency.
///
/// ```
/// use roa_runtime::RuntimeMetrics;
/// let registry = RuntimeMetrics::unregistered().dependency("registry");
/// assert_eq!((registry.refusals("DependencyDown"), registry.changes("open")), (0, 0));
/// ```
#[derive(Debug, Clone)]
pub struct DependencyMetrics {
    all: SafetyMetrics,
    dependency: String,
}

impl DependencyMetrics {
    pub(crate) const fn new(all: SafetyMetrics, dependency: String) -> Self {
        Self { all, dependency }
    }

    pub(super) fn breaker(&self, state: BreakerState, changed: bool) {
        let label = DependencyLabel { dependency: self.dependency.clone() };
        self.all.breaker_state.get_or_create(&label).set(match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
        if changed {
            self.transition(state.as_str()).inc();
        }
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refusal(reason).inc();
    }

    /// How many calls were not made for this reason.
    #[must_use]
    pub fn refusals(&self, reason: &'static str) -> u64 {
        self.refusal(reason).get()
    }

    /// How often its breaker came into this state.
    #[must_use]
    pub fn changes(&self, state: &'static str) -> u64 {
        self.transition(state).get()
    }

    fn transition(&self, to: &'static str) -> Counter {
        self.all.breaker_transitions.get_or_create(&Transition { dependency: self.dependency.clone(), to }).clone()
    }

    fn refusal(&self, reason: &'static str) -> Counter {
        self.all.refusals.get_or_create(&Refusal { dependency: self.dependency.clone(), reason }).clone()
    }
}
