//! [`LabWorkerPool`]: the pool that somebody wants.

use roa_core::{Column, Object, Scope, Spec, Violations, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PoolStatus, Scaling, ScalingPolicy};
use crate::worker::{LabWorker, SimulatedWorker, WorkerCapacity};
use crate::{GROUP, VERSION};

/// A pool: what is wanted and what is observed of it.
pub type Pool = Object<LabWorkerPool>;

/// The most replicas that a pool may have.
const MOST_REPLICAS: u32 = 1_000;

/// What is wanted of a pool: workers that are alike, as many as are needed.
///
/// ```
/// use roa_core::Spec;
/// use roa_lab::{LabWorkerPool, ScalingPolicy};
/// let spec: LabWorkerPool = serde_json::from_str(r#"{
///     "workerTemplate": { "capacity": { "cpu": 8, "memory": "32Gi" } },
///     "scaling": { "policy": "CapacityBased", "min": 2, "max": 6 }
/// }"#)?;
/// assert!(spec.validate().is_empty());
/// assert_eq!(spec.scaling.policy(), ScalingPolicy::CapacityBased);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabWorkerPool {
    /// The track of its workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// How its workers are.
    pub worker_template: WorkerTemplate,
    /// With the policy None: how many workers it has; `scaling.min` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// When it gets a worker more or less.
    pub scaling: Scaling,
}

/// How the workers of a pool are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerTemplate {
    /// How much each can take.
    pub capacity: WorkerCapacity,
    /// Who brings them up, by name; `simulated` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioner: Option<String>,
    /// For `simulated`: what seems to happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<SimulatedWorker>,
}

impl LabWorkerPool {
    /// What is wanted of each of its workers.
    #[must_use]
    pub fn worker(&self) -> LabWorker {
        let WorkerTemplate { capacity, provisioner, simulated } = self.worker_template.clone();
        LabWorker { track: self.track.clone(), capacity, desired_phase: None, provisioner, simulated }
    }

    /// How many workers it has with the policy None.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.replicas.unwrap_or(self.scaling.min)
    }

    fn validate_replicas(&self) -> Violations {
        let Some(replicas) = self.replicas else { return Violations::none() };
        let message = format!("is {replicas}, expected 0 to {MOST_REPLICAS}");
        let mut found = Violations::unless(replicas <= MOST_REPLICAS, "replicas", message);
        let policy = self.scaling.policy();
        let message = format!("is given, but the policy is {policy}: it decides how many workers there are");
        found.merge(Violations::unless(policy == ScalingPolicy::None, "replicas", message));
        found
    }
}

impl Spec for LabWorkerPool {
    type Status = PoolStatus;
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "LabWorkerPool";
    const PLURAL: &'static str = "labworkerpools";
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["pool", "pools", "lwp"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &["spec.track", "spec.scaling.policy"];

    fn validate(&self) -> Violations {
        let mut found = Violations::none();
        if let Some(reason) = self.track.as_deref().and_then(|track| names::dns_label(track).err()) {
            found.push("track", reason);
        }
        found.merge(self.worker_template.capacity.validate().nested("capacity").nested("workerTemplate"));
        if let Some(simulated) = &self.worker_template.simulated {
            found.merge(simulated.validate().nested("simulated").nested("workerTemplate"));
        }
        found.merge(self.validate_replicas());
        found.merge(self.scaling.validate().nested("scaling"));
        found
    }

    fn schema() -> Option<serde_json::Value> {
        Some(crate::schema::of::<Self>())
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::text("READY", "status.readyWorkers"),
            Column::text("WORKERS", "status.replicas"),
            Column::text("POLICY", "spec.scaling.policy"),
            Column::text("MIN", "spec.scaling.min"),
            Column::text("MAX", "spec.scaling.max"),
            Column::text("LABS", "status.allocated.labs"),
            Column::text("CPU%", "status.utilisation.cpu"),
            Column::date("SCALED", "status.lastScaling"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems(json: Value) -> Vec<String> {
        let spec: LabWorkerPool = serde_json::from_value(json).unwrap();
        spec.validate().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lesson_48_workers_of_a_pool_have_all_that_a_worker_needs() {
        let spec = json!({
            "track": "gpu", "replicas": 3,
            "workerTemplate": {"capacity": {"cpu": 4, "memory": "8Gi", "maxLabs": 5}, "simulated": {"provisionTime": "1s"}}
        });
        let pool: LabWorkerPool = serde_json::from_value(spec).unwrap();
        assert!(pool.validate().is_empty(), "{}", pool.validate());
        let worker = pool.worker();
        assert!(worker.validate().is_empty());
        assert_eq!((worker.track.as_deref(), worker.capacity().labs, pool.replicas()), (Some("gpu"), 5, 3));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let found = problems(json!({
            "track": "a b", "replicas": 2000, "workerTemplate": {"simulated": {"provisionTime": "x"}},
            "scaling": {"policy": "Hybrid", "max": 0}
        }));
        let expected = [
            "track: ",
            "workerTemplate.capacity.cpu: is missing",
            "workerTemplate.capacity.memory: is missing",
            "workerTemplate.simulated.provisionTime: parse duration",
            "replicas: is 2000, expected 0 to 1000",
            "replicas: is given, but the policy is Hybrid",
            "scaling.max: is 0, expected 1 (min)",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found:?} should begin with {expected:?}");
        }
    }
}
