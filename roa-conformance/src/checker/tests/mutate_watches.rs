//! A correct recording in which what watches delivered was altered.

use std::sync::Arc;

use roa_core::{Batch, Change, Error, Revision, TailEnd, TxnId};

use super::{caught, edit, moved, recording, several_changes, with_other_value};
use crate::checker::{
    Anomaly, ClientId, Recording, Selection, WatchAnomaly, WatchEnd, WatchHistory, WatchItem, WatchSession,
};

/// Replaces all watches by one, which delivers the whole log in one session, altered.
#[track_caller]
fn altered(change: impl FnOnce(&mut WatchSession, &Recording), expected: impl Fn(&WatchAnomaly) -> bool) {
    caught(
        |recording| {
            let mut session = correct(recording);
            change(&mut session, recording);
            recording.watches = vec![watch(vec![session])];
        },
        |found| matches!(found, Anomaly::Watch(found) if expected(found)),
    );
}

fn watch(sessions: Vec<WatchSession>) -> WatchHistory {
    WatchHistory { sessions, ..WatchHistory::new(ClientId(5), Selection::Everything) }
}

fn correct(recording: &Recording) -> WatchSession {
    let mut session = WatchSession::new(recording.initial.revision);
    session.items = recording.log.iter().map(|batch| WatchItem::Batch(Arc::clone(batch))).collect();
    session
}

fn middle(session: &WatchSession) -> usize {
    session.items.len() / 2
}

/// Changes a batch that was delivered.
fn edit_batch(session: &mut WatchSession, place: usize, change: impl FnOnce(&mut Batch)) {
    let WatchItem::Batch(batch) = &mut session.items[place] else { panic!("is a batch") };
    edit(batch, change);
}

/// The place of a batch whose first change has a previous value.
fn of_present(recording: &Recording) -> usize {
    recording.log.iter().rposition(|batch| batch.changes[0].previous().is_some()).expect("the workload has one")
}

fn head(recording: &Recording) -> Revision {
    recording.log.last().unwrap().revision
}

#[test]
fn w1_w2_w4_a_correct_watch_passes() {
    let mut recording = recording();
    let mut session = correct(&recording);
    let places: Vec<Revision> = recording.log.iter().map(|batch| batch.revision).collect();
    for (place, revision) in places.into_iter().enumerate().rev().step_by(7) {
        session.items.splice(place + 1..=place, [WatchItem::Progress(revision), WatchItem::Progress(revision)]);
    }
    recording.watches = vec![watch(vec![session])];
    let report = recording.check().unwrap();
    assert_eq!(report.delivered, recording.log.len());
}

#[test]
fn w4_a_revision_that_was_left_out_is_noticed() {
    altered(
        |session, _| _ = session.items.remove(middle(session)),
        |found| matches!(found, WatchAnomaly::Missed { count: 1, .. }),
    );
}

#[test]
fn w5_an_incomplete_start_is_noticed() {
    altered(
        |session, _| _ = session.items.drain(..3),
        |found| matches!(found, WatchAnomaly::IncompleteStart { count: 3, .. }),
    );
}

#[test]
fn w5_a_start_before_the_start_is_noticed() {
    altered(
        |session, _| session.after = session.items[2].revision(),
        |found| matches!(found, WatchAnomaly::OutOfOrder { .. }),
    );
}

#[test]
fn w2_a_revision_that_comes_twice_is_noticed() {
    altered(
        |session, _| session.items.insert(middle(session), session.items[middle(session)].clone()),
        |found| matches!(found, WatchAnomaly::Duplicate { .. }),
    );
}

#[test]
fn w1_swapped_revisions_are_noticed() {
    altered(
        |session, _| {
            let middle = middle(session);
            session.items.swap(middle, middle + 1);
        },
        |found| matches!(found, WatchAnomaly::OutOfOrder { .. }),
    );
}

#[test]
fn w1_going_back_in_time_is_noticed() {
    altered(
        |session, _| session.items.push(session.items[middle(session)].clone()),
        |found| matches!(found, WatchAnomaly::OutOfOrder { .. }),
    );
}

#[test]
fn w3_a_split_revision_is_noticed() {
    let split = |session: &mut WatchSession, recording: &Recording| {
        let place = several_changes(&recording.log);
        let rest = session.items[place].clone();
        session.items.insert(place + 1, rest);
        edit_batch(session, place, |batch| batch.changes = batch.changes[..1].to_vec().into());
        edit_batch(session, place + 1, |batch| batch.changes = batch.changes[1..].to_vec().into());
    };
    altered(split, |found| matches!(found, WatchAnomaly::Split { found: 1, .. }));
    altered(split, |found| matches!(found, WatchAnomaly::Duplicate { .. }));
}

