//! [`Provisioners`]: who can bring labs up, by the name that templates choose them by.

use std::collections::BTreeMap;
use std::sync::Arc;

use roa_core::Clock;
use roa_runtime::{BreakerConfig, BulkheadConfig, RuntimeMetrics};

use crate::Allocation;
use crate::provision::{Bounded, Gate, Provisioner, default_breaker};

/// Who can bring labs up, by name. Whatever is registered here, templates can choose; no controller knows more of it.
#[derive(Debug, Clone, Default)]
pub struct Provisioners {
    by_name: BTreeMap<String, Arc<dyn Provisioner>>,
    gates: BTreeMap<String, Arc<Gate>>,
}

/// Whether a lab can be touched from here.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// Nothing of it is outside.
    Nothing,
    /// Through this.
    Here(Arc<dyn Provisioner>),
    /// Only by the process on its node.
    Elsewhere,
}

impl Provisioners {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more, in place of another of its name.
    #[must_use]
    pub fn with(mut self, provisioner: Arc<dyn Provisioner>) -> Self {
        self.by_name.insert(provisioner.name().to_owned(), provisioner);
        self
    }

    /// The same with a breaker before each: while too many attempts of one fail, no other begins there, and its labs wait.
    /// For after the last was added; its time is that of `clock`.
    ///
    /// A clone has the same breakers: the controller and the reconciler of labs need to share them.
    #[must_use]
    pub fn behind_breakers(mut self, config: &BreakerConfig, clock: &Arc<dyn Clock>, metrics: &RuntimeMetrics) -> Self {
        let gate = |name: &String| Some((name.clone(), Arc::new(Gate::new(name, config, Arc::clone(clock), metrics)?)));
        self.gates = self.by_name.keys().filter_map(gate).collect();
        self
    }

    /// The same with a bulkhead before each: so many calls of one may run at once and wait, and whoever asks for more comes
    /// again later. For after the last was added; its time is that of `clock`.
    #[must_use]
    pub fn behind_bulkheads(
        mut self,
        config: BulkheadConfig,
        clock: &Arc<dyn Clock>,
        metrics: &RuntimeMetrics,
    ) -> Self {
        for provisioner in self.by_name.values_mut() {
            let inner = Arc::clone(provisioner);
            *provisioner = Arc::new(Bounded::new(inner, config, Arc::clone(clock), metrics));
        }
        self
    }

    /// How a breaker before a provisioner is set unless somebody says otherwise: it opens after five failures in a row,
    /// for 30 s, then for twice that if the next attempt fails too, up to 5 min.
    #[must_use]
    pub fn default_breaker() -> BreakerConfig {
        default_breaker()
    }

    /// What stands before the one of this name, if anything does.
    pub(crate) fn gate(&self, name: &str) -> Option<&Gate> {
        self.gates.get(name).map(|gate| &**gate)
    }

    /// All that stands before them.
    pub(crate) fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.gates.values().map(|gate| &**gate)
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provisioner>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Provisioner>> {
        self.by_name.values()
    }

    /// Their names, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        if names.is_empty() { "none: nobody is registered".to_owned() } else { names.join(" or ") }
    }

    /// How the process on `node` reaches a lab with this allocation; `None` if nobody of that name is registered.
    pub(crate) fn reach(&self, allocation: Option<&Allocation>, node: &str) -> Option<Reach> {
        let Some(allocation) = allocation else { return Some(Reach::Nothing) };
        let provisioner = self.by_name.get(&allocation.provisioner)?;
        if provisioner.is_local() && allocation.node != node {
            return Some(Reach::Elsewhere);
        }
        Some(Reach::Here(Arc::clone(provisioner)))
    }
}

#[cfg(test)]
mod tests {
    use roa_core::{ManualClock, Timestamp};

    use super::*;
    use crate::Quantity;
    use crate::provision::{Empty, SimulatedProvisioner};

    fn simulated() -> Arc<dyn Provisioner> {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        Arc::new(SimulatedProvisioner::new(Arc::new(clock), 1))
    }

    fn reach(provisioners: &Provisioners, of: &str, on: &str, from: &str) -> Option<Reach> {
        let (cpu, memory) = (Quantity::whole(1), Quantity::mebi(1));
        provisioners
            .reach(Some(&Allocation { node: on.into(), provisioner: of.into(), cpu, memory, worker: None }), from)
    }

    #[test]
    fn a_lab_is_reached_from_its_node_alone_unless_its_provisioner_says_otherwise() {
        let provisioners = Provisioners::new().with(simulated()).with(Arc::new(Empty::new("silent")));
        assert!(matches!(reach(&provisioners, "silent", "a", "a"), Some(Reach::Here(_))));
        assert!(matches!(reach(&provisioners, "silent", "a", "b"), Some(Reach::Elsewhere)));
        assert!(matches!(reach(&provisioners, "simulated", "a", "b"), Some(Reach::Here(_))));
        assert!(matches!(provisioners.reach(None, "a"), Some(Reach::Nothing)));
    }

    #[test]
    fn nobody_of_a_name_is_told_with_those_that_there_are() {
        let provisioners = Provisioners::new().with(simulated());
        assert!(reach(&provisioners, "docker", "a", "a").is_none());
        assert!(provisioners.get("docker").is_none() && provisioners.get("simulated").is_some());
        assert_eq!((provisioners.names().as_str(), provisioners.iter().count()), ("simulated", 1));
        assert!(Provisioners::new().names().contains("nobody"));
    }
}
