//! [`enum@Error`]: what any operation on resources can answer. [`CommitError`]: what a store answers to a commit.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::{Epoch, Key, KeyError, Revision, RevisionError, TransitionError, TxnError, TxnId, Violations};

/// The result of an operation on a store or on resources.
///
/// ```
/// # use roa_core::{Result, Store};
/// async fn is_there(store: &dyn Store, key: &roa_core::Key) -> Result<bool> {
///     Ok(store.get(key).await?.entry.is_some())
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms that a caller can act on. [`Error::advice`] says how.
///
/// ```
/// use roa_core::{Advice, Error};
/// let error = Error::unavailable("the disk is full");
/// assert_eq!((error.reason(), error.advice()), ("Unavailable", Advice::RetryLater));
/// ```
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such object.
    #[error("{key} not found")]
    NotFound {
        /// Which.
        key: Key,
    },
    /// There is such an object already.
    #[error("{key} already exists")]
    AlreadyExists {
        /// Which.
        key: Key,
    },
    /// The object has changed since it was read, or is another one of the same name.
    #[error("{key} has changed: {expected}, {}", Found(*current))]
    Conflict {
        /// Which.
        key: Key,
        /// What the caller counted on, in words.
        expected: Expected,
        /// Its revision now; `None` if it is gone.
        current: Option<Revision>,
    },
    /// That revision is no longer kept.
    #[error("revision is no longer kept: the log begins after {floor}, the head is {head}; list again")]
    Expired {
        /// The oldest revision that can be resumed after.
        floor: Revision,
        /// The newest revision.
        head: Revision,
    },
    /// That revision has not been reached.
    #[error("revision {requested} has not been reached, the head is {head}")]
    TooLarge {
        /// What was asked for.
        requested: Revision,
        /// The newest revision.
        head: Revision,
    },
    /// The namespace is being deleted: nothing is created in it.
    #[error("namespace {namespace} is being deleted, nothing can be created in it")]
    NamespaceTerminating {
        /// Which.
        namespace: Arc<str>,
    },
    /// The caller no longer owns what it wrote as, or the store's history was broken since it looked. Never retried.
    #[error("write refused: {0}")]
    Fenced(Fence),
    /// It may have happened or not. Never retried blindly: read first.
    #[error("transaction {txn} may or may not have been committed: {reason}")]
    Ambiguous {
        /// The transaction, to be recognised when read back.
        txn: TxnId,
        /// What happened on the way.
        reason: Arc<str>,
    },
    /// What was asked for breaks rules: all that were found.
    #[error("{subject} is invalid: {violations}")]
    Invalid {
        /// Which object or request.
        subject: Arc<str>,
        /// Each reason.
        violations: Violations,
    },
    /// A change of state that the kind's state machine does not allow.
    #[error("{key}: {source}")]
    Transition {
        /// Whose state.
        key: Key,
        /// Which change, and what would be allowed.
        source: TransitionError,
    },
    /// A list in a unit of work, where only single objects can be read: one that comes later could not be noticed.
    #[error("list {resource}: not possible in a unit of work, which reads single objects alone")]
    ListInUnit {
        /// What was listed.
        resource: Arc<str>,
    },
    /// No such kind is registered.
    #[error("kind {kind} is not registered{}", hint(known))]
    UnknownKind {
        /// What was asked for.
        kind: Arc<str>,
        /// What there is.
        known: Vec<Arc<str>>,
    },
    /// It certainly did not happen, and may work later.
    #[error("store is unavailable: {reason}")]
    Unavailable {
        /// Why.
        reason: Arc<str>,
    },
    /// What is stored can't be read.
    #[error("stored data is corrupt: {reason}")]
    Corrupt {
        /// What, where.
        reason: Arc<str>,
    },
}

/// What a caller can do about an [`enum@Error`].
///
/// ```
/// # use roa_core::{Advice, Error};
/// fn shall_i_wait(error: &Error) -> bool {
///     error.advice() == Advice::RetryLater
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Nothing: the request itself is wrong, or no longer allowed.
    GiveUp,
    /// Read again and decide anew.
    Reread,
    /// The same again, later.
    RetryLater,
}

impl Error {
    /// What a caller can do about it.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::Conflict { .. } | Self::AlreadyExists { .. } | Self::Ambiguous { .. } | Self::Expired { .. } => {
                Advice::Reread
            }
            Self::Unavailable { .. } | Self::TooLarge { .. } => Advice::RetryLater,
            _ => Advice::GiveUp,
        }
    }

    /// A short stable word for metrics and conditions, such as `Conflict`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NotFound",
            Self::AlreadyExists { .. } => "AlreadyExists",
            Self::Conflict { .. } => "Conflict",
            Self::Expired { .. } => "Expired",
            Self::TooLarge { .. } => "TooLarge",
            Self::NamespaceTerminating { .. } => "NamespaceTerminating",
            Self::Fenced(_) => "Fenced",
            Self::Ambiguous { .. } => "Ambiguous",
            Self::Invalid { .. } => "Invalid",
            Self::Transition { .. } => "IllegalTransition",
            Self::ListInUnit { .. } => "ListInUnit",
            Self::UnknownKind { .. } => "UnknownKind",
            Self::Unavailable { .. } => "Unavailable",
            Self::Corrupt { .. } => "Corrupt",
        }
    }

    /// An [`Error::Invalid`] about `subject`.
    pub fn invalid(subject: impl Into<Arc<str>>, violations: Violations) -> Self {
        Self::Invalid { subject: subject.into(), violations }
    }

    /// An [`Error::Unavailable`].
    pub fn unavailable(reason: impl Into<Arc<str>>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    /// An [`Error::Corrupt`].
    pub fn corrupt(reason: impl Into<Arc<str>>) -> Self {
        Self::Corrupt { reason: reason.into() }
    }
}

