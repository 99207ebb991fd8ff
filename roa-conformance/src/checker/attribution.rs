//! Which operation wrote which batch: each batch has exactly one, each acknowledged commit has its batch.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use roa_core::{Batch, Change, CommitError, Op, Revision, Txn, TxnId};

use super::anomaly::Anomalies;
use super::gaps::Gaps;
use super::{CommitAnomaly, History, Site, Step};

/// Who wrote what.
#[derive(Debug, Default)]
pub(super) struct Attribution {
    /// For each batch the operation that wrote it.
    pub(super) operations: Vec<Option<usize>>,
    /// For each operation the revision that it wrote.
    pub(super) revisions: Vec<Option<Revision>>,
    /// How many acknowledged commits a jump may have lost.
    pub(super) lost_at_jumps: usize,
    /// How many acknowledged commits lie in a stretch that was not recorded.
    pub(super) unrecorded: usize,
}

/// Finds the operation of each batch and the batch of each operation.
pub(super) fn attribute(
    history: &History,
    log: &[Arc<Batch>],
    gaps: &Gaps<'_>,
    anomalies: &mut Anomalies,
) -> Attribution {
    let commits = by_txn(history, anomalies);
    let mut found = Attribution { revisions: vec![None; history.operations.len()], ..Attribution::default() };
    for batch in log {
        let operation = commits.get(&batch.txn).copied();
        match operation {
            Some(operation) => found.claim(history, operation, batch, anomalies),
            None => anomalies.add(CommitAnomaly::Unexplained { revision: batch.revision, txn: batch.txn }),
        }
        found.operations.push(operation);
    }
    found.check_acknowledged(history, gaps, anomalies);
    found
}

fn by_txn(history: &History, anomalies: &mut Anomalies) -> HashMap<TxnId, usize> {
    let mut commits = HashMap::with_capacity(history.operations.len());
    for (operation, (txn, _)) in commits_of(history) {
        match commits.entry(txn.id) {
            Slot::Vacant(slot) => _ = slot.insert(operation),
            Slot::Occupied(first) => {
                let (first, second) = (Site::of(history, *first.get()), Site::of(history, operation));
                anomalies.add(CommitAnomaly::ReusedTxn { txn: txn.id, first, second });
            }
        }
    }
    commits
}

type Commit<'a> = (&'a Arc<Txn>, &'a Result<Revision, CommitError>);

fn commits_of(history: &History) -> impl Iterator<Item = (usize, Commit<'_>)> {
    history.operations.iter().enumerate().filter_map(|(operation, done)| match &done.step {
        Step::Commit { txn, result } => Some((operation, (txn, result))),
        _ => None,
    })
}

impl Attribution {
    fn claim(&mut self, history: &History, operation: usize, batch: &Batch, anomalies: &mut Anomalies) {
        let site = Site::of(history, operation);
        let revision = batch.revision;
        if let Some(first) = self.revisions[operation] {
            return anomalies.add(CommitAnomaly::AppliedTwice { site, first, second: revision });
        }
        self.revisions[operation] = Some(revision);
        let Step::Commit { txn, result } = &history.operations[operation].step else { return };
        match result {
            Ok(acknowledged) if *acknowledged != revision => {
                anomalies.add(CommitAnomaly::OtherRevision { site, acknowledged: *acknowledged, logged: revision });
            }
            Ok(_) | Err(CommitError::Ambiguous { .. }) => {}
            Err(error) => {
                anomalies.add(CommitAnomaly::AppliedAfterRefusal { site, answer: error.reason(), revision });
            }
        }
        check_effect(site, txn, batch, anomalies);
    }

    fn check_acknowledged(&mut self, history: &History, gaps: &Gaps<'_>, anomalies: &mut Anomalies) {
        let mut revisions = HashMap::with_capacity(self.operations.len());
        for (operation, (txn, result)) in commits_of(history) {
            let Ok(revision) = *result else { continue };
            let site = Site::of(history, operation);
            if self.revisions[operation].is_none() {
                if self.excuse(history, revision, gaps) {
                    continue;
                }
                anomalies.add(CommitAnomaly::Lost { site, revision, txn: txn.id });
            }
            if let Some(first) = revisions.insert(revision, site) {
                anomalies.add(CommitAnomaly::DuplicateRevision { revision, first, second: site });
            }
        }
    }

    /// Whether an acknowledged commit may be missing from the log.
    fn excuse(&mut self, history: &History, revision: Revision, gaps: &Gaps<'_>) -> bool {
        if gaps.lacks_batch_of(revision) {
            self.unrecorded += 1;
            return true;
        }
        let jumped = gaps.iter().any(|gap| gap.to > revision);
        self.lost_at_jumps += usize::from(jumped && history.may_lose_at_jumps());
        jumped && history.may_lose_at_jumps()
    }
}

/// Whether the batch does what the transaction asked for, in its order.
fn check_effect(site: Site, txn: &Txn, batch: &Batch, anomalies: &mut Anomalies) {
    let count = txn.ops.len().max(batch.changes.len());
    let differing = (0..count).map(|at| (txn.ops.get(at), batch.changes.get(at))).find(|pair| !does(txn, *pair));
    if let Some((asked, logged)) = differing {
        let (asked, logged) = (asked.cloned(), logged.cloned());
        anomalies.add(CommitAnomaly::WrongEffect { site, revision: batch.revision, asked, logged });
    }
}

fn does(txn: &Txn, pair: (Option<&Op>, Option<&Change>)) -> bool {
    match pair {
        (Some(Op::Put { key, value, .. }), Some(Change::Put { entry, .. })) => {
            entry.key == *key && entry.value == *value && entry.writer == txn.writer
        }
        (Some(Op::Delete { key, .. }), Some(Change::Delete { previous })) => previous.key == *key,
        _ => false,
    }
}
