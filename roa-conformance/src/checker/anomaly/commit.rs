//! [`CommitAnomaly`]: answers to commits that a correct store can't give.

use roa_core::{Change, Epoch, Expect, Key, Op, Revision, TxnId};
use thiserror::Error;

use super::{At, Earlier, Site};

/// The answer to a commit that contradicts the log or real time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitAnomaly {
    /// Two commits were acknowledged with one revision (S1).
    #[error("{first} and {second} were both acknowledged as revision {revision}")]
    DuplicateRevision {
        /// Which revision.
        revision: Revision,
        /// One.
        first: Site,
        /// The other.
        second: Site,
    },
    /// Two operations have one transaction id: the history can't be judged.
    #[error("{first} and {second} both committed {txn}")]
    ReusedTxn {
        /// Which id.
        txn: TxnId,
        /// One.
        first: Site,
        /// The other.
        second: Site,
    },
    /// A commit was acknowledged, but the log lacks it (S2, S6).
    #[error("{site} was acknowledged as revision {revision}, but {txn} is not in the log")]
    Lost {
        /// Whose.
        site: Site,
        /// The acknowledged revision.
        revision: Revision,
        /// The transaction.
        txn: TxnId,
    },
    /// A commit was acknowledged with another revision than the log has (S1).
    #[error("{site} was acknowledged as revision {acknowledged}, but the log has it at {logged}")]
    OtherRevision {
        /// Whose.
        site: Site,
        /// What was answered.
        acknowledged: Revision,
        /// What is in the log.
        logged: Revision,
    },
    /// One transaction is in the log twice (S5).
    #[error("{site} is in the log at revision {first} and again at {second}")]
    AppliedTwice {
        /// Whose.
        site: Site,
        /// One place.
        first: Revision,
        /// The other.
        second: Revision,
    },
    /// A commit was answered as certainly not done, but the log has it (S5).
    #[error("{site} was answered {answer}, but the log has it at revision {revision}")]
    AppliedAfterRefusal {
        /// Whose.
        site: Site,
        /// The reason it was given.
        answer: &'static str,
        /// Where it is in the log.
        revision: Revision,
    },
    /// A batch that no operation asked for.
    #[error("nobody committed revision {revision} ({txn})")]
    Unexplained {
        /// Which batch.
        revision: Revision,
        /// Its transaction.
        txn: TxnId,
    },
    /// A batch that is not what its operation asked for: a write is missing, added, or another (S4).
    #[error("{site} asked for {asked:?}, but revision {revision} has {logged:?}")]
    WrongEffect {
        /// Whose.
        site: Site,
        /// Which batch.
        revision: Revision,
        /// The first write that differs; `None`: there was no further one.
        asked: Option<Op>,
        /// What is in the log in its place.
        logged: Option<Change>,
    },
    /// A commit went through although a write's expectation did not hold (S3).
    #[error("{site} expected {key} to be {expect:?}, but before revision {revision} it was {}", At(found))]
    ExpectationBroken {
        /// Whose.
        site: Site,
        /// Which batch.
        revision: Revision,
        /// Which key.
        key: Key,
        /// What was expected.
        expect: Expect,
        /// The key's revision then.
        found: Option<Revision>,
    },
    /// A commit went through although a guard did not hold (S4, L5).
    #[error("{site} guarded {key} to be {expect:?}, but before revision {revision} it was {}", At(found))]
    GuardBroken {
        /// Whose.
        site: Site,
        /// Which batch.
        revision: Revision,
        /// Which key.
        key: Key,
        /// What was expected.
        expect: Expect,
        /// The key's revision then.
        found: Option<Revision>,
    },
    /// A commit was called after an operation that had seen its revision, or a later one, had returned (S2).
    #[error("{site} is revision {revision}, but was called after {} had returned revision {seen}", Earlier(earlier))]
    OutOfOrder {
        /// Whose.
        site: Site,
        /// Its revision.
        revision: Revision,
        /// What had returned.
        earlier: Option<Site>,
        /// What that had seen.
        seen: Revision,
    },
    /// A commit with an unclear answer stands in the log before it was called (S5).
    #[error(
        "{site} had an unclear answer and is revision {revision}, but was called after {} had seen {seen}",
        Earlier(earlier)
    )]
    BeforeCall {
        /// Whose.
        site: Site,
        /// Where it is in the log.
        revision: Revision,
        /// What had returned.
        earlier: Option<Site>,
        /// What that had seen.
        seen: Revision,
    },
    /// A conflict or a failed guard for which there was no reason while the call lasted (S3).
    #[error("{site} was refused since {key} was {}, which is no reason between {from} and {to}", At(current))]
    UnjustifiedRefusal {
        /// Whose.
        site: Site,
        /// Which key was given as the reason.
        key: Key,
        /// The revision it was said to have.
        current: Option<Revision>,
        /// The oldest revision that the answer can refer to.
        from: Revision,
        /// The newest.
        to: Revision,
    },
    /// A commit was refused as of another epoch, without having named one or having named this one (S14).
    #[error("{site} expected epoch {expected:?} and was refused, though the store is in epoch {current}")]
    UnjustifiedFence {
        /// Whose.
        site: Site,
        /// What the commit named.
        expected: Option<Epoch>,
        /// What the store said.
        current: Epoch,
    },
    /// A commit went through in another epoch than it was prepared for (S14).
    #[error("{site} expected epoch {expected}, but revision {revision} is of epoch {found}")]
    EpochIgnored {
        /// Whose.
        site: Site,
        /// Which batch.
        revision: Revision,
        /// What the commit named.
        expected: Epoch,
        /// The epoch of the revision.
        found: Epoch,
    },
    /// A transaction within all limits was refused as invalid, or the reverse (S12).
    #[error("{site} was answered as if its transaction was {}", if *refused { "invalid" } else { "valid" })]
    WrongValidation {
        /// Whose.
        site: Site,
        /// Whether it was refused.
        refused: bool,
    },
}
