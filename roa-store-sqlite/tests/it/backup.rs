//! Copies: made while the store is in use, put back under it, made by other means.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use roa_core::{CommitError, Error, Store, StoreState, TailEnd};
use roa_store_sqlite::{OpenError, SqliteConfig, SqliteStore, check};
use rusqlite::Connection;

use crate::support::*;

/// That a history goes on after a break, later than anything that was seen.
fn assert_broken(before: StoreState, after: StoreState) {
    assert!(after.head > before.head && after.floor == after.head, "S14: {after:?} after {before:?}");
    assert!(after.epoch.counter > before.epoch.counter, "S14: {after:?} after {before:?}");
}

/// A store with `a`, a backup of that, and then `b`.
async fn backed_up() -> (Place, SqliteStore, PathBuf) {
    let place = Place::fast();
    let store = place.open().await;
    create(&store, "a", 10).await.unwrap();
    let copy = place.file("copy.db");
    assert_eq!(store.backup(&copy).await.unwrap(), state(&store).await);
    create(&store, "b", 10).await.unwrap();
    (place, store, copy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q8_a_backup_made_during_writes_is_a_whole_store_as_of_one_revision() {
    let place = Place::fast();
    let store = Arc::new(place.open().await);
    let start = state(&store).await.head;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = async {
        let mut number = 0;
        while stopped.try_recv().is_err() {
            create(&store, &name_of(number), 1_000).await.unwrap();
            number += 1;
        }
        number
    };
    let copying = async {
        for number in 0..5 {
            let copy = place.file(&format!("copy-{number}.db"));
            let acked = state(&store).await.head;
            let made = store.backup(&copy).await.unwrap();
            assert!(made.head >= acked, "S7: it has what was acknowledged before it");
            assert_eq!(mode_of(&copy), 0o600);
            let report = check(&SqliteConfig::new(&copy)).await.unwrap();
            assert_eq!((report.state, report.problems), (made, vec![]));
            assert_eq!(report.entries, made.head.get() - start.get(), "each revision made one entry");
        }
        stop.send(()).unwrap();
    };
    let (written, ()) = tokio::join!(writing, copying);
    assert!(written > 0, "commits went on");
    let beside = files_in(place.directory.path()).into_iter().filter(|name| name.contains("copy")).count();
    assert_eq!(beside, 5, "nothing else was left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q8_a_backup_never_replaces_a_file_and_says_why_it_was_not_made() {
    let (place, store, copy) = backed_up().await;
    fs::write(place.file("notes"), "these are my notes").unwrap();
    let before = fs::read(&copy).unwrap();
    let files = files_in(place.directory.path());
    for to in ["copy.db", "notes", "roa.db", "no/such/directory.db"] {
        let error = store.backup(&place.file(to)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{to}: {error:?}");
    }
    assert!(fs::read(&copy).unwrap() == before);
    assert_eq!(fs::read(place.file("notes")).unwrap(), b"these are my notes");
    assert_eq!(files_in(place.directory.path()), files);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_a_store_that_is_opened_from_a_backup_begins_with_a_fence_and_has_one_only() {
    let (_place, store, copy) = backed_up().await;
    let before = check(&SqliteConfig::new(&copy)).await.unwrap().state;
    let opened = open(&SqliteConfig::new(&copy)).await.unwrap();
    let after = state(&opened).await;
    assert_broken(before, after);
    assert_eq!((opened.id(), names(&opened).await), (store.id(), vec!["a".to_owned()]));
    assert!(matches!(opened.tail(before.head).await, Err(Error::Expired { .. })), "W7");
    opened.close().await;
    assert_eq!(state(&open(&SqliteConfig::new(&copy)).await.unwrap()).await, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_a_restore_under_a_store_that_is_open_is_a_break_that_it_sees() {
    let (place, store, copy) = backed_up().await;
    let before = state(&store).await;
    let mut tail = store.tail(before.floor).await.unwrap();
    let mut idle = store.tail(before.head).await.unwrap();
    let restored = place.restore(&copy).await.unwrap();
    assert_broken(before, restored);
    for tail in [&mut tail, &mut idle] {
        let (_, end) = pull_to_end(tail).await;
        assert!(matches!(end, TailEnd::Expired { .. }), "{end}");
    }
    assert_eq!(state(&store).await, restored);
    assert_eq!(names(&store).await, ["a"]);
    assert!(matches!(store.tail(before.head).await, Err(Error::Expired { .. })));
    let prepared = txn().create(key("c"), filler(10)).expect_epoch(before.epoch);
    let refused = store.commit(prepared).await.unwrap_err();
    assert!(matches!(refused, CommitError::Fenced { current } if current == restored.epoch), "{refused:?}");
    let mut tail = store.tail(restored.head).await.unwrap();
    let next = store.commit(txn().create(key("c"), filler(10)).expect_epoch(restored.epoch)).await.unwrap();
    assert_eq!(next, later(restored.head, 1));
    assert_eq!(pull_until(&mut tail, next).await.len(), 1);
    store.close().await;
    place.assert_whole().await;
    let again = place.open().await;
    assert_eq!(state(&again).await.epoch, restored.epoch, "it was fenced once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_each_restore_goes_on_after_all_that_was_seen_and_one_is_possible_where_there_is_nothing() {
    let (place, store, copy) = backed_up().await;
    let mut seen = state(&store).await;
    for round in 0..3 {
        let restored = place.restore(&copy).await.unwrap();
        assert_broken(seen, restored);
        create(&store, &name_of(round), 10).await.unwrap();
        seen = state(&store).await;
        assert!(seen.epoch == restored.epoch);
    }
    store.close().await;
    let elsewhere = Place::new();
    let restored = elsewhere.restore(&copy).await.unwrap();
    let made = elsewhere.open().await;
    assert_eq!(state(&made).await, restored);
    assert_eq!((made.id(), names(&made).await), (store.id(), vec!["a".to_owned()]));
    assert_eq!(mode_of(&elsewhere.config.path), 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_during_writes_loses_none_that_is_acknowledged_after_it() {
    let (place, store, copy) = backed_up().await;
    let writing = async {
        let mut acked = Vec::new();
        for number in 0..500 {
            match create(&store, &name_of(number), 100).await {
                Ok(revision) => acked.push((name_of(number), revision)),
                Err(error) => assert!(matches!(error, CommitError::Unavailable { .. }), "{error:?}"),
            }
        }
        acked
    };
    let (acked, restored) = tokio::join!(writing, place.restore(&copy));
    let restored = restored.unwrap();
    let after: Vec<_> =
        acked.into_iter().filter(|(_, revision)| *revision > restored.head).map(|acked| acked.0).collect();
    let mut expected = after.clone();
    expected.push("a".to_owned());
    assert_eq!(names(&store).await, expected);
    assert_eq!(state(&store).await.head, later(restored.head, after.len() as u64));
    store.close().await;
    place.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_whole_backup_is_refused_and_the_store_is_as_it_was() {
    let (place, store, copy) = backed_up().await;
    create_many(&store, 0..200, 1_000).await;
    let (damaged, cut) = (place.file("damaged.db"), place.file("cut.db"));
    store.backup(&damaged).await.unwrap();
    let mut bytes = fs::read(&damaged).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let middle = bytes.len() / 8_192 * 4_096;
    bytes[middle..middle + 100].fill(0xa5);
    fs::write(&damaged, &bytes).unwrap();
    let (text, foreign, newer) = (place.file("notes"), place.file("notes.db"), place.file("newer.db"));
    fs::write(&text, "these are my notes").unwrap();
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    fs::copy(&copy, &newer).unwrap();
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();

    let (before, files) = (state(&store).await, files_in(place.directory.path()));
    let mut tail = store.tail(before.head).await.unwrap();
    for wrong in [damaged, cut, text, foreign, newer, place.file("nothing"), place.directory.path().to_owned()] {
        let error = place.restore(&wrong).await.unwrap_err();
        assert_eq!(state(&store).await, before, "{error}");
        assert_eq!(files_in(place.directory.path()), files, "{error}");
    }
    let next = create(&store, "after", 10).await.unwrap();
    assert_eq!(pull_until(&mut tail, next).await.len(), 1, "the feed was not ended");
    store.close().await;
    assert_eq!(state(&place.open().await).await.epoch, before.epoch, "nothing was fenced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_put_aside_by_a_restore() {
    let (place, store, copy) = backed_up().await;
    let before = state(&store).await;
    store.close().await;
    fs::write(&place.config.path, "nothing of it is left").unwrap();
    let restored = place.restore(&copy).await.unwrap();
    assert_broken(before, restored);
    assert_eq!(names(&place.open().await).await, ["a"]);
    assert_eq!(fs::read(place.beside("-damaged")).unwrap(), b"nothing of it is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_damaged_pages_is_whole_after_a_restore() {
    for page in [0, 1, 2, 20] {
        let (place, store, copy) = backed_up().await;
        create_many(&store, 0..200, 1_000).await;
        let before = state(&store).await;
        store.close().await;
        let mut bytes = fs::read(&place.config.path).unwrap();
        // The header stays: it is still the store's file.
        let begin = if page == 0 { 100 } else { page * 4_096 };
        bytes[begin..(page + 1) * 4_096].fill(0xa5);
        fs::write(&place.config.path, bytes).unwrap();
        let restored = place.restore(&copy).await.unwrap();
        assert_broken(before, restored);
        place.assert_whole().await;
        assert_eq!(names(&place.open().await).await, ["a"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_a_restore_does_not_destroy_another_programs_database() {
    let (_place, store, copy) = backed_up().await;
    store.close().await;
    let theirs = Place::new();
    let notes = Connection::open(&theirs.config.path).unwrap();
    notes.execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')").unwrap();
    drop(notes);
    let before = fs::read(&theirs.config.path).unwrap();
    let error = theirs.restore(&copy).await.unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert!(fs::read(&theirs.config.path).unwrap() == before, "their notes are gone: {error}");
    assert_eq!(files_in(theirs.directory.path()), ["roa.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_a_restore_does_not_destroy_a_store_of_a_newer_version() {
    let (place, store, copy) = backed_up().await;
    store.close().await;
    Connection::open(&place.config.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&place.config.path).unwrap();
    let error = place.restore(&copy).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(fs::read(&place.config.path).unwrap() == before, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_a_copy_by_other_means_is_fenced() {
    let (place, store, _) = backed_up().await;
    let before = state(&store).await;
    // In use: what is in the write-ahead log belongs to it.
    let live = Place::new();
    copy_by_other_means(&[place.beside(""), place.beside("-wal")], live.directory.path());
    let opened = live.open().await;
    assert_broken(before, state(&opened).await);
    assert_eq!(names(&opened).await, ["a", "b"]);
    store.close().await;
    let closed = Place::new();
    copy_by_other_means(&[place.beside("")], closed.directory.path());
    assert_broken(before, state(&closed.open().await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_without_its_head_file_or_with_a_wrong_one_a_store_is_fenced_and_then_no_more() {
    let other = Place::new();
    other.open().await.close().await;
    for wrong in [None, Some(vec![]), Some(vec![0; 56]), Some(fs::read(other.beside("-head")).unwrap())] {
        let (place, store, _) = backed_up().await;
        let before = state(&store).await;
        store.close().await;
        match wrong {
            None => fs::remove_file(place.beside("-head")).unwrap(),
            Some(bytes) => fs::write(place.beside("-head"), bytes).unwrap(),
        }
        let store = place.open().await;
        let after = state(&store).await;
        assert_broken(before, after);
        assert_eq!(names(&store).await, ["a", "b"]);
        store.close().await;
        assert_eq!(state(&place.open().await).await, after);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_an_older_copy_in_the_place_of_the_database_is_fenced_past_what_was_lost() {
    let (place, store, _) = backed_up().await;
    let older = Place::new();
    store.close().await;
    copy_by_other_means(&[place.beside("")], older.directory.path());
    let store = place.open().await;
    create(&store, "c", 10).await.unwrap();
    let lost = state(&store).await;
    store.close().await;
    copy_by_other_means(&[older.beside("")], place.directory.path());
    let store = place.open().await;
    assert_broken(lost, state(&store).await);
    assert_eq!(names(&store).await, ["a", "b"]);
}
