//! [`CaseFailure`]: what was expected and what was seen instead. [`ensure`]: how cases say so.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{CommitError, Error, TailEnd};
use thiserror::Error;

use crate::FactoryError;

/// How a case ends.
pub type Outcome<T = ()> = Result<T, CaseFailure>;

/// Why a case failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum CaseFailure {
    /// Two things that must be the same are not.
    #[error("{what}: expected {expected}, saw {seen} (at {at})")]
    Differs {
        /// What was compared.
        what: String,
        /// What it must be.
        expected: String,
        /// What it was.
        seen: String,
        /// Where in the suite.
        at: &'static Location<'static>,
    },
    /// Something that must hold does not.
    #[error("expected {expected}, saw {seen} (at {at})")]
    Broken {
        /// What must hold.
        expected: String,
        /// What was seen instead.
        seen: String,
        /// Where in the suite.
        at: &'static Location<'static>,
    },
    /// A commit that must go through did not.
    #[error("commit of {what}: {error}")]
    Commit {
        /// What it was to write.
        what: String,
        /// What the store answered.
        error: Arc<CommitError>,
    },
    /// Another call that must succeed did not.
    #[error("{doing}: {error}")]
    Store {
        /// Which call.
        doing: String,
        /// What the store or the hub answered.
        error: Arc<Error>,
    },
    /// A change feed or a watch ended that must go on.
    #[error("{what} ended: {end}")]
    Ended {
        /// Which.
        what: String,
        /// With which reason.
        end: TailEnd,
    },
    /// A change feed or a watch ended without a reason.
    #[error("{what} ended without a reason")]
    EndedSilently {
        /// Which.
        what: String,
    },
    /// Something that must happen did not in time.
    #[error("{what}: not within {limit:?}")]
    TimedOut {
        /// What.
        what: String,
        /// How long was waited for it.
        limit: Duration,
    },
    /// The factory could not make what the case needs.
    #[error(transparent)]
    Factory(#[from] FactoryError),
    /// The case panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The case as a whole did not end in time.
    #[error("still running after {0:?}")]
    Hung(Duration),
}

impl CaseFailure {
    /// Whether it is only that something did not happen in time.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Hung(_))
    }
}

/// What cases check. Each check names what it looked at, so that a failure can be understood without the source.
pub(crate) mod ensure {
    use std::fmt::Debug;
    use std::panic::Location;
    use std::sync::Arc;

    use roa_core::{Entry, Revision};

    use super::{CaseFailure, Outcome};

    /// How much of a value a failure shows.
    const SHOWN: usize = 600;

    /// `seen` is what it must be.
    #[expect(clippy::needless_pass_by_value, reason = "what is compared is often made for it")]
    #[track_caller]
    pub(crate) fn equal<T: Debug + PartialEq>(what: &str, seen: T, expected: T) -> Outcome {
        if seen == expected {
            return Ok(());
        }
        let (expected, seen, at) = (show(&expected), show(&seen), Location::caller());
        Err(CaseFailure::Differs { what: what.to_owned(), expected, seen, at })
    }

    /// What `expected` says holds.
    #[track_caller]
    pub(crate) fn that(expected: &str, holds: bool, seen: &dyn Debug) -> Outcome {
        if holds { Ok(()) } else { Err(broken(expected, seen)) }
    }

    /// The failure of something that must hold.
    #[track_caller]
    pub(crate) fn broken(expected: &str, seen: &dyn Debug) -> CaseFailure {
        CaseFailure::Broken { expected: expected.to_owned(), seen: show(seen), at: Location::caller() }
    }

    /// There is an entry, and it has a revision and a value.
    #[track_caller]
    pub(crate) fn entry(what: &str, seen: Option<&Arc<Entry>>, revision: Revision, value: &str) -> Outcome {
        let seen = seen.map(|entry| (entry.revision, String::from_utf8_lossy(&entry.value.bytes).into_owned()));
        equal(what, seen, Some((revision, value.to_owned())))
    }

    fn show(value: &dyn Debug) -> String {
        let whole = format!("{value:?}");
        match whole.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{} ...", whole.get(..end).unwrap_or_default()),
            None => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_expected_and_what_was_seen() {
        let failure = ensure::equal("head", 3, 2).unwrap_err();
        assert!(failure.to_string().starts_with("head: expected 2, saw 3 (at "), "{failure}");
        let failure = ensure::that("a conflict", false, &"nothing").unwrap_err();
        assert!(failure.to_string().starts_with("expected a conflict, saw \"nothing\" (at "), "{failure}");
        assert!(ensure::equal("head", 2, 2).is_ok() && ensure::that("a conflict", true, &0).is_ok());
    }

    #[test]
    fn a_long_value_is_shown_in_part() {
        let failure = ensure::equal("list", vec![0; 10_000], vec![]).unwrap_err();
        assert!(failure.to_string().len() < 1_000);
    }

    #[test]
    fn only_waiting_in_vain_is_a_timeout() {
        assert!(CaseFailure::Hung(Duration::ZERO).is_timeout());
        assert!(!CaseFailure::Panicked("boom".into()).is_timeout());
    }
}
