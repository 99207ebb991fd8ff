//! Lists: one revision, key order, pages, the past, and all of that while others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roa_core::{At, Error, Key, KeyPrefix, ListRequest, Revision};
use roa_store_memory::MemoryConfig;

use crate::support::*;

fn all() -> ListRequest {
    ListRequest::new(things())
}

/// All pages of a list, each with at most `limit` rows.
fn paged(fixture: &Fixture, first: ListRequest, limit: usize, between: impl Fn()) -> Vec<(String, String)> {
    let mut page = fixture.list(first.limit(count(limit))).unwrap();
    let (mut found, revision) = (rows(&page.entries), page.revision);
    while let Some(next) = page.next {
        assert!(page.entries.len() == limit, "only the last page may be short");
        between();
        page = fixture.list(all().limit(count(limit)).resume(next)).unwrap();
        assert_eq!(page.revision, revision, "all pages share a revision");
        found.extend(rows(&page.entries));
    }
    found
}

#[test]
fn s7_a_list_is_sorted_by_bytes_and_holds_no_sibling() {
    let fixture = Fixture::default();
    for name in ["b", "a", "ÿ", "Z", "a.b", "a-b"] {
        fixture.put(name, "v");
    }
    let siblings = ["thing", "things2", "thingsx"].map(|resource| Key::new("g", resource, "n", "a").unwrap());
    for sibling in siblings {
        fixture.commit(fixture.txn().create(sibling, opaque("v"))).unwrap();
    }
    let page = fixture.list(all()).unwrap();
    let names: Vec<_> = page.entries.iter().map(|entry| entry.key.name()).collect();
    assert_eq!(names, ["Z", "a", "a-b", "a.b", "b", "ÿ"]);
    assert_eq!((page.revision, page.next), (fixture.head(), None));
    let nothing = fixture.list(ListRequest::new(KeyPrefix::namespace("g", "things", "other").unwrap())).unwrap();
    assert_eq!((nothing.entries, nothing.revision), (vec![], fixture.head()));
}

#[test]
fn s8_pages_are_of_one_revision_whatever_is_written_between_them() {
    let fixture = Fixture::default();
    for name in ["a", "c", "e", "g", "i"] {
        fixture.put(name, "old");
    }
    let expected = rows(&fixture.list(all()).unwrap().entries);
    for limit in 1..7 {
        let first = all().at(At::Exact(fixture.head()));
        let before = rows(&fixture.list(all()).unwrap().entries);
        let found = paged(&fixture, first, limit, || {
            fixture.put("c", "new");
            fixture.delete("c");
            fixture.put("f", "new");
            fixture.put("c", "newer");
        });
        assert_eq!(found, before, "limit {limit}");
    }
    assert_ne!(rows(&fixture.list(all()).unwrap().entries), expected);
}

#[test]
fn s8_a_page_passes_over_rows_that_are_younger_than_it() {
    let fixture = Fixture::default();
    let old = fixture.put("z", "old");
    for number in 0..100 {
        fixture.put(&format!("a{number:03}"), "new");
    }
    let page = fixture.list(all().at(At::Exact(old)).limit(count(1))).unwrap();
    assert_eq!((rows(&page.entries), page.next), (vec![("z".into(), "old".into())], None));
}

#[test]
fn s8_the_past_is_kept_down_to_the_floor_and_the_future_is_refused() {
    let fixture = Fixture::new(MemoryConfig::default().min_retain(0));
    let revisions: Vec<_> = (0..5).map(|number| fixture.put("a", &number.to_string())).collect();
    now(roa_core::Store::compact(&fixture.store, revisions[2])).unwrap();
    let at = |revision| fixture.list(all().at(At::Exact(revision))).map(|page| rows(&page.entries)[0].1.clone());
    assert!(
        matches!(at(revisions[1]), Err(Error::Expired { floor, head }) if (floor, head) == (revisions[2], revisions[4]))
    );
    assert_eq!(revisions[2..].iter().map(|revision| at(*revision).unwrap()).collect::<Vec<_>>(), ["2", "3", "4"]);
    let future = later(revisions[4], 1);
    assert!(
        matches!(at(future), Err(Error::TooLarge { requested, head }) if (requested, head) == (future, revisions[4]))
    );
}

#[test]
fn s7_not_older_than_gives_the_present_or_refuses_at_once() {
    let fixture = Fixture::default();
    let (first, second) = (fixture.put("a", "1"), fixture.put("a", "2"));
    for revision in [Revision::new(1).unwrap(), first, second] {
        let page = fixture.list(all().at(At::NotOlderThan(revision))).unwrap();
        assert_eq!((page.revision, rows(&page.entries)[0].1.as_str()), (second, "2"));
    }
    let refused = fixture.list(all().at(At::NotOlderThan(later(second, 1))));
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

#[test]
fn a_page_that_begins_outside_of_its_prefix_is_refused() {
    let fixture = Fixture::default();
    let mut request = all();
    request.after = Some(Key::new("g", "others", "n", "a").unwrap());
    assert!(matches!(fixture.list(request), Err(Error::Invalid { .. })));
}

#[test]
fn s8_the_past_of_many_rows_and_many_batches_is_whole() {
    const ROWS: usize = 3_000;
    let fixture = Fixture::default();
    for number in 0..ROWS {
        fixture.put(&format!("{number:05}"), "old");
    }
    let old = fixture.head();
    for number in (0..ROWS).step_by(2) {
        fixture.delete(&format!("{number:05}"));
        fixture.put(&format!("{number:05}x"), "new");
    }
    let past = fixture.list(all().at(At::Exact(old))).unwrap();
    assert_eq!(past.entries.len(), ROWS);
    assert!(rows(&past.entries).iter().enumerate().all(|(number, row)| *row == (format!("{number:05}"), "old".into())));
    assert_eq!(paged(&fixture, all().at(At::Exact(old)), 1_000, || ()), rows(&past.entries));
}

/// Two keys far apart are always written together; a list that sees them differ is no snapshot.
fn lists_see_both_ends_alike(config: MemoryConfig) {
    const LISTS: usize = 200;
    let fixture = Fixture::new(config);
    for number in 0..5_000 {
        fixture.put(&format!("m{number:05}"), "v");
    }
    fixture.commit(fixture.txn().create(key("a"), opaque("0")).create(key("z"), opaque("0"))).unwrap();
    let done = AtomicBool::new(false);
    let pages: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| write_both_ends(&fixture, &done));
        let pages = (0..LISTS).map(|_| fixture.list(all())).collect();
        done.store(true, Ordering::Relaxed);
        pages
    });
    for page in pages {
        let page = page.unwrap();
        assert_eq!(page.entries.len(), 5_002);
        assert_eq!(page.entries[0].value, page.entries[5_001].value);
        assert!(page.entries.iter().all(|entry| entry.revision <= page.revision));
    }
}

fn write_both_ends(fixture: &Fixture, done: &AtomicBool) {
    let mut number = 0_u64;
    while !done.load(Ordering::Relaxed) {
        number += 1;
        let (value, at) = (opaque(&number.to_string()), fixture.get("a").unwrap().revision);
        fixture.commit(fixture.txn().update(key("a"), value.clone(), at).update(key("z"), value, at)).unwrap();
    }
}

#[test]
fn s7_a_long_list_is_a_snapshot_while_others_write() {
    lists_see_both_ends_alike(MemoryConfig::default());
}

#[test]
fn s7_the_present_is_listed_even_if_the_log_keeps_one_batch_only() {
    lists_see_both_ends_alike(MemoryConfig::default().log_max_batches(1).log_min_age(Duration::ZERO));
}
