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

/// What happens next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As the queue says.
    Continue(Outcome),
    /// It is left alone until the object changes, and people are told: reason and message.
    GiveUp(&'static str, String),
}

impl Ended {
    /// A word for metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Returned(Ok(Action::Done)) => "success",
            Self::Returned(Ok(Action::Requeue)) => "requeue",
            Self::Returned(Ok(Action::RequeueAfter(_))) => "requeue_after",
            Self::Returned(Err(_)) => "error",
            Self::TimedOut(_) => "timeout",
            Self::Panicked(_) => "panic",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What happens after a call that ended so, when `failures` calls in a row had failed before.
pub(super) fn judge(ended: Ended, failures: u32, max_retries: u32) -> Verdict {
    let (reason, message, retryable) = match ended {
        Ended::Returned(Ok(Action::Done)) => return Verdict::Continue(Outcome::Done),
        Ended::Returned(Ok(Action::Requeue)) => return Verdict::Continue(Outcome::Requeue),
        Ended::Returned(Ok(Action::RequeueAfter(delay))) => return Verdict::Continue(Outcome::RequeueAfter(delay)),
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
        Ended::Panicked(message) => ("Panicked", message, true),
    };
    if retryable && failures < max_retries {
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

    #[test]
    fn c7_failures_are_tried_again_until_the_last_retry() {
        let transient = || ReconcileError::Transient { reason: "Down", message: "no answer".into() };
        assert_eq!(judge(failed(transient()), 2, 3), Verdict::Continue(Outcome::Failed));
        let last = judge(failed(transient()), 3, 3);
        assert_eq!(last, Verdict::GiveUp("Down", "Down: no answer".into()));
        assert!(matches!(judge(Ended::Panicked("boom".into()), 3, 3), Verdict::GiveUp("Panicked", _)));
        assert!(matches!(judge(Ended::TimedOut(Duration::ZERO), 0, 3), Verdict::Continue(Outcome::Failed)));
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        let permanent = ReconcileError::Permanent { reason: "Bad", message: "spec".into() };
        assert!(matches!(judge(failed(permanent), 0, 3), Verdict::GiveUp("Bad", _)));
        let key = Key::system("leases", "labs").unwrap();
        let fenced = Error::Fenced(Fence::Ownership { key: key.clone() });
        assert_eq!(judge(failed(fenced), 0, 3), Verdict::Continue(Outcome::Drop));
        assert_eq!(judge(failed(Error::NotFound { key }), 0, 3), Verdict::Continue(Outcome::Drop));
    }
}
