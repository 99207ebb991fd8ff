//! Watches of a selection: what comes into it, what leaves it, and what does not concern it.

use std::sync::Arc;

use roa_core::{Batch, Change, KeyPrefix};

use super::recording;
use crate::checker::{
    Anomaly, ClientId, Recording, Selection, WatchAnomaly, WatchHistory, WatchItem, WatchSession, check_watches,
};

/// What a watch of a selection is to deliver.
fn selected(recording: &Recording, selection: Selection) -> WatchHistory {
    let mut session = WatchSession::new(recording.initial.revision);
    for batch in &recording.log {
        let changes: Vec<Change> = batch.changes.iter().filter_map(|change| selection.project(change)).collect();
        if !changes.is_empty() {
            session.items.push(WatchItem::Events { revision: batch.revision, changes });
        }
    }
    WatchHistory { sessions: vec![session], ..WatchHistory::new(ClientId(6), selection) }
}

fn namespace() -> Selection {
    Selection::Prefix(KeyPrefix::namespace("workload.example.com", "things", "a").unwrap())
}

/// Entries with a short value: they come and go as values change.
fn short() -> Selection {
    Selection::Matching(Arc::new(|entry| entry.value.bytes.len() < 24))
}

#[test]
fn w12_watches_of_a_selection_pass() {
    let recording = recording();
    for selection in [namespace(), short()] {
        let watch = selected(&recording, selection);
        let delivered = watch.sessions[0].items.len();
        assert!(delivered > 20 && delivered < recording.log.len());
        let report = check_watches(&[watch], &recording.log, &recording.initial).unwrap();
        assert_eq!(report.delivered, delivered);
    }
}

#[track_caller]
fn altered_selection(
    selection: Selection,
    change: impl FnOnce(&mut Vec<WatchItem>),
    expected: impl Fn(&WatchAnomaly) -> bool,
) {
    let recording = recording();
    let mut watch = selected(&recording, selection);
    change(&mut watch.sessions[0].items);
    let found = check_watches(&[watch], &recording.log, &recording.initial).unwrap_err();
    assert!(found.iter().any(|found| matches!(found, Anomaly::Watch(found) if expected(found))), "{found:#?}");
}

#[test]
fn w4_an_event_of_the_selection_that_was_left_out_is_noticed() {
    altered_selection(namespace(), |items| _ = items.remove(9), |found| matches!(found, WatchAnomaly::Missed { .. }));
}

#[test]
fn w12_an_event_outside_of_the_selection_is_noticed() {
    let recording = recording();
    let foreign = |batch: &&Arc<Batch>| batch.changes.iter().all(|change| namespace().project(change).is_none());
    let batch = recording.log.iter().find(foreign).unwrap();
    let event = WatchItem::Events { revision: batch.revision, changes: batch.changes.to_vec() };
    altered_selection(
        namespace(),
        |items| {
            let place = items.partition_point(|item| item.revision() < event.revision());
            items.insert(place, event.clone());
        },
        |found| matches!(found, WatchAnomaly::Unknown { .. }),
    );
}

/// What leaves the selection is to come as a delete with the last matching value, what comes into it without previous.
#[test]
fn w12_edges_of_the_selection_are_checked() {
    let leaves = |change: &Change| matches!(change, Change::Delete { .. });
    let enters = |change: &Change| matches!(change, Change::Put { previous: None, .. });
    let wrong =
        |found: &WatchAnomaly| matches!(found, WatchAnomaly::WrongChange { .. } | WatchAnomaly::WrongPrevious { .. });
    for edge in [leaves, enters] {
        let spoil = |items: &mut Vec<WatchItem>| {
            let changes = items.iter_mut().find_map(|item| match item {
                WatchItem::Events { changes, .. } if changes.iter().any(edge) => Some(changes),
                _ => None,
            });
            let change = changes.unwrap().iter_mut().find(|change| edge(change)).unwrap();
            *change = match change.clone() {
                Change::Delete { previous } => Change::Put { entry: Arc::clone(&previous), previous: Some(previous) },
                Change::Put { entry, .. } => Change::Put { previous: Some(Arc::clone(&entry)), entry },
            };
        };
        altered_selection(short(), spoil, wrong);
    }
}

#[test]
fn w10_progress_without_matches_is_honest() {
    let recording = recording();
    let nothing = Selection::Matching(Arc::new(|_| false));
    let mut watch = selected(&recording, nothing);
    watch.sessions[0].items.push(WatchItem::Progress(recording.log.last().unwrap().revision));
    check_watches(&[watch], &recording.log, &recording.initial).unwrap();
}
