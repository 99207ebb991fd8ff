//! Commits: revisions, expectations, guards, all or nothing.

use std::sync::Arc;

use futures_util::FutureExt;
use roa_core::{CommitError, Expect, Revision, Store, Value};
use roa_store_memory::{MemoryConfig, MemoryStore};

use crate::support::*;

#[test]
fn s1_each_commit_gets_the_next_revision_after_the_opening() {
    let fixture = Fixture::default();
    let opening = fixture.state();
    assert_eq!(
        (opening.head, opening.floor),
        (Revision::opening("2027-01-02T03:04:05Z".parse().unwrap()), opening.head)
    );
    for commits in 1..10 {
        assert_eq!(fixture.put("a", "v"), later(opening.head, commits));
    }
    assert_eq!(fixture.state().floor, opening.head);
}

#[test]
fn s1_the_last_revision_is_used_and_none_after_it() {
    let fixture = Fixture::new(MemoryConfig::default().opening(revision(Revision::MAX - 1)));
    assert_eq!(fixture.put("a", "v").get(), Revision::MAX);
    let refused = fixture.commit(fixture.txn().create(key("b"), opaque("v"))).unwrap_err();
    assert!(matches!(refused, CommitError::Exhausted(_)), "{refused}");
    assert_eq!((fixture.get("b"), fixture.head().get()), (None, Revision::MAX));
}

#[test]
fn s3_an_expectation_that_does_not_hold_is_named_with_the_current_revision() {
    let fixture = Fixture::default();
    let (old, new) = (fixture.put("a", "1"), fixture.put("a", "2"));
    let cases = [
        ("create of a present key", fixture.txn().create(key("a"), opaque("x")), "a", Some(new)),
        ("update with an old revision", fixture.txn().update(key("a"), opaque("x"), old), "a", Some(new)),
        ("update of an absent key", fixture.txn().update(key("b"), opaque("x"), new), "b", None),
        ("delete with an old revision", fixture.txn().delete(key("a"), old), "a", Some(new)),
        ("delete of an absent key", fixture.txn().delete(key("b"), new), "b", None),
        ("the first of two", fixture.txn().delete(key("b"), new).delete(key("a"), old), "b", None),
    ];
    let before = fixture.state();
    for (case, txn, name, expected) in cases {
        match fixture.commit(txn) {
            Err(CommitError::Conflict { key: found, current }) => {
                assert_eq!((found, current), (key(name), expected), "{case}");
            }
            other => panic!("{case}: expected a conflict, found {other:?}"),
        }
    }
    assert_eq!(fixture.state(), before);
    assert_eq!(rows(&[fixture.get("a").unwrap()]), [("a".into(), "2".into())]);
}

#[test]
fn s4_a_transaction_is_one_revision_and_one_batch_in_its_own_order() {
    let fixture = Fixture::default();
    let gone = fixture.put("gone", "1");
    let mut tail = fixture.tail(gone).unwrap();
    let txn = fixture.txn().create(key("z"), opaque("1")).delete(key("gone"), gone).create(key("a"), opaque("2"));
    let (id, committed) = (txn.id, fixture.commit(txn).unwrap());
    let batches = drain(&mut tail);
    assert_eq!((batches.len(), batches[0].revision, batches[0].txn), (1, committed, id));
    let names: Vec<_> = batches[0].changes.iter().map(|change| change.key().name()).collect();
    assert_eq!(names, ["z", "gone", "a"]);
    assert_eq!((fixture.get("z").unwrap().revision, fixture.get("a").unwrap().revision), (committed, committed));
    assert_eq!(fixture.get("gone"), None);
}

#[test]
fn s4_if_one_of_many_writes_is_refused_none_is_done() {
    let fixture = Fixture::default();
    let (kept, before) = (fixture.put("kept", "1"), fixture.state());
    let txn = fixture.txn().create(key("new"), opaque("1")).delete(key("kept"), kept).create(key("last"), opaque("1"));
    let refused = fixture.commit(txn.update(key("absent"), opaque("1"), kept));
    assert!(matches!(refused, Err(CommitError::Conflict { .. })));
    assert_eq!((fixture.get("new"), fixture.get("last"), fixture.state()), (None, None, before));
    assert_eq!(fixture.get("kept").unwrap().revision, kept);
}

