//! [`Gaps`]: where a log goes on at a later revision than the next, and may.

use roa_core::{Batch, Revision};
use std::sync::Arc;

use super::State;

/// A store jumps by [`Revision::JUMP`] at least, but what it lost before it did so may be in the log.
const SHORTEST_JUMP: u64 = Revision::JUMP / 2;

/// Revisions without batches: a discontinuity that the store declared, or a stretch of log that was forgotten before it
/// could be recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap<'a> {
    /// The last revision before it.
    pub(super) from: Revision,
    /// The head after it: the next batch has the revision after this one.
    pub(super) to: Revision,
    /// The state at `to`, where it was read anew. Without it, nothing was written in between.
    pub(super) resync: Option<&'a State>,
}

/// What a revision is to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The state at it is known.
    Known,
    /// It may have been a revision once, but its stretch was not recorded.
    Unrecorded,
    /// It never was a revision.
    Nowhere,
}

/// The gaps of a log, in order.
#[derive(Debug)]
pub(super) struct Gaps<'a> {
    first: Revision,
    last: Revision,
    gaps: Vec<Gap<'a>>,
    /// Where those gaps end that are jumps, not stretches that were forgotten.
    jumps: Vec<Revision>,
}

impl<'a> Gaps<'a> {
    /// The gaps between these batches. `heads` are revisions that the store called its head: one of them can be a
    /// jump after the last batch.
    pub(super) fn find(first: Revision, log: &[Arc<Batch>], resyncs: &'a [State], heads: &[Revision]) -> Self {
        let mut found = Self { first, last: first, gaps: Vec::new(), jumps: Vec::new() };
        let mut resyncs = resyncs.iter().peekable();
        for batch in log {
            while let Some(resync) = resyncs.next_if(|resync| resync.revision < batch.revision) {
                found.pass(resync.revision, Some(resync));
            }
            if let Ok(before) = Revision::new(batch.revision.get() - 1) {
                found.pass_jump(before);
            }
            found.last = found.last.max(batch.revision);
        }
        resyncs.for_each(|resync| found.pass(resync.revision, Some(resync)));
        heads.iter().for_each(|head| found.pass_jump(*head));
        found
    }

    fn pass_jump(&mut self, to: Revision) {
        if self.is_jump(to) {
            self.pass(to, None);
        }
    }

    const fn is_jump(&self, to: Revision) -> bool {
        to.get().saturating_sub(self.last.get()) >= SHORTEST_JUMP
    }

    fn pass(&mut self, to: Revision, resync: Option<&'a State>) {
        if to > self.last {
            self.gaps.push(Gap { from: self.last, to, resync });
            self.jumps.extend(self.is_jump(to).then_some(to));
            self.last = to;
        }
    }

    /// The newest revision of all.
    pub(super) const fn last(&self) -> Revision {
        self.last
    }

    /// The gap right after a revision.
    pub(super) fn after(&self, revision: Revision) -> Option<&Gap<'a>> {
        let position = self.gaps.partition_point(|gap| gap.from < revision);
        self.gaps.get(position).filter(|gap| gap.from == revision)
    }

    /// The gap right before a revision.
    pub(super) fn ending_before(&self, revision: Revision) -> Option<&Gap<'a>> {
        self.gaps.iter().find(|gap| gap.to.get() + 1 == revision.get())
    }

    /// The revision itself, or the head after the gaps that follow it.
    pub(super) fn past(&self, revision: Revision) -> Revision {
        self.after(revision).map_or(revision, |gap| self.past(gap.to))
    }

    /// What a revision is to the log.
    pub(super) fn place(&self, revision: Revision) -> Place {
        if revision < self.first {
            return Place::Unrecorded;
        }
        let begun = self.gaps.partition_point(|gap| gap.from < revision);
        match begun.checked_sub(1).map(|last| &self.gaps[last]).filter(|gap| revision < gap.to) {
            Some(gap) if gap.resync.is_some() => Place::Unrecorded,
            Some(_) => Place::Nowhere,
            None if revision > self.last => Place::Nowhere,
            None => Place::Known,
        }
    }

    /// Whether the batch of a revision was not recorded. That of the last revision of a stretch was not either, though
    /// the state at it is known.
    pub(super) fn lacks_batch_of(&self, revision: Revision) -> bool {
        let begun = self.gaps.partition_point(|gap| gap.from < revision);
        let gap = begun.checked_sub(1).map(|last| &self.gaps[last]);
        gap.is_some_and(|gap| gap.resync.is_some() && revision <= gap.to)
    }

    /// Whether there were revisions in between that were not recorded.
    pub(super) fn unrecorded_within(&self, from: Revision, to: Revision) -> bool {
        self.gaps.iter().any(|gap| gap.resync.is_some() && gap.from <= to && from < gap.to)
    }

    /// Which stretch between jumps a revision lies in.
    pub(super) fn stretch(&self, revision: Revision) -> usize {
        self.jumps.partition_point(|jump| *jump <= revision)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Gap<'a>> {
        self.gaps.iter()
    }
}
