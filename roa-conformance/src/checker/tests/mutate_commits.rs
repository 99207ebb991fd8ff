//! A correct recording in which the answers to commits were altered.

use std::sync::Arc;

use roa_core::{CommitError, Epoch, Expect, Op, Revision, SeededRandom, Txn, TxnError, TxnId, Value};

use super::{caught, edit, moved, recording, revision};
use crate::checker::{Anomaly, ClientId, CommitAnomaly, Operation, ReadAnomaly, Recording, Step, Tick};

type Answer = roa_core::Result<Revision, CommitError>;

/// The places of the commits for which this holds.
fn commits(recording: &Recording, holds: impl Fn(&Txn, &Answer) -> bool) -> Vec<usize> {
    let operations = recording.history.operations.iter().enumerate();
    let holds = |step: &Step| matches!(step, Step::Commit { txn, result } if holds(txn, result));
    operations.filter(|(_, done)| holds(&done.step)).map(|(place, _)| place).collect()
}

/// One of them, from the middle.
fn commit(recording: &Recording, holds: impl Fn(&Txn, &Answer) -> bool) -> usize {
    let found = commits(recording, holds);
    found[found.len() / 2]
}

fn acknowledged(_: &Txn, answer: &Answer) -> bool {
    answer.is_ok()
}

fn edit_commit(recording: &mut Recording, place: usize, change: impl FnOnce(&mut Arc<Txn>, &mut Answer)) {
    let Step::Commit { txn, result } = &mut recording.history.operations[place].step else { panic!("is a commit") };
    change(txn, result);
}

/// Alters a commit for which something holds.
#[track_caller]
fn altered(
    holds: impl Fn(&Txn, &Answer) -> bool,
    change: impl FnOnce(&mut Arc<Txn>, &mut Answer),
    expected: impl Fn(&CommitAnomaly) -> bool,
) {
    caught(
        |recording| edit_commit(recording, commit(recording, holds), change),
        |found| matches!(found, Anomaly::Commit(found) if expected(found)),
    );
}

fn after_all(recording: &Recording) -> Tick {
    let ticks = recording.history.operations.iter().map(|done| done.returned.unwrap_or(done.called));
    Tick(ticks.max().unwrap().0 + 10)
}

#[test]
fn s2_a_lost_write_is_noticed_whatever_revision_it_names() {
    let next = |recording: &Recording| moved(recording.log.last().unwrap().revision, 1);
    let named: [&dyn Fn(&Recording) -> Revision; 3] =
        [&next, &|recording| recording.initial.revision, &|_| revision(Revision::MAX)];
    for named in named {
        caught(
            |recording| {
                let key = roa_core::Key::new("g", "things", "n", "lost").unwrap();
                let txn = Txn::new(TxnId::random(&SeededRandom::new(99)), "test").create(key, Value::opaque(""));
                let (after, result) = (after_all(recording), Ok(named(recording)));
                let step = Step::Commit { txn: txn.into(), result };
                let (called, returned) = (after, Some(Tick(after.0 + 1)));
                recording.history.operations.push(Operation { client: ClientId(0), called, returned, step });
            },
            |found| matches!(found, Anomaly::Commit(CommitAnomaly::Lost { .. })),
        );
    }
}

#[test]
fn a_commit_that_is_missing_in_the_history_leaves_its_batch_unexplained() {
    caught(
        |recording| {
            let place = commit(recording, acknowledged);
            recording.history.operations.remove(place);
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::Unexplained { .. })),
    );
}

/// S5: a lost acknowledgement is no anomaly.
#[test]
fn s5_a_commit_whose_answer_got_lost_may_be_in_the_log() {
    let mut recording = recording();
    let before = recording.check().unwrap();
    let place = commit(&recording, acknowledged);
    edit_commit(&mut recording, place, |txn, result| {
        *result = Err(CommitError::Ambiguous { txn: txn.id, reason: "lost".into() });
    });
    let after = recording.check().unwrap();
    assert_eq!(after.ambiguous_applied, before.ambiguous_applied + 1);
    assert_eq!(after.acknowledged, before.acknowledged - 1);
}

#[test]
fn s5_a_commit_that_was_refused_must_not_be_in_the_log() {
    let errors: [fn(&Txn) -> CommitError; 3] = [
        |_| CommitError::Unavailable { reason: "altered".into() },
        |txn| CommitError::Conflict { key: txn.ops[0].key().clone(), current: None },
        |_| CommitError::Invalid(TxnError::Empty),
    ];
    for error in errors {
        altered(
            acknowledged,
            |txn, result| *result = Err(error(txn)),
            |found| matches!(found, CommitAnomaly::AppliedAfterRefusal { .. }),
        );
    }
}

