//! Whether a log is one: dense, chained, each batch whole.

use std::collections::HashSet;
use std::sync::Arc;

use roa_core::{Batch, Revision, TxnId};

use super::anomaly::Anomalies;
use super::gaps::Gaps;
use super::{LogAnomaly, State};

/// Checks what needs no replay. Gives whether the revisions rise, without which nothing else can be checked.
pub(super) fn check_structure(log: &[Arc<Batch>], initial: &State, gaps: &Gaps<'_>, anomalies: &mut Anomalies) -> bool {
    let (mut previous, mut previous_txn) = (initial.revision, initial.txn);
    let mut rises = true;
    for batch in log {
        rises &= batch.revision > previous;
        check_link(batch, previous, previous_txn, gaps, anomalies);
        check_keys(batch, anomalies);
        (previous, previous_txn) = (batch.revision, Some(batch.txn));
    }
    rises
}

fn check_link(batch: &Batch, previous: Revision, txn: Option<TxnId>, gaps: &Gaps<'_>, anomalies: &mut Anomalies) {
    let revision = batch.revision;
    let expected = match gaps.ending_before(revision) {
        _ if previous.get() + 1 == revision.get() => txn,
        Some(gap) if gap.from >= previous => gap.resync.is_none().then(TxnId::none),
        _ => return anomalies.add(LogAnomaly::NotDense { previous, found: revision }),
    };
    if let Some(expected) = expected.filter(|expected| *expected != batch.previous_txn) {
        anomalies.add(LogAnomaly::Chain { revision, expected, found: batch.previous_txn });
    }
}

fn check_keys(batch: &Batch, anomalies: &mut Anomalies) {
    let revision = batch.revision;
    match &*batch.changes {
        [] => anomalies.add(LogAnomaly::Empty { revision }),
        [_] => {}
        many => {
            let mut seen = HashSet::with_capacity(many.len());
            if let Some(twice) = many.iter().find(|change| !seen.insert(change.key())) {
                anomalies.add(LogAnomaly::DuplicateKey { revision, key: twice.key().clone() });
            }
        }
    }
}
