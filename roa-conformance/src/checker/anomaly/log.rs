//! [`LogAnomaly`]: logs that a correct store can't have.

use std::sync::Arc;

use roa_core::{Entry, Key, Revision, TxnId};
use thiserror::Error;

use super::Brief;

/// A log that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogAnomaly {
    /// Another revision than the next, without a declared jump (S1).
    #[error("log: revision {found} comes after {previous}")]
    NotDense {
        /// The revision before.
        previous: Revision,
        /// What came.
        found: Revision,
    },
    /// A batch that names another predecessor than the one before it (W18).
    #[error("log: revision {revision} names {found} as its predecessor, expected {expected}")]
    Chain {
        /// Which batch.
        revision: Revision,
        /// The transaction before it.
        expected: TxnId,
        /// What it names.
        found: TxnId,
    },
    /// A batch without changes.
    #[error("log: revision {revision} changes nothing")]
    Empty {
        /// Which batch.
        revision: Revision,
    },
    /// A key that one batch changes twice (S4).
    #[error("log: revision {revision} changes {key} twice")]
    DuplicateKey {
        /// Which batch.
        revision: Revision,
        /// Which key.
        key: Key,
    },
    /// A change whose `previous` is not what the batches before it left (W13).
    #[error("log: revision {revision} says that {key} was {}, expected {}", Brief(found), Brief(expected))]
    WrongPrevious {
        /// Which batch.
        revision: Revision,
        /// Which key.
        key: Key,
        /// What the batches before it left.
        expected: Option<Arc<Entry>>,
        /// What it says.
        found: Option<Arc<Entry>>,
    },
    /// An entry whose revision, creation, version or transaction does not follow from the batches before it (S9).
    #[error("log: revision {revision} writes {key} as {}, expected {}", Brief(found), Brief(expected))]
    WrongEntry {
        /// Which batch.
        revision: Revision,
        /// Which key.
        key: Key,
        /// What follows from the batches before it.
        expected: Option<Arc<Entry>>,
        /// What it says.
        found: Option<Arc<Entry>>,
    },
    /// What was written before a jump is not there after it, though the store does not allow itself that (S14).
    #[error("log: after the jump to {revision} {key} is {}, expected {}", Brief(found), Brief(expected))]
    LostAtJump {
        /// The head after the jump.
        revision: Revision,
        /// Which key.
        key: Key,
        /// What it was before.
        expected: Option<Arc<Entry>>,
        /// What it is after.
        found: Option<Arc<Entry>>,
    },
}
