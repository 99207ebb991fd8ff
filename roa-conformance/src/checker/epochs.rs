//! Whether epochs change where revisions jump, and only there.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use roa_core::{Epoch, Revision};

use super::anomaly::Anomalies;
use super::attribution::Attribution;
use super::gaps::{Gaps, Place};
use super::{CommitAnomaly, History, ReadAnomaly, Site, Step};

/// Checks that each stretch between jumps has one epoch, and that commits went through only in the epoch they named.
pub(super) fn check_epochs(history: &History, attribution: &Attribution, gaps: &Gaps<'_>, anomalies: &mut Anomalies) {
    let epochs = observe(history, gaps, anomalies);
    for (operation, done) in history.operations.iter().enumerate() {
        let (Step::Commit { txn, .. }, Some(revision)) = (&done.step, attribution.revisions[operation]) else {
            continue;
        };
        let found = epochs.get(&gaps.stretch(revision)).copied();
        if let (Some(expected), Some(found)) = (txn.epoch, found)
            && expected != found
        {
            let site = Site::of(history, operation);
            anomalies.add(CommitAnomaly::EpochIgnored { site, revision, expected, found });
        }
    }
}

fn observe(history: &History, gaps: &Gaps<'_>, anomalies: &mut Anomalies) -> HashMap<usize, Epoch> {
    let mut epochs = HashMap::new();
    for (operation, done) in history.operations.iter().enumerate() {
        let Some((revision, found)) = observed(&done.step) else { continue };
        if gaps.place(revision) != Place::Known {
            continue;
        }
        match epochs.entry(gaps.stretch(revision)) {
            Slot::Vacant(slot) => _ = slot.insert(found),
            Slot::Occupied(expected) if *expected.get() == found => {}
            Slot::Occupied(expected) => {
                let (site, expected) = (Site::of(history, operation), *expected.get());
                anomalies.add(ReadAnomaly::EpochChanged { site, revision, expected, found });
            }
        }
    }
    epochs
}

fn observed(step: &Step) -> Option<(Revision, Epoch)> {
    match step {
        Step::Tail { after, result: Ok(epoch) } => Some((*after, *epoch)),
        step => step.store_state().map(|state| (state.head, state.epoch)),
    }
}
