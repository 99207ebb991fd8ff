//! A correct recording in which the answers to reads were altered.

use std::num::NonZeroUsize;
use std::sync::Arc;

use roa_core::{At, Entry, Error, Key, ListRequest, Page, Read, Result, Revision, StoreState};

use super::{caught, moved, recording, revision, with_other_value};
use crate::checker::{Anomaly, ClientId, Operation, ReadAnomaly, Recording, State, Step, Tick};

/// The place of a step, from the middle of those for which this holds.
fn place(recording: &Recording, holds: impl Fn(&Step) -> bool) -> usize {
    let operations = recording.history.operations.iter().enumerate();
    let found: Vec<usize> = operations.filter(|(_, done)| holds(&done.step)).map(|(place, _)| place).collect();
    *found.get(found.len() / 2).expect("the workload has one")
}

/// Alters a get that found something.
#[track_caller]
fn altered_get(change: impl FnOnce(&mut Read), expected: impl Fn(&ReadAnomaly) -> bool) {
    let found_something = |step: &Step| matches!(step, Step::Get { result: Ok(read), .. } if read.entry.is_some());
    caught(
        |recording| {
            let place = place(recording, found_something);
            let Step::Get { result: Ok(read), .. } = &mut recording.history.operations[place].step else { panic!() };
            change(read);
        },
        |found| matches!(found, Anomaly::Read(found) if expected(found)),
    );
}

/// Alters a list of several entries.
#[track_caller]
fn altered_list(
    holds: impl Fn(&ListRequest, &Page) -> bool,
    change: impl FnOnce(&mut ListRequest, &mut Page),
    expected: impl Fn(&ReadAnomaly) -> bool,
) {
    let holds = |step: &Step| matches!(step, Step::List { request, result: Ok(page) } if holds(request, page));
    caught(
        |recording| {
            let place = place(recording, holds);
            let step = &mut recording.history.operations[place].step;
            let Step::List { request, result: Ok(page) } = step else { panic!("is a list") };
            change(request, page);
        },
        |found| matches!(found, Anomaly::Read(found) if expected(found)),
    );
}

fn whole(request: &ListRequest, page: &Page) -> bool {
    request.at == At::Latest && request.limit.is_none() && page.entries.len() > 2
}

fn goes_on(_: &ListRequest, page: &Page) -> bool {
    page.next.is_some() && page.entries.len() > 1
}

fn is_wrong_entry(found: &ReadAnomaly) -> bool {
    matches!(found, ReadAnomaly::WrongEntry { .. })
}

/// Adds an operation after all others.
fn ask_last(recording: &mut Recording, step: Step) {
    let ticks = recording.history.operations.iter().map(|done| done.returned.unwrap_or(done.called));
    let last = ticks.max().unwrap().0;
    let (called, returned) = (Tick(last + 1), Some(Tick(last + 2)));
    recording.history.operations.push(Operation { client: ClientId(9), called, returned, step });
}

/// Asks last, and expects an anomaly.
#[track_caller]
fn last_is_wrong(step: impl FnOnce(&Recording) -> Step, expected: impl Fn(&ReadAnomaly) -> bool) {
    caught(
        |recording| {
            let step = step(recording);
            ask_last(recording, step);
        },
        |found| matches!(found, Anomaly::Read(found) if expected(found)),
    );
}

/// Asks last, and expects none.
#[track_caller]
fn last_is_right(step: impl FnOnce(&Recording) -> Step) {
    let mut recording = recording();
    let step = step(&recording);
    ask_last(&mut recording, step);
    recording.check().unwrap();
}

fn last(recording: &Recording) -> Revision {
    recording.log.last().unwrap().revision
}

/// The state after so many batches, and a key that is in it.
fn state_after(recording: &Recording, batches: usize) -> (State, Arc<Entry>) {
    let mut state = recording.initial.clone();
    recording.log[..batches].iter().for_each(|batch| state.apply(batch));
    let entry = Arc::clone(state.entries().next().expect("is not empty"));
    (state, entry)
}

