//! [`WatchHistory`]: what a watch delivered, over all its sessions.

use std::fmt;
use std::sync::Arc;

use roa_core::{Batch, Change, Entry, Error, KeyPrefix, Revision, TailEnd};

use super::ClientId;

/// What one watcher was delivered, over all the sessions in which it went on where the one before had ended.
#[derive(Debug, Clone)]
pub struct WatchHistory {
    /// Who watched.
    pub client: ClientId,
    /// What it was to see.
    pub selection: Selection,
    /// From opening to end, one after the other.
    pub sessions: Vec<WatchSession>,
}

impl WatchHistory {
    /// A watch that has not been opened yet.
    #[must_use]
    pub const fn new(client: ClientId, selection: Selection) -> Self {
        Self { client, selection, sessions: Vec::new() }
    }

    /// Everything up to here has been delivered; `None` before the first session.
    #[must_use]
    pub fn position(&self) -> Option<Revision> {
        self.sessions.last().map(WatchSession::position)
    }
}

/// A watch from its opening to its end.
#[derive(Debug, Clone)]
pub struct WatchSession {
    /// It was to deliver what happened after this revision.
    pub after: Revision,
    /// What it delivered, in that order.
    pub items: Vec<WatchItem>,
    /// How it ended.
    pub end: WatchEnd,
}

impl WatchSession {
    /// A session that was opened, and dropped by the reader if nothing else is said.
    #[must_use]
    pub const fn new(after: Revision) -> Self {
        Self { after, items: Vec::new(), end: WatchEnd::Dropped }
    }

    /// Everything up to here has been delivered, if the watch is correct.
    #[must_use]
    pub fn position(&self) -> Revision {
        self.items.iter().map(WatchItem::revision).fold(self.after, Revision::max)
    }
}

/// One thing that a watch delivered.
#[derive(Debug, Clone)]
pub enum WatchItem {
    /// A whole batch, as a store's feed delivers it.
    Batch(Arc<Batch>),
    /// The events of one revision that the selection covers, as a watch delivers them: what came into the selection is
    /// a put without a previous entry, what left it is a delete.
    Events {
        /// Which revision.
        revision: Revision,
        /// What happened in it.
        changes: Vec<Change>,
    },
    /// Everything up to here has been delivered.
    Progress(Revision),
}

impl WatchItem {
    /// Which revision it is about.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Batch(batch) => batch.revision,
            Self::Events { revision, .. } | Self::Progress(revision) => *revision,
        }
    }
}

/// How a session ended.
#[derive(Debug, Clone)]
pub enum WatchEnd {
    /// The reader had enough.
    Dropped,
    /// With a reason.
    Ended(TailEnd),
    /// Without a reason, which is always wrong.
    Silent,
    /// It was not opened at all.
    Refused(Error),
    /// The reader waited for this revision as long as the bound says, and it did not come.
    Stalled {
        /// What it waited for.
        waited_for: Revision,
    },
}

/// What a watch is to see.
#[derive(Clone)]
pub enum Selection {
    /// Each change, as a store's feed delivers them.
    Everything,
    /// Changes below a prefix.
    Prefix(KeyPrefix),
    /// Changes of entries, before or after, for which this holds.
    Matching(Arc<dyn Fn(&Entry) -> bool + Send + Sync>),
}

impl Selection {
    fn contains(&self, entry: &Entry) -> bool {
        match self {
            Self::Everything => true,
            Self::Prefix(prefix) => prefix.contains(&entry.key),
            Self::Matching(matches) => matches(entry),
        }
    }

    /// A change as somebody sees it who sees only the selection (W12).
    #[must_use]
    pub fn project(&self, change: &Change) -> Option<Change> {
        let inside = |entry: Option<&Arc<Entry>>| entry.filter(|entry| self.contains(entry)).cloned();
        match (inside(change.previous()), inside(change.current())) {
            (previous, Some(entry)) => Some(Change::Put { entry, previous }),
            (Some(previous), None) => Some(Change::Delete { previous }),
            (None, None) => None,
        }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("Everything"),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Matching(_) => f.write_str("Matching"),
        }
    }
}
