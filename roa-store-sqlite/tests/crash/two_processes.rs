//! One file, several processes.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use roa_core::{CommitError, Entry, Revision, Store, Value};
use roa_store_sqlite::{SqliteConfig, SqliteStore};

use crate::child::{Line, Order, Role, Running, say};
use crate::history::{History, assert_whole};
use crate::kill9::{assert_committed, beside};
use crate::workload::{RETAINED, value};
use crate::{config, directory, in_time, key, open, txn};

/// How many increment at once in one process, how often each, and how many counters they share.
const WRITERS: u64 = 4;
const INCREMENTS: u64 = 75;
const COUNTERS: u64 = 3;

/// What a child does: it increments.
pub(crate) async fn count(order: &Order) {
    let store = open(&SqliteConfig::new(&order.path)).await;
    say(Line::opened(store.state().await.unwrap()));
    std::io::stdin().read_line(&mut String::new()).unwrap();
    join_all((0..WRITERS).map(|writer| increment_all(&store, order.seed, writer))).await;
    store.close().await;
    say(Line::Done);
}

async fn increment_all(store: &SqliteStore, process: u64, writer: u64) {
    for number in 0..INCREMENTS {
        let name = format!("counter-{}", (writer + number) % COUNTERS);
        if let Err(error) = increment(store, &format!("process-{process}"), &name).await {
            say(Line::Unexpected(error));
            std::process::exit(1);
        }
    }
}

async fn increment(store: &SqliteStore, writer: &str, name: &str) -> Result<(), String> {
    loop {
        let entry = store.get(&key(name)).await.map_err(|error| error.to_string())?.entry;
        let next = Value::opaque((entry.as_deref().map_or(0, number) + 1).to_string());
        let wanted = match entry {
            None => txn(writer).create(key(name), next),
            Some(entry) => txn(writer).update(key(name), next, entry.revision),
        };
        match store.commit(wanted).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict { .. }) => {}
            Err(other) => return Err(other.to_string()),
        }
    }
}

