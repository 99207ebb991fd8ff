//! [`LabWorker`]: the worker that somebody wants.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use roa_core::{Column, Conditions, HumanDuration, Object, Scope, Spec, StateMachine, Violations, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{WORKER_MACHINE, WorkerStatus};
use crate::{Capacity, GROUP, Quantity, VERSION, Written};

/// A worker: what is wanted and what is observed of it.
pub type Worker = Object<LabWorker>;

/// How many labs a worker has room for, if it does not say.
const MAX_LABS: u32 = 20;
/// The most that it may say.
const MOST_LABS: u32 = 10_000;
/// Who brings up a worker that does not say.
const PROVISIONER: &str = "simulated";
/// How long a simulated worker takes, if it does not say.
const PROVISION_TIME: Duration = Duration::from_secs(5);

/// What is wanted of a worker: a machine that labs of its namespace are placed on.
///
/// ```
/// use roa_core::Spec;
/// use roa_lab::LabWorker;
/// let spec: LabWorker = serde_json::from_str(r#"{ "track": "gpu", "capacity": { "cpu": 8, "memory": "32Gi" } }"#)?;
/// assert!(spec.validate().is_empty());
/// assert_eq!(spec.capacity().labs, 20);
///
/// let wrong: LabWorker = serde_json::from_str(r#"{ "capacity": { "cpu": "nan", "maxLabs": 0 }, "desiredPhase": "Gone" }"#)?;
/// assert_eq!(wrong.validate().iter().count(), 4, "each reason is told");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabWorker {
    /// Which labs it may have besides those that name no track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// How much it can take.
    pub capacity: WorkerCapacity,
    /// Where it is to be in its life: Ready, Draining (it waits for its labs, then goes) or Terminated (its labs are
    /// moved, then it goes). Ready if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_phase: Option<Written<DesiredPhase>>,
    /// Who brings it up, by name; `simulated` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioner: Option<String>,
    /// For `simulated`: what seems to happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<SimulatedWorker>,
}

/// How much a worker can take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerCapacity {
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Written<Quantity>>,
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Written<Quantity>>,
    /// Labs, from 1 to 10000; 20 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_labs: Option<u32>,
}

/// A worker that only seems to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SimulatedWorker {
    /// How long it takes to become ready; 5s if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provision_time: Option<Written<HumanDuration>>,
}

/// Where a worker is to be in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DesiredPhase {
    /// It has labs.
    #[default]
    Ready,
    /// It waits for its labs, and goes.
    Draining,
    /// Its labs are moved, and it goes.
    Terminated,
}

impl DesiredPhase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Draining, Self::Terminated];

    /// The word in `spec.desiredPhase`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Draining => "Draining",
            Self::Terminated => "Terminated",
        }
    }
}

impl fmt::Display for DesiredPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DesiredPhase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|phase| phase.as_str() == text);
        found.ok_or_else(|| format!("is {text:?}, expected Ready, Draining or Terminated"))
    }
}

impl WorkerCapacity {
    /// What is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = Violations::none();
        for (path, amount) in [("cpu", &self.cpu), ("memory", &self.memory)] {
            match amount {
                None => found.push(path, "is missing, expected a quantity such as 8 or 32Gi"),
                Some(amount) => amount.problem().into_iter().for_each(|problem| found.push(path, problem)),
            }
        }
        let labs = self.max_labs.unwrap_or(MAX_LABS);
        let message = format!("is {labs}, expected 1 to {MOST_LABS}");
        found.merge(Violations::unless((1..=MOST_LABS).contains(&labs), "maxLabs", message));
        found
    }

    /// The amounts; nothing where none is said.
    #[must_use]
    pub fn amounts(&self) -> Capacity {
        let amount = |written: &Option<Written<Quantity>>| written.as_ref().and_then(Written::get).copied();
        Capacity {
            cpu: amount(&self.cpu).unwrap_or(Quantity::ZERO),
            memory: amount(&self.memory).unwrap_or(Quantity::ZERO),
            labs: usize::try_from(self.max_labs.unwrap_or(MAX_LABS)).unwrap_or(usize::MAX),
        }
    }
}

