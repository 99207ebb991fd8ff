//! [`MemoryError`]: why this store refuses a request, before it is put in the terms of the contract.

use roa_core::{CommitError, Error, Revision, TailEnd, Violations};
use thiserror::Error;

/// Why a read, a feed or a compaction is refused. Commits are refused with [`CommitError`]s of their own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum MemoryError {
    #[error("the memory store was closed")]
    Closed,
    #[error("the log begins after {floor}, the head is {head}")]
    Expired { floor: Revision, head: Revision },
    #[error("revision {requested} has not been reached, the head is {head}")]
    TooLarge { requested: Revision, head: Revision },
    #[error("expected the latest, an exact or a least revision")]
    UnknownAt,
}

impl From<MemoryError> for Error {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Closed => Self::unavailable(error.to_string()),
            MemoryError::Expired { floor, head } => Self::Expired { floor, head },
            MemoryError::TooLarge { requested, head } => Self::TooLarge { requested, head },
            MemoryError::UnknownAt => Self::invalid("list request", Violations::one("at", error.to_string())),
        }
    }
}

impl From<MemoryError> for CommitError {
    fn from(error: MemoryError) -> Self {
        Self::Unavailable { reason: error.to_string().into() }
    }
}

impl From<MemoryError> for TailEnd {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Closed => Self::Closed,
            MemoryError::Expired { floor, head } => Self::Expired { floor, head },
            other => Self::Failed(Error::from(other).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(value: u64) -> Revision {
        Revision::new(value).unwrap()
    }

    #[test]
    fn w7_w9_a_feed_ends_with_the_reason_of_the_contract() {
        let expired = MemoryError::Expired { floor: revision(3), head: revision(9) };
        assert!(matches!(TailEnd::from(expired.clone()), TailEnd::Expired { floor, head } if floor < head));
        assert!(matches!(TailEnd::from(MemoryError::Closed), TailEnd::Closed));
        assert_eq!(Error::from(expired).reason(), "Expired");
    }

    #[test]
    fn s5_a_closed_store_certainly_did_nothing() {
        assert_eq!(CommitError::from(MemoryError::Closed).reason(), "Unavailable");
        assert_eq!(Error::from(MemoryError::Closed).reason(), "Unavailable");
        assert_eq!(Error::from(MemoryError::UnknownAt).reason(), "Invalid");
    }
}
