//! Damaged files, files of others, places that can't be written, permissions.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::future::join_all;
use roa_core::{CommitError, Error, ListRequest, Store};
use roa_store_sqlite::{OpenError, check};
use rusqlite::Connection;

use crate::support::*;

const PAGE: usize = 4_096;

/// A store of many pages, closed.
async fn filled() -> Place {
    let place = Place::fast();
    let store = place.open().await;
    create_many(&store, 0..300, 1_000).await;
    store.close().await;
    assert!(bytes_of(&place.config.path) > 100 * PAGE as u64);
    place
}

/// Overwrites the begin of some pages.
fn damage(path: &Path, pages: impl FnOnce(usize) -> Vec<usize>) {
    let mut bytes = fs::read(path).unwrap();
    for page in pages(bytes.len() / PAGE) {
        bytes[page * PAGE..page * PAGE + 100].fill(0xa5);
    }
    fs::write(path, bytes).unwrap();
}

/// The text of an error that says that something is damaged.
fn corrupt(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q10_whichever_page_is_damaged_every_answer_is_right_or_typed_and_a_check_names_it() {
    let place = filled().await;
    let whole = fs::read(&place.config.path).unwrap();
    for page in (1..whole.len() / PAGE).step_by(11) {
        fs::write(&place.config.path, &whole).unwrap();
        damage(&place.config.path, |_| vec![page]);
        match check(&place.config).await {
            Ok(report) => assert!(!report.problems.is_empty(), "page {page}"),
            Err(error) => assert!(matches!(error, OpenError::Damaged { .. }), "page {page}: {error:?}"),
        }
        let store = match place.try_open().await {
            Ok(store) => store,
            Err(error) => {
                assert!(matches!(error, OpenError::Damaged { .. }), "page {page}: {error:?}");
                continue;
            }
        };
        match store.list(ListRequest::new(things())).await {
            Ok(page) => assert_eq!(page.entries.len(), 300),
            Err(error) => assert!(corrupt(&error), "page {page}: {error:?}"),
        }
        for number in (0..300).step_by(50) {
            match store.get(&key(&name_of(number))).await {
                Ok(read) => assert_eq!(read.entry.unwrap().value, filler(1_000)),
                Err(error) => assert!(corrupt(&error), "page {page}: {error:?}"),
            }
        }
        if let Err(error) = create(&store, "new", 10).await {
            assert!(matches!(error, CommitError::Unavailable { .. } | CommitError::Ambiguous { .. }), "{error:?}");
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q10_many_damaged_pages_are_told_by_reads_and_the_report_is_bounded() {
    let place = filled().await;
    damage(&place.config.path, |pages| (pages / 4..pages).step_by(3).collect());
    let report = check(&place.config).await.unwrap();
    assert!((1..=20).contains(&report.problems.len()), "{:?}", report.problems);
    let store = place.open().await;
    let error = store.list(ListRequest::new(things())).await.unwrap_err();
    assert!(corrupt(&error), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q10_a_row_that_was_changed_behind_the_stores_back_is_named_by_a_check() {
    for (change, named) in [
        ("DELETE FROM object WHERE id = 7", "is missing"),
        ("UPDATE object SET entry = (SELECT entry FROM object WHERE id = 6) WHERE id = 7", "the log leaves it at"),
        ("UPDATE object SET entry = x'0000' WHERE id = 7", "ends too early"),
        ("DELETE FROM log WHERE rev = (SELECT max(rev) FROM log)", "which the log does not have"),
        ("DELETE FROM log WHERE rev = (SELECT max(rev) - 9 FROM log)", "comes after"),
        ("UPDATE log SET changes = x'ff00' WHERE rev = (SELECT max(rev) - 9 FROM log)", "log row"),
        ("UPDATE log SET prev_txn = txn WHERE rev = (SELECT max(rev) - 9 FROM log)", "another predecessor"),
    ] {
        let place = filled().await;
        assert_eq!(Connection::open(&place.config.path).unwrap().execute(change, []).unwrap(), 1);
        let problems = check(&place.config).await.unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains(named)), "{change}: {problems:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q10_an_entry_that_cannot_be_read_refuses_its_own_writes_and_no_others() {
    let place = filled().await;
    let other = Connection::open(&place.config.path).unwrap();
    assert_eq!(other.execute("UPDATE object SET entry = x'0000' WHERE id = 26", []).unwrap(), 1);
    let store = place.open().await;
    let head = state(&store).await.head;
    // All wait for another program, and so for the same group.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin = head.get() - 300;
    let updates = (0..50_usize).map(|number| {
        let at = revision(begin + 1 + number as u64);
        store.commit(txn().update(key(&name_of(number)), filler(10), at))
    });
    let mut updates = std::pin::pin!(join_all(updates));
    assert!(poll_once(&mut updates).is_none());
    other.execute_batch("COMMIT").unwrap();
    let outcomes = updates.await;
    for (number, outcome) in outcomes.iter().enumerate() {
        match number {
            25 => assert!(matches!(outcome, Err(CommitError::Unavailable { .. })), "{outcome:?}"),
            _ => assert!(outcome.is_ok(), "{number}: {outcome:?}"),
        }
    }
    assert_eq!(state(&store).await.head, later(head, 49));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w18_a_revision_that_the_log_lost_is_noticed_by_who_follows_it() {
    let place = filled().await;
    let lost = "DELETE FROM log WHERE rev = (SELECT max(rev) - 9 FROM log)";
    Connection::open(&place.config.path).unwrap().execute(lost, []).unwrap();
    let store = place.open().await;
    let state = state(&store).await;
    let mut tail = store.tail(state.floor).await.unwrap();
    let mut checker = roa_core::TailChecker::of(&tail);
    while checker.last() < state.head {
        let batches = match pull(&mut tail).await {
            Ok(batches) => batches,
            Err(_told) => return,
        };
        for batch in batches {
            // Whoever follows a feed notices it by the revisions; the store may do so before.
            if checker.check(&batch).is_err() {
                return;
            }
        }
    }
    panic!("the lost revision was not noticed");
}

/// Opening it must be refused, and change nothing.
async fn refused(place: &Place) -> OpenError {
    let (before, files) = (fs::read(&place.config.path).unwrap(), files_in(place.directory.path()));
    let error = place.try_open().await.unwrap_err();
    assert!(fs::read(&place.config.path).unwrap() == before, "its bytes: {error}");
    assert_eq!(files_in(place.directory.path()), files, "{error}");
    assert!(check(&place.config).await.is_err());
    assert!(fs::read(&place.config.path).unwrap() == before, "its bytes, after a check: {error}");
    assert_eq!(files_in(place.directory.path()), files, "after a check: {error}");
    assert!(error.to_string().contains(place.config.path.to_str().unwrap()), "{error}");
    error
}

#[tokio::test]
async fn s13_a_damaged_header_is_refused_and_stays_as_it_is() {
    for range in [0..16, 16..18, 18..20, 21..24, 0..100] {
        let place = filled().await;
        let mut bytes = fs::read(&place.config.path).unwrap();
        bytes[range.clone()].fill(0x5a);
        fs::write(&place.config.path, bytes).unwrap();
        let error = refused(&place).await;
        assert!(matches!(error, OpenError::Foreign { .. } | OpenError::Damaged { .. }), "{range:?}: {error:?}");
    }
}

#[tokio::test]
async fn q10_a_store_that_was_cut_off_is_refused_as_damaged() {
    let place = filled().await;
    let bytes = fs::read(&place.config.path).unwrap();
    fs::write(&place.config.path, &bytes[..bytes.len() / 2]).unwrap();
    let error = refused(&place).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn s13_a_file_of_text_is_refused_and_stays_as_it_is() {
    for text in ["x", "these are my notes", &"SQLite format 3 is what I read about\n".repeat(1_000)] {
        let place = Place::new();
        fs::write(&place.config.path, text).unwrap();
        assert!(matches!(refused(&place).await, OpenError::Foreign { .. }));
    }
}

#[tokio::test]
async fn s13_another_programs_database_is_refused_and_stays_as_it_is() {
    for journal in ["DELETE", "WAL"] {
        let place = Place::new();
        let notes = Connection::open(&place.config.path).unwrap();
        notes.pragma_update(None, "journal_mode", journal).unwrap();
        notes.execute_batch("CREATE TABLE notes (text); PRAGMA application_id = 7; PRAGMA user_version = 1").unwrap();
        drop(notes);
        let error = refused(&place).await;
        assert!(matches!(&error, OpenError::Foreign { found, .. } if found.contains("0x7")), "{error:?}");
    }
}

#[tokio::test]
async fn s13_another_programs_damaged_database_is_refused_and_stays_as_it_is() {
    for journal in ["DELETE", "WAL"] {
        let place = Place::new();
        let notes = Connection::open(&place.config.path).unwrap();
        notes.pragma_update(None, "journal_mode", journal).unwrap();
        notes.execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES (zeroblob(100000))").unwrap();
        drop(notes);
        let bytes = fs::read(&place.config.path).unwrap();
        fs::write(&place.config.path, &bytes[..bytes.len() / 2]).unwrap();
        refused(&place).await;
    }
}

#[tokio::test]
async fn s13_a_store_of_a_newer_version_is_refused_and_stays_as_it_is() {
    let place = filled().await;
    Connection::open(&place.config.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&place).await;
    assert!(matches!(error, OpenError::Newer { found: 99, .. }) && error.to_string().contains("hint"), "{error:?}");
}

#[tokio::test]
async fn q9_where_nothing_can_be_made_the_path_is_named() {
    // Not even root makes files there.
    for path in ["/sys/kernel/roa.db", "/proc/roa/data/roa.db"] {
        let error = open(&roa_store_sqlite::SqliteConfig::new(path)).await.unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
        let directory = Path::new(path).parent().unwrap().to_str().unwrap();
        assert!(error.to_string().contains(directory), "{error}");
    }
}

#[tokio::test]
async fn q9_a_disk_that_can_only_be_read_is_told_where_a_store_would_be_made() {
    let test = "damage::q9_a_disk_that_can_only_be_read_is_told_where_a_store_would_be_made";
    let Some(disk) = Mounted::new("size=1m,ro", test) else { return };
    let error = open(&config(disk.path())).await.unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("roa.db") && error.to_string().contains("Read-only"), "{error}");
}

#[tokio::test]
async fn q9_a_store_on_a_disk_that_can_only_be_read_is_refused_and_stays_as_it_is() {
    let test = "damage::q9_a_store_on_a_disk_that_can_only_be_read_is_refused_and_stays_as_it_is";
    let Some(disk) = Mounted::new("size=4m", test) else { return };
    let config = config(disk.path());
    let store = open(&config).await.unwrap();
    create(&store, "a", 10).await.unwrap();
    store.close().await;
    let before = fs::read(&config.path).unwrap();
    disk.freeze();
    let error = open(&config).await.unwrap_err();
    assert!(matches!(error, OpenError::Io { .. } | OpenError::Sqlite { .. }), "{error:?}");
    assert!(error.to_string().contains("roa.db") && error.to_string().contains("Read-only"), "{error}");
    assert!(fs::read(&config.path).unwrap() == before);
}

#[tokio::test]
async fn its_files_and_the_directory_that_it_makes_are_its_owners_alone() {
    let directory = directory();
    let config = config(&directory.path().join("a/b"));
    let store = open(&config).await.unwrap();
    create(&store, "a", 10).await.unwrap();
    for suffix in ["", "-wal", "-shm", "-head"] {
        assert_eq!(mode_of(&beside(&config, suffix)), 0o600, "{suffix}");
    }
    for made in ["a", "a/b"] {
        assert_eq!(mode_of(&directory.path().join(made)), 0o700, "{made}");
    }
    assert_eq!(files_in(config.path.parent().unwrap()), ["roa.db", "roa.db-head", "roa.db-shm", "roa.db-wal"]);
}

#[tokio::test]
async fn a_directory_that_is_there_keeps_its_permissions_and_others_lose_theirs_on_the_files() {
    let place = filled().await;
    fs::set_permissions(place.directory.path(), Permissions::from_mode(0o755)).unwrap();
    for suffix in ["", "-head"] {
        fs::set_permissions(place.beside(suffix), Permissions::from_mode(0o644)).unwrap();
    }
    let store = place.open().await;
    create(&store, "a", 10).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode_of(&place.beside(suffix)), 0o600, "{suffix}");
    }
    assert_eq!(mode_of(place.directory.path()), 0o755);
}
