//! Opening, closing, dropping; and what happens to requests meanwhile.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use roa_core::{CommitError, Error, Health, ListRequest, Revision, Store, TailEnd};

use roa_store_sqlite::SqliteStore;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_end_a_store_answers_every_call_with_unavailable_and_a_second_end_changes_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let at = create(&store, "a", 1).await.unwrap();
    let epoch = state(&store).await.epoch;
    store.close().await;
    store.close().await;
    assert!(matches!(create(&store, "b", 1).await, Err(CommitError::Unavailable { .. })));
    let refused = [
        store.get(&key("a")).await.err(),
        store.list(ListRequest::new(things())).await.err(),
        store.tail(at).await.err(),
        store.state().await.err(),
        store.compact(at).await.err(),
        store.fence(epoch, at).await.err(),
    ];
    for error in refused {
        assert!(matches!(&error, Some(Error::Unavailable { reason }) if reason.contains("closed")), "{error:?}");
    }
    assert!(matches!(store.health().await, Health::Failing(_)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w9_a_feed_ends_with_closed_after_all_that_was_committed() {
    // With almost no memory for the newest batches, what is behind must come from the file, which is then closed.
    for recent in [0, 16 << 20] {
        let place = Place::fast().with(|config| config.recent_max_bytes(recent));
        let store = place.open().await;
        let start = state(&store).await.head;
        let (mut behind, mut ahead) = (store.tail(start).await.unwrap(), store.tail(start).await.unwrap());
        let last = create_many(&store, 0..50, 100).await;
        assert_eq!(pull_until(&mut ahead, last).await.len(), 50);
        store.close().await;
        let (batches, end) = pull_to_end(&mut ahead).await;
        assert!(batches.is_empty() && matches!(end, TailEnd::Closed), "{end}");
        let (batches, end) = pull_to_end(&mut behind).await;
        assert!(matches!(end, TailEnd::Closed), "{end}");
        let given: Vec<_> = batches.iter().map(|batch| batch.revision).collect();
        let expected: Vec<_> = (1..=50).map(|by| later(start, by)).collect();
        assert!(expected.starts_with(&given), "W4: a feed may end early, but leaves nothing out: {given:?}");
        assert!(recent == 0 || given == expected, "what is in memory is given: {given:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w4_w11_a_feed_that_read_ahead_to_the_end_sees_what_was_committed_after_that() {
    // What is behind comes from the file, in chunks of two.
    let mut place = Place::fast().with(|config| config.recent_max_bytes(0));
    place.config.tail_chunk = count(2);
    let store = place.open().await;
    let start = state(&store).await.head;
    create_many(&store, 0..2, 100).await;
    let mut feed = store.tail(start).await.unwrap();
    assert_eq!(pull(&mut feed).await.unwrap().len(), 2);
    for _ in 0..8 {
        assert_eq!(names(&store).await.len(), 2, "the readers have done what came before");
    }
    create_many(&store, 2..12, 100).await;
    assert_eq!(pull_until(&mut feed, later(start, 12)).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_commits_under_way_at_the_end_are_answered_with_what_happened() {
    for round in 0..5 {
        let place = Place::new();
        let store = Arc::new(place.open().await);
        let names: Vec<_> = (0..200).map(name_of).collect();
        let commits = join_all(names.iter().map(|name| create(&store, name, 10)));
        let (outcomes, ()) = tokio::join!(commits, async {
            create(&store, &format!("first-{round}"), 10).await.unwrap();
            store.close().await;
        });
        let again = place.open().await;
        for (name, outcome) in names.iter().zip(outcomes) {
            let found = again.get(&key(name)).await.unwrap().entry.map(|entry| entry.revision);
            match outcome {
                Ok(revision) => assert_eq!(found, Some(revision), "S6: {name} was acknowledged"),
                Err(CommitError::Unavailable { .. }) => assert_eq!(found, None, "{name} certainly did not happen"),
                Err(CommitError::Ambiguous { .. }) => {}
                Err(other) => panic!("{name}: {other}"),
            }
        }
        again.close().await;
        place.assert_whole().await;
    }
}

/// Polls each once, so that it is as far as it gets without the writer.
fn begin<'a>(
    commits: impl IntoIterator<Item = BoxFuture<'a, Result<Revision, CommitError>>>,
) -> Vec<BoxFuture<'a, Result<Revision, CommitError>>> {
    let mut commits: Vec<_> = commits.into_iter().collect();
    commits.iter_mut().for_each(|commit| assert!(poll_once(commit).is_none(), "the writer is held up"));
    commits
}

/// Another program that is writing, which holds the writer up.
fn hold_up(place: &Place) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(&place.config.path).unwrap();
    other.busy_timeout(BOUND).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_commit_whose_future_is_dropped_happens_whole_or_not_and_the_store_goes_on() {
    let place = Place::fast();
    let store = place.open().await;
    create(&store, "first", 1).await.unwrap();
    let start = state(&store).await.head;
    let other = hold_up(&place);
    let pair = |number: usize| {
        let (left, right) = (format!("{}-left", name_of(number)), format!("{}-right", name_of(number)));
        store.commit(txn().create(key(&left), filler(10)).create(key(&right), filler(10)))
    };
    drop(begin((0..20).map(pair)));
    other.execute_batch("ROLLBACK").unwrap();
    let last = create(&store, "last", 1).await.unwrap();
    let names = names(&store).await;
    for number in 0..20 {
        let halves = names.iter().filter(|name| name.starts_with(&name_of(number))).count();
        assert!(halves == 0 || halves == 2, "S4: half of a transaction: {names:?}");
    }
    let whole = (names.len() as u64 - 2) / 2;
    assert_eq!(last, later(start, whole + 1), "S1: one revision each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_queue_is_full_commits_wait_and_none_fails() {
    let mut place = Place::fast().with(|config| config.max_group(count(1)).busy_timeout(BOUND));
    place.config.max_queued = count(2);
    let store = place.open().await;
    create(&store, "first", 1).await.unwrap();
    let other = hold_up(&place);
    let named: Vec<_> = (0..10).map(name_of).collect();
    let begin_all = || begin(named.iter().map(|name| store.commit(txn().create(key(name), filler(1)))));
    drop(begin_all());
    other.execute_batch("ROLLBACK").unwrap();
    create(&store, "last", 1).await.unwrap();
    let accepted = names(&store).await.len() - 2;
    assert!((2..=3).contains(&accepted), "two were in the queue and perhaps one in work, not {accepted}");

    for name in named.iter().take(accepted) {
        delete(&store, name).await.unwrap();
    }
    let other = hold_up(&place);
    let waiting = begin_all();
    other.execute_batch("ROLLBACK").unwrap();
    for outcome in join_all(waiting).await {
        outcome.unwrap();
    }
    assert_eq!(names(&store).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_dropped_is_opened_again_at_once_with_all_that_was_acknowledged() {
    let place = Place::fast();
    let (mut expected, mut before) = (Vec::new(), None);
    for round in 0..20 {
        let store = place.open().await;
        let found = state(&store).await;
        assert_eq!(*before.get_or_insert(found), found, "no fence, nothing lost");
        create(&store, &name_of(round), 100).await.unwrap();
        expected.push(name_of(round));
        assert_eq!(names(&store).await, expected);
        before = Some(state(&store).await);
        drop(store);
    }
    place.open().await.close().await;
    place.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_of_open_that_is_dropped_leaves_nothing_that_hinders_the_next() {
    let place = Place::new();
    for _ in 0..20 {
        let mut opening = Box::pin(place.try_open());
        drop(poll_once(&mut opening));
        drop(opening);
        create(&place.open().await, "a", 1).await.map_or_else(|error| assert_eq!(error.reason(), "Conflict"), drop);
    }
    assert_eq!(names(&place.open().await).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s2_two_handles_in_one_process_share_one_history() {
    let place = Place::fast();
    let (one, two) = (place.open().await, place.open().await);
    assert_eq!((one.id(), state(&one).await), (two.id(), state(&two).await));
    let start = state(&one).await.head;
    let mut feeds = [one.tail(start).await.unwrap(), two.tail(start).await.unwrap()];
    let write = async |store, from| {
        let mut revisions = Vec::new();
        for number in from..from + 200 {
            revisions.push(create(store, &name_of(number), 50).await.unwrap());
            assert!(
                store.get(&key(&name_of(number))).await.unwrap().entry.is_some(),
                "S7: what was acknowledged is read"
            );
        }
        revisions
    };
    let (mut revisions, second) = tokio::join!(write(&one, 0), write(&two, 1_000));
    revisions.extend(second);
    revisions.sort();
    let expected: Vec<_> = (1..=400).map(|by| later(start, by)).collect();
    assert_eq!(revisions, expected);
    for feed in &mut feeds {
        let given: Vec<_> = pull_until(feed, later(start, 400)).await.iter().map(|batch| batch.revision).collect();
        assert_eq!(given, expected, "W1, W2, W4");
    }
    one.close().await;
    create(&two, "after", 1).await.unwrap();
    assert_eq!(names(&two).await.len(), 401);
    two.close().await;
    place.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_of_two_handles_that_race_for_a_key_one_wins() {
    let place = Place::fast();
    let (one, two) = (place.open().await, place.open().await);
    let mut at = create(&one, "a", 1).await.unwrap();
    for _ in 0..200 {
        let update = async |store: &SqliteStore| store.commit(txn().update(key("a"), filler(1), at)).await;
        let (first, second) = tokio::join!(update(&one), update(&two));
        let next = later(at, 1);
        match (first, second) {
            (Ok(won), Err(CommitError::Conflict { current, .. }))
            | (Err(CommitError::Conflict { current, .. }), Ok(won)) => {
                assert_eq!((won, current), (next, Some(next)));
            }
            other => panic!("{other:?}"),
        }
        at = next;
    }
}
