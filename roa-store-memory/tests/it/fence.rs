//! Fences: the history jumps once, and nothing older can be resumed.

use futures_util::StreamExt;
use roa_core::{At, CommitError, Epoch, Error, ListRequest, Revision, Store, StoreState, TailEnd, TxnId};
use roa_store_memory::MemoryConfig;
use tokio::time::timeout;

use crate::support::*;

fn fence(fixture: &Fixture, expected: Epoch, highest: Revision) -> StoreState {
    now(fixture.store.fence(expected, highest)).unwrap()
}

#[test]
fn s14_a_fence_jumps_past_all_that_anybody_has_seen_and_expires_it() {
    let fixture = Fixture::default();
    fixture.put("a", "v");
    let before = fixture.state();
    let seen = later(before.head, 1 << 40);
    let mut tail = fixture.tail(before.head).unwrap();
    let after = fence(&fixture, before.epoch, seen);
    assert!(after.head.get() >= seen.get() + Revision::JUMP);
    assert_eq!((after.floor, after.epoch.counter), (after.head, before.epoch.counter + 1));
    assert_eq!(after, fixture.state());
    assert!(matches!(pull(&mut tail), Some(Err(TailEnd::Expired { floor, .. })) if floor == after.floor));
    for old in [before.floor, before.head, revision(after.head.get() - 1)] {
        assert!(matches!(fixture.tail(old), Err(Error::Expired { .. })));
        let listed = fixture.list(ListRequest::new(things()).at(At::Exact(old)));
        assert!(matches!(listed, Err(Error::Expired { .. })));
    }
}

#[test]
fn s14_what_lives_stays_and_the_history_goes_on_densely_without_a_predecessor() {
    let fixture = Fixture::default();
    let old = fixture.put("a", "1");
    let after = fence(&fixture, fixture.state().epoch, old);
    assert_eq!(fixture.get("a").unwrap().revision, old);
    let mut tail = fixture.tail(after.head).unwrap();
    assert_eq!((tail.epoch, tail.after_txn), (after.epoch, Some(TxnId::none())));
    let next = fixture.put("a", "2");
    assert_eq!(next, later(after.head, 1));
    let batches = drain(&mut tail);
    assert_eq!((batches.len(), batches[0].previous_txn), (1, TxnId::none()));
    assert_eq!(batches[0].changes[0].previous().unwrap().revision, old);
}

#[test]
fn s14_a_commit_of_the_old_epoch_is_refused() {
    let fixture = Fixture::default();
    let before = fixture.state();
    let prepared = || fixture.txn().create(key("a"), opaque("v")).expect_epoch(before.epoch);
    let after = fence(&fixture, before.epoch, before.head);
    match fixture.commit(prepared()) {
        Err(CommitError::Fenced { current }) => assert_eq!(current, after.epoch),
        other => panic!("expected a fence, found {other:?}"),
    }
    assert_eq!((fixture.get("a"), fixture.head()), (None, after.head));
    assert!(fixture.commit(prepared().expect_epoch(after.epoch)).is_ok());
}

#[test]
fn s14_of_two_that_declare_the_same_break_one_jumps() {
    let fixture = Fixture::default();
    fixture.put("a", "v");
    let before = fixture.state();
    let first = fence(&fixture, before.epoch, before.head);
    fixture.put("a", "v");
    let committed = fixture.state();
    assert_eq!(fence(&fixture, before.epoch, before.head), committed, "the second expects an epoch that is over");
    assert_eq!(committed.epoch, first.epoch);
}

#[test]
fn s14_a_second_jump_needs_a_commit_between_or_a_higher_mark() {
    let fixture = Fixture::default();
    fixture.put("a", "v");
    let first = fence(&fixture, fixture.state().epoch, fixture.head());
    assert_eq!(fence(&fixture, first.epoch, first.head), first, "nothing was committed since");
    let mark = later(first.head, 5);
    let second = fence(&fixture, first.epoch, mark);
    assert!(second.head > mark, "a revision that somebody has seen is never given out again (S1)");
    assert_eq!(fence(&fixture, second.epoch, mark), second);
    let committed = fixture.put("a", "v");
    assert!(fence(&fixture, second.epoch, mark).head.get() > committed.get() + Revision::JUMP);
}

#[tokio::test]
async fn s14_a_waiting_feed_ends_at_the_fence() {
    let fixture = Fixture::default();
    let before = fixture.state();
    let mut tail = fixture.tail(before.head).unwrap();
    let fenced = async { fence(&fixture, before.epoch, before.head) };
    let (item, _) = tokio::join!(biased; timeout(BOUND, tail.next()), fenced);
    assert!(matches!(item.unwrap(), Some(Err(TailEnd::Expired { .. }))));
}

#[test]
fn s14_a_feed_notices_the_fence_even_at_the_end_of_all_revisions() {
    let end = revision(Revision::MAX);
    let fixture = Fixture::new(MemoryConfig::default().opening(end));
    let mut tail = fixture.tail(end).unwrap();
    let after = fence(&fixture, fixture.state().epoch, end);
    assert_eq!((after.head, after.floor), (end, end), "there is nowhere to jump to");
    assert!(matches!(pull(&mut tail), Some(Err(TailEnd::Expired { .. }))));
}
