//! [`WorkerStatus`]: what is observed of a worker.

use roa_core::{ConditionStatus, Conditions, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Account, WorkerPhase};
use crate::Capacity;

/// The types of a worker's conditions.
pub mod worker_conditions {
    /// It is up.
    pub const READY: &str = "Ready";
    /// New labs may be placed on it.
    pub const ACCEPTING_LABS: &str = "AcceptingLabs";
    /// It gives signs of life.
    pub const HEALTHY: &str = "Healthy";
}

/// What is observed of a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerStatus {
    /// Where it is in its life; Pending if not yet said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<WorkerPhase>,
    /// What is going on, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it came into its phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Timestamp>,
    /// When it was begun to be brought up outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_started_at: Option<Timestamp>,
    /// What of it is given away.
    pub allocated: Account,
    /// The same, in percent of its capacity.
    pub utilisation: Utilisation,
    /// When it last gave a sign of life; copied here rarely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Timestamp>,
    /// What is known of it, aspect by aspect.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// Which generation of its spec was taken up.
    pub observed_generation: u64,
}

/// What of a worker is given away, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Utilisation {
    /// Of its processors.
    pub cpu: u32,
    /// Of its memory.
    pub memory: u32,
    /// Of its labs.
    pub labs: u32,
}

impl WorkerStatus {
    /// Where the worker is in its life.
    #[must_use]
    pub fn phase(&self) -> WorkerPhase {
        self.phase.unwrap_or_default()
    }

    /// Whether new labs may be placed on it.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        self.phase() == WorkerPhase::Ready && self.conditions.is_true(worker_conditions::ACCEPTING_LABS)
    }

    /// Goes into a phase. The only place that moves `phase` and `phaseSince`.
    pub fn enter(&mut self, phase: WorkerPhase, message: impl Into<String>, now: Timestamp) {
        self.phase = Some(phase);
        self.phase_since = Some(now);
        self.message = message.into();
    }

    /// Says how one aspect is.
    pub fn condition(&mut self, kind: &str, holds: bool, (reason, message): (&str, &str), now: Timestamp) {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        self.conditions.set(kind, status, (reason, message), self.observed_generation, now);
    }

    /// Says what of it is given away. The only place that moves `allocated` and `utilisation`.
    pub fn set_account(&mut self, account: Account, capacity: Capacity) {
        let shares = account.shares(capacity);
        self.allocated = account;
        self.utilisation =
            Utilisation { cpu: percent(shares.cpu), memory: percent(shares.memory), labs: percent(shares.labs) };
    }
}

/// A share in whole percent.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
pub(crate) fn percent(share: f64) -> u32 {
    (share * 100.0).round().clamp(0.0, 1_000_000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Quantity, Resources};

    #[test]
    fn the_format_is_camel_case_and_shows_what_is_given_away() {
        let mut status = WorkerStatus::default();
        let half = Resources { cpu: Quantity::whole(1), memory: Quantity::mebi(256) };
        let capacity = Capacity { cpu: Quantity::whole(2), memory: Quantity::mebi(1024), labs: 10 };
        status.set_account(Account::default().with(half), capacity);
        let now = Timestamp::from_unix_seconds(0).unwrap();
        status.enter(WorkerPhase::Ready, "is up", now);
        let json = serde_json::to_value(&status).unwrap();
        let expected = serde_json::json!({
            "phase": "Ready", "message": "is up", "phaseSince": "1970-01-01T00:00:00Z",
            "allocated": {"cpu": "1", "memory": "256Mi", "labs": 1},
            "utilisation": {"cpu": 50, "memory": 25, "labs": 10}, "observedGeneration": 0
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<WorkerStatus>(json).unwrap(), status);
    }

    #[test]
    fn only_a_ready_worker_that_says_so_accepts_labs() {
        let now = Timestamp::from_unix_seconds(0).unwrap();
        for phase in WorkerPhase::ALL {
            let mut status = WorkerStatus::default();
            status.enter(phase, "", now);
            assert!(!status.is_accepting(), "{phase}");
            status.condition(worker_conditions::ACCEPTING_LABS, true, ("Ready", ""), now);
            assert_eq!(status.is_accepting(), phase == WorkerPhase::Ready, "{phase}");
        }
    }
}
