//! Recordings of real clients on several threads.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{At, CommitError, Error, Key, ManualClock, SeededRandom, Store, Timestamp, Txn, TxnId, Value};
use roa_store_memory::{MemoryConfig, MemoryStore};

use super::reference::{Flaky, Reference};
use super::wrong_stores::Outage;
use super::{on_threads, recording};
use crate::checker::workload::{Workload, run_workload};
use crate::checker::{ClientId, Failure, Recorder, State, Step, WatchEnd, WatchRecorder};

fn memory(seed: u64) -> MemoryStore {
    let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap());
    let config = MemoryConfig::default().min_retain(0);
    MemoryStore::new(config, Arc::new(clock), Arc::new(SeededRandom::new(seed)))
}

fn create(name: &str, number: u64) -> Txn {
    let key = Key::new("g", "things", "n", name).unwrap();
    Txn::new(TxnId::random(&SeededRandom::new(number)), "test").create(key, Value::opaque("v"))
}

#[test]
fn correct_stores_pass() {
    for seed in 0..6 {
        let store: Arc<dyn Store> = match seed % 2 {
            0 => Arc::new(Flaky::new(Reference::new(), seed)),
            _ => Arc::new(Reference::new()),
        };
        let report = on_threads(run_workload(store, seed, 4, 150)).unwrap().check().unwrap();
        assert!(report.acknowledged > 50 && report.delivered > report.batches, "{report}");
    }
}

#[test]
fn the_memory_store_passes() {
    for seed in 10..14 {
        let store = Arc::new(memory(seed));
        let recording = on_threads(run_workload(store, seed, 4, 300)).unwrap();
        let report = recording.check().unwrap();
        assert!(report.acknowledged > 100 && report.refused > 50 && report.reads > 100, "{report}");
    }
}

#[test]
fn the_memory_store_passes_when_replies_get_lost() {
    for seed in 20..24 {
        let store = Arc::new(Flaky::new(memory(seed), seed));
        let report = on_threads(run_workload(store, seed, 6, 200)).unwrap().check().unwrap();
        assert!(report.ambiguous_applied > 5 && report.ambiguous_dropped > 5, "{report}");
    }
}

/// The recording on which the mutations are tried has something of everything.
#[test]
fn the_workload_finds_what_is_to_be_found() {
    let recording = recording();
    let kind = |step: &Step| match step {
        Step::Commit { result: Ok(_), txn } if txn.epoch.is_some() => "commit in epoch",
        Step::Commit { result: Ok(_), txn } if !txn.guards.is_empty() => "guarded commit",
        Step::Commit { result: Ok(_), txn } if txn.ops.len() > 1 => "commit of several",
        Step::Commit { result: Ok(_), .. } => "commit",
        Step::Commit { result: Err(error), .. } => error.reason(),
        Step::Get { .. } => "get",
        Step::List { result: Ok(page), .. } if page.next.is_some() => "page",
        Step::List { result: Ok(_), request } if matches!(request.at, At::Exact(_)) => "exact list",
        Step::List { result: Ok(_), .. } => "list",
        Step::List { result: Err(error), .. } => error.reason(),
        Step::State { .. } => "state",
        Step::Compact { result: Ok(_), .. } => "compact",
        _ => "other",
    };
    let kinds: HashSet<&str> = recording.history.operations.iter().map(|done| kind(&done.step)).collect();
    for expected in [
        "commit",
        "commit of several",
        "guarded commit",
        "commit in epoch",
        "Conflict",
        "GuardFailed",
        "Fenced",
        "Ambiguous",
        "get",
        "list",
        "page",
        "exact list",
        "TooLarge",
        "state",
        "compact",
    ] {
        assert!(kinds.contains(expected), "no {expected} in {kinds:?}");
    }
    assert!(recording.watches.iter().filter(|watch| watch.sessions.len() > 3).count() >= 4, "watches were resumed");
}

#[test]
fn a_failure_names_its_seed() {
    let mut recording = recording();
    recording.log.pop();
    let failure = recording.check().unwrap_err();
    assert!(failure.to_string().contains("seed 7"), "{failure}");
    assert_eq!(format!("{failure:?}"), failure.to_string(), "what unwrap prints is the text");
}

#[test]
fn choices_come_from_the_seed() {
    let run = |seed| on_threads(Workload { watchers: 0, ..Workload::new(seed, 1, 60) }.run(Arc::new(Reference::new())));
    let steps = |seed| {
        let operations = run(seed).unwrap().history.operations;
        operations.into_iter().map(|done| format!("{:?}", done.step)).collect::<Vec<_>>()
    };
    assert_eq!(steps(1), steps(1));
    assert_ne!(steps(1), steps(2));
}

