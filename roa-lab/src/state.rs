//! [`LabState`]: where a lab is in its life. [`MACHINE`]: which changes are allowed.

use std::fmt;

use roa_core::{StateMachine, Transition, When};
use serde::{Deserialize, Serialize};

/// Where a lab is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabState {
    /// It waits: for its time, its template, or a place.
    #[default]
    Pending,
    /// It has a place, and is being brought up.
    Provisioning,
    /// It can be used.
    Ready,
    /// It could not be brought up, or not be kept up. A change of its spec begins anew.
    Failed,
    /// It is being taken away.
    Deleting,
    /// Nothing is left of it but its record.
    Deleted,
}

impl LabState {
    /// All states, in the order of a life.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Provisioning, Self::Ready, Self::Failed, Self::Deleting, Self::Deleted];

    /// The word in `status.state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Provisioning => "provisioning",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for LabState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which changes of a lab's state are allowed; the store refuses all others, whoever writes.
pub static MACHINE: StateMachine = StateMachine {
    name: "LabInstance",
    initial: LabState::Pending.as_str(),
    states: &[
        LabState::Pending.as_str(),
        LabState::Provisioning.as_str(),
        LabState::Ready.as_str(),
        LabState::Failed.as_str(),
        LabState::Deleting.as_str(),
        LabState::Deleted.as_str(),
    ],
    transitions: &[
        change(LabState::Pending, LabState::Provisioning, When::Always),
        change(LabState::Provisioning, LabState::Ready, When::Always),
        change(LabState::Ready, LabState::Deleting, When::Always),
        change(LabState::Deleting, LabState::Deleted, When::Always),
        change(LabState::Pending, LabState::Failed, When::Always),
        change(LabState::Provisioning, LabState::Failed, When::Always),
        change(LabState::Ready, LabState::Failed, When::Always),
        change(LabState::Failed, LabState::Deleting, When::Always),
        change(LabState::Failed, LabState::Pending, When::SpecChanged),
        change(LabState::Pending, LabState::Deleting, When::Deleting),
        change(LabState::Provisioning, LabState::Deleting, When::Deleting),
    ],
    terminal: &[LabState::Deleted.as_str()],
};

const fn change(from: LabState, to: LabState, when: When) -> Transition {
    Transition { from: from.as_str(), to: to.as_str(), when }
}

#[cfg(test)]
mod tests {
    use roa_core::TransitionFacts;

    use super::*;

    #[test]
    fn the_machine_contradicts_itself_nowhere_and_has_the_states_of_the_type() {
        assert_eq!(MACHINE.validate().to_string(), "");
        assert_eq!(MACHINE.states, LabState::ALL.map(LabState::as_str));
        for state in LabState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn the_diagram_in_the_documentation_is_that_of_the_machine() {
        assert!(include_str!("docs/states.md").contains(&MACHINE.to_mermaid()), "expected:\n{}", MACHINE.to_mermaid());
    }

    /// Every pair of states under every set of facts, against a table that is written down independently.
    #[test]
    fn exactly_the_changes_of_the_format_are_allowed() {
        let always = [
            "pending>provisioning",
            "provisioning>ready",
            "ready>deleting",
            "deleting>deleted",
            "pending>failed",
            "provisioning>failed",
            "ready>failed",
            "failed>deleting",
        ];
        for (spec_changed, deleting) in [(false, false), (true, false), (false, true), (true, true)] {
            for (from, to) in LabState::ALL.iter().flat_map(|from| LabState::ALL.map(|to| (*from, to))) {
                let pair = format!("{from}>{to}");
                let expected = from == to
                    || always.contains(&pair.as_str())
                    || spec_changed && pair == "failed>pending"
                    || deleting && ["pending>deleting", "provisioning>deleting"].contains(&pair.as_str());
                let facts = TransitionFacts { spec_changed, deleting };
                let allowed = MACHINE.check(Some(from.as_str()), to.as_str(), facts).is_ok();
                assert_eq!(allowed, expected, "{pair} with {facts:?}");
            }
        }
    }
}
