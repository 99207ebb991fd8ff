//! [`History`]: what a store's users asked, what they were answered, and when.

use std::fmt;
use std::sync::Arc;

use roa_core::{
    CommitError, Epoch, Error, Key, Linearizable, ListRequest, Page, Read, Result, Revision, StoreState, Txn,
};

/// Who asked. One client asks one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

/// A moment of a recording. Only the order counts: what returned at an earlier tick than another was called, happened
/// before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

/// One call of a store and its answer.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Who called.
    pub client: ClientId,
    /// A moment before the store knew of it.
    pub called: Tick,
    /// A moment after the answer; `None` if there was none: the caller gave up, or died.
    pub returned: Option<Tick>,
    /// What was asked and answered.
    pub step: Step,
}

/// What was asked of a store, and its answer. What was never answered has the answer that promises least:
/// [`CommitError::Ambiguous`], or [`Error::Unavailable`].
#[derive(Debug, Clone)]
pub enum Step {
    /// [`Store::commit`](roa_core::Store::commit).
    Commit {
        /// What was asked.
        txn: Arc<Txn>,
        /// The answer.
        result: Result<Revision, CommitError>,
    },
    /// [`Store::get`](roa_core::Store::get).
    Get {
        /// What was asked.
        key: Key,
        /// The answer.
        result: Result<Read>,
    },
    /// [`Store::list`](roa_core::Store::list).
    List {
        /// What was asked.
        request: ListRequest,
        /// The answer.
        result: Result<Page>,
    },
    /// [`Store::state`](roa_core::Store::state).
    State {
        /// The answer.
        result: Result<StoreState>,
    },
    /// [`Store::tail`](roa_core::Store::tail): only how it began. What it delivered is a
    /// [`WatchHistory`](super::WatchHistory).
    Tail {
        /// What was asked.
        after: Revision,
        /// The epoch of the feed, or why there is none.
        result: Result<Epoch>,
    },
    /// [`Store::compact`](roa_core::Store::compact).
    Compact {
        /// What was asked.
        to: Revision,
        /// The floor after it.
        result: Result<Revision>,
    },
    /// [`Store::fence`](roa_core::Store::fence).
    Fence {
        /// Which epoch was to be ended.
        expected: Epoch,
        /// Which revision was to be passed.
        highest: Revision,
        /// The state after it.
        result: Result<StoreState>,
    },
}

impl Step {
    /// A commit without an answer yet.
    #[must_use]
    pub fn unanswered_commit(txn: Arc<Txn>) -> Self {
        let result = Err(CommitError::Ambiguous { txn: txn.id, reason: "never answered".into() });
        Self::Commit { txn, result }
    }

    /// The store's state, where the answer was one.
    #[must_use]
    pub const fn store_state(&self) -> Option<&StoreState> {
        match self {
            Self::State { result: Ok(state) } | Self::Fence { result: Ok(state), .. } => Some(state),
            _ => None,
        }
    }

    /// The error, where the answer to something else than a commit was one.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        match self {
            Self::Get { result: Err(error), .. }
            | Self::List { result: Err(error), .. }
            | Self::State { result: Err(error) }
            | Self::Tail { result: Err(error), .. }
            | Self::Compact { result: Err(error), .. }
            | Self::Fence { result: Err(error), .. } => Some(error),
            _ => None,
        }
    }
}

/// What a store's users asked and were answered, in the order of the calls.
#[derive(Debug, Clone)]
pub struct History {
    /// The operations.
    pub operations: Vec<Operation>,
    /// How many calls were refused unsent, because the recording was full.
    pub refused: u64,
    /// What the recorded store promises of its reads. One that is linearizable
    /// [unless it fails over](Linearizable::UnlessFailover) may lose acknowledged commits where its revisions jump.
    pub linearizable: Linearizable,
}

impl History {
    /// The history of these operations on a store whose reads are always linearizable.
    #[must_use]
    pub const fn new(operations: Vec<Operation>) -> Self {
        Self { operations, refused: 0, linearizable: Linearizable::Always }
    }

    pub(super) fn may_lose_at_jumps(&self) -> bool {
        self.linearizable == Linearizable::UnlessFailover
    }
}
