//! What is bounded while a store is used: its files, its log, and how long a read may take.

use std::time::Duration;

use roa_core::{Error, ListRequest, Store};
use roa_store_sqlite::check;
use rusqlite::Connection;

use crate::support::*;

/// As another program counts them.
fn objects(reader: &Connection) -> i64 {
    reader.query_row("SELECT count(*) FROM object", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q6_a_long_reader_of_another_program_holds_nothing_up_and_the_log_is_cut_when_it_ends() {
    let place = Place::fast();
    let store = place.open().await;
    create(&store, &name_of(0), 10).await.unwrap();
    let reader = Connection::open(&place.config.path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(objects(&reader), 1);
    create_many(&store, 1..1_500, 1_000).await;
    assert!(place.wal_bytes() > 4 << 20, "the reader holds the log: {}", place.wal_bytes());
    assert_eq!(objects(&reader), 1, "its snapshot is as it was");
    reader.execute_batch("COMMIT").unwrap();
    until("the log is cut", async || place.wal_bytes() == 0).await;
    assert_eq!(names(&store).await.len(), 1_500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q6_a_read_that_takes_too_long_is_cut_and_the_store_goes_on() {
    let place = Place::fast().with(|config| config.read_limit(Duration::ZERO));
    let store = place.open().await;
    create_many(&store, 0..2_000, 10).await;
    let error = store.list(ListRequest::new(things())).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { reason } if reason.contains("longer than its limit")), "{error:?}");
    create(&store, "after", 10).await.unwrap();
    assert!(store.get(&key("after")).await.unwrap().entry.is_some(), "a short read is not cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q7_s10_file_and_logs_stay_bounded_under_load() {
    let place = Place::fast().with(|config| config.log_max_batches(1_000).log_min_age(Duration::ZERO));
    let store = place.open().await;
    let (mut at, mut largest) = (create(&store, "a", 2_000).await.unwrap(), 0);
    for round in 0..20_000_usize {
        at = store.commit(txn().update(key("a"), filler(2_000), at)).await.unwrap();
        if round.is_multiple_of(50) {
            largest = largest.max(place.wal_bytes());
        }
    }
    assert!(largest < 64 << 20, "the write-ahead log had {largest} bytes");
    until("the log is within its bound", async || {
        let state = state(&store).await;
        state.head.get() - state.floor.get() <= 1_000
    })
    .await;
    until("the file is within it, too", async || bytes_of(&place.config.path) < 24 << 20).await;
    store.close().await;
    assert_eq!(check(&place.config).await.unwrap().batches, 1_000);
}
