//! [`ReadAnomaly`]: answers to reads that a correct store can't give.

use std::sync::Arc;

use roa_core::{At as Asked, Entry, Epoch, Key, Revision};
use thiserror::Error;

use super::{Brief, Earlier, Site};

/// The answer to a read that contradicts the log or real time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadAnomaly {
    /// A read is older than what had been seen before it was called (S7).
    #[error(
        "{site} answered as of revision {revision}, but {} had returned {seen} before it was called",
        Earlier(earlier)
    )]
    Stale {
        /// Whose.
        site: Site,
        /// The revision of the answer.
        revision: Revision,
        /// What had returned.
        earlier: Option<Site>,
        /// What that had seen.
        seen: Revision,
    },
    /// A read is newer than any commit that had been called when it returned.
    #[error("{site} answered as of revision {revision}, but when it returned the head was {newest} at most")]
    FromFuture {
        /// Whose.
        site: Site,
        /// The revision of the answer.
        revision: Revision,
        /// The newest revision that can have existed.
        newest: Revision,
    },
    /// A read is as of a revision that never was (S1).
    #[error("{site} answered as of revision {revision}, which the log lacks")]
    NoSuchRevision {
        /// Whose.
        site: Site,
        /// The revision of the answer.
        revision: Revision,
    },
    /// A list is not as of when it was asked for (S8).
    #[error("{site} asked for {asked:?} and was answered as of revision {revision}")]
    OtherRevision {
        /// Whose.
        site: Site,
        /// What was asked for.
        asked: Asked,
        /// The revision of the answer.
        revision: Revision,
    },
    /// An entry is not what it was at the revision of the answer (S7, S8, S9).
    #[error("{site} answered as of revision {revision} that {key} was {}, expected {}", Brief(found), Brief(expected))]
    WrongEntry {
        /// Whose.
        site: Site,
        /// The revision of the answer.
        revision: Revision,
        /// Which key.
        key: Key,
        /// What the log says.
        expected: Option<Arc<Entry>>,
        /// What was answered.
        found: Option<Arc<Entry>>,
    },
    /// A list is not in the order of its keys, or has one twice (S7).
    #[error("{site} lists {key} after a later key, or twice")]
    Unsorted {
        /// Whose.
        site: Site,
        /// Which key.
        key: Key,
    },
    /// A page does not lead to the next one as it should (S8).
    #[error("{site} answered a page that {problem}")]
    WrongPage {
        /// Whose.
        site: Site,
        /// What is wrong.
        problem: &'static str,
    },
    /// The floor is lower than it was (S10).
    #[error("{site} answered the floor {floor}, but {} had returned {seen} before it was called", Earlier(earlier))]
    FloorFell {
        /// Whose.
        site: Site,
        /// The floor of the answer.
        floor: Revision,
        /// What had returned.
        earlier: Option<Site>,
        /// The floor it had seen.
        seen: Revision,
    },
    /// The floor is past the head.
    #[error("{site} answered the floor {floor}, past the head {head}")]
    FloorPastHead {
        /// Whose.
        site: Site,
        /// The floor of the answer.
        floor: Revision,
        /// The newest revision that can have existed.
        head: Revision,
    },
    /// A revision was served that was known to be forgotten (S8, W7).
    #[error(
        "{site} was served revision {requested}, but {} had seen the floor {floor} before it was called",
        Earlier(earlier)
    )]
    BelowFloor {
        /// Whose.
        site: Site,
        /// What was asked for.
        requested: Revision,
        /// What had returned.
        earlier: Option<Site>,
        /// The floor it had seen.
        floor: Revision,
    },
    /// `Expired` for a revision that is not below the floor (S8, W7).
    #[error("{site} asked for {requested:?} and was answered that it is below the floor {floor}")]
    UnjustifiedExpired {
        /// Whose.
        site: Site,
        /// What was asked for; `None`: the newest.
        requested: Option<Revision>,
        /// The floor that was given as the reason.
        floor: Revision,
    },
    /// `TooLarge` for a revision that had been reached (S8, W8).
    #[error("{site} asked for {requested:?} and was answered that the head is {head}; {reached} had been seen before")]
    UnjustifiedTooLarge {
        /// Whose.
        site: Site,
        /// What was asked for; `None`: the newest.
        requested: Option<Revision>,
        /// The head that was given as the reason.
        head: Revision,
        /// What had been seen before the call.
        reached: Revision,
    },
    /// The epoch changed without a jump of the revision (S14).
    #[error("{site} saw epoch {found} at revision {revision}, which is of epoch {expected}")]
    EpochChanged {
        /// Whose.
        site: Site,
        /// Which revision.
        revision: Revision,
        /// The epoch that was seen first between the same two jumps.
        expected: Epoch,
        /// The epoch that was answered.
        found: Epoch,
    },
}
