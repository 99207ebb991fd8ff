//! What goes wrong around a file: a full disk, a quota, damage, long readers, copies. Errors are typed, nothing that was
//! acknowledged is lost, and the store goes on when the cause is gone.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use roa_core::{
    CommitError, Error, Health, Key, KeyPrefix, ListRequest, Revision, Store, SystemRandom, Tail, TailEnd, Txn, TxnId,
    Value,
};
use roa_runtime::SystemClock;
use roa_store_sqlite::{OpenError, SqliteConfig, SqliteDurability, SqliteStore, check, restore};
use tempfile::TempDir;

/// No condition is awaited longer.
const BOUND: Duration = Duration::from_secs(30);

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn config(directory: &Path) -> SqliteConfig {
    SqliteConfig::new(directory.join("roa.db")).min_retain(0)
}

async fn try_open(config: &SqliteConfig) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(config.clone(), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await
}

async fn open(config: &SqliteConfig) -> SqliteStore {
    try_open(config).await.unwrap()
}

fn key(number: usize) -> Key {
    Key::new("g", "things", "n", &format!("{number:06}")).unwrap()
}

fn txn() -> Txn {
    Txn::new(TxnId::random(&SystemRandom), "test")
}

async fn create(store: &SqliteStore, number: usize, bytes: usize) -> Result<Revision, CommitError> {
    store.commit(txn().create(key(number), Value::opaque(vec![b'x'; bytes]))).await
}

async fn numbers(store: &SqliteStore) -> Vec<String> {
    let page = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap();
    page.entries.iter().map(|entry| entry.key.name().to_owned()).collect()
}

/// Waits for a condition that nobody tells of.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await.unwrap_err();
    }
}

async fn end_of(tail: &mut Tail) -> TailEnd {
    loop {
        if let Err(end) = tokio::time::timeout(BOUND, tail.next()).await.unwrap().unwrap() {
            return end;
        }
    }
}

fn wal(config: &SqliteConfig) -> u64 {
    fs::metadata(beside(config, "-wal")).map_or(0, |wal| wal.len())
}

fn beside(config: &SqliteConfig, suffix: &str) -> PathBuf {
    let mut name = config.path.clone().into_os_string();
    name.push(suffix);
    name.into()
}

/// A file system of its own.
struct Mounted(TempDir);

