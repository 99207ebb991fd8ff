//! [`Conditions`]: what is known of an object, aspect by aspect, with the time at which each last changed.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Whether something is so.
///
/// ```
/// use roa_core::ConditionStatus;
/// assert_eq!(serde_json::to_value(ConditionStatus::Unknown)?, "Unknown");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody can tell.
    Unknown,
}

/// One aspect, field by field as Kubernetes has it. Only [`Conditions::set`] makes one, so that its time is true.
///
/// ```
/// # use roa_core::Condition;
/// /// Why something is not so, for people.
/// fn reason(condition: &Condition) -> String {
///     format!("{}: {}", condition.reason, condition.message)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Condition {
    /// Which aspect, such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// Why, in a word.
    #[serde(default)]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// The generation of the spec that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<u64>,
}

/// An object's conditions, at most [`Conditions::MAX`]; at most one of each type.
///
/// ```
/// use roa_core::{ConditionStatus, Conditions, Timestamp};
/// let mut conditions = Conditions::default();
/// let now: Timestamp = "2027-01-01T08:00:00Z".parse()?;
/// conditions.set("Ready", ConditionStatus::True, ("Answers", "it can be used"), 1, now);
/// assert!(conditions.is_true("Ready") && !conditions.is_true("Degraded"));
/// # Ok::<(), roa_core::TimeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// How many conditions one object may have; more are not taken.
    pub const MAX: usize = 64;

    /// Says how an aspect is. The time moves only when `status` changes. Gives whether anything changed.
    pub fn set(
        &mut self,
        kind: &str,
        status: ConditionStatus,
        (reason, message): (&str, &str),
        observed_generation: u64,
        now: Timestamp,
    ) -> bool {
        let unchanged = self.get(kind).filter(|condition| condition.status == status);
        let next = Condition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: unchanged
                .map_or(now.truncate_to_seconds(), |condition| condition.last_transition_time),
            observed_generation: Some(observed_generation),
        };
        let room = self.0.len() < Self::MAX;
        match self.0.iter_mut().find(|condition| condition.kind == kind) {
            Some(condition) if *condition == next => return false,
            Some(condition) => *condition = next,
            None if room => self.0.push(next),
            None => return false,
        }
        true
    }

    /// Takes an aspect away. Gives whether it was there.
    pub fn remove(&mut self, kind: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|condition| condition.kind != kind);
        self.0.len() < before
    }

    /// One aspect.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind == kind)
    }

    /// Whether an aspect is known to be so.
    #[must_use]
    pub fn is_true(&self, kind: &str) -> bool {
        self.get(kind).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn the_time_moves_with_the_status_and_with_nothing_else() {
        let mut conditions = Conditions::default();
        assert!(conditions.set("Ready", ConditionStatus::False, ("Starting", "not yet"), 1, at(10)));
        assert!(!conditions.set("Ready", ConditionStatus::False, ("Starting", "not yet"), 1, at(20)));
        assert!(conditions.set("Ready", ConditionStatus::False, ("Slow", "still not"), 1, at(30)));
        assert_eq!(conditions.get("Ready").unwrap().last_transition_time, at(10));
        assert!(conditions.set("Ready", ConditionStatus::True, ("Up", ""), 1, at(40)));
        assert_eq!(conditions.get("Ready").unwrap().last_transition_time, at(40));
        assert!(conditions.is_true("Ready") && !conditions.is_true("Other"));
        assert!(conditions.remove("Ready") && !conditions.remove("Ready") && conditions.is_empty());
    }

    #[test]
    fn they_are_bounded_and_read_as_kubernetes_writes_them() {
        let mut conditions = Conditions::default();
        for number in 0..=Conditions::MAX {
            conditions.set(&number.to_string(), ConditionStatus::Unknown, ("", ""), 1, at(0));
        }
        assert_eq!(conditions.iter().count(), Conditions::MAX);
        let json = r#"[{"type":"Ready","status":"True","lastTransitionTime":"2027-01-01T00:00:00Z"}]"#;
        let read: Conditions = serde_json::from_str(json).unwrap();
        assert!(read.is_true("Ready"));
        assert!(serde_json::to_string(&read).unwrap().contains("\"lastTransitionTime\":\"2027-01-01T00:00:00Z\""));
    }
}
