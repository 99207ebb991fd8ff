//! A correct recording with a log that was altered.

use std::sync::Arc;

use roa_core::{Batch, Change, Entry, TxnId};

use super::{caught, edit, moved, several_changes, with_other_value};
use crate::checker::{Anomaly, CommitAnomaly, LogAnomaly, Recording, Step};

/// The place of a batch whose only change is a put of the given kind.
fn put(recording: &Recording, of_present: bool) -> usize {
    let is_put = |batch: &Batch| match &*batch.changes {
        [Change::Put { previous, .. }] => previous.is_some() == of_present,
        _ => false,
    };
    let middle = recording.log.len() / 2;
    middle + recording.log[middle..].iter().position(|batch| is_put(batch)).expect("the workload has one")
}

/// Changes the only put of a batch.
fn edit_put(recording: &mut Recording, of_present: bool, change: impl FnOnce(&mut Entry, &mut Option<Arc<Entry>>)) {
    let place = put(recording, of_present);
    edit(&mut recording.log[place], |batch| {
        let Change::Put { entry, previous } = batch.changes[0].clone() else { panic!("is a put") };
        let revisions = [entry.create_revision, entry.revision];
        let (key, value, writer) = (entry.key.clone(), entry.value.clone(), Arc::clone(&entry.writer));
        let (mut copy, mut previous) =
            (Entry::stored(key, value, revisions, entry.version, entry.txn, writer), previous);
        change(&mut copy, &mut previous);
        batch.changes = Change::Put { entry: copy.into(), previous }.into();
    });
}

#[test]
fn s1_a_dropped_batch_is_a_gap() {
    caught(
        |recording| _ = recording.log.remove(recording.log.len() / 2),
        |found| matches!(found, Anomaly::Log(LogAnomaly::NotDense { .. })),
    );
}

#[test]
fn s6_a_log_that_ends_before_the_last_acknowledged_commit_has_lost_it() {
    caught(
        |recording| {
            let acknowledged = recording.history.operations.iter().filter_map(|done| match done.step {
                Step::Commit { result: Ok(revision), .. } => Some(revision),
                _ => None,
            });
            let last = acknowledged.max().unwrap();
            recording.log.retain(|batch| batch.revision < last);
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::Lost { .. })),
    );
}

#[test]
fn s1_a_repeated_batch_is_not_dense() {
    caught(
        |recording| {
            let middle = recording.log.len() / 2;
            recording.log.insert(middle, Arc::clone(&recording.log[middle]));
        },
        |found| matches!(found, Anomaly::Log(LogAnomaly::NotDense { .. })),
    );
}

#[test]
fn s1_swapped_batches_are_not_dense() {
    caught(
        |recording| {
            let middle = recording.log.len() / 2;
            recording.log.swap(middle, middle + 1);
        },
        |found| matches!(found, Anomaly::Log(LogAnomaly::NotDense { .. })),
    );
}

#[test]
fn s1_a_revision_that_goes_back_is_not_dense() {
    caught(
        |recording| {
            let middle = recording.log.len() / 2;
            edit(&mut recording.log[middle], |batch| batch.revision = moved(batch.revision, -5));
        },
        |found| matches!(found, Anomaly::Log(LogAnomaly::NotDense { .. })),
    );
}

#[test]
fn w18_a_batch_that_names_another_predecessor_breaks_the_chain() {
    caught(
        |recording| {
            let middle = recording.log.len() / 2;
            edit(&mut recording.log[middle], |batch| batch.previous_txn = TxnId::none());
        },
        |found| matches!(found, Anomaly::Log(LogAnomaly::Chain { .. })),
    );
}

#[test]
fn a_batch_that_nobody_committed_is_unexplained() {
    caught(
        |recording| {
            let last = Arc::clone(recording.log.last().unwrap());
            let (revision, txn) = (moved(last.revision, 1), TxnId(roa_core::RandomExt::uuid(&roa_core::SystemRandom)));
            recording.log.push(Batch { revision, txn, previous_txn: last.txn, ..Batch::clone(&last) }.into());
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::Unexplained { .. })),
    );
}

