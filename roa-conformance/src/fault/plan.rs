//! [`FaultPlan`]: what goes wrong, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use roa_core::TailEnd;

/// What goes wrong with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitFault {
    /// The store can't be reached: `Unavailable`, and nothing happened.
    Refuse,
    /// The request is lost on the way: `Ambiguous`, and nothing happened.
    LoseRequest,
    /// The reply is lost on the way: `Ambiguous`, and the commit happened, if the store took it.
    LoseReply,
    /// The request arrives late.
    Delay(Duration),
}

/// What goes wrong with a call other than a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallFault {
    /// The store can't be reached: `Unavailable`.
    Refuse,
    /// The answer comes late.
    Delay(Duration),
}

/// What goes wrong with a batch of a change feed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FeedFault {
    /// It is left out.
    Drop,
    /// It comes twice.
    Repeat,
    /// It comes after the one that should follow it.
    Swap,
    /// It names another predecessor, as the log of another history would.
    Rechain,
    /// It comes late, and so does all that follows.
    Delay(Duration),
    /// The feed ends before it.
    End(TailEnd),
    /// The feed ends before it, without a reason.
    Vanish,
}

/// What goes wrong, and when. Commits, other calls and batches are counted from 1, from when the store is given the
/// plan; batches are counted over all feeds together.
///
/// ```
/// use roa_conformance::{CommitFault, FaultPlan, FeedFault};
/// let plan = FaultPlan::new().commit(3, CommitFault::LoseReply).batch(10, FeedFault::Drop);
/// # let _ = plan;
/// ```
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    commits: BTreeMap<u64, CommitFault>,
    calls: BTreeMap<u64, CallFault>,
    batches: BTreeMap<u64, FeedFault>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    #[must_use]
    pub const fn new() -> Self {
        Self { commits: BTreeMap::new(), calls: BTreeMap::new(), batches: BTreeMap::new() }
    }

    /// Something goes wrong with the `nth` commit.
    #[must_use]
    pub fn commit(mut self, nth: u64, fault: CommitFault) -> Self {
        self.commits.insert(nth, fault);
        self
    }

    /// Something goes wrong with the `nth` call that is no commit.
    #[must_use]
    pub fn call(mut self, nth: u64, fault: CallFault) -> Self {
        self.calls.insert(nth, fault);
        self
    }

    /// Something goes wrong with the `nth` batch that a feed gives.
    #[must_use]
    pub fn batch(mut self, nth: u64, fault: FeedFault) -> Self {
        self.batches.insert(nth, fault);
        self
    }
}

/// A plan, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Script {
    plan: FaultPlan,
    commits: u64,
    calls: u64,
    batches: u64,
}

impl Script {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Self { plan, ..Self::default() }
    }

    pub(super) fn next_commit(&mut self) -> Option<CommitFault> {
        self.commits += 1;
        self.plan.commits.remove(&self.commits)
    }

    pub(super) fn next_call(&mut self) -> Option<CallFault> {
        self.calls += 1;
        self.plan.calls.remove(&self.calls)
    }

    pub(super) fn next_batch(&mut self) -> Option<FeedFault> {
        self.batches += 1;
        self.plan.batches.remove(&self.batches)
    }

    /// How many faults are still to come.
    pub(super) fn left(&self) -> usize {
        self.plan.commits.len() + self.plan.calls.len() + self.plan.batches.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_once_at_its_number() {
        let mut script = Script::new(FaultPlan::new().commit(2, CommitFault::Refuse).call(1, CallFault::Refuse));
        assert_eq!(script.left(), 2);
        let commits: Vec<_> = (0..4).map(|_| script.next_commit()).collect();
        assert_eq!(commits, [None, Some(CommitFault::Refuse), None, None]);
        assert_eq!((script.next_call(), script.next_call()), (Some(CallFault::Refuse), None));
        assert_eq!(script.left(), 0);
    }
}