fn get(key: &Key, entry: Option<Arc<Entry>>, revision: Revision) -> Step {
    Step::Get { key: key.clone(), result: Ok(Read { entry, revision }) }
}

fn list(at: At, state: &State) -> Step {
    let request = ListRequest::new(roa_core::KeyPrefix::everything()).at(at);
    let page = Page { entries: state.entries().cloned().collect(), revision: state.revision, next: None };
    Step::List { request, result: Ok(page) }
}

#[test]
fn s7_a_stale_read_is_noticed_although_it_was_true_once() {
    let stale = |recording: &Recording| {
        let (state, entry) = state_after(recording, recording.log.len() - 1);
        get(&entry.key, Some(Arc::clone(&entry)), state.revision)
    };
    last_is_wrong(stale, |found| matches!(found, ReadAnomaly::Stale { .. }));
    last_is_right(|recording| {
        let (state, entry) = state_after(recording, recording.log.len());
        get(&entry.key, Some(Arc::clone(&entry)), state.revision)
    });
}

#[test]
fn s7_a_stale_list_is_noticed_although_it_was_true_once() {
    let old = |recording: &Recording| state_after(recording, recording.log.len() - 2).0;
    last_is_wrong(|recording| list(At::Latest, &old(recording)), |found| matches!(found, ReadAnomaly::Stale { .. }));
    last_is_right(|recording| list(At::NotOlderThan(old(recording).revision), &old(recording)));
    last_is_right(|recording| list(At::Exact(old(recording).revision), &old(recording)));
}

#[test]
fn a_read_from_the_future_is_noticed() {
    caught(
        |recording| {
            let (state, entry) = state_after(recording, recording.log.len());
            let step = get(&entry.key, Some(Arc::clone(&entry)), state.revision);
            let (called, returned) = (Tick(0), Some(Tick(0)));
            recording.history.operations.push(Operation { client: ClientId(9), called, returned, step });
        },
        |found| matches!(found, Anomaly::Read(ReadAnomaly::FromFuture { .. })),
    );
}

#[test]
fn s1_a_read_of_a_revision_that_never_was_is_noticed() {
    altered_get(
        |read| read.revision = revision(Revision::MAX),
        |found| matches!(found, ReadAnomaly::NoSuchRevision { .. }),
    );
}

#[test]
fn s7_another_value_is_noticed() {
    altered_get(|read| read.entry = read.entry.as_deref().map(with_other_value), is_wrong_entry);
}

#[test]
fn s7_an_entry_that_was_not_found_is_noticed() {
    altered_get(|read| read.entry = None, is_wrong_entry);
}

/// What was read back from a disk is equal, but not the same in memory.
#[test]
fn equal_entries_need_not_be_the_same_in_memory() {
    let copy = |entry: &Entry| {
        let (key, value, writer) = (entry.key.clone(), entry.value.clone(), Arc::clone(&entry.writer));
        let revisions = [entry.create_revision, entry.revision];
        Arc::new(Entry::stored(key, value, revisions, entry.version, entry.txn, writer))
    };
    let mut recording = recording();
    for done in &mut recording.history.operations {
        match &mut done.step {
            Step::Get { result: Ok(read), .. } => read.entry = read.entry.as_deref().map(copy),
            Step::List { result: Ok(page), .. } => page.entries.iter_mut().for_each(|entry| *entry = copy(entry)),
            _ => {}
        }
    }
    recording.check().unwrap();
}

#[test]
fn another_writer_is_noticed() {
    let by_another = |entry: &Entry| {
        let (key, value, writer) = (entry.key.clone(), entry.value.clone(), "somebody else".into());
        let revisions = [entry.create_revision, entry.revision];
        Arc::new(Entry::stored(key, value, revisions, entry.version, entry.txn, writer))
    };
    altered_get(|read| read.entry = read.entry.as_deref().map(by_another), is_wrong_entry);
}