#[test]
fn s5_a_transaction_that_is_in_the_log_twice_happened_twice() {
    caught(
        |recording| {
            let (last, again) = (Arc::clone(recording.log.last().unwrap()), Arc::clone(&recording.log[3]));
            let revision = moved(last.revision, 1);
            recording.log.push(Batch { revision, previous_txn: last.txn, ..Batch::clone(&again) }.into());
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::AppliedTwice { .. })),
    );
}

#[test]
fn s4_a_batch_with_half_of_its_writes_is_not_what_was_asked_for() {
    caught(
        |recording| {
            let place = several_changes(&recording.log);
            edit(&mut recording.log[place], |batch| batch.changes = batch.changes[1..].to_vec().into());
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::WrongEffect { .. })),
    );
}

#[test]
fn s4_a_batch_in_another_order_is_not_what_was_asked_for() {
    caught(
        |recording| {
            let place = several_changes(&recording.log);
            edit(&mut recording.log[place], |batch| {
                batch.changes = batch.changes.iter().rev().cloned().collect::<Vec<_>>().into();
            });
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::WrongEffect { .. })),
    );
}

#[test]
fn s4_an_empty_batch_is_none() {
    caught(
        |recording| edit(&mut recording.log[3], |batch| batch.changes = Vec::new().into()),
        |found| matches!(found, Anomaly::Log(LogAnomaly::Empty { .. })),
    );
}

#[test]
fn s4_a_key_is_changed_once_in_a_batch() {
    caught(
        |recording| {
            let again =
                |batch: &mut Batch| batch.changes = vec![batch.changes[0].clone(), batch.changes[0].clone()].into();
            edit(&mut recording.log[3], again);
        },
        |found| matches!(found, Anomaly::Log(LogAnomaly::DuplicateKey { .. })),
    );
}

#[test]
fn s11_another_value_is_not_what_was_asked_for() {
    caught(
        |recording| edit_put(recording, true, |entry, _| entry.value = roa_core::Value::opaque("altered")),
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::WrongEffect { .. })),
    );
}

#[test]
fn another_writer_is_not_what_was_asked_for() {
    caught(
        |recording| edit_put(recording, true, |entry, _| entry.writer = "somebody else".into()),
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::WrongEffect { .. })),
    );
}

#[test]
fn w13_another_previous_value_is_noticed() {
    caught(
        |recording| {
            edit_put(recording, true, |_, previous| *previous = previous.as_deref().map(with_other_value));
        },
        |found| matches!(found, Anomaly::Log(LogAnomaly::WrongPrevious { .. })),
    );
}

#[test]
fn w13_a_missing_previous_value_is_noticed() {
    caught(
        |recording| edit_put(recording, true, |_, previous| *previous = None),
        |found| matches!(found, Anomaly::Log(LogAnomaly::WrongPrevious { .. })),
    );
}

#[test]
fn s9_a_version_that_does_not_rise_is_noticed() {
    caught(
        |recording| edit_put(recording, true, |entry, _| entry.version -= 1),
        |found| matches!(found, Anomaly::Log(LogAnomaly::WrongEntry { .. })),
    );
}

#[test]
fn s9_a_life_that_began_at_another_revision_is_noticed() {
    for of_present in [true, false] {
        caught(
            |recording| {
                edit_put(recording, of_present, |entry, _| entry.create_revision = moved(entry.create_revision, -1));
            },
            |found| matches!(found, Anomaly::Log(LogAnomaly::WrongEntry { .. })),
        );
    }
}

#[test]
fn an_entry_of_another_revision_or_transaction_is_noticed() {
    caught(
        |recording| edit_put(recording, false, |entry, _| entry.revision = moved(entry.revision, 1)),
        |found| matches!(found, Anomaly::Log(LogAnomaly::WrongEntry { .. })),
    );
    caught(
        |recording| edit_put(recording, false, |entry, _| entry.txn = TxnId::none()),
        |found| matches!(found, Anomaly::Log(LogAnomaly::WrongEntry { .. })),
    );
}
