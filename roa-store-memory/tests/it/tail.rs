//! Change feeds: complete, in order, once, resumable, and never without an end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{Change, Error, Revision, Store, TailChecker, TailEnd, TxnId};
use roa_store_memory::MemoryConfig;
use tokio::time::timeout;

use crate::support::*;

#[test]
fn w5_a_feed_begins_after_its_start_and_w6_resumes_at_each_revision() {
    let fixture = Fixture::default();
    let opening = fixture.head();
    for number in 0..10 {
        fixture.put("a", &number.to_string());
    }
    let whole = drain(&mut fixture.tail(opening).unwrap());
    assert_eq!(whole.len(), 10);
    for done in 0..=10 {
        let mut tail = fixture.tail(later(opening, done)).unwrap();
        let mut checker = TailChecker::of(&tail);
        let rest = drain(&mut tail);
        assert_eq!(rest, whole[usize::try_from(done).unwrap()..]);
        assert!(rest.iter().all(|batch| checker.check(batch).is_ok()), "the chain holds from the resumed revision on");
    }
}

#[test]
fn w7_below_the_floor_is_expired_and_w8_past_the_head_too_large() {
    let fixture = Fixture::new(MemoryConfig::default().log_max_batches(2).log_min_age(Duration::ZERO));
    for _ in 0..5 {
        fixture.put("a", "v");
    }
    let state = fixture.state();
    assert_eq!(state.head.get() - state.floor.get(), 2);
    assert_eq!(drain(&mut fixture.tail(state.floor).unwrap()).len(), 2);
    let expired = fixture.tail(revision(state.floor.get() - 1));
    assert!(matches!(expired, Err(Error::Expired { floor, head }) if (floor, head) == (state.floor, state.head)));
    let future = fixture.tail(later(state.head, 1));
    assert!(matches!(future, Err(Error::TooLarge { head, .. }) if head == state.head));
}

#[test]
fn w14_a_feed_that_fell_behind_is_expired_and_stays_ended() {
    let fixture = Fixture::new(MemoryConfig::default().log_max_batches(3).log_min_age(Duration::ZERO));
    let mut tail = fixture.tail(fixture.head()).unwrap();
    fixture.put("a", "v");
    assert_eq!(drain(&mut tail).len(), 1);
    for _ in 0..4 {
        fixture.put("a", "v");
    }
    let state = fixture.state();
    let end = pull(&mut tail).unwrap().unwrap_err();
    assert!(matches!(end, TailEnd::Expired { floor, head } if (floor, head) == (state.floor, state.head)), "{end}");
    for _ in 0..3 {
        assert!(now(tail.next()).is_none(), "nothing comes after the end");
    }
}