#[test]
fn s9_another_version_is_noticed() {
    let other_version = |entry: &Entry| {
        let revisions = [entry.create_revision, entry.revision];
        let (key, value, writer) = (entry.key.clone(), entry.value.clone(), Arc::clone(&entry.writer));
        Arc::new(Entry::stored(key, value, revisions, entry.version + 1, entry.txn, writer))
    };
    altered_get(|read| read.entry = read.entry.as_deref().map(other_version), is_wrong_entry);
}

#[test]
fn s7_a_list_without_one_of_its_entries_is_noticed() {
    for missing in [0, 1] {
        altered_list(whole, |_, page| _ = page.entries.remove(missing), is_wrong_entry);
    }
    altered_list(whole, |_, page| _ = page.entries.pop(), is_wrong_entry);
}

#[test]
fn s7_a_list_with_another_value_is_noticed() {
    altered_list(whole, |_, page| page.entries[1] = with_other_value(&page.entries[1]), is_wrong_entry);
}

#[test]
fn s7_a_list_with_an_entry_too_many_is_noticed() {
    let ghost = |number: &str| {
        let key = Key::new("workload.example.com", "things", "zz", number).unwrap();
        let value = roa_core::Value::opaque("");
        Arc::new(Entry::created(key, value, revision(1), roa_core::TxnId::none(), "test".into()))
    };
    altered_list(whole, |_, page| page.entries.push(ghost("last")), is_wrong_entry);
}

#[test]
fn s7_a_list_out_of_order_is_noticed() {
    let unsorted = |found: &ReadAnomaly| matches!(found, ReadAnomaly::Unsorted { .. });
    altered_list(whole, |_, page| page.entries.swap(0, 1), unsorted);
    altered_list(whole, |_, page| page.entries.insert(1, Arc::clone(&page.entries[0])), unsorted);
}

#[test]
fn s8_a_page_that_leads_elsewhere_is_noticed() {
    let wrong = |found: &ReadAnomaly| matches!(found, ReadAnomaly::WrongPage { .. });
    altered_list(goes_on, |_, page| page.next.as_mut().unwrap().after = page.entries[0].key.clone(), wrong);
    altered_list(
        goes_on,
        |_, page| {
            let next = page.next.as_mut().unwrap();
            next.revision = moved(next.revision, 1);
        },
        wrong,
    );
    altered_list(goes_on, |request, _| request.limit = NonZeroUsize::new(1), wrong);
    altered_list(goes_on, |request, _| request.limit = None, wrong);
    altered_list(goes_on, |_, page| page.next = None, is_wrong_entry);
}

#[test]
fn s8_a_page_after_the_last_one_is_noticed() {
    let last =
        |request: &ListRequest, page: &Page| request.limit.is_some() && page.next.is_none() && !page.entries.is_empty();
    let go_on = |_: &mut ListRequest, page: &mut Page| {
        let after = page.entries.last().unwrap().key.clone();
        page.next = Some(roa_core::Continue { revision: page.revision, after });
    };
    altered_list(last, go_on, |found| matches!(found, ReadAnomaly::WrongPage { .. }));
}

#[test]
fn s8_a_list_as_of_another_revision_than_asked_for_is_noticed() {
    let exact = |request: &ListRequest, page: &Page| matches!(request.at, At::Exact(_)) && !page.entries.is_empty();
    let other = |found: &ReadAnomaly| matches!(found, ReadAnomaly::OtherRevision { .. });
    altered_list(exact, |request, page| request.at = At::Exact(moved(page.revision, -1)), other);
    altered_list(whole, |request, page| request.at = At::NotOlderThan(moved(page.revision, 1)), other);
}

fn state(recording: &Recording, floor: Revision) -> Step {
    let known = recording.history.operations.iter().rev().find_map(|done| done.step.store_state());
    Step::State { result: Ok(StoreState { floor, ..*known.expect("the workload asks for the state") }) }
}

/// The highest floor that was seen.
fn floor(recording: &Recording) -> Revision {
    let floors = recording.history.operations.iter().filter_map(|done| match &done.step {
        Step::Compact { result: Ok(floor), .. } => Some(*floor),
        _ => None,
    });
    floors.max().expect("the workload compacts")
}