#[test]
fn s4_the_guard_of_a_lost_owner_refuses_all_its_writes() {
    let fixture = Fixture::default();
    let first = fixture.put("owner", "one");
    let guarded = || fixture.txn().create(key("a"), opaque("v")).guard(key("owner"), Expect::At(first));
    let second = fixture.put("owner", "two");
    match fixture.commit(guarded()) {
        Err(CommitError::GuardFailed { key: found, current }) => {
            assert_eq!((found, current), (key("owner"), Some(second)));
        }
        other => panic!("expected a failed guard, found {other:?}"),
    }
    assert_eq!((fixture.get("a"), fixture.head()), (None, second));
    let held = fixture.txn().create(key("a"), opaque("v")).guard(key("owner"), Expect::At(second));
    let absent = held.guard(key("nobody"), Expect::Absent);
    assert_eq!(fixture.commit(absent).unwrap(), later(second, 1));
}

#[test]
fn s9_a_life_keeps_its_begin_and_counts_its_writes() {
    let fixture = Fixture::default();
    let life = |name: &str| fixture.get(name).map(|entry| (entry.create_revision, entry.revision, entry.version));
    let (begin, next) = (fixture.put("a", "1"), fixture.put("a", "2"));
    assert_eq!(life("a"), Some((begin, next, 2)));
    fixture.delete("a");
    let again = fixture.put("a", "3");
    assert_eq!(life("a"), Some((again, again, 1)));
}

#[test]
fn s11_an_update_to_the_same_bytes_is_a_commit_like_any_other() {
    let fixture = Fixture::default();
    let (first, second) = (fixture.put("a", "same"), fixture.put("a", "same"));
    assert_eq!(second, later(first, 1));
    assert_eq!(drain(&mut fixture.tail(first).unwrap()).len(), 1);
}

#[test]
fn s12_a_transaction_over_the_limits_is_refused_before_all_else() {
    let fixture = Fixture::default();
    let large = Value::opaque(vec![0; Value::MAX_BYTES + 1]);
    let refused = fixture.commit(fixture.txn().create(key("a"), large)).unwrap_err();
    assert!(matches!(refused, CommitError::Invalid(_)), "{refused}");
    fixture.store.close();
    assert!(matches!(fixture.commit(fixture.txn()), Err(CommitError::Invalid(_))));
}

#[test]
fn s2_of_racing_writers_one_wins_each_revision() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 2_000;
    let fixture = Fixture::default();
    let opening = fixture.put("counter", "0");
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| (0..EACH).for_each(|_| increment(&fixture)));
        }
    });
    assert_eq!(rows(&[fixture.get("counter").unwrap()])[0].1, (WRITERS * EACH).to_string());
    assert_eq!(fixture.head(), later(opening, WRITERS * EACH));
}

/// Reads, adds one, writes; again if another was faster.
fn increment(fixture: &Fixture) {
    loop {
        let entry = fixture.get("counter").unwrap();
        let number: u64 = std::str::from_utf8(&entry.value.bytes).unwrap().parse().unwrap();
        let txn = fixture.txn().update(key("counter"), opaque(&(number + 1).to_string()), entry.revision);
        match fixture.commit(txn) {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn s5_a_commit_that_was_never_polled_did_nothing_and_a_polled_one_is_done() {
    let fixture = Fixture::default();
    let before = fixture.state();
    drop(fixture.store.commit(fixture.txn().create(key("a"), opaque("v"))));
    assert_eq!(fixture.state(), before);
    let polled = fixture.store.commit(fixture.txn().create(key("a"), opaque("v"))).now_or_never();
    assert_eq!(polled.unwrap().unwrap(), later(before.head, 1));
}

#[test]
fn a_batch_is_stamped_with_the_clock_of_the_commit() {
    let fixture = Fixture::default();
    let opening = fixture.head();
    fixture.clock.advance(BOUND);
    fixture.put("a", "v");
    let batch = drain(&mut fixture.tail(opening).unwrap()).remove(0);
    assert_eq!(batch.committed_at, "2027-01-02T03:04:35Z".parse().unwrap());
    assert_eq!(fixture.get("a").map(|entry| (entry.txn, entry.writer.to_string())), Some((batch.txn, "test".into())));
}

#[test]
fn entries_of_one_life_share_their_key() {
    let fixture = Fixture::default();
    let address = || fixture.get("a").unwrap().key.encoded().as_ptr();
    fixture.put("a", "1");
    let first = address();
    fixture.put("a", "2");
    assert_eq!(address(), first, "the bytes of a key are held once, however often it is written");
}

#[test]
fn s13_two_stores_are_never_the_same() {
    let fixture = Fixture::default();
    let clock = Arc::new(fixture.clock.clone());
    let again = MemoryStore::new(MemoryConfig::default(), clock, fixture.random.clone());
    assert_ne!(fixture.store.id(), again.id());
    assert_ne!(fixture.state().epoch, now(again.state()).unwrap().epoch);
}
