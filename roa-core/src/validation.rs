//! [`Violations`]: everything that is wrong with an object, at once; each with its [`ViolationReason`].

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
///
/// ```
/// use roa_core::Violations;
/// let found = Violations::one("spec.duration", "must be positive");
/// assert_eq!(found.iter().next().map(|violation| violation.path.as_str()), Some("spec.duration"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where, such as `spec.duration`; empty for the whole.
    pub path: String,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What kind of wrong it is, for programs.
    #[serde(skip)]
    pub reason: ViolationReason,
}

/// What kind of wrong a [`Violation`] is, as Kubernetes has them.
///
/// ```
/// use roa_core::{ViolationReason, Violations};
/// let mut found = Violations::none();
/// found.push_as(ViolationReason::Required, "spec.template", "is missing");
/// assert_eq!(found.len(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ViolationReason {
    /// The value breaks a rule.
    #[default]
    Invalid,
    /// A field is missing.
    Required,
    /// The value is of another type.
    TypeInvalid,
    /// The value is none of those that are allowed.
    NotSupported,
    /// What must be there once is there twice.
    Duplicate,
    /// The field can't be set so.
    Forbidden,
    /// Text is too long.
    TooLong,
    /// There are too many elements.
    TooMany,
}

impl ViolationReason {
    /// The name that the API gives it, such as `FieldValueRequired`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::Required => "FieldValueRequired",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// Everything that is wrong.
///
/// ```
/// use roa_core::Violations;
/// let mut found = Violations::unless(1 > 2, "size", "must be more than 2");
/// found.push("name", "must not be empty");
/// assert_eq!(found.nested("spec").to_string(), "spec.size: must be more than 2; spec.name: must not be empty");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Nothing is wrong.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// One thing is wrong.
    pub fn one(path: impl Into<String>, message: impl Into<String>) -> Self {
        let mut this = Self::none();
        this.push(path, message);
        this
    }

    /// One thing is wrong, unless `holds`.
    pub fn unless(holds: bool, path: impl Into<String>, message: impl Into<String>) -> Self {
        if holds { Self::none() } else { Self::one(path, message) }
    }

    /// Adds one more.
    pub fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.push_as(ViolationReason::Invalid, path, message);
    }

    /// Adds one more, with its reason.
    pub fn push_as(&mut self, reason: ViolationReason, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation { path: path.into(), message: message.into(), reason });
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds what else was found.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Keeps those alone for which `keep` holds.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Violation) -> bool) {
        self.0.retain(keep);
    }

    /// The same, with all paths below `prefix`.
    #[must_use]
    pub fn nested(mut self, prefix: &str) -> Self {
        for violation in &mut self.0 {
            let path = &violation.path;
            let below = path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['.', '[']));
            violation.path = match path.as_str() {
                "" => prefix.to_owned(),
                path if below => path.to_owned(),
                path if path.starts_with('[') => format!("{prefix}{path}"),
                path => format!("{prefix}.{path}"),
            };
        }
        self
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    /// Itself, if something is.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, violation) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_kept_with_its_path() {
        let mut found = Violations::one("a", "x");
        found.merge(Violations::one("", "y"));
        found.merge(Violations::unless(true, "b", "never"));
        found.push("spec.c", "z");
        found.push("[0]", "w");
        let nested = found.nested("spec");
        assert_eq!(nested.to_string(), "spec.a: x; spec: y; spec.c: z; spec[0]: w");
        assert_eq!(nested.iter().count(), 4);
        assert!(nested.into_result().is_err() && Violations::none().into_result().is_ok());
    }
}