#[test]
fn s1_another_revision_than_in_the_log_is_noticed() {
    altered(
        acknowledged,
        |_, result| *result = result.clone().map(|revision| moved(revision, 1)),
        |found| matches!(found, CommitAnomaly::OtherRevision { .. }),
    );
}

#[test]
fn s1_two_commits_cannot_share_a_revision() {
    caught(
        |recording| {
            let found = commits(recording, acknowledged);
            let Step::Commit { result, .. } = recording.history.operations[found[5]].step.clone() else { panic!() };
            edit_commit(recording, found[9], |_, other| *other = result);
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::DuplicateRevision { .. })),
    );
}

#[test]
fn a_transaction_id_is_used_once() {
    caught(
        |recording| {
            let place = commit(recording, acknowledged);
            let again = recording.history.operations[place].clone();
            recording.history.operations.push(again);
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::ReusedTxn { .. })),
    );
}

/// An early commit that was called only after all others had returned.
fn call_after_all(recording: &mut Recording, place: usize) {
    let after = after_all(recording);
    let done = &mut recording.history.operations[place];
    (done.called, done.returned) = (after, Some(Tick(after.0 + 1)));
}

#[test]
fn s2_real_time_is_the_order_of_revisions() {
    caught(
        |recording| {
            let place = commits(recording, acknowledged)[5];
            call_after_all(recording, place);
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::OutOfOrder { .. })),
    );
}

#[test]
fn s5_an_unclear_commit_did_not_happen_before_it_was_called() {
    caught(
        |recording| {
            let logged = recording.log.iter().map(|batch| batch.txn).collect::<std::collections::HashSet<_>>();
            let unclear = |txn: &Txn, answer: &Answer| {
                matches!(answer, Err(CommitError::Ambiguous { .. })) && logged.contains(&txn.id)
            };
            let place = commits(recording, unclear)[0];
            call_after_all(recording, place);
        },
        |found| matches!(found, Anomaly::Commit(CommitAnomaly::BeforeCall { .. })),
    );
}

#[test]
fn s3_an_expectation_that_did_not_hold_is_noticed() {
    altered(
        |txn, answer| answer.is_ok() && matches!(txn.ops[..], [Op::Put { .. }]),
        |txn, _| {
            edit(txn, |txn| {
                let Op::Put { expect, .. } = &mut txn.ops[0] else { panic!("is a put") };
                *expect = match expect {
                    Expect::Absent => Expect::At(revision(1)),
                    Expect::At(_) => Expect::Absent,
                };
            });
        },
        |found| matches!(found, CommitAnomaly::ExpectationBroken { .. }),
    );
}

#[test]
fn s4_a_guard_that_did_not_hold_is_noticed() {
    altered(
        |txn, answer| answer.is_ok() && !txn.guards.is_empty(),
        |txn, _| edit(txn, |txn| txn.guards[0].expect = Expect::At(revision(1))),
        |found| matches!(found, CommitAnomaly::GuardBroken { .. }),
    );
}

#[test]
fn s4_a_write_that_was_not_asked_for_is_noticed() {
    altered(
        |txn, answer| answer.is_ok() && txn.ops.len() > 1,
        |txn, _| edit(txn, |txn| _ = txn.ops.pop()),
        |found| matches!(found, CommitAnomaly::WrongEffect { asked: None, .. }),
    );
}

#[test]
fn s4_a_write_that_is_missing_in_the_log_is_noticed() {
    altered(
        |txn, answer| answer.is_ok() && txn.ops.len() == 1,
        |txn, _| {
            let key = roa_core::Key::new("g", "things", "n", "more").unwrap();
            edit(txn, |txn| *txn = txn.clone().create(key, Value::opaque("")));
        },
        |found| matches!(found, CommitAnomaly::WrongEffect { logged: None, .. }),
    );
}

#[test]
fn s3_a_conflict_with_another_revision_than_the_key_had_is_unjustified() {
    for current in [Some(revision(7)), Some(revision(Revision::MAX))] {
        altered(
            |_, answer| matches!(answer, Err(CommitError::Conflict { .. })),
            |_, result| {
                let Err(CommitError::Conflict { current: answered, .. }) = result else { panic!("is a conflict") };
                *answered = current;
            },
            |found| matches!(found, CommitAnomaly::UnjustifiedRefusal { .. }),
        );
    }
}

