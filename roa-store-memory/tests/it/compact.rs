//! Compaction: the floor rises, what lives stays.

use roa_core::{Error, Health, ListRequest, Revision, Store};
use roa_store_memory::MemoryConfig;

use crate::support::*;

fn written(config: MemoryConfig, commits: u64) -> Fixture {
    let fixture = Fixture::new(config);
    for number in 0..commits {
        fixture.put(&format!("{}", number % 3), &number.to_string());
    }
    fixture
}

fn compact(fixture: &Fixture, to: Revision) -> Result<Revision, Error> {
    now(fixture.store.compact(to))
}

#[test]
fn s10_compaction_raises_the_floor_and_leaves_head_and_entries() {
    let fixture = written(MemoryConfig::default().min_retain(0), 10);
    let (before, entries) = (fixture.state(), rows(&fixture.list(ListRequest::new(things())).unwrap().entries));
    let to = later(before.floor, 4);
    assert_eq!(compact(&fixture, to).unwrap(), to);
    assert_eq!((fixture.state().floor, fixture.head()), (to, before.head));
    assert_eq!(rows(&fixture.list(ListRequest::new(things())).unwrap().entries), entries);
    assert_eq!(drain(&mut fixture.tail(to).unwrap()).len(), 6);
    assert!(matches!(fixture.tail(revision(to.get() - 1)), Err(Error::Expired { .. })));
}

#[test]
fn s10_compaction_never_lowers_the_floor() {
    let fixture = written(MemoryConfig::default().min_retain(0), 10);
    let to = revision(fixture.head().get() - 2);
    for lower in [to, to, revision(to.get() - 1), revision(1)] {
        assert_eq!(compact(&fixture, to.min(lower)).unwrap(), to);
    }
}

#[test]
fn s10_compaction_keeps_the_newest_revisions() {
    let fixture = written(MemoryConfig::default().min_retain(4), 10);
    let head = fixture.head();
    assert_eq!(compact(&fixture, head).unwrap(), revision(head.get() - 4));
    let all_kept = written(MemoryConfig::default().min_retain(u64::MAX), 10);
    let floor = all_kept.state().floor;
    assert_eq!(compact(&all_kept, all_kept.head()).unwrap(), floor);
}

#[test]
fn s10_compaction_to_the_head_leaves_an_empty_log_that_can_be_resumed_at_its_head() {
    let fixture = written(MemoryConfig::default().min_retain(0), 10);
    let head = fixture.head();
    let mut waiting = fixture.tail(head).unwrap();
    assert!(pull(&mut waiting).is_none());
    assert_eq!(compact(&fixture, head).unwrap(), head);
    let mut tail = fixture.tail(head).unwrap();
    fixture.put("a", "v");
    assert_eq!((drain(&mut tail).len(), drain(&mut waiting).len()), (1, 1));
}

#[test]
fn s10_the_future_cannot_be_forgotten() {
    let fixture = written(MemoryConfig::default().min_retain(0), 3);
    let refused = compact(&fixture, later(fixture.head(), 1));
    assert!(matches!(refused, Err(Error::TooLarge { head, .. }) if head == fixture.head()));
}

#[test]
fn a_closed_store_is_unavailable_and_failing() {
    let fixture = written(MemoryConfig::default(), 3);
    let head = fixture.head();
    assert_eq!(now(fixture.store.health()), Health::Healthy);
    fixture.store.close();
    fixture.store.close();
    assert!(matches!(now(fixture.store.health()), Health::Failing(_)));
    let answers = [
        now(fixture.store.get(&key("a"))).unwrap_err(),
        fixture.list(ListRequest::new(things())).unwrap_err(),
        compact(&fixture, head).unwrap_err(),
        now(fixture.store.state()).unwrap_err(),
        fixture
            .commit(fixture.txn().create(key("a"), opaque("v")))
            .map_err(|e| Error::unavailable(e.reason()))
            .unwrap_err(),
    ];
    assert!(answers.iter().all(|error| error.reason() == "Unavailable"), "{answers:?}");
}

#[test]
fn health_is_failing_when_the_last_revision_is_in_sight() {
    let fixture = Fixture::new(MemoryConfig::default().opening(revision(Revision::ALARM)));
    assert_eq!(now(fixture.store.health()), Health::Healthy);
    fixture.put("a", "v");
    assert!(matches!(now(fixture.store.health()), Health::Failing(_)));
}