/// What a caller counted on when it got a [`Error::Conflict`].
///
/// ```
/// use roa_core::{Expected, Revision};
/// let expected = Expected::Revision(Revision::new(7)?);
/// assert!(expected.to_string().contains('7'));
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// The object at a revision.
    Revision(Revision),
    /// The object with another uid.
    OtherUid,
    /// No object.
    Absent,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revision(revision) => write!(f, "expected revision {revision}"),
            Self::OtherUid => f.write_str("expected another uid"),
            Self::Absent => f.write_str("expected it to be absent"),
        }
    }
}

/// Which fence refused a write.
///
/// ```
/// # use roa_core::{Error, Fence};
/// fn is_anothers(error: &Error) -> bool {
///     matches!(error, Error::Fenced(Fence::Ownership { .. }))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fence {
    /// The writer's ownership key has moved: somebody else owns it now.
    Ownership {
        /// The ownership key.
        key: Key,
    },
    /// The store's history was broken since the writer looked.
    Epoch {
        /// The store's epoch now.
        current: Epoch,
    },
    /// The writer did not renew in time what it owned, or gave it up. The write was not sent.
    Lapsed,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ownership { key } => write!(f, "{key} is no longer owned by this process"),
            Self::Epoch { current } => write!(f, "the store is in epoch {current} now"),
            Self::Lapsed => f.write_str("this process no longer counts as the owner"),
        }
    }
}

struct Found(Option<Revision>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(revision) => write!(f, "found revision {revision}"),
            None => f.write_str("found nothing"),
        }
    }
}

fn hint(known: &[Arc<str>]) -> String {
    if known.is_empty() { String::new() } else { format!("; expected one of {}", known.join(", ")) }
}

/// What a store answers to a commit that did not, or not surely, happen.
///
/// ```
/// # use roa_core::CommitError;
/// /// Whether the same transaction may be sent again as it is.
/// fn may_repeat(error: &CommitError) -> bool {
///     matches!(error, CommitError::Unavailable { .. })
/// }
/// ```
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A write's expectation does not hold. Nothing changed.
    #[error("{key} is not as expected, {}", Found(*current))]
    Conflict {
        /// The first such write's key.
        key: Key,
        /// Its revision now; `None` if absent.
        current: Option<Revision>,
    },
    /// A guard does not hold. Nothing changed.
    #[error("guard on {key} does not hold, {}", Found(*current))]
    GuardFailed {
        /// The first such guard's key.
        key: Key,
        /// Its revision now; `None` if absent.
        current: Option<Revision>,
    },
    /// The store is in another epoch. Nothing changed.
    #[error("the store is in epoch {current} now")]
    Fenced {
        /// The store's epoch now.
        current: Epoch,
    },
    /// It may have happened or not.
    #[error("transaction {txn} may or may not have been committed: {reason}")]
    Ambiguous {
        /// The transaction.
        txn: TxnId,
        /// What happened on the way.
        reason: Arc<str>,
    },
    /// The transaction breaks a limit. Nothing was sent.
    #[error(transparent)]
    Invalid(#[from] TxnError),
    /// The store has no further revision. Nothing changed.
    #[error(transparent)]
    Exhausted(#[from] RevisionError),
    /// It certainly did not happen, and may work later.
    #[error("store is unavailable: {reason}")]
    Unavailable {
        /// Why.
        reason: Arc<str>,
    },
}

impl CommitError {
    /// A short stable word for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "Conflict",
            Self::GuardFailed { .. } => "GuardFailed",
            Self::Fenced { .. } => "Fenced",
            Self::Ambiguous { .. } => "Ambiguous",
            Self::Invalid(_) => "Invalid",
            Self::Exhausted(_) => "Exhausted",
            Self::Unavailable { .. } => "Unavailable",
        }
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::invalid("key", Violations::one("", error.to_string()))
    }
}

impl From<TxnError> for Error {
    fn from(error: TxnError) -> Self {
        Self::invalid("transaction", Violations::one("", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_object_and_what_was_expected() {
        let key = Key::new("lab.example.com", "labs", "school", "one").unwrap();
        let revision = Revision::new(5).unwrap();
        let conflict = Error::Conflict { key, expected: Expected::Revision(revision), current: None };
        assert_eq!(
            conflict.to_string(),
            "labs.lab.example.com/school/one has changed: expected revision 5, found nothing"
        );
        assert_eq!((conflict.advice(), conflict.reason()), (Advice::Reread, "Conflict"));
    }

    #[test]
    fn s5_only_what_certainly_did_not_happen_is_retried_as_it_is() {
        let lost = Error::Ambiguous { txn: TxnId::none(), reason: "reply lost".into() };
        assert_eq!(lost.advice(), Advice::Reread);
        assert_eq!(Error::unavailable("refused").advice(), Advice::RetryLater);
    }
}