#[test]
fn s3_a_conflict_on_a_key_that_is_as_expected_is_unjustified() {
    altered(
        |txn, answer| {
            matches!(answer, Err(CommitError::Conflict { .. })) && matches!(txn.ops[0].expect(), Expect::At(_))
        },
        |txn, result| {
            let Expect::At(expected) = txn.ops[0].expect() else { panic!("expects a revision") };
            let key = txn.ops[0].key().clone();
            *result = Err(CommitError::Conflict { key, current: Some(expected) });
        },
        |found| matches!(found, CommitAnomaly::UnjustifiedRefusal { .. }),
    );
}

#[test]
fn s3_a_conflict_on_a_foreign_key_is_unjustified() {
    altered(
        |_, answer| matches!(answer, Err(CommitError::Conflict { .. })),
        |_, result| {
            let key = roa_core::Key::new("g", "things", "n", "foreign").unwrap();
            *result = Err(CommitError::Conflict { key, current: None });
        },
        |found| matches!(found, CommitAnomaly::UnjustifiedRefusal { .. }),
    );
}

#[test]
fn s4_a_failed_guard_without_reason_is_noticed() {
    altered(
        |_, answer| matches!(answer, Err(CommitError::GuardFailed { .. })),
        |_, result| {
            let Err(CommitError::GuardFailed { current, .. }) = result else { panic!("is a failed guard") };
            *current = Some(revision(3));
        },
        |found| matches!(found, CommitAnomaly::UnjustifiedRefusal { .. }),
    );
}

/// S3 names the first write that conflicts: a later one is no reason while an earlier one conflicts too.
#[test]
fn s3_the_first_conflict_is_named() {
    altered(
        |txn, answer| matches!(answer, Err(CommitError::Conflict { key, .. }) if *key == *txn.ops[0].key()),
        |txn, _| {
            edit(txn, |txn| {
                let key = roa_core::Key::new("g", "things", "n", "never-there").unwrap();
                txn.ops.insert(0, Op::Delete { key, expect: revision(1) });
            });
        },
        |found| matches!(found, CommitAnomaly::UnjustifiedRefusal { .. }),
    );
}

#[test]
fn s14_a_fence_against_the_named_epoch_is_unjustified() {
    let fenced = |_: &Txn, answer: &Answer| matches!(answer, Err(CommitError::Fenced { .. }));
    let unjustified = |found: &CommitAnomaly| matches!(found, CommitAnomaly::UnjustifiedFence { .. });
    altered(fenced, |txn, _| edit(txn, |txn| txn.epoch = None), unjustified);
    let name_the_current = |txn: &mut Arc<Txn>, answer: &mut Answer| {
        let Err(CommitError::Fenced { current }) = answer else { panic!("is fenced") };
        edit(txn, |txn| txn.epoch = Some(*current));
    };
    altered(fenced, name_the_current, unjustified);
}

#[test]
fn s14_a_commit_in_another_epoch_than_it_named_is_noticed() {
    altered(
        acknowledged,
        |txn, _| edit(txn, |txn| txn.epoch = Some(Epoch { counter: 77, nonce: 0 })),
        |found| matches!(found, CommitAnomaly::EpochIgnored { .. }),
    );
}

#[test]
fn s14_the_epoch_changes_only_at_jumps() {
    caught(
        |recording| {
            let mut operations = recording.history.operations.iter_mut().rev();
            let epoch = operations.find_map(|done| match &mut done.step {
                Step::State { result: Ok(state) } => Some(&mut state.epoch),
                _ => None,
            });
            epoch.expect("the workload asks for the state").counter += 1;
        },
        |found| matches!(found, Anomaly::Read(ReadAnomaly::EpochChanged { .. })),
    );
}

#[test]
fn s12_valid_and_invalid_transactions_are_told_apart() {
    let wrong = |found: &CommitAnomaly| matches!(found, CommitAnomaly::WrongValidation { .. });
    altered(
        |_, answer| matches!(answer, Err(CommitError::Conflict { .. })),
        |_, result| *result = Err(CommitError::Invalid(TxnError::Empty)),
        wrong,
    );
    altered(acknowledged, |txn, _| edit(txn, |txn| txn.ops.clear()), wrong);
}
