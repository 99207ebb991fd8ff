//! What a call's end means for the queue: a pure function.

use std::time::Duration;

use roa_core::{Action, Error, ReconcileError};

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
    /// It is left alone until the object changes, and people are told: reason and message.
    GiveUp(&'static str, String),
}

impl Ended {
    /// What went wrong, if anything did that the next look alone does not mend: in a word, and in a sentence.
    pub(super) fn trouble(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Returned(Ok(_)) | Self::Cancelled => None,
            Self::Returned(Err(ReconcileError::Resource(
                Error::Conflict { .. } | Error::NotFound { .. } | Error::Fenced(_),
            ))) => None,
            Self::Returned(Err(error)) => Some((error.reason(), error.to_string())),
            Self::TimedOut(limit) => Some(("TimedOut", format!("took longer than {limit:?}"))),
            Self::Panicked(message) => Some(("Panicked", message.clone())),
        }
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
    /// Calls in a row that failed before this one.
    pub(super) failures: u32,
    pub(super) max_retries: u32,
    /// Calls in a row that panicked, with this one.
    pub(super) panics: u32,
    pub(super) max_panics: u32,
}

/// What happens after a call that ended so.
pub(super) fn judge(ended: Ended, record: Record) -> Verdict {
    let (reason, message, retryable) = match ended {
        Ended::Returned(Ok(Action::Done)) => return Verdict::Continue(Outcome::Done),
        Ended::Returned(Ok(Action::Requeue)) => return Verdict::Continue(Outcome::Requeue),
        Ended::Returned(Ok(Action::RequeueAfter(delay))) => return Verdict::Continue(Outcome::RequeueAfter(delay)),
        Ended::Returned(Err(ReconcileError::Deferred { after, .. })) => {
            return Verdict::Continue(Outcome::Defer(after));
        }
        Ended::Cancelled => return Verdict::Continue(Outcome::Failed),
        // Somebody else wrote first: with the next look at the object all is well.
        Ended::Returned(Err(ReconcileError::Resource(Error::Conflict { .. }))) => {
            return Verdict::Continue(Outcome::Requeue);
        }
        // The object is gone, or this process may not write any more: whoever may will see to it.
        Ended::Returned(Err(ReconcileError::Resource(Error::NotFound { .. } | Error::Fenced(_)))) => {
            return Verdict::Continue(Outcome::Drop);
        }
        Ended::Returned(Err(error)) => (error.reason(), error.to_string(), error.is_retryable()),
        Ended::TimedOut(limit) => ("TimedOut", format!("took longer than {limit:?}"), true),
        Ended::Panicked(message) if record.panics >= record.max_panics.max(1) => {
            return Verdict::GiveUp(QUARANTINED, format!("panicked {} times in a row: {message}", record.panics));
        }
        Ended::Panicked(message) => ("Panicked", message, true),
    };
    if retryable && record.failures < record.max_retries {
        Verdict::Continue(Outcome::Failed)
    } else {
        Verdict::GiveUp(reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{Fence, Key};

    fn failed(error: impl Into<ReconcileError>) -> Ended {
        Ended::Returned(Err(error.into()))
    }

    const fn after(failures: u32) -> Record {
        Record { failures, max_retries: 3, panics: 1, max_panics: 3 }
    }

    #[test]
    fn c11_panics_in_a_row_put_an_object_into_quarantine() {
        let panicked = |panics| judge(Ended::Panicked("boom".into()), Record { panics, ..after(0) });
        assert_eq!([1, 2].map(panicked), [(); 2].map(|()| Verdict::Continue(Outcome::Failed)));
        assert_eq!(panicked(3), Verdict::GiveUp(QUARANTINED, "panicked 3 times in a row: boom".into()));
    }

    #[test]
    fn what_waits_for_a_dependency_is_never_given_up() {
        let (reason, message, wait) = ("DependencyDown", String::new(), Duration::from_secs(7));
        let deferred = failed(ReconcileError::Deferred { reason, message, after: wait });
        assert_eq!(
            (deferred.label(), judge(deferred, after(99))),
            ("deferred", Verdict::Continue(Outcome::Defer(wait)))
        );
    }

    #[test]
    fn c7_failures_are_tried_again_until_the_last_retry() {
        let transient = || ReconcileError::Transient { reason: "Down", message: "no answer".into() };
        assert_eq!(judge(failed(transient()), after(2)), Verdict::Continue(Outcome::Failed));
        let last = judge(failed(transient()), after(3));
        assert_eq!(last, Verdict::GiveUp("Down", "Down: no answer".into()));
        assert!(matches!(judge(Ended::Panicked("boom".into()), after(3)), Verdict::GiveUp("Panicked", _)));
        assert!(matches!(judge(Ended::TimedOut(Duration::ZERO), after(0)), Verdict::Continue(Outcome::Failed)));
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        let permanent = ReconcileError::Permanent { reason: "Bad", message: "spec".into() };
        assert!(matches!(judge(failed(permanent), after(0)), Verdict::GiveUp("Bad", _)));
        let key = Key::system("leases", "labs").unwrap();
        let fenced = Error::Fenced(Fence::Ownership { key: key.clone() });
        assert_eq!(judge(failed(fenced), after(0)), Verdict::Continue(Outcome::Drop));
        assert_eq!(judge(failed(Error::NotFound { key }), after(0)), Verdict::Continue(Outcome::Drop));
    }
}
