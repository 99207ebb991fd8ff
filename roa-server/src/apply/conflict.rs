//! [`Conflicts`]: fields that an applied configuration would take from others.

use std::collections::BTreeMap;
use std::fmt;

/// Fields that others own with other values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts {
    /// Each field and its owner, never empty.
    pub conflicts: Vec<Conflict>,
}

/// A field that somebody else owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner, as messages name it: `"m1" using g/v1 at 2027-01-01T00:00:00Z`.
    pub owner: String,
    /// The field, such as `.spec.size`.
    pub field: String,
}

impl Conflict {
    /// The reason of the cause that tells it in a `Status`.
    pub const REASON: &'static str = "FieldManagerConflict";

    /// The message of the cause that tells it in a `Status`; its field is [`Conflict::field`].
    #[must_use]
    pub fn message(&self) -> String {
        format!("conflict with {}", self.owner)
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [Conflict { owner, field }] = self.conflicts.as_slice() {
            return write!(f, "Apply failed with 1 conflict: conflict with {owner}: {field}");
        }
        write!(f, "Apply failed with {} conflicts: ", self.conflicts.len())?;
        let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Conflict { owner, field } in &self.conflicts {
            owners.entry(owner).or_default().push(field);
        }
        for (position, (owner, fields)) in owners.iter().enumerate() {
            let line = if position > 0 { "\n" } else { "" };
            write!(f, "{line}conflicts with {owner}:")?;
            for field in fields {
                write!(f, "\n- {field}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Conflicts {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_the_one_that_kubectl_prints_advice_for() {
        let conflict = |owner: &str, field: &str| Conflict { owner: owner.to_owned(), field: field.to_owned() };
        let one = Conflicts { conflicts: vec![conflict("\"m1\"", ".spec.size")] };
        assert_eq!(one.to_string(), "Apply failed with 1 conflict: conflict with \"m1\": .spec.size");
        let more = Conflicts {
            conflicts: vec![
                conflict("\"b\"", ".spec.x"),
                conflict("\"a\" using g/v1", ".spec.y"),
                conflict("\"b\"", ".spec.z"),
            ],
        };
        assert_eq!(
            more.to_string(),
            "Apply failed with 3 conflicts: conflicts with \"a\" using g/v1:\n- .spec.y\nconflicts with \"b\":\n- .spec.x\n- .spec.z"
        );
    }
}