#[test]
fn w3_another_order_within_a_revision_is_noticed() {
    altered(
        |session, recording| {
            let reverse =
                |batch: &mut Batch| batch.changes = batch.changes.iter().rev().cloned().collect::<Vec<_>>().into();
            edit_batch(session, several_changes(&recording.log), reverse);
        },
        |found| matches!(found, WatchAnomaly::Reordered { .. }),
    );
}

#[test]
fn w13_another_previous_value_is_noticed() {
    altered(
        |session, recording| {
            edit_batch(session, of_present(recording), |batch| {
                let mut changes = batch.changes.to_vec();
                let (Change::Put { previous: Some(previous), .. } | Change::Delete { previous }) = &mut changes[0]
                else {
                    panic!("has a previous value")
                };
                *previous = with_other_value(previous);
                batch.changes = changes.into();
            });
        },
        |found| matches!(found, WatchAnomaly::WrongPrevious { .. }),
    );
}

#[test]
fn another_value_is_noticed() {
    let put =
        |recording: &Recording| recording.log.iter().rposition(|batch| batch.changes[0].current().is_some()).unwrap();
    altered(
        |session, recording| {
            edit_batch(session, put(recording), |batch| {
                let mut changes = batch.changes.to_vec();
                let Change::Put { entry, .. } = &mut changes[0] else { panic!("is a put") };
                *entry = with_other_value(entry);
                batch.changes = changes.into();
            });
        },
        |found| matches!(found, WatchAnomaly::WrongChange { .. }),
    );
}

#[test]
fn w12_a_delete_that_comes_as_something_else_is_noticed() {
    altered(
        |session, recording| {
            edit_batch(session, of_present(recording), |batch| {
                let mut changes = batch.changes.to_vec();
                let previous = changes[0].previous().cloned().unwrap();
                changes[0] = match &changes[0] {
                    Change::Put { .. } => Change::Delete { previous },
                    Change::Delete { .. } => Change::Put { entry: Arc::clone(&previous), previous: Some(previous) },
                };
                batch.changes = changes.into();
            });
        },
        |found| matches!(found, WatchAnomaly::WrongChange { .. }),
    );
}

#[test]
fn w18_another_chain_is_noticed() {
    altered(
        |session, _| edit_batch(session, 9, |batch| batch.previous_txn = TxnId::none()),
        |found| matches!(found, WatchAnomaly::WrongChain { .. }),
    );
}

#[test]
fn an_event_that_the_revision_lacks_is_noticed() {
    altered(
        |session, recording| {
            let own = &recording.log[9].changes;
            let is_foreign = |change: &&Change| own.iter().all(|other| other.key() != change.key());
            let invented =
                recording.log.iter().flat_map(|batch| batch.changes.iter()).find(is_foreign).unwrap().clone();
            edit_batch(session, 9, |batch| {
                let mut changes = batch.changes.to_vec();
                changes.push(invented);
                batch.changes = changes.into();
            });
        },
        |found| matches!(found, WatchAnomaly::WrongChange { expected: None, .. }),
    );
}

#[test]
fn s6_a_revision_that_the_log_lacks_is_noticed() {
    altered(
        |session, recording| {
            session.items.push(session.items[3].clone());
            let last = session.items.len() - 1;
            edit_batch(session, last, |batch| batch.revision = moved(head(recording), 1));
        },
        |found| matches!(found, WatchAnomaly::Unknown { .. }),
    );
}

#[test]
fn w10_progress_past_what_was_delivered_is_noticed() {
    altered(
        |session, recording| session.items.insert(4, WatchItem::Progress(recording.log[5].revision)),
        |found| matches!(found, WatchAnomaly::ProgressTooEarly { .. }),
    );
    altered(
        |session, recording| session.items.insert(4, WatchItem::Progress(recording.log[5].revision)),
        |found| matches!(found, WatchAnomaly::OutOfOrder { .. }),
    );
}

#[test]
fn w10_progress_past_the_head_is_noticed() {
    altered(
        |session, recording| session.items.push(WatchItem::Progress(moved(head(recording), 1))),
        |found| matches!(found, WatchAnomaly::ProgressPastHead { .. }),
    );
}

#[test]
fn w10_progress_that_goes_back_is_noticed() {
    altered(
        |session, recording| {
            let progress = |place: usize| WatchItem::Progress(recording.log[place].revision);
            session.items.splice(9..9, [progress(8), progress(7)]);
        },
        |found| matches!(found, WatchAnomaly::ProgressFell { .. }),
    );
}

