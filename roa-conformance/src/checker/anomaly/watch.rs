//! [`WatchAnomaly`]: deliveries that a correct watch can't make.

use std::fmt;

use roa_core::{Change, Key, Revision};
use thiserror::Error;

use super::ClientId;

/// Which stretch of a watch, between its opening and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSite {
    /// Whose watch.
    pub client: ClientId,
    /// Which of its sessions, from 0.
    pub session: usize,
}

impl fmt::Display for WatchSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watch of {}, session {}", self.client, self.session)
    }
}

/// What a watch delivered, or how it ended, contradicts the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WatchAnomaly {
    /// A revision came after a later one (W1), or after progress that covered it (W10), or at or before the start (W5).
    #[error("{site}: revision {revision} came when everything up to {position} was delivered")]
    OutOfOrder {
        /// Which watch.
        site: WatchSite,
        /// What came.
        revision: Revision,
        /// Up to where the watch had come.
        position: Revision,
    },
    /// A revision came twice (W2).
    #[error("{site}: revision {revision} came twice")]
    Duplicate {
        /// Which watch.
        site: WatchSite,
        /// Which revision.
        revision: Revision,
    },
    /// A revision came without some of its events (W3).
    #[error("{site}: revision {revision} came with {found} of its {expected} events, without {missing}")]
    Split {
        /// Which watch.
        site: WatchSite,
        /// Which revision.
        revision: Revision,
        /// How many events it has for this watch.
        expected: usize,
        /// How many came.
        found: usize,
        /// The first one that is missing.
        missing: Key,
    },
    /// Revisions were left out (W4).
    #[error("{site}: {count} revisions were left out, first {missed}, between {position} and {next}")]
    Missed {
        /// Which watch.
        site: WatchSite,
        /// Up to where the watch had come.
        position: Revision,
        /// The first one that was left out.
        missed: Revision,
        /// How many.
        count: usize,
        /// What came.
        next: Revision,
    },
    /// Revisions right after the start were left out (W5).
    #[error("{site}: began after {after} with {next}, without {count} revisions, first {missed}")]
    IncompleteStart {
        /// Which watch.
        site: WatchSite,
        /// Where it was to begin.
        after: Revision,
        /// The first one that was left out.
        missed: Revision,
        /// How many.
        count: usize,
        /// What came first.
        next: Revision,
    },
    /// A revision came that the log lacks, or that does not concern the watch.
    #[error("{site}: revision {revision} has nothing for this watch")]
    Unknown {
        /// Which watch.
        site: WatchSite,
        /// What came.
        revision: Revision,
    },
    /// A batch names another transaction or predecessor than in the log (W18).
    #[error("{site}: revision {revision} came with other transaction ids than in the log")]
    WrongChain {
        /// Which watch.
        site: WatchSite,
        /// Which revision.
        revision: Revision,
    },
    /// An event is not what the log has.
    #[error("{site}: revision {revision} came with another change of {} than in the log", found.key())]
    WrongChange {
        /// Which watch.
        site: WatchSite,
        /// Which revision.
        revision: Revision,
        /// What the log has for the key; `None`: nothing that concerns the watch.
        expected: Option<Change>,
        /// What came.
        found: Change,
    },
    /// An event's previous value is not what the log has (W13).
    #[error("{site}: revision {revision} came with another previous value of {} than in the log", found.key())]
    WrongPrevious {
        /// Which watch.
        site: WatchSite,
        /// Which revision.
        revision: Revision,
        /// What the log has.
        expected: Change,
        /// What came.
        found: Change,
    },
    /// The events of a revision are not in the order of their transaction, or one came twice in it.
    #[error("{site}: the events of revision {revision} are not in the order of their transaction")]
    Reordered {
        /// Which watch.
        site: WatchSite,
        /// Which revision.
        revision: Revision,
    },
    /// Progress was announced past an event that was not delivered (W10).
    #[error("{site}: progress {progress} was announced without revision {missed}")]
    ProgressTooEarly {
        /// Which watch.
        site: WatchSite,
        /// What was announced.
        progress: Revision,
        /// The first revision that is missing.
        missed: Revision,
    },
    /// Progress was announced past the end of the log (W10).
    #[error("{site}: progress {progress} was announced, but the newest revision is {head}")]
    ProgressPastHead {
        /// Which watch.
        site: WatchSite,
        /// What was announced.
        progress: Revision,
        /// The end of the log.
        head: Revision,
    },
    /// Progress went back (W10).
    #[error("{site}: progress {progress} was announced after {previous}")]
    ProgressFell {
        /// Which watch.
        site: WatchSite,
        /// What was announced.
        progress: Revision,
        /// What had been announced before.
        previous: Revision,
    },
    /// A watch went on over a jump, where it must end (S14).
    #[error("{site}: began after {after} and went on to {revision} over a jump")]
    CrossedJump {
        /// Which watch.
        site: WatchSite,
        /// Where it began.
        after: Revision,
        /// What came from past the jump.
        revision: Revision,
    },
    /// A watch went on elsewhere than where it had ended, so that nothing is said of what lies between (W6).
    #[error("{site}: resumed after {resumed}, but the session before it had come to {position}")]
    ResumedElsewhere {
        /// Which watch.
        site: WatchSite,
        /// Where it went on.
        resumed: Revision,
        /// Where the session before it had ended.
        position: Revision,
    },
    /// A watch ended without a reason (W9).
    #[error("{site}: ended after {position} without a reason")]
    SilentEnd {
        /// Which watch.
        site: WatchSite,
        /// Up to where it had come.
        position: Revision,
    },
    /// A watch ended with `Expired`, or was refused with it, although what comes next is kept (W7, W9).
    #[error("{site}: expired after {position}, which is not below the floor {floor}")]
    UnjustifiedExpired {
        /// Which watch.
        site: WatchSite,
        /// Up to where it had come.
        position: Revision,
        /// The floor that was given as the reason.
        floor: Revision,
    },
    /// A watch was refused with `TooLarge`, although its start had been reached (W8).
    #[error("{site}: refused to begin after {after}, which is not past the head {head}")]
    UnjustifiedTooLarge {
        /// Which watch.
        site: WatchSite,
        /// Where it was to begin.
        after: Revision,
        /// The head that was given as the reason.
        head: Revision,
    },
    /// A watch did not deliver what had been committed within the bound (W11).
    #[error("{site}: came to {position}, but not to {waited_for} within the bound")]
    Stalled {
        /// Which watch.
        site: WatchSite,
        /// Up to where it had come.
        position: Revision,
        /// What it was to deliver.
        waited_for: Revision,
    },
}