#[test]
fn the_workload_starts_from_what_is_there() {
    let store = Arc::new(Reference::new());
    let first = on_threads(run_workload(Arc::clone(&store) as _, 1, 2, 100)).unwrap();
    let second = on_threads(run_workload(store, 2, 2, 100)).unwrap();
    let mut replayed = first.initial.clone();
    first.log.iter().for_each(|batch| replayed.apply(batch));
    assert_eq!(replayed, second.initial);
    second.check().unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_read_fails_the_run_and_names_the_seed() {
    let recorder = Arc::new(Recorder::new(Arc::new(Reference::new()), 0));
    let failure = run_workload(recorder, 99, 1, 1).await.unwrap_err();
    assert!(matches!(failure, Failure::Store { seed: 99, error: Error::Unavailable { .. } }), "{failure}");
}

#[tokio::test]
async fn a_full_recording_refuses_calls_unsent() {
    let recorder = Recorder::new(Arc::new(Reference::new()), 1);
    recorder.commit(create("a", 1)).await.unwrap();
    let refused = recorder.client(ClientId(1)).commit(create("b", 2)).await;
    assert!(matches!(refused, Err(CommitError::Unavailable { .. })), "{refused:?}");
    let history = recorder.history();
    assert_eq!((history.operations.len(), history.refused), (1, 1));
}

/// S5: a dropped commit stays open, for all of it or nothing.
#[tokio::test]
async fn a_call_that_was_given_up_stays_without_an_answer() {
    let flaky = Flaky::new(Reference::new(), 3);
    let recorder = Recorder::new(Arc::new(flaky), 100);
    for number in 0..20 {
        let commit = recorder.commit(create(&number.to_string(), number));
        _ = futures_util::FutureExt::now_or_never(commit);
    }
    let operations = recorder.history().operations;
    assert_eq!(operations.len(), 20);
    let open = operations.iter().filter(|done| done.returned.is_none());
    let ambiguous = |step: &Step| matches!(step, Step::Commit { result: Err(CommitError::Ambiguous { .. }), .. });
    assert!(open.clone().count() > 5, "some were given up");
    assert!(open.clone().all(|done| ambiguous(&done.step)));
}

#[tokio::test]
async fn calls_and_answers_are_in_the_order_of_their_ticks() {
    let recorder = Recorder::new(Arc::new(Reference::new()), 100);
    let key = Key::new("g", "things", "n", "a").unwrap();
    recorder.commit(create("a", 1)).await.unwrap();
    let other = recorder.client(ClientId(4));
    other.get(&key).await.unwrap();
    other.state().await.unwrap();
    let operations = recorder.history().operations;
    let ticks: Vec<_> = operations.iter().flat_map(|done| [done.called, done.returned.unwrap()]).collect();
    assert!(ticks.is_sorted_by(|left, right| left < right), "{ticks:?}");
    assert_eq!(operations.iter().map(|done| done.client.0).collect::<Vec<_>>(), [0, 4, 4]);
}

#[tokio::test]
async fn a_watch_recorder_writes_down_sessions_and_their_ends() {
    let store = Reference::new();
    let first = store.state().await.unwrap().head;
    let mut recorder = WatchRecorder::new(ClientId(1), 100);
    recorder.open(&store, first).await.unwrap();
    store.commit(create("a", 1)).await.unwrap();
    assert_eq!(recorder.next().await.map(|batches| batches.len()), Some(1));
    let head = store.with(super::model::Model::fence).head;
    assert!(recorder.next().await.is_none());
    assert_eq!(recorder.expired(), Some(head));
    assert!(recorder.open(&store, first).await.is_err());
    recorder.open(&store, head).await.unwrap();
    recorder.give_up(super::moved(head, 1));
    let sessions = recorder.into_history().sessions;
    assert!(matches!(
        sessions.iter().map(|session| &session.end).collect::<Vec<_>>()[..],
        [WatchEnd::Ended(_), WatchEnd::Refused(_), WatchEnd::Stalled { .. }]
    ));
}

#[tokio::test]
async fn a_full_watch_recorder_ends() {
    let store = Reference::new();
    let first = store.state().await.unwrap().head;
    let mut recorder = WatchRecorder::new(ClientId(1), 2);
    recorder.open(&store, first).await.unwrap();
    store.commit(create("a", 1)).await.unwrap();
    assert!(recorder.next().await.is_some());
    assert!(recorder.is_full() && recorder.next().await.is_none());
    assert!(recorder.open(&store, first).await.is_err());
}

#[tokio::test]
async fn a_state_is_read_in_pages_and_below_prefixes() {
    let store = Reference::new();
    for number in 0..5 {
        store.commit(create(&number.to_string(), number)).await.unwrap();
    }
    let state = State::read(&store, At::Latest).await.unwrap();
    assert_eq!(state.entries().count(), 5);
    let prefix = roa_core::KeyPrefix::namespace("g", "things", "n").unwrap();
    let third = Key::new("g", "things", "n", "2").unwrap();
    let names: Vec<&str> = state.below(&prefix, Some(&third)).map(|entry| entry.key.name()).collect();
    assert_eq!(names, ["3", "4"]);
    assert_eq!(state.below(&roa_core::KeyPrefix::resource("g", "thing").unwrap(), None).count(), 0);
    assert_ne!(state, State::empty(state.revision));
    assert_ne!(state, State::new(super::moved(state.revision, 1), None, state.entries().cloned()));
}

/// An outage in the middle of a run is waited out, and nothing of it is taken for lost.
#[test]
fn an_outage_is_waited_out() {
    let store = Arc::new(Outage::new(Reference::new(), Duration::from_millis(50)));
    let recording = on_threads(run_workload(store, 5, 3, 120)).unwrap();
    let unavailable = |step: &Step| match step {
        Step::Commit { result: Err(CommitError::Unavailable { .. }), .. } => true,
        step => matches!(step.error(), Some(Error::Unavailable { .. })),
    };
    assert!(recording.history.operations.iter().any(|done| unavailable(&done.step)), "there was an outage");
    let report = recording.check().unwrap();
    assert!(report.acknowledged > 30, "{report}");
}
