//! [`StateMachine`]: which changes of state are allowed, as data.

use std::collections::BTreeSet;
use std::fmt::Write;

use thiserror::Error;

use crate::Violations;

/// Which changes of state are allowed. Checked on each write of a status, whoever writes.
///
/// ```
/// use roa_core::{StateMachine, Transition, TransitionFacts, When};
/// static DOOR: StateMachine = StateMachine {
///     name: "Door",
///     initial: "closed",
///     states: &["closed", "open", "gone"],
///     transitions: &[
///         Transition { from: "closed", to: "open", when: When::Always },
///         Transition { from: "open", to: "closed", when: When::Always },
///         Transition { from: "closed", to: "gone", when: When::Deleting },
///     ],
///     terminal: &["gone"],
/// };
/// let facts = TransitionFacts { spec_changed: false, deleting: false };
/// assert!(DOOR.check(Some("closed"), "open", facts).is_ok());
/// assert!(DOOR.check(Some("closed"), "gone", facts).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateMachine {
    /// Its name, for messages and diagrams.
    pub name: &'static str,
    /// The state of an object that has none yet.
    pub initial: &'static str,
    /// All states.
    pub states: &'static [&'static str],
    /// All changes that are allowed.
    pub transitions: &'static [Transition],
    /// States that nothing leaves.
    pub terminal: &'static [&'static str],
}

/// A change of state that is allowed.
///
/// ```
/// use roa_core::{Transition, When};
/// let again = Transition { from: "failed", to: "pending", when: When::SpecChanged };
/// # let _ = again;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// From this state.
    pub from: &'static str,
    /// To this state.
    pub to: &'static str,
    /// Under this condition.
    pub when: When,
}

/// Under which condition a change is allowed.
///
/// ```
/// use roa_core::{Transition, When};
/// let goes = Transition { from: "pending", to: "deleting", when: When::Deleting };
/// # let _ = goes;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Always.
    Always,
    /// When the spec has changed since a controller last said that it had seen it.
    SpecChanged,
    /// When the object was asked to go.
    Deleting,
}

impl When {
    const fn holds(self, facts: TransitionFacts) -> bool {
        match self {
            Self::Always => true,
            Self::SpecChanged => facts.spec_changed,
            Self::Deleting => facts.deleting,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::SpecChanged => "when the spec has changed",
            Self::Deleting => "when the object is being deleted",
        }
    }
}

/// What is known of the stored object when a change is checked.
///
/// ```
/// use roa_core::TransitionFacts;
/// let nothing_special = TransitionFacts { spec_changed: false, deleting: false };
/// # let _ = nothing_special;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransitionFacts {
    /// `metadata.generation` is greater than `status.observedGeneration`.
    pub spec_changed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

/// A change of state that is not allowed.
///
/// ```
/// # use roa_core::{StateMachine, TransitionFacts};
/// fn why_not(machine: &StateMachine, from: &str, to: &str) -> Option<String> {
///     let facts = TransitionFacts { spec_changed: false, deleting: false };
///     machine.check(Some(from), to, facts).err().map(|error| error.to_string())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransitionError {
    /// There is no such state.
    #[error("{machine} has no state {to:?}, expected one of {}", states.join(", "))]
    UnknownState {
        /// Whose state.
        machine: &'static str,
        /// What was asked for.
        to: String,
        /// What there is.
        states: &'static [&'static str],
    },
    /// The object is in no state that the machine knows, so that no transition leaves it.
    #[error("{machine} can't go from {from:?} to {to}: it has no state {from:?}, expected one of {}", states.join(", "))]
    Stranded {
        /// Whose state.
        machine: &'static str,
        /// From where.
        from: String,
        /// To where.
        to: String,
        /// What there is.
        states: &'static [&'static str],
    },
    /// No transition leads there.
    #[error("{machine} can't go from {from} to {to}, expected {}", targets(allowed))]
    NotAllowed {
        /// Whose state.
        machine: &'static str,
        /// From where.
        from: String,
        /// To where.
        to: String,
        /// Where it could go.
        allowed: Vec<&'static str>,
    },
    /// A transition leads there, under a condition that does not hold.
    #[error("{machine} can go from {from} to {to} only {}", when.text())]
    Condition {
        /// Whose state.
        machine: &'static str,
        /// From where.
        from: String,
        /// To where.
        to: String,
        /// Under which condition.
        when: When,
    },
}

