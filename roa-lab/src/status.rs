//! [`LabStatus`]: what is observed of a lab.

use roa_core::{ConditionStatus, Conditions, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{History, LabState, Quantity, Resources, StateChange};

/// The types of a lab's conditions.
pub mod conditions {
    /// A place was found for it.
    pub const SCHEDULED: &str = "Scheduled";
    /// The place is reserved.
    pub const WORKER_ASSIGNED: &str = "WorkerAssigned";
    /// It was brought up.
    pub const PROVISIONED: &str = "Provisioned";
    /// It can be used now.
    pub const READY: &str = "Ready";
    /// Its time is over.
    pub const EXPIRED: &str = "Expired";
    /// It was ready and something is wrong with it, which is being mended.
    pub const DEGRADED: &str = "Degraded";
}

/// What is observed of a lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabStatus {
    /// Where it is in its life; pending if not yet said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<LabState>,
    /// What is going on, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where it can be reached, as a URL, while it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// When it became ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// When its time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the current attempt to bring it up was begun outside; absent while one is yet to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_started_at: Option<Timestamp>,
    /// Before when the next attempt does not begin, after one that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// When it came into its state. Moves with the state and with nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_since: Option<Timestamp>,
    /// How many attempts to bring it up failed and were followed by another.
    pub retries: u32,
    /// How many times in a row it was brought up again after it had been ready.
    pub restarts: u32,
    /// Which worker has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_ref: Option<String>,
    /// What is reserved for it. While this is here, something of it may be outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Allocation>,
    /// What is known of it, aspect by aspect.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// Which generation of its spec was taken up.
    pub observed_generation: u64,
    /// Its last changes of state.
    #[serde(skip_serializing_if = "History::is_empty")]
    pub history: History,
}

/// What is reserved for a lab. It is written before anything is begun outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// On which node.
    pub node: String,
    /// Who brings it up there, and takes it away again, whatever its template says later.
    pub provisioner: String,
    /// Processors.
    pub cpu: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
    /// Of which worker; of the local one if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerIdentity>,
}

/// A worker of the lab's namespace. One that comes later under the same name is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerIdentity {
    /// Its name.
    pub name: String,
    /// Its uid: what counts.
    pub uid: String,
}

impl Allocation {
    /// Whether it is of the worker with this uid.
    #[must_use]
    pub fn is_on(&self, uid: &str) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.uid == uid)
    }

    /// The amounts.
    #[must_use]
    pub const fn resources(&self) -> Resources {
        Resources { cpu: self.cpu, memory: self.memory }
    }
}

impl LabStatus {
    /// Where the lab is in its life.
    #[must_use]
    pub fn state(&self) -> LabState {
        self.state.unwrap_or_default()
    }

    /// Whether it is ready by its state, but something is wrong with it.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.conditions.is_true(conditions::DEGRADED)
    }

    /// Goes into a state. The only place that moves `state`, `stateSince` and `history`.
    pub fn enter(&mut self, state: LabState, reason: &str, message: impl Into<String>, now: Timestamp) {
        let from = self.state.replace(state);
        self.state_since = Some(now);
        self.message = message.into();
        self.history.push(StateChange { from, to: state, time: now, reason: reason.to_owned() });
    }

    /// Says how one aspect is.
    pub fn condition(&mut self, kind: &str, holds: bool, (reason, message): (&str, &str), now: Timestamp) {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        self.conditions.set(kind, status, (reason, message), self.observed_generation, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn lesson_55_only_a_change_of_state_moves_the_clock_of_the_state() {
        let mut status = LabStatus::default();
        assert_eq!(status.state(), LabState::Pending);
        status.enter(LabState::Provisioning, "Scheduled", "starting", at(10));
        for second in 11..30 {
            let reason = if second % 2 == 0 { "Even" } else { "Odd" };
            status.condition(conditions::PROVISIONED, second % 2 == 0, (reason, "still waiting"), at(second));
        }
        assert_eq!(status.state_since, Some(at(10)));
        status.enter(LabState::Failed, "ProvisioningTimeout", "too long", at(30));
        assert_eq!((status.state_since, status.history.iter().count()), (Some(at(30)), 2));
    }

    #[test]
    fn the_format_is_camel_case_and_leaves_out_what_is_not_known() {
        let mut status = LabStatus::default();
        assert_eq!(serde_json::to_string(&status).unwrap(), r#"{"retries":0,"restarts":0,"observedGeneration":0}"#);
        status.enter(LabState::Ready, "Ready", "", at(0));
        let Resources { cpu, memory } = Resources { cpu: Quantity::milli(500), memory: Quantity::mebi(1024) };
        status.allocation =
            Some(Allocation { node: "n1".into(), provisioner: "process".into(), cpu, memory, worker: None });
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!((&json["state"], &json["stateSince"]), (&"ready".into(), &"1970-01-01T00:00:00Z".into()));
        assert_eq!(
            json["allocation"],
            serde_json::json!({"node": "n1", "provisioner": "process", "cpu": "500m", "memory": "1Gi"})
        );
        assert_eq!(serde_json::from_value::<LabStatus>(json).unwrap(), status);
    }
}