impl SimulatedWorker {
    /// What is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let problem = self.provision_time.as_ref().and_then(Written::problem);
        problem.map_or_else(Violations::none, |problem| Violations::one("provisionTime", problem))
    }

    /// How long it takes to become ready.
    #[must_use]
    pub fn provision_time(&self) -> Duration {
        self.provision_time.as_ref().and_then(Written::get).map_or(PROVISION_TIME, |time| time.0)
    }
}

impl LabWorker {
    /// How much it can take.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.capacity.amounts()
    }

    /// Where it is to be in its life.
    #[must_use]
    pub fn desired_phase(&self) -> DesiredPhase {
        self.desired_phase.as_ref().and_then(Written::get).copied().unwrap_or_default()
    }

    /// Who brings it up.
    #[must_use]
    pub fn provisioner(&self) -> &str {
        self.provisioner.as_deref().unwrap_or(PROVISIONER)
    }
}

impl Spec for LabWorker {
    type Status = WorkerStatus;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "LabWorker";
    const PLURAL: &'static str = "labworkers";
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["worker", "workers", "lw"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &["spec.track", "spec.desiredPhase", "status.phase"];
    const STATE_FIELD: &'static str = "phase";

    fn validate(&self) -> Violations {
        let mut found = self.capacity.validate().nested("capacity");
        if let Some(reason) = self.track.as_deref().and_then(|track| names::dns_label(track).err()) {
            found.push("track", reason);
        }
        if let Some(problem) = self.desired_phase.as_ref().and_then(Written::problem) {
            found.push("desiredPhase", problem);
        }
        if let Some(simulated) = &self.simulated {
            found.merge(simulated.validate().nested("simulated"));
        }
        found
    }

    fn conditions(status: &WorkerStatus) -> Option<&Conditions> {
        Some(&status.conditions)
    }

    fn state_machine() -> Option<&'static StateMachine> {
        Some(&WORKER_MACHINE)
    }

    fn schema() -> Option<serde_json::Value> {
        Some(crate::schema::of::<Self>())
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::text("PHASE", "status.phase"),
            Column::text("TRACK", "spec.track"),
            Column::text("LABS", "status.allocated.labs"),
            Column::text("CPU%", "status.utilisation.cpu"),
            Column::text("MEMORY%", "status.utilisation.memory"),
            Column::date("HEARTBEAT", "status.lastHeartbeat"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems(json: Value) -> Vec<String> {
        let spec: LabWorker = serde_json::from_value(json).unwrap();
        spec.validate().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_allowed_passes() {
        let capacity = json!({"cpu": "7.5", "memory": "32Gi"});
        assert!(problems(json!({"capacity": capacity})).is_empty());
        let whole = json!({
            "track": "gpu", "capacity": {"cpu": 8, "memory": "1Gi", "maxLabs": 1}, "desiredPhase": "Draining",
            "provisioner": "cloud", "simulated": {"provisionTime": "1m"}
        });
        assert!(problems(whole).is_empty());
    }

    #[test]
    fn lesson_58_all_that_is_wrong_is_told_at_once_with_what_was_expected() {
        let found = problems(json!({
            "track": "a b", "capacity": {"cpu": "nan", "maxLabs": 10001}, "desiredPhase": "Sleeping",
            "simulated": {"provisionTime": "soon"}
        }));
        let expected = [
            "capacity.cpu: parse quantity \"nan\"",
            "capacity.memory: is missing, expected a quantity",
            "capacity.maxLabs: is 10001, expected 1 to 10000",
            "track: \"a b\" is not allowed",
            "desiredPhase: is \"Sleeping\", expected Ready, Draining or Terminated",
            "simulated.provisionTime: parse duration \"soon\"",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found:?} should begin with {expected:?}");
        }
    }
}
