//! [`WorkerPhase`]: where a worker is in its life. [`WORKER_MACHINE`]: which changes are allowed.

use std::fmt;

use roa_core::{StateMachine, Transition, When};
use serde::{Deserialize, Serialize};

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum WorkerPhase {
    /// It waits to be brought up.
    #[default]
    Pending,
    /// It is being brought up.
    Provisioning,
    /// Labs can be placed on it.
    Ready,
    /// It takes no new labs, and waits for those that it has.
    Draining,
    /// It is being taken away.
    Terminating,
    /// Nothing is left of it but its record.
    Terminated,
    /// It could not be brought up, or gave no sign of life. Its labs go elsewhere. It stays so, also if it gives signs of life
    /// again, until its spec is changed: then it is brought up anew.
    Failed,
}

impl WorkerPhase {
    /// All phases, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Provisioning,
        Self::Ready,
        Self::Draining,
        Self::Terminating,
        Self::Terminated,
        Self::Failed,
    ];

    /// The word in `status.phase`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Provisioning => "Provisioning",
            Self::Ready => "Ready",
            Self::Draining => "Draining",
            Self::Terminating => "Terminating",
            Self::Terminated => "Terminated",
            Self::Failed => "Failed",
        }
    }

    /// Whether labs may live on it, though perhaps no new ones.
    #[must_use]
    pub const fn keeps_labs(self) -> bool {
        matches!(self, Self::Ready | Self::Draining)
    }
}

impl fmt::Display for WorkerPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which changes of a worker's phase are allowed; the store refuses all others, whoever writes.
pub static WORKER_MACHINE: StateMachine = StateMachine {
    name: "LabWorker",
    initial: WorkerPhase::Pending.as_str(),
    states: &[
        WorkerPhase::Pending.as_str(),
        WorkerPhase::Provisioning.as_str(),
        WorkerPhase::Ready.as_str(),
        WorkerPhase::Draining.as_str(),
        WorkerPhase::Terminating.as_str(),
        WorkerPhase::Terminated.as_str(),
        WorkerPhase::Failed.as_str(),
    ],
    transitions: &[
        change(WorkerPhase::Pending, WorkerPhase::Provisioning, When::Always),
        change(WorkerPhase::Provisioning, WorkerPhase::Ready, When::Always),
        change(WorkerPhase::Ready, WorkerPhase::Draining, When::Always),
        change(WorkerPhase::Draining, WorkerPhase::Ready, When::Always),
        change(WorkerPhase::Draining, WorkerPhase::Terminating, When::Always),
        change(WorkerPhase::Terminating, WorkerPhase::Terminated, When::Always),
        change(WorkerPhase::Pending, WorkerPhase::Terminating, When::Always),
        change(WorkerPhase::Provisioning, WorkerPhase::Terminating, When::Always),
        change(WorkerPhase::Pending, WorkerPhase::Failed, When::Always),
        change(WorkerPhase::Provisioning, WorkerPhase::Failed, When::Always),
        change(WorkerPhase::Ready, WorkerPhase::Failed, When::Always),
        change(WorkerPhase::Draining, WorkerPhase::Failed, When::Always),
        change(WorkerPhase::Failed, WorkerPhase::Terminating, When::Always),
        change(WorkerPhase::Failed, WorkerPhase::Pending, When::SpecChanged),
    ],
    terminal: &[WorkerPhase::Terminated.as_str()],
};

const fn change(from: WorkerPhase, to: WorkerPhase, when: When) -> Transition {
    Transition { from: from.as_str(), to: to.as_str(), when }
}

#[cfg(test)]
mod tests {
    use roa_core::TransitionFacts;

    use super::*;

    #[test]
    fn lesson_47_the_machine_contradicts_itself_nowhere_and_has_the_phases_of_the_type() {
        assert_eq!(WORKER_MACHINE.validate().to_string(), "");
        assert_eq!(WORKER_MACHINE.states, WorkerPhase::ALL.map(WorkerPhase::as_str));
        for phase in WorkerPhase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
    }

    #[test]
    fn the_diagram_in_the_documentation_is_that_of_the_machine() {
        let documented = include_str!("../docs/worker-phases.md");
        assert!(documented.contains(&WORKER_MACHINE.to_mermaid()), "expected:\n{}", WORKER_MACHINE.to_mermaid());
    }

    /// Lesson 49: every pair of phases, against a table that is written down independently.
    #[test]
    fn lesson_49_exactly_the_changes_of_the_table_are_allowed() {
        let always = [
            "Pending>Provisioning",
            "Pending>Terminating",
            "Pending>Failed",
            "Provisioning>Ready",
            "Provisioning>Terminating",
            "Provisioning>Failed",
            "Ready>Draining",
            "Ready>Failed",
            "Draining>Ready",
            "Draining>Terminating",
            "Draining>Failed",
            "Terminating>Terminated",
            "Failed>Terminating",
        ];
        for spec_changed in [false, true] {
            for (from, to) in WorkerPhase::ALL.iter().flat_map(|from| WorkerPhase::ALL.map(|to| (*from, to))) {
                let pair = format!("{from}>{to}");
                let expected =
                    from == to || always.contains(&pair.as_str()) || spec_changed && pair == "Failed>Pending";
                let facts = TransitionFacts { spec_changed, deleting: false };
                let allowed = WORKER_MACHINE.check(Some(from.as_str()), to.as_str(), facts).is_ok();
                assert_eq!(allowed, expected, "{pair} with {facts:?}");
            }
        }
    }
}