fn number(entry: &Entry) -> u64 {
    std::str::from_utf8(&entry.value.bytes).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q2_q3_w4_two_processes_lose_no_update_and_a_third_sees_each_once_in_order() {
    let directory = directory();
    let config = config(directory.path());
    let store = open(&config).await;
    let state = store.state().await.unwrap();
    let mut tail = store.tail(state.head).await.unwrap();
    let mut children = [1, 2].map(|process| Running::start(&Order::new(Role::Counter, process, &config.path)));
    for child in &children {
        assert!(matches!(child.next(), Some(Line::Opened { epoch, .. }) if epoch == state.epoch));
    }
    children.iter_mut().for_each(Running::begin);
    let mut history = History::new(state.epoch, state.head);
    let all = 2 * WRITERS * INCREMENTS;
    let last = Revision::new(state.head.get() + all).unwrap();
    join(history.follow(&mut tail, last), ended(children)).await;
    assert_eq!(history.entries.values().map(|entry| number(entry)).sum::<u64>(), all, "no update was lost");
    assert_interleaved(&history);
    history.catch_up(&store).await;
    assert_eq!(u64::try_from(history.batches.len()).unwrap(), all);
    store.close().await;
    assert_whole(&config).await;
}

/// Waits until processes have done what they were told to, and seen nothing that must not happen.
async fn ended<const N: usize>(children: [Running; N]) {
    let wait = move || {
        for child in &children {
            assert_eq!((child.next(), child.next()), (Some(Line::Done), None));
        }
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

/// Both processes have written all of theirs, and neither only after the other.
fn assert_interleaved(history: &History) {
    let mut revisions = BTreeMap::<_, Vec<_>>::new();
    for (revision, batch) in &history.batches {
        revisions.entry(batch.changes[0].current().unwrap().writer.to_string()).or_default().push(*revision);
    }
    let [one, two] = <[Vec<u64>; 2]>::try_from(revisions.into_values().collect::<Vec<_>>()).unwrap();
    assert_eq!(one.len(), two.len());
    assert!(one.first() < two.last() && two.first() < one.last(), "{one:?} {two:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_q2_a_process_that_is_killed_leaves_the_others_at_work() {
    let directory = directory();
    let config = config(directory.path()).min_retain(RETAINED);
    let store = open(&config).await;
    let state = store.state().await.unwrap();
    let mut tail = store.tail(state.head).await.unwrap();
    let mut history = History::new(state.epoch, state.head);
    let mut acks = Vec::new();
    for round in 0..10 {
        let child = Running::start(&Order::new(Role::Writer, round, &config.path));
        let mut lines = Vec::new();
        for _ in 0..=round * 5 {
            lines.extend(child.next());
            in_time(increment(&store, "survivor", "counter")).await.unwrap();
            // Before the others' compactions reach what was not seen yet.
            let head = store.state().await.unwrap().head;
            history.follow(&mut tail, head).await;
        }
        lines.extend(child.kill());
        in_time(increment(&store, "survivor", "counter")).await.unwrap();
        acks.extend(lines.into_iter().filter_map(|line| match line {
            Line::Acked { revision, writes } => Some((revision, writes)),
            _ => None,
        }));
        let head = store.state().await.unwrap().head;
        history.follow(&mut tail, head).await;
    }
    acks.iter().for_each(|ack| assert_committed(&history, ack));
    history.catch_up(&store).await;
    assert_whole(&config).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_to_open_and_to_close_a_file_that_others_write_is_no_break() {
    let directory = directory();
    let config = config(directory.path()).min_retain(RETAINED);
    let children = [1, 2].map(|seed| Running::start(&Order::new(Role::Writer, seed, &config.path)));
    let Some(Line::Opened { epoch, .. }) = children[0].next() else { panic!("it did not open the file") };
    for _ in 0..60 {
        let store = open(&config).await;
        assert_eq!(in_time(store.state()).await.unwrap().epoch, epoch);
        in_time(store.close()).await;
    }
    for child in children {
        // Each has gone on, and seen nothing that it should not.
        assert!(child.kill().iter().any(|line| matches!(line, Line::Acked { .. })));
    }
    assert_whole(&config).await;
}

/// A commit through one handle is seen by a change feed of another.
async fn assert_seen(from: &SqliteStore, by: &SqliteStore) {
    for name in ["a", "b", "c"] {
        let mut tail = by.tail(by.state().await.unwrap().head).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(60), tail.next()).await;
        assert!(waiting.is_err(), "nothing was committed");
        let revision = from.commit(txn("test").create(key(name), value(name))).await.unwrap();
        let seen = in_time(tail.next()).await.unwrap().unwrap();
        assert_eq!(seen.iter().map(|batch| batch.revision).collect::<Vec<_>>(), [revision]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_w4_a_commit_of_another_handle_is_seen_by_notification() {
    let directory = directory();
    // Longer than the test waits.
    let config = config(directory.path()).poll_interval(2 * crate::PATIENCE);
    let (one, two) = (open(&config).await, open(&config).await);
    assert_seen(&one, &two).await;
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_w4_a_commit_of_another_handle_is_seen_without_notification() {
    let directory = directory();
    let config = config(directory.path());
    let one = open(&config).await;
    let epoch = one.state().await.unwrap().epoch;
    // What the next handle watches is another file than what this one watches.
    let (mark, other) = (beside(&config.path, "-head"), directory.path().join("other"));
    assert!(Command::new("cp").args([&mark, &other]).status().unwrap().success());
    std::fs::rename(&other, &mark).unwrap();
    let two = open(&config).await;
    assert_eq!(two.state().await.unwrap().epoch, epoch);
    assert_seen(&two, &one).await;
    one.close().await;
    two.close().await;
}
