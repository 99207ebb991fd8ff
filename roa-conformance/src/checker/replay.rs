//! The log once more, from the initial state: each commit's expectations at its turn, each read's answer at its
//! revision.

use std::collections::HashSet;
use std::sync::Arc;

use roa_core::{Batch, Change, CommitError, Entry, Key, Revision, Txn};

use super::anomaly::Anomalies;
use super::answers::check_answer;
use super::attribution::Attribution;
use super::gaps::{Gaps, Place};
use super::state::same;
use super::{CommitAnomaly, History, LogAnomaly, Site, State, Step};

/// Replays the log. Gives how many answers were compared with it.
pub(super) fn replay(
    history: &History,
    attribution: &Attribution,
    log: &[Arc<Batch>],
    initial: &State,
    gaps: &Gaps<'_>,
    anomalies: &mut Anomalies,
) -> usize {
    let reads = reads_by_revision(history, gaps);
    let mut replay = Replay { history, gaps, state: initial.clone(), reads: &reads, anomalies };
    for (batch, operation) in log.iter().zip(&attribution.operations) {
        replay.advance(batch.revision);
        if let Some(operation) = *operation {
            replay.check_expectations(operation, batch);
        }
        replay.check_changes(batch);
        replay.state.apply(batch);
    }
    replay.advance(gaps.last());
    replay.answer_before(None);
    reads.len()
}

/// The reads whose revision is in the log, and their places in the history, in the order of the revisions.
fn reads_by_revision(history: &History, gaps: &Gaps<'_>) -> Vec<(Revision, usize)> {
    let revision = |step: &Step| match step {
        Step::Get { result: Ok(read), .. } => Some(read.revision),
        Step::List { result: Ok(page), .. } => Some(page.revision),
        _ => None,
    };
    let operations = history.operations.iter().enumerate();
    let mut reads: Vec<_> = operations
        .filter_map(|(operation, done)| Some((revision(&done.step)?, operation)))
        .filter(|(revision, _)| gaps.place(*revision) == Place::Known)
        .collect();
    reads.sort_unstable();
    reads
}

struct Replay<'a> {
    history: &'a History,
    gaps: &'a Gaps<'a>,
    state: State,
    /// Those that are not answered yet.
    reads: &'a [(Revision, usize)],
    anomalies: &'a mut Anomalies,
}

impl Replay<'_> {
    /// Passes the gaps before a revision, and answers the reads before it.
    fn advance(&mut self, to: Revision) {
        while let Some(gap) = self.gaps.after(self.state.revision) {
            self.answer_before(Some(gap.to));
            if let Some(resync) = gap.resync {
                self.check_resync(resync);
                self.state = resync.clone();
            }
            self.state.revision = gap.to;
        }
        self.answer_before(Some(to));
    }

    fn answer_before(&mut self, revision: Option<Revision>) {
        let count = self.reads.partition_point(|(at, _)| revision.is_none_or(|revision| *at < revision));
        let (now, later) = self.reads.split_at(count);
        self.reads = later;
        for (_, operation) in now {
            check_answer(self.history, *operation, &self.state, self.anomalies);
        }
    }

    fn check_expectations(&mut self, operation: usize, batch: &Batch) {
        let Step::Commit { txn, .. } = &self.history.operations[operation].step else { return };
        let (site, revision) = (Site::of(self.history, operation), batch.revision);
        for op in &txn.ops {
            let (found, expect) = (self.current(op.key()), op.expect());
            if !expect.holds(found) {
                let key = op.key().clone();
                self.anomalies.add(CommitAnomaly::ExpectationBroken { site, revision, key, expect, found });
            }
        }
        for guard in &txn.guards {
            let (found, expect) = (self.current(&guard.key), guard.expect);
            if !expect.holds(found) {
                let key = guard.key.clone();
                self.anomalies.add(CommitAnomaly::GuardBroken { site, revision, key, expect, found });
            }
        }
    }

    fn current(&self, key: &Key) -> Option<Revision> {
        self.state.get(key).map(|entry| entry.revision)
    }

    fn check_changes(&mut self, batch: &Batch) {
        for change in batch.changes.iter() {
            let expected = self.state.get(change.key());
            if !same(expected, change.previous()) {
                let (expected, found) = (expected.cloned(), change.previous().cloned());
                let (revision, key) = (batch.revision, change.key().clone());
                self.anomalies.add(LogAnomaly::WrongPrevious { revision, key, expected, found });
            } else if let Some(expected) = self.wrong_entry(batch, change) {
                let (revision, key) = (batch.revision, change.key().clone());
                let found = change.current().cloned();
                self.anomalies.add(LogAnomaly::WrongEntry { revision, key, expected: Some(expected), found });
            }
        }
    }

    /// What a change should have written, if it has not.
    fn wrong_entry(&self, batch: &Batch, change: &Change) -> Option<Arc<Entry>> {
        let entry = change.current()?;
        let previous = self.state.get(&entry.key);
        let created = previous.map_or(batch.revision, |previous| previous.create_revision);
        let version = previous.map_or(1, |previous| previous.version + 1);
        let expected = (batch.revision, created, version, batch.txn);
        if (entry.revision, entry.create_revision, entry.version, entry.txn) == expected {
            return None;
        }
        let (key, value, writer) = (entry.key.clone(), entry.value.clone(), Arc::clone(&entry.writer));
        Some(Entry::stored(key, value, [created, batch.revision], version, batch.txn, writer).into())
    }

    /// Compares the state before a jump with that after it, except what an unrecorded commit can have changed.
    fn check_resync(&mut self, resync: &State) {
        if self.history.may_lose_at_jumps() {
            return;
        }
        let open = open_keys(self.history, self.gaps);
        let keys: HashSet<&Key> = self.state.entries().chain(resync.entries()).map(|entry| &entry.key).collect();
        for key in keys.into_iter().filter(|key| !open.contains(key)) {
            let (expected, found) = (self.state.get(key), resync.get(key));
            if !same(expected, found) {
                let (key, expected, found) = (key.clone(), expected.cloned(), found.cloned());
                self.anomalies.add(LogAnomaly::LostAtJump { revision: resync.revision, key, expected, found });
            }
        }
    }
}

/// The keys of commits that may stand in a stretch of the log that was not recorded.
fn open_keys<'a>(history: &'a History, gaps: &Gaps<'_>) -> HashSet<&'a Key> {
    let open = |txn: &'a Txn| txn.ops.iter().map(roa_core::Op::key);
    let unrecorded = |revision: &Revision| gaps.lacks_batch_of(*revision);
    let commits = history.operations.iter().filter_map(|done| match &done.step {
        Step::Commit { txn, result: Ok(revision) } if unrecorded(revision) => Some(open(txn)),
        Step::Commit { txn, result: Err(CommitError::Ambiguous { .. }) } => Some(open(txn)),
        _ => None,
    });
    commits.flatten().collect()
}
