//! [`LabState`]: where a lab is in its life, and [`MACHINE`]: how it may go on.

use std::fmt;

use roa_core::{StateMachine, Transition, When};
use serde::{Deserialize, Serialize};

/// Where a lab is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabState {
    /// Waits: for its time, its template, room, or the end of a back-off.
    Pending,
    /// Is being brought up.
    Provisioning,
    /// Is up.
    Ready,
    /// Could not be brought up, or kept up.
    Failed,
    /// Is being taken away.
    Deleting,
    /// Is gone outside; the object goes next.
    Deleted,
}

impl LabState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Provisioning, Self::Ready, Self::Failed, Self::Deleting, Self::Deleted];

    /// The word for it in `status.state`.
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

const fn go(from: LabState, to: LabState, when: When) -> Transition {
    Transition { from: from.as_str(), to: to.as_str(), when }
}

/// How a lab's state may change, whoever changes it.
///
/// ```
/// let diagram = roa_lab::MACHINE.to_mermaid();
/// assert!(diagram.contains("pending --> provisioning"));
/// assert!(diagram.contains("failed --> pending: when the spec has changed"));
/// ```
pub static MACHINE: StateMachine = {
    use LabState::{Deleted, Deleting, Failed, Pending, Provisioning, Ready};
    StateMachine {
        name: "LabInstance",
        initial: Pending.as_str(),
        states: &["pending", "provisioning", "ready", "failed", "deleting", "deleted"],
        transitions: &[
            go(Pending, Provisioning, When::Always),
            go(Pending, Failed, When::Always),
            go(Pending, Deleting, When::Deleting),
            go(Provisioning, Ready, When::Always),
            go(Provisioning, Failed, When::Always),
            go(Provisioning, Deleting, When::Deleting),
            go(Ready, Deleting, When::Always),
            go(Ready, Failed, When::Always),
            go(Failed, Deleting, When::Always),
            go(Failed, Pending, When::SpecChanged),
            go(Deleting, Deleted, When::Always),
        ],
        terminal: &["deleted"],
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::TransitionFacts;

    #[test]
    fn the_machine_agrees_with_itself_and_with_the_states() {
        assert!(MACHINE.validate().is_empty(), "{}", MACHINE.validate());
        assert_eq!(MACHINE.states, LabState::ALL.map(LabState::as_str));
    }

    #[test]
    fn lesson_44_what_the_controller_does_is_legal_and_the_rest_is_not() {
        let check =
            |from: LabState, to: LabState, facts| MACHINE.check(Some(from.as_str()), to.as_str(), facts).is_ok();
        let (plain, deleting) = (TransitionFacts::default(), TransitionFacts { deleting: true, ..Default::default() });
        let changed = TransitionFacts { spec_changed: true, ..Default::default() };
        assert!(check(LabState::Pending, LabState::Provisioning, plain));
        assert!(!check(LabState::Pending, LabState::Ready, plain));
        assert!(
            !check(LabState::Pending, LabState::Deleting, plain)
                && check(LabState::Pending, LabState::Deleting, deleting)
        );
        assert!(
            !check(LabState::Failed, LabState::Pending, plain) && check(LabState::Failed, LabState::Pending, changed)
        );
        assert!(LabState::ALL.into_iter().all(|to| to == LabState::Deleted || !check(LabState::Deleted, to, deleting)));
    }
}
