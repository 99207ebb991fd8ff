//! [`History`]: the last changes of a lab's state.

use roa_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::LabState;

/// A change of state that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateChange {
    /// From which state; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<LabState>,
    /// To which state.
    pub to: LabState,
    /// When.
    pub time: Timestamp,
    /// Why, in a word.
    pub reason: String,
}

/// The last [`History::MAX`] changes of a lab's state, the oldest first. It stands in the status, so that no restart
/// forgets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<StateChange>);

impl History {
    /// How many changes are kept.
    pub const MAX: usize = 20;

    /// Adds a change, and forgets the oldest if there are too many.
    pub fn push(&mut self, change: StateChange) {
        self.0.push(change);
        let surplus = self.0.len().saturating_sub(Self::MAX);
        self.0.drain(..surplus);
    }

    /// One by one, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &StateChange> {
        self.0.iter()
    }

    /// Whether nothing happened yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesson_43_the_history_is_bounded_and_keeps_the_newest() {
        let mut history = History::default();
        for second in 0..50 {
            let time = Timestamp::from_unix_seconds(second).unwrap();
            history.push(StateChange { from: None, to: LabState::Pending, time, reason: format!("r{second}") });
        }
        let reasons: Vec<_> = history.iter().map(|change| change.reason.as_str()).collect();
        assert_eq!((reasons.len(), reasons[0], reasons[History::MAX - 1]), (History::MAX, "r30", "r49"));
        let json = serde_json::to_value(&history).unwrap();
        assert_eq!(json[0], serde_json::json!({"to": "pending", "time": "1970-01-01T00:00:30Z", "reason": "r30"}));
        assert_eq!(serde_json::from_value::<History>(json).unwrap(), history);
    }
}
