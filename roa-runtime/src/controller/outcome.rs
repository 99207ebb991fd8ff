//! What a call's end means for the queue: a pure function.

use std::time::Duration;

use roa_core::{Action, Error, Key, ReconcileError};

use crate::Outcome;

/// How a call ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It returned.
    Returned(Result<Action, ReconcileError>),
    /// It took longer than it may.
    TimedOut(Duration),
    /// It panicked.
    Panicked(String),
    /// The worker was told to stop.
    Cancelled,
}

/// The reason of an object that was given up because its calls panicked.
pub(super) const QUARANTINED: &str = "Quarantined";

/// What happens next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As the queue says.
    Continue(Outcome),
    /// It is left alone until the object changes, and people are told.
    GiveUp(Failure),
}

/// What went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// In a word.
    pub(super) reason: &'static str,
    /// In a sentence.
    pub(super) message: String,
    /// Whether the same again may help.
    pub(super) passing: bool,
}

impl Ended {
    /// What went wrong with the object of this key, if anything did that the next look alone does not mend: in a word, and
    /// in a sentence.
    pub(super) fn trouble(&self, key: &Key) -> Option<(&'static str, String)> {
        match self {
            Self::Returned(Ok(_)) | Self::Cancelled => None,
            Self::Returned(Err(ReconcileError::Resource(Error::Conflict { .. } | Error::Fenced(_)))) => None,
            Self::Returned(Err(ReconcileError::Resource(Error::NotFound { key: missing }))) if missing == key => None,
            Self::Returned(Err(error)) => Some((error.reason(), error.to_string())),
            Self::TimedOut(limit) => Some(("TimedOut", format!("took longer than {limit:?}"))),
            Self::Panicked(message) => Some(("Panicked", message.clone())),
        }
    }

    pub(super) const fn is_success(&self) -> bool {
        matches!(self, Self::Returned(Ok(_)))
    }

    /// Whether it failed through no fault of the object: the store, or this process's view of it, is not as it should be.
    pub(super) const fn is_the_stores(&self) -> bool {
        matches!(self, Self::Returned(Err(ReconcileError::Resource(error))) if is_the_stores(error))
    }

    /// A word for metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Returned(Ok(Action::Done)) => "success",
            Self::Returned(Ok(Action::Requeue)) => "requeue",
            Self::Returned(Ok(Action::RequeueAfter(_))) => "requeue_after",
            Self::Returned(Err(ReconcileError::Deferred { .. })) => "deferred",
            Self::Returned(Err(_)) => "error",
            Self::TimedOut(_) => "timeout",
            Self::Panicked(_) => "panic",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How often it went wrong, and how often it may.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// Calls in a row that failed before this one, those left out that were the store's failures.
    pub(super) failures: u32,
    pub(super) max_retries: u32,
    /// Calls in a row that panicked, with this one.
    pub(super) panics: u32,
    pub(super) max_panics: u32,
}

/// What happens after a call for this key that ended so.
pub(super) fn judge(ended: Ended, key: &Key, record: Record) -> Verdict {
    let failure = match ended {
        Ended::Returned(Ok(Action::Done)) => return Verdict::Continue(Outcome::Done),
        Ended::Returned(Ok(Action::Requeue)) => return Verdict::Continue(Outcome::Requeue),
        Ended::Returned(Ok(Action::RequeueAfter(delay))) => return Verdict::Continue(Outcome::RequeueAfter(delay)),
        Ended::Returned(Err(ReconcileError::Deferred { after, .. })) => {
            return Verdict::Continue(Outcome::Defer(after));
        }
        Ended::Cancelled => return Verdict::Continue(Outcome::Failed),
        Ended::Returned(Err(ReconcileError::Resource(error))) => match of_resources(&error, key) {
            Some(outcome) => return Verdict::Continue(outcome),
            None => Failure::of(&error.into()),
        },
        Ended::Returned(Err(error)) => Failure::of(&error),
        Ended::TimedOut(limit) => {
            Failure { reason: "TimedOut", message: format!("took longer than {limit:?}"), passing: true }
        }
        Ended::Panicked(message) if record.panics >= record.max_panics.max(1) => {
            let message = format!("panicked {} times in a row: {message}", record.panics);
            Failure { reason: QUARANTINED, message, passing: false }
        }
        Ended::Panicked(message) => Failure { reason: "Panicked", message, passing: true },
    };
    if failure.passing && record.failures < record.max_retries {
        Verdict::Continue(Outcome::Failed)
    } else {
        Verdict::GiveUp(failure)
    }
}