#[test]
fn w9_a_silent_end_is_noticed() {
    altered(|session, _| session.end = WatchEnd::Silent, |found| matches!(found, WatchAnomaly::SilentEnd { .. }));
}

#[test]
fn w9_ends_with_a_reason_pass() {
    for end in [TailEnd::Lagged, TailEnd::Closed, TailEnd::Failed(Error::unavailable("cut").into())] {
        let mut recording = recording();
        let session = WatchSession { end: WatchEnd::Ended(end), ..correct(&recording) };
        recording.watches = vec![watch(vec![session])];
        recording.check().unwrap();
    }
}

#[test]
fn w7_w9_expired_needs_a_floor_past_the_position() {
    let expired = |floor, head| WatchEnd::Ended(TailEnd::Expired { floor, head });
    altered(
        |session, recording| session.end = expired(head(recording), head(recording)),
        |found| matches!(found, WatchAnomaly::UnjustifiedExpired { .. }),
    );
    let refused = |recording: &Recording, by: i64| {
        let (floor, head) = (moved(recording.log[9].revision, by), head(recording));
        let end = WatchEnd::Refused(Error::Expired { floor, head });
        watch(vec![WatchSession { end, ..WatchSession::new(recording.log[9].revision) }])
    };
    let mut right = recording();
    right.watches = vec![refused(&right, 1)];
    right.check().unwrap();
    caught(
        |recording| recording.watches = vec![refused(recording, 0)],
        |found| matches!(found, Anomaly::Watch(WatchAnomaly::UnjustifiedExpired { .. })),
    );
}

#[test]
fn w8_too_large_needs_a_start_past_the_head() {
    let refused = |recording: &Recording, by: i64| {
        let (after, head) = (moved(head(recording), by), head(recording));
        let end = WatchEnd::Refused(Error::TooLarge { requested: after, head });
        watch(vec![WatchSession { end, ..WatchSession::new(after) }])
    };
    let mut right = recording();
    right.watches = vec![refused(&right, 1)];
    right.check().unwrap();
    caught(
        |recording| recording.watches = vec![refused(recording, 0)],
        |found| matches!(found, Anomaly::Watch(WatchAnomaly::UnjustifiedTooLarge { .. })),
    );
}

#[test]
fn w11_what_did_not_come_in_time_is_noticed() {
    altered(
        |session, recording| {
            session.items.pop();
            session.end = WatchEnd::Stalled { waited_for: head(recording) };
        },
        |found| matches!(found, WatchAnomaly::Stalled { .. }),
    );
}

/// The whole log in two sessions, the second of which begins so many batches after the end of the first.
fn resumed(recording: &Recording, by: isize, end: WatchEnd) -> WatchHistory {
    let mut first = correct(recording);
    let place = middle(&first);
    let from = place.checked_add_signed(by).unwrap();
    let mut second = WatchSession::new(first.items[from - 1].revision());
    second.items = first.items[from..].to_vec();
    first.items.truncate(place);
    first.end = end;
    watch(vec![first, second])
}

#[test]
fn w6_a_watch_goes_on_where_it_ended() {
    let mut right = recording();
    right.watches = vec![resumed(&right, 0, WatchEnd::Ended(TailEnd::Lagged))];
    right.check().unwrap();
    for by in [-2, 2] {
        caught(
            |recording| recording.watches = vec![resumed(recording, by, WatchEnd::Dropped)],
            |found| matches!(found, Anomaly::Watch(WatchAnomaly::ResumedElsewhere { .. })),
        );
    }
}

/// What expired goes on where it listed; what lies between was told by that list.
#[test]
fn w7_after_expired_a_watch_goes_on_later() {
    let mut recording = recording();
    let (floor, head) = (moved(recording.log[middle(&correct(&recording))].revision, 1), head(&recording));
    recording.watches = vec![resumed(&recording, 5, WatchEnd::Ended(TailEnd::Expired { floor, head }))];
    recording.check().unwrap();
}

#[test]
fn w6_a_resumption_that_loses_or_repeats_is_noticed() {
    caught(
        |recording| {
            let mut watch = resumed(recording, 0, WatchEnd::Dropped);
            watch.sessions[1].items.remove(0);
            recording.watches = vec![watch];
        },
        |found| matches!(found, Anomaly::Watch(WatchAnomaly::IncompleteStart { .. })),
    );
    caught(
        |recording| {
            let mut watch = resumed(recording, 0, WatchEnd::Dropped);
            let again = watch.sessions[0].items.last().unwrap().clone();
            watch.sessions[1].items.insert(0, again);
            recording.watches = vec![watch];
        },
        |found| matches!(found, Anomaly::Watch(WatchAnomaly::OutOfOrder { .. })),
    );
}
