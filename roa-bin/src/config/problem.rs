//! [`Problems`]: all that is wrong with the configuration, at once.

use std::fmt;

use super::setting::Source;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where it stands; `None` if no single place is at fault.
    pub(crate) source: Option<Source>,
    /// Which key; `None` if the whole source is at fault.
    pub(crate) key: Option<String>,
    /// What is wrong and what was expected.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// A problem with the value of `key`.
    pub(super) fn with_key(source: Option<Source>, key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { source, key: Some(key.into()), reason: reason.into(), hint: None }
    }

    /// A problem with a whole source.
    pub(super) fn with_source(source: Source, reason: impl Into<String>) -> Self {
        Self { source: Some(source), key: None, reason: reason.into(), hint: None }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub(super) fn hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// All that is wrong with a configuration, in the order of the sources.
#[derive(Debug, thiserror::Error)]
#[error("configuration is invalid: {}", Joined(.0))]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

struct Joined<'a>(&'a [Problem]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_in_the_message() {
        let source = Source::Flag("--data-dir");
        let problems = Problems(vec![
            Problem::with_key(Some(source.clone()), "data_dir", "expected a path"),
            Problem::with_source(source, "unreadable").hint(Some("read it".into())),
            Problem::with_key(None, "lease.duration", "too short"),
        ]);
        assert_eq!(
            problems.to_string(),
            "configuration is invalid: flag --data-dir: data_dir: expected a path; flag --data-dir: unreadable; \
             lease.duration: too short"
        );
    }
}