/// What follows from an error that says nothing against the object, however often it comes.
fn of_resources(error: &Error, key: &Key) -> Option<Outcome> {
    match error {
        // Somebody else wrote first: with the next look at the object all is well.
        Error::Conflict { .. } => Some(Outcome::Requeue),
        // The object itself is gone. Another that is missing may come.
        Error::NotFound { key: missing } => (missing == key).then_some(Outcome::Drop),
        // This process may not write any more: whoever may will see to it.
        Error::Fenced(_) => Some(Outcome::Drop),
        // Nothing in the object will change when the store is well again, so nothing but another try would help.
        error if is_the_stores(error) => Some(Outcome::Failed),
        _ => None,
    }
}

const fn is_the_stores(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable { .. } | Error::Ambiguous { .. } | Error::TooLarge { .. } | Error::Expired { .. }
    )
}

impl Failure {
    fn of(error: &ReconcileError) -> Self {
        Self { reason: error.reason(), message: error.to_string(), passing: error.is_retryable() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{Fence, Key};

    fn failed(error: impl Into<ReconcileError>) -> Ended {
        Ended::Returned(Err(error.into()))
    }

    fn named(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    fn judged(ended: Ended, record: Record) -> Verdict {
        judge(ended, &named("a"), record)
    }

    fn given_up(reason: &'static str, message: &str, passing: bool) -> Verdict {
        Verdict::GiveUp(Failure { reason, message: message.to_owned(), passing })
    }

    const fn after(failures: u32) -> Record {
        Record { failures, max_retries: 3, panics: 1, max_panics: 3 }
    }

    #[test]
    fn c11_panics_in_a_row_put_an_object_into_quarantine() {
        let panicked = |panics| judged(Ended::Panicked("boom".into()), Record { panics, ..after(0) });
        assert_eq!([1, 2].map(panicked), [(); 2].map(|()| Verdict::Continue(Outcome::Failed)));
        assert_eq!(panicked(3), given_up(QUARANTINED, "panicked 3 times in a row: boom", false));
    }

    #[test]
    fn what_waits_for_a_dependency_is_never_given_up() {
        let (reason, message, wait) = ("DependencyDown", String::new(), Duration::from_secs(7));
        let deferred = failed(ReconcileError::Deferred { reason, message, after: wait });
        assert_eq!(
            (deferred.label(), judged(deferred, after(99))),
            ("deferred", Verdict::Continue(Outcome::Defer(wait)))
        );
    }

    #[test]
    fn c7_failures_are_tried_again_until_the_last_retry() {
        let transient = || ReconcileError::Transient { reason: "Down", message: "no answer".into() };
        assert_eq!(judged(failed(transient()), after(2)), Verdict::Continue(Outcome::Failed));
        assert_eq!(judged(failed(transient()), after(3)), given_up("Down", "Down: no answer", true));
        assert_eq!(judged(Ended::Panicked("boom".into()), after(3)), given_up("Panicked", "boom", true));
        assert_eq!(judged(Ended::TimedOut(Duration::ZERO), after(0)), Verdict::Continue(Outcome::Failed));
    }

    #[test]
    fn c7_what_the_store_cannot_do_now_is_never_given_up() {
        assert_eq!(judged(failed(Error::unavailable("down")), after(99)), Verdict::Continue(Outcome::Failed));
        let corrupt = Error::corrupt("nonsense");
        assert_eq!(judged(failed(corrupt), after(3)), given_up("Corrupt", "stored data is corrupt: nonsense", true));
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        let permanent = ReconcileError::Permanent { reason: "Bad", message: "spec".into() };
        assert_eq!(judged(failed(permanent), after(0)), given_up("Bad", "Bad: spec", false));
        let fenced = Error::Fenced(Fence::Ownership { key: Key::system("leases", "labs").unwrap() });
        assert_eq!(judged(failed(fenced), after(0)), Verdict::Continue(Outcome::Drop));
        assert_eq!(judged(failed(Error::NotFound { key: named("a") }), after(0)), Verdict::Continue(Outcome::Drop));
    }

    #[test]
    fn c7_that_another_object_is_missing_is_a_failure_and_is_told() {
        let missing = || failed(Error::NotFound { key: named("b") });
        assert_eq!(judged(missing(), after(0)), Verdict::Continue(Outcome::Failed));
        assert!(matches!(judged(missing(), after(3)), Verdict::GiveUp(Failure { reason: "NotFound", .. })));
        let told = |name| missing().trouble(&named(name)).map(|(reason, _)| reason);
        assert_eq!((told("a"), told("b")), (Some("NotFound"), None));
    }
}