#[test]
fn w3_a_pull_gives_whole_batches_and_no_more_than_the_chunk() {
    let fixture = Fixture::new(MemoryConfig::default().tail_chunk(count(4)));
    let mut tail = fixture.tail(fixture.head()).unwrap();
    for number in 0..10 {
        let txn = fixture.txn().create(key(&format!("a{number}")), opaque("v"));
        fixture.commit(txn.create(key(&format!("b{number}")), opaque("v"))).unwrap();
    }
    let sizes: Vec<_> = std::iter::from_fn(|| pull(&mut tail)).map(|item| item.unwrap()).collect();
    assert_eq!(sizes.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert!(sizes.iter().flatten().all(|batch| batch.changes.len() == 2));
}

#[test]
fn w13_a_delete_carries_its_last_value_even_if_all_before_it_is_forgotten() {
    let fixture = Fixture::new(MemoryConfig::default().min_retain(0));
    fixture.put("a", "1");
    let last = fixture.put("a", "2");
    let deleted = fixture.delete("a");
    now(fixture.store.compact(last)).unwrap();
    let batches = drain(&mut fixture.tail(last).unwrap());
    assert_eq!((batches.len(), batches[0].revision), (1, deleted));
    match &batches[0].changes[0] {
        Change::Delete { previous } => assert_eq!(rows(std::slice::from_ref(previous)), [("a".into(), "2".into())]),
        Change::Put { entry, .. } => panic!("expected a delete, found {entry:?}"),
    }
}

#[test]
fn each_change_names_what_was_before() {
    let fixture = Fixture::default();
    let opening = fixture.head();
    fixture.put("a", "1");
    fixture.put("a", "2");
    fixture.delete("a");
    fixture.put("a", "3");
    let previous = drain(&mut fixture.tail(opening).unwrap())
        .into_iter()
        .map(|batch| batch.changes[0].previous().map(|entry| (entry.revision.get() - opening.get(), entry.version)));
    assert_eq!(previous.collect::<Vec<_>>(), [None, Some((1, 1)), Some((2, 2)), None]);
}

#[test]
fn w18_a_new_stores_first_batch_has_no_predecessor() {
    let fixture = Fixture::default();
    let mut tail = fixture.tail(fixture.head()).unwrap();
    fixture.put("a", "v");
    assert_eq!(tail.after_txn, Some(TxnId::none()));
    assert_eq!(drain(&mut tail)[0].previous_txn, TxnId::none());
}

#[tokio::test]
async fn w11_a_waiting_feed_is_woken_by_a_commit() {
    let fixture = Fixture::default();
    let mut tail = fixture.tail(fixture.head()).unwrap();
    let (item, committed) = tokio::join!(biased; timeout(BOUND, tail.next()), async { fixture.put("a", "v") });
    assert_eq!(item.unwrap().unwrap().unwrap()[0].revision, committed);
}

#[tokio::test]
async fn w9_a_waiting_feed_ends_when_the_store_is_closed_or_dropped() {
    let closed = Fixture::default();
    let mut tail = closed.tail(closed.head()).unwrap();
    let (item, ()) = tokio::join!(biased; timeout(BOUND, tail.next()), async { closed.store.close() });
    assert!(matches!(item.unwrap(), Some(Err(TailEnd::Closed))));

    let dropped = Fixture::default();
    let mut tail = dropped.tail(dropped.head()).unwrap();
    let (item, ()) = tokio::join!(biased; timeout(BOUND, tail.next()), async { drop(dropped) });
    assert!(matches!(item.unwrap(), Some(Err(TailEnd::Closed))));
}

#[test]
fn w4_what_was_committed_before_the_close_is_given_before_the_end() {
    let fixture = Fixture::default();
    let mut tail = fixture.tail(fixture.head()).unwrap();
    let committed = fixture.put("a", "v");
    fixture.store.close();
    assert_eq!(pull(&mut tail).unwrap().unwrap()[0].revision, committed);
    assert!(matches!(pull(&mut tail), Some(Err(TailEnd::Closed))));
    assert!(matches!(fixture.tail(committed), Err(Error::Unavailable { .. })));
}

#[test]
fn w15_a_dropped_feed_keeps_nothing_alive() {
    let fixture = Fixture::default();
    let opening = fixture.head();
    fixture.put("a", "v");
    let (mut tail, entry) = (fixture.tail(opening).unwrap(), Arc::downgrade(&fixture.get("a").unwrap()));
    assert_eq!(drain(&mut tail).len(), 1);
    assert!(pull(&mut tail).is_none(), "it waits now");
    drop(fixture);
    assert!(entry.upgrade().is_some(), "the feed still has its end to give");
    drop(tail);
    assert!(entry.upgrade().is_none());
}

#[test]
fn w1_w2_w4_readers_on_other_threads_see_each_commit_once_and_in_order() {
    const COMMITS: u64 = 10_000;
    let fixture = Fixture::new(MemoryConfig::default().tail_chunk(count(8)));
    let opening = fixture.head();
    let follow = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let followed = async { timeout(BOUND, follow(&fixture, opening, later(opening, COMMITS))).await };
        runtime.block_on(followed).expect("the last commit wakes each reader");
    };
    std::thread::scope(|scope| {
        scope.spawn(follow);
        scope.spawn(follow);
        for number in 0..COMMITS {
            fixture.put("a", &number.to_string());
        }
    });
}

async fn follow(fixture: &Fixture, after: Revision, until: Revision) {
    let mut tail = fixture.store.tail(after).await.unwrap();
    let mut checker = TailChecker::of(&tail);
    while checker.last() < until {
        for batch in tail.next().await.unwrap().unwrap() {
            checker.check(&batch).unwrap();
        }
    }
}