#[test]
fn s10_a_floor_that_falls_is_noticed() {
    last_is_wrong(
        |recording| state(recording, moved(floor(recording), -1)),
        |found| matches!(found, ReadAnomaly::FloorFell { .. }),
    );
    last_is_right(|recording| state(recording, floor(recording)));
}

#[test]
fn s10_a_floor_past_the_head_is_noticed() {
    last_is_wrong(
        |recording| state(recording, moved(last(recording), 1)),
        |found| matches!(found, ReadAnomaly::FloorPastHead { .. }),
    );
}

#[test]
fn s1_a_head_that_falls_is_noticed() {
    caught(
        |recording| {
            let mut step = state(recording, floor(recording));
            let Step::State { result: Ok(state) } = &mut step else { panic!("is a state") };
            state.head = moved(state.head, -1);
            ask_last(recording, step);
        },
        |found| matches!(found, Anomaly::Read(ReadAnomaly::Stale { .. })),
    );
}

#[test]
fn w7_what_is_forgotten_is_not_served() {
    let below = |found: &ReadAnomaly| matches!(found, ReadAnomaly::BelowFloor { .. });
    let epoch = |recording: &Recording| state(recording, floor(recording)).store_state().unwrap().epoch;
    let tail = |after, recording: &Recording| Step::Tail { after, result: Ok(epoch(recording)) };
    last_is_wrong(|recording| tail(moved(floor(recording), -1), recording), below);
    last_is_right(|recording| tail(floor(recording), recording));
    last_is_wrong(
        |recording| {
            let before = recording.log.partition_point(|batch| batch.revision < floor(recording));
            let (state, _) = state_after(recording, before);
            list(At::Exact(state.revision), &state)
        },
        below,
    );
}

fn failed_list(at: At, error: Error) -> Step {
    Step::List { request: ListRequest::new(roa_core::KeyPrefix::everything()).at(at), result: Err(error) }
}

#[test]
fn s8_expired_needs_a_revision_below_the_floor() {
    let expired = |recording: &Recording, at: At| {
        failed_list(at, Error::Expired { floor: floor(recording), head: last(recording) })
    };
    let unjustified = |found: &ReadAnomaly| matches!(found, ReadAnomaly::UnjustifiedExpired { .. });
    last_is_wrong(|recording| expired(recording, At::Exact(floor(recording))), unjustified);
    last_is_wrong(|recording| expired(recording, At::Latest), unjustified);
    last_is_right(|recording| expired(recording, At::Exact(moved(floor(recording), -1))));
}

#[test]
fn w8_too_large_needs_a_revision_past_the_head() {
    let too_large = |requested: Revision, head: Revision| {
        let error: Result<_> = Err(Error::TooLarge { requested, head });
        Step::Tail { after: requested, result: error }
    };
    let unjustified = |found: &ReadAnomaly| matches!(found, ReadAnomaly::UnjustifiedTooLarge { .. });
    last_is_wrong(|recording| too_large(last(recording), last(recording)), unjustified);
    last_is_wrong(|recording| too_large(last(recording), moved(last(recording), -3)), unjustified);
    last_is_wrong(|recording| too_large(moved(last(recording), 1), moved(last(recording), 1)), unjustified);
    last_is_right(|recording| too_large(moved(last(recording), 1), last(recording)));
    let newest = |recording: &Recording| {
        let (requested, head) = (moved(last(recording), 1), last(recording));
        failed_list(At::Latest, Error::TooLarge { requested, head })
    };
    last_is_wrong(newest, unjustified);
}

#[test]
fn w8_what_has_not_been_reached_is_not_served() {
    let from_future = |found: &ReadAnomaly| matches!(found, ReadAnomaly::FromFuture { .. });
    let epoch = |recording: &Recording| state(recording, floor(recording)).store_state().unwrap().epoch;
    last_is_wrong(
        |recording| Step::Tail { after: moved(last(recording), 1), result: Ok(epoch(recording)) },
        from_future,
    );
    last_is_wrong(
        |recording| Step::Compact { to: moved(last(recording), 1), result: Ok(floor(recording)) },
        from_future,
    );
}
