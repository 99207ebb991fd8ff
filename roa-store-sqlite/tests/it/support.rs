//! A store in a directory of its own, and the shorthands that all tests use.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use roa_core::{
    Batch, CommitError, Health, Key, KeyPrefix, ListRequest, Revision, Store, StoreState, SystemRandom, Tail, TailEnd,
    Txn, TxnId, Value,
};
use roa_runtime::SystemClock;
use roa_store_sqlite::{OpenError, SqliteConfig, SqliteDurability, SqliteStore, check, restore};
use tempfile::TempDir;

/// Far more than any awaited condition needs.
pub const BOUND: Duration = Duration::from_secs(30);

/// Where a store is, or will be.
pub struct Place {
    pub directory: TempDir,
    pub config: SqliteConfig,
}

impl Place {
    /// An empty directory. Nothing but a request makes the log of its store forget.
    pub fn new() -> Self {
        let directory = directory();
        let config = config(directory.path());
        Self { directory, config }
    }

    /// The same, of a store that is faster, and whose commits are not to survive a power cut.
    pub fn fast() -> Self {
        Self::new().with(|config| config.durability(SqliteDurability::ProcessCrash))
    }

    pub fn with(mut self, change: impl FnOnce(SqliteConfig) -> SqliteConfig) -> Self {
        self.config = change(self.config);
        self
    }

    pub async fn open(&self) -> SqliteStore {
        self.try_open().await.unwrap()
    }

    pub async fn try_open(&self) -> Result<SqliteStore, OpenError> {
        open(&self.config).await
    }

    /// Puts a backup in the place of its store.
    pub async fn restore(&self, backup: &Path) -> Result<StoreState, OpenError> {
        restore(backup, &self.config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await
    }

    /// A file of the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The database, or with a suffix a file beside it.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.config, suffix)
    }

    /// The size of the write-ahead log.
    pub fn wal_bytes(&self) -> u64 {
        bytes_of(&self.beside("-wal"))
    }

    pub async fn assert_whole(&self) {
        assert_whole(&self.config).await;
    }
}

pub async fn open(config: &SqliteConfig) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(config.clone(), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await
}

pub async fn assert_whole(config: &SqliteConfig) {
    assert_eq!(check(config).await.unwrap().problems, Vec::<String>::new());
}

pub fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

pub fn config(directory: &Path) -> SqliteConfig {
    SqliteConfig::new(directory.join("roa.db")).min_retain(0)
}

pub fn beside(config: &SqliteConfig, suffix: &str) -> PathBuf {
    let mut name = config.path.clone().into_os_string();
    name.push(suffix);
    name.into()
}

pub fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

pub fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The names of the files in a directory, sorted.
pub fn files_in(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

/// Copies files as another program does. To open and close the file of a store in this process drops its locks.
pub fn copy_by_other_means(from: &[PathBuf], to: &Path) {
    assert!(Command::new("cp").args(from).arg(to).status().unwrap().success());
}

/// A file system of its own, until it is dropped.
pub struct Mounted(TempDir);

impl Mounted {
    /// A file system in memory, mounted with these options. Who may not mount runs `test` once more in a namespace in
    /// which it may; then there is nothing left to do here.
    pub fn new(options: &str, test: &str) -> Option<Self> {
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
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// From now on it can only be read.
    pub fn freeze(&self) {
        let frozen = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(frozen.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

pub fn key(name: &str) -> Key {
    Key::new("g", "things", "n", name).unwrap()
}

pub fn things() -> KeyPrefix {
    KeyPrefix::resource("g", "things").unwrap()
}

pub fn name_of(number: usize) -> String {
    format!("{number:06}")
}

pub fn filler(bytes: usize) -> Value {
    Value::opaque(vec![b'x'; bytes])
}

pub fn txn() -> Txn {
    Txn::new(TxnId::random(&SystemRandom), "test")
}

pub async fn create(store: &SqliteStore, name: &str, bytes: usize) -> Result<Revision, CommitError> {
    store.commit(txn().create(key(name), filler(bytes))).await
}

/// Creates so many, one after the other. Gives the last revision.
pub async fn create_many(store: &SqliteStore, numbers: std::ops::Range<usize>, bytes: usize) -> Revision {
    let mut last = None;
    for number in numbers {
        last = Some(create(store, &name_of(number), bytes).await.unwrap());
    }
    last.unwrap()
}

pub async fn delete(store: &SqliteStore, name: &str) -> Result<Revision, CommitError> {
    let at = store.get(&key(name)).await.unwrap().entry.unwrap().revision;
    store.commit(txn().delete(key(name), at)).await
}

/// The names of all entries, in order.
pub async fn names(store: &SqliteStore) -> Vec<String> {
    let page = store.list(ListRequest::new(things())).await.unwrap();
    page.entries.iter().map(|entry| entry.key.name().to_owned()).collect()
}

pub async fn state(store: &SqliteStore) -> StoreState {
    store.state().await.unwrap()
}

pub fn revision(value: u64) -> Revision {
    Revision::new(value).unwrap()
}

/// The revision this many after another.
pub fn later(from: Revision, by: u64) -> Revision {
    revision(from.get() + by)
}

pub fn count(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).unwrap()
}

/// The next batches of a feed, or its end.
pub async fn pull(tail: &mut Tail) -> Result<Vec<Arc<Batch>>, TailEnd> {
    let item = tokio::time::timeout(BOUND, tail.next()).await.expect("the feed gives something in time");
    item.expect("a feed ends with a reason")
}

/// What a feed gives until it has given a revision.
pub async fn pull_until(tail: &mut Tail, last: Revision) -> Vec<Arc<Batch>> {
    let mut batches = Vec::new();
    while batches.last().map_or(tail.after, |batch: &Arc<Batch>| batch.revision) < last {
        batches.extend(pull(tail).await.unwrap());
    }
    batches
}

/// What a feed gives, and why it ends.
pub async fn pull_to_end(tail: &mut Tail) -> (Vec<Arc<Batch>>, TailEnd) {
    let mut batches = Vec::new();
    loop {
        match pull(tail).await {
            Ok(more) => batches.extend(more),
            Err(end) => return (batches, end),
        }
    }
}

/// Polls a future once.
pub fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    future.now_or_never()
}

/// Waits for a condition that nobody tells of.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await.unwrap_err();
    }
}

pub async fn until_healthy(store: &SqliteStore) {
    until("it is healthy", async || store.health().await == Health::Healthy).await;
}