impl Mounted {
    /// With these options. Who may not mount runs `test` once more in a namespace in which it may; then there is nothing
    /// left to do here.
    fn new(options: &str, test: &str) -> Option<Self> {
        let directory = directory();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(directory.path()).output();
        if mounted.unwrap().status.success() {
            return Some(Self(directory));
        }
        assert!(std::env::var_os("ROA_TEST_NAMESPACE").is_none(), "nothing can be mounted, not even in a namespace");
        let mut again = Command::new("unshare");
        again.args(["--user", "--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
        let ran = again.args(["--exact", test]).env("ROA_TEST_NAMESPACE", "1").output().unwrap();
        assert!(
            ran.status.success(),
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_a_full_disk_is_told_loses_nothing_and_is_recovered_from() {
    let Some(disk) = Mounted::new("size=3m", "q5_a_full_disk_is_told_loses_nothing_and_is_recovered_from") else {
        return;
    };
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let config = config(disk.0.path());
    let store = open(&config).await;
    let mut acked = Vec::new();
    let refusal = loop {
        match create(&store, acked.len(), 8 << 10).await {
            Ok(_) => acked.push(format!("{:06}", acked.len())),
            Err(refusal) => break refusal,
        }
        assert!(acked.len() < 1_000, "the disk has no end");
    };
    assert!(matches!(refusal, CommitError::Unavailable { .. } | CommitError::Ambiguous { .. }), "{refusal}");
    assert!(matches!(store.health().await, Health::Failing(_)), "{:?}", store.health().await);
    assert_eq!(numbers(&store).await, acked);
    fs::remove_file(&ballast).unwrap();
    until("it is healthy again by itself", async || store.health().await == Health::Healthy).await;
    create(&store, 900, 10).await.unwrap();
    assert_eq!(numbers(&store).await.len(), acked.len() + 1);
    store.close().await;
    assert_eq!(check(&config).await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_its_quota_a_store_only_shrinks() {
    let directory = directory();
    let config = config(directory.path()).max_bytes(2 << 20);
    let store = open(&config).await;
    let mut count = 0;
    let refusal = loop {
        match create(&store, count, 16 << 10).await {
            Ok(_) => count += 1,
            Err(refusal) => break refusal.to_string(),
        }
    };
    assert!(refusal.contains("expected less than 2097152") && refusal.contains("hint"), "{refusal}");
    until("it says so", async || matches!(store.health().await, Health::Degraded(_))).await;
    for number in 0..count {
        let at = store.get(&key(number)).await.unwrap().entry.unwrap().revision;
        store.commit(txn().delete(key(number), at)).await.unwrap();
    }
    let head = store.state().await.unwrap().head;
    store.compact(head).await.unwrap();
    until("there is room again", async || create(&store, 7, 10).await.is_ok()).await;
}

#[tokio::test]
async fn q9_a_place_that_can_only_be_read_is_told_so() {
    let Some(disk) = Mounted::new("size=1m,ro", "q9_a_place_that_can_only_be_read_is_told_so") else { return };
    let error = try_open(&config(disk.0.path())).await.unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("roa.db") && error.to_string().contains("Read-only"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q10_damaged_pages_are_found_and_told() {
    let directory = directory();
    let config = config(directory.path());
    let store = open(&config).await;
    for number in 0..300 {
        create(&store, number, 1_000).await.unwrap();
    }
    store.close().await;
    let mut bytes = fs::read(&config.path).unwrap();
    for page in (20..bytes.len() / 4096).step_by(7) {
        bytes[page * 4096..page * 4096 + 100].fill(0xa5);
    }
    fs::write(&config.path, bytes).unwrap();
    let report = check(&config).await.unwrap();
    assert!(!report.problems.is_empty());
    let store = open(&config).await;
    let error = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn s13_a_damaged_head_is_refused_and_stays_as_it_is() {
    let directory = directory();
    let config = config(directory.path());
    open(&config).await.close().await;
    let mut bytes = fs::read(&config.path).unwrap();
    bytes[..16].fill(0);
    fs::write(&config.path, &bytes).unwrap();
    let error = try_open(&config).await.unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(fs::read(&config.path).unwrap(), bytes);
}

#[tokio::test]
async fn its_files_are_its_owners_alone() {
    let directory = directory();
    let config = config(&directory.path().join("data"));
    let store = open(&config).await;
    create(&store, 1, 10).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for suffix in ["", "-wal", "-shm", "-head"] {
        assert_eq!(mode(&beside(&config, suffix)), 0o600, "{suffix}");
    }
    assert_eq!(mode(&directory.path().join("data")), 0o700);
    store.close().await;
    fs::set_permissions(&config.path, fs::Permissions::from_mode(0o644)).unwrap();
    open(&config).await.close().await;
    assert_eq!(mode(&config.path), 0o600, "what others could do is taken away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q6_a_long_reader_of_another_program_holds_nothing_up_and_the_log_is_cut_when_it_ends() {
    let directory = directory();
    let config = config(directory.path()).durability(SqliteDurability::ProcessCrash);
    let store = open(&config).await;
    create(&store, 0, 10).await.unwrap();
    let reader = rusqlite::Connection::open(&config.path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let seen: i64 = reader.query_row("SELECT count(*) FROM object", [], |row| row.get(0)).unwrap();
    for number in 1..1_500 {
        create(&store, number, 1_000).await.unwrap();
    }
    assert!(wal(&config) > 4 << 20, "the reader holds the log: {}", wal(&config));
    assert_eq!(seen, reader.query_row("SELECT count(*) FROM object", [], |row| row.get::<_, i64>(0)).unwrap());
    reader.execute_batch("COMMIT").unwrap();
    until("the log is cut", async || wal(&config) == 0).await;
    assert_eq!(numbers(&store).await.len(), 1_500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q6_a_read_that_takes_too_long_is_cut_and_the_store_goes_on() {
    let directory = directory();
    let store = open(&config(directory.path()).read_limit(Duration::ZERO)).await;
    for number in 0..2_000 {
        create(&store, number, 10).await.unwrap();
    }
    let error = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { reason } if reason.contains("longer than its limit")), "{error:?}");
    create(&store, 3_000, 10).await.unwrap();
    assert!(store.get(&key(3_000)).await.unwrap().entry.is_some(), "a short read is not cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q7_s10_file_and_logs_stay_bounded_under_load() {
    let directory = directory();
    let config = config(directory.path())
        .durability(SqliteDurability::ProcessCrash)
        .log_max_batches(1_000)
        .log_min_age(Duration::ZERO);
    let store = open(&config).await;
    let (mut at, mut largest) = (create(&store, 0, 2_000).await.unwrap(), 0);
    for round in 0..20_000_usize {
        let value = Value::opaque(vec![b'x'; 2_000]);
        at = store.commit(txn().update(key(0), value, at)).await.unwrap();
        if round.is_multiple_of(50) {
            largest = largest.max(wal(&config));
        }
    }
    assert!(largest < 64 << 20, "the write-ahead log had {largest} bytes");
    until("the log is within its bound", async || {
        let state = store.state().await.unwrap();
        state.head.get() - state.floor.get() <= 1_000
    })
    .await;
    until("the file is within it, too", async || fs::metadata(&config.path).unwrap().len() < 24 << 20).await;
    store.close().await;
    assert_eq!(check(&config).await.unwrap().batches, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q8_a_backup_that_is_made_during_writes_is_a_whole_store() {
    let directory = directory();
    let store = Arc::new(open(&config(directory.path())).await);
    let writer = Arc::clone(&store);
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = async move {
        let mut number = 0;
        while stopped.try_recv().is_err() {
            create(&writer, number, 1_000).await.unwrap();
            number += 1;
        }
        number
    };
    let copying = async {
        for number in 0..5 {
            let to = directory.path().join(format!("copy-{number}.db"));
            store.backup(&to).await.unwrap();
            assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
            let report = check(&SqliteConfig::new(&to)).await.unwrap();
            assert_eq!(report.problems, Vec::<String>::new());
        }
        assert!(store.backup(&directory.path().join("copy-0.db")).await.is_err(), "it does not overwrite");
        stop.send(()).unwrap();
    };
    let (written, ()) = tokio::join!(writing, copying);
    assert!(written > 0);
    let copy = SqliteConfig::new(directory.path().join("copy-4.db"));
    let before = check(&copy).await.unwrap().state;
    let opened = open(&copy).await;
    let after = opened.state().await.unwrap();
    assert!(after.epoch != before.epoch && after.floor == after.head && after.head > before.head, "S14: {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_a_restore_under_a_running_store_is_a_break_that_everybody_sees() {
    let directory = directory();
    let config = config(directory.path());
    let store = open(&config).await;
    create(&store, 1, 10).await.unwrap();
    let copy = directory.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    create(&store, 2, 10).await.unwrap();
    let before = store.state().await.unwrap();
    let mut tail = store.tail(before.head).await.unwrap();
    let state = restore(&copy, &config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await.unwrap();
    assert!(matches!(end_of(&mut tail).await, TailEnd::Expired { .. }));
    assert_eq!(store.state().await.unwrap(), state);
    assert!(state.head > before.head && state.floor == state.head && state.epoch.counter > before.epoch.counter);
    assert_eq!(numbers(&store).await, ["000001"]);
    let prepared = txn().create(key(3), Value::opaque("x")).expect_epoch(before.epoch);
    assert!(matches!(store.commit(prepared).await, Err(CommitError::Fenced { .. })));
    assert_eq!(create(&store, 3, 10).await.unwrap().get(), state.head.get() + 1);
    store.close().await;
    assert_eq!(check(&config).await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_backup_is_refused_and_the_store_is_as_it_was() {
    let directory = directory();
    let config = config(directory.path());
    let store = open(&config).await;
    create(&store, 1, 10).await.unwrap();
    let before = store.state().await.unwrap();
    let notes = directory.path().join("notes");
    fs::write(&notes, "these are my notes").unwrap();
    for wrong in [notes, directory.path().join("nothing")] {
        assert!(restore(&wrong, &config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await.is_err());
        assert_eq!(store.state().await.unwrap(), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_put_aside_by_a_restore() {
    let directory = directory();
    let config = config(directory.path());
    let store = open(&config).await;
    create(&store, 1, 10).await.unwrap();
    let copy = directory.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    store.close().await;
    fs::write(&config.path, "nothing of it is left").unwrap();
    restore(&copy, &config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await.unwrap();
    assert_eq!(numbers(&open(&config).await).await, ["000001"]);
    assert_eq!(fs::read(beside(&config, "-damaged")).unwrap(), b"nothing of it is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_a_copy_by_other_means_is_fenced_and_a_store_that_was_closed_is_not() {
    let directory = directory();
    let config = config(directory.path());
    let store = open(&config).await;
    create(&store, 1, 10).await.unwrap();
    let before = store.state().await.unwrap();
    store.close().await;
    let again = open(&config).await;
    assert_eq!(again.state().await.unwrap(), before);
    again.close().await;
    fs::remove_file(beside(&config, "-head")).unwrap();
    let copied = open(&config).await.state().await.unwrap();
    assert!(copied.epoch != before.epoch && copied.head > before.head, "{copied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_after_its_end_a_store_refuses_and_its_feeds_say_so() {
    let directory = directory();
    let store = open(&config(directory.path())).await;
    let head = store.state().await.unwrap().head;
    let mut tail = store.tail(head).await.unwrap();
    create(&store, 1, 10).await.unwrap();
    // A commit that nobody waits for any more happens, or does not.
    drop(create(&store, 2, 10));
    store.close().await;
    store.close().await;
    assert_eq!(tail.next().await.unwrap().unwrap().len(), 1, "what was committed comes first");
    assert!(matches!(end_of(&mut tail).await, TailEnd::Closed));
    assert!(matches!(create(&store, 3, 10).await, Err(CommitError::Unavailable { .. })));
    assert!(matches!(store.state().await, Err(Error::Unavailable { .. })));
    assert!(matches!(store.health().await, Health::Failing(_)));
}