fn targets(allowed: &[&'static str]) -> String {
    if allowed.is_empty() { "no change: it is the last state".to_owned() } else { allowed.join(" or ") }
}

impl StateMachine {
    /// Whether an object may go from a state (`None`: it has none yet) to another. Staying is always allowed.
    ///
    /// # Errors
    /// [`TransitionError`], which says what would be allowed.
    pub fn check(&self, from: Option<&str>, to: &str, facts: TransitionFacts) -> Result<(), TransitionError> {
        let (machine, from) = (self.name, from.unwrap_or(self.initial));
        if from == to {
            return Ok(());
        }
        if !self.states.contains(&to) {
            return Err(TransitionError::UnknownState { machine, to: to.to_owned(), states: self.states });
        }
        let mut found = self.transitions.iter().filter(|transition| transition.from == from && transition.to == to);
        let (from, to) = (from.to_owned(), to.to_owned());
        if !self.states.contains(&from.as_str()) {
            return Err(TransitionError::Stranded { machine, from, to, states: self.states });
        }
        match found.clone().next() {
            None => {
                let allowed = self.allowed_from(&from).map(|transition| transition.to).collect();
                Err(TransitionError::NotAllowed { machine, from, to, allowed })
            }
            Some(_) if found.any(|transition| transition.when.holds(facts)) => Ok(()),
            Some(transition) => Err(TransitionError::Condition { machine, from, to, when: transition.when }),
        }
    }

    /// The changes that leave a state.
    pub fn allowed_from(&self, state: &str) -> impl Iterator<Item = &'static Transition> {
        self.transitions.iter().filter(move |transition| transition.from == state)
    }

    /// The machine as a Mermaid state diagram.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut diagram = format!("stateDiagram-v2\n    [*] --> {}\n", self.initial);
        for Transition { from, to, when } in self.transitions {
            let label = if *when == When::Always { String::new() } else { format!(": {}", when.text()) };
            // Writing to a String does not fail.
            let _ = writeln!(diagram, "    {from} --> {to}{label}");
        }
        for state in self.terminal {
            let _ = writeln!(diagram, "    {state} --> [*]");
        }
        diagram
    }

    /// What is wrong with the machine itself: unknown states, states that nothing reaches, last states that something
    /// leaves. For a test of whoever declares one.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = Violations::none();
        let named = self.transitions.iter().flat_map(|transition| [transition.from, transition.to]);
        for state in named.chain([self.initial]).chain(self.terminal.iter().copied()) {
            if !self.states.contains(&state) {
                found.push(state, "is not declared as a state");
            }
        }
        let reached = self.reachable();
        for state in self.states.iter().filter(|state| !reached.contains(*state)) {
            found.push(*state, "can't be reached");
        }
        for state in self.terminal.iter().filter(|state| self.allowed_from(state).next().is_some()) {
            found.push(*state, "is a last state, but something leaves it");
        }
        found
    }

    fn reachable(&self) -> BTreeSet<&'static str> {
        let mut reached = BTreeSet::from([self.initial]);
        let mut open = vec![self.initial];
        while let Some(state) = open.pop() {
            open.extend(self.allowed_from(state).map(|transition| transition.to).filter(|to| reached.insert(to)));
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static MACHINE: StateMachine = StateMachine {
        name: "Lab",
        initial: "pending",
        states: &["pending", "ready", "failed", "deleted"],
        transitions: &[
            Transition { from: "pending", to: "ready", when: When::Always },
            Transition { from: "pending", to: "failed", when: When::Always },
            Transition { from: "failed", to: "pending", when: When::SpecChanged },
            Transition { from: "ready", to: "deleted", when: When::Deleting },
        ],
        terminal: &["deleted"],
    };
    const NOTHING: TransitionFacts = TransitionFacts { spec_changed: false, deleting: false };

    #[test]
    fn only_what_is_declared_is_allowed() {
        assert_eq!(MACHINE.check(None, "ready", NOTHING), Ok(()));
        assert_eq!(MACHINE.check(Some("ready"), "ready", NOTHING), Ok(()));
        let refused = MACHINE.check(Some("pending"), "deleted", NOTHING).unwrap_err().to_string();
        assert_eq!(refused, "Lab can't go from pending to deleted, expected ready or failed");
        let unknown = MACHINE.check(Some("pending"), "flying", NOTHING).unwrap_err().to_string();
        assert!(unknown.contains("no state \"flying\", expected one of pending, ready"), "{unknown}");
        let last = MACHINE.check(Some("deleted"), "ready", NOTHING).unwrap_err().to_string();
        assert!(last.contains("it is the last state"), "{last}");
    }

    #[test]
    fn an_object_in_a_state_that_is_gone_may_stay_but_is_told_why_it_can_not_go() {
        assert_eq!(MACHINE.check(Some("retired"), "retired", NOTHING), Ok(()));
        let refused = MACHINE.check(Some("retired"), "ready", NOTHING).unwrap_err().to_string();
        assert!(refused.contains("no state \"retired\", expected one of pending, ready"), "{refused}");
    }

    #[test]
    fn a_condition_must_hold() {
        let refused = MACHINE.check(Some("failed"), "pending", NOTHING).unwrap_err().to_string();
        assert_eq!(refused, "Lab can go from failed to pending only when the spec has changed");
        assert_eq!(MACHINE.check(Some("failed"), "pending", TransitionFacts { spec_changed: true, ..NOTHING }), Ok(()));
        assert_eq!(MACHINE.check(Some("ready"), "deleted", TransitionFacts { deleting: true, ..NOTHING }), Ok(()));
    }

    #[test]
    fn a_machine_that_contradicts_itself_is_told() {
        assert!(MACHINE.validate().is_empty());
        let wrong = StateMachine { states: &["pending", "ready", "failed", "island"], terminal: &["ready"], ..MACHINE };
        let found = wrong.validate().to_string();
        for expected in ["deleted: is not declared", "island: can't be reached", "ready: is a last state"] {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn the_diagram_shows_every_transition() {
        let diagram = MACHINE.to_mermaid();
        assert!(
            diagram.contains("[*] --> pending\n")
                && diagram.contains("failed --> pending: when the spec has changed\n")
        );
        assert!(diagram.ends_with("deleted --> [*]\n"));
    }
}
