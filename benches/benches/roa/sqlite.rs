//! The SQLite store beside raw rusqlite: commits with one and with many in flight, large transactions, lists, the
//! replay of the log, and the time from a write to its watcher, in the same process and in another.
//!
//! `cargo xtask bench --only sqlite`
//!
//! The files lie in the target directory: on a RAM disk a sync costs nothing and the figures mean nothing.

use std::cell::OnceCell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use futures_util::StreamExt;
use roa_benches::{Client, Group, Quantile, RawReader, RawSqlite, Roa, Side, group, measure, prefix};
use roa_core::{Key, ListRequest, RandomExt, Revision, SeededRandom, Store, Tail, Value};
use roa_runtime::SystemClock;
use roa_store_sqlite::{SqliteConfig, SqliteDurability, SqliteStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// How many keys each writer has of its own.
const SLOTS: usize = 16;
/// Writes of one large transaction; the contract allows 128.
const LARGE: usize = 100;
const LISTED: usize = 10_000;
const LOGGED: u64 = 100_000;
/// Rows of one query of the raw replay.
const STEP: i64 = 1_000;
/// How many writes go ahead of those whose time is taken, one at a time.
const SETTLE: u32 = 32;
/// How often the raw follower in another process looks.
const POLL: Duration = Duration::from_millis(1);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn raw(path: &Path, synchronous: &str) -> Arc<RawSqlite> {
    Arc::new(RawSqlite::open(path, synchronous).unwrap())
}

/// ROA's side, which is closed at its end: what it has is in the file then.
#[derive(Clone)]
struct Sqlite {
    roa: Roa,
    store: Arc<SqliteStore>,
}

impl Sqlite {
    fn open(runtime: &Runtime, config: SqliteConfig) -> Self {
        let random = Arc::new(SeededRandom::new(1));
        let store = SqliteStore::open(config, Arc::new(SystemClock::new()), random);
        let store = Arc::new(runtime.block_on(store).unwrap());
        Self { roa: Roa::over(store.clone()), store }
    }

    async fn tail(&self) -> Tail {
        self.store.tail(self.store.state().await.unwrap().head).await.unwrap()
    }
}

impl Side for Sqlite {
    type At = Revision;

    async fn write(&self, keys: &[Key], value: &Value, expect: Option<Revision>) -> Revision {
        self.roa.write(keys, value, expect).await
    }

    fn close(&self, runtime: &Runtime) {
        runtime.block_on(self.store.close());
    }
}

/// Both sides, each durable when it answers.
fn measure_both(group: &mut Group<'_>, in_flight: usize, size: usize) {
    let (runtime, directory) = (runtime(), directory());
    let path = |name| directory.path().join(name);
    let plain = || Client::several(&raw(&path("raw.db"), "FULL"), in_flight, SLOTS, size);
    measure(group, "raw", &runtime, plain);
    let roa = || Client::several(&Sqlite::open(&runtime, SqliteConfig::new(path("roa.db"))), in_flight, SLOTS, size);
    measure(group, "roa", &runtime, roa);
}

/// Compare-and-swap updates with some in flight.
fn commit(criterion: &mut Criterion) {
    for in_flight in [1, 16, 64, 256] {
        let mut group = group(criterion, &format!("sqlite/commit/{in_flight}"));
        group.throughput(Throughput::Elements(in_flight as u64));
        measure_both(&mut group, in_flight, 1);
        group.finish();
    }
}

/// Large transactions, one after the other.
fn batches(criterion: &mut Criterion) {
    let mut group = group(criterion, "sqlite/batches-of-100");
    group.throughput(Throughput::Elements(LARGE as u64));
    measure_both(&mut group, 1, LARGE);
    group.finish();
}

/// Files that hold much, made when first asked for: by `writers` at once, each of whom writes `size` keys at a time.
struct Filled {
    runtime: Runtime,
    directory: TempDir,
    writers: usize,
    slots: usize,
    size: usize,
    rounds: u64,
    raw: OnceCell<RawReader>,
    roa: OnceCell<Sqlite>,
}

impl Filled {
    fn new([writers, slots, size]: [usize; 3], rounds: u64) -> Self {
        let (raw, roa) = (OnceCell::new(), OnceCell::new());
        Self { runtime: runtime(), directory: directory(), writers, slots, size, rounds, raw, roa }
    }

    fn fill<S: Side>(&self, side: &S) {
        let clients = Client::several(side, self.writers, self.slots, self.size);
        drop(Client::run_all(&self.runtime, clients, self.rounds));
        side.close(&self.runtime);
    }

    fn raw(&self) -> &RawReader {
        self.raw.get_or_init(|| {
            let path = self.directory.path().join("raw.db");
            self.fill(&raw(&path, "NORMAL"));
            RawReader::open(&path).unwrap()
        })
    }

    /// What was written by another handle is in the file, not in this one's memory.
    fn roa(&self) -> &Sqlite {
        self.roa.get_or_init(|| {
            let path = self.directory.path().join("roa.db");
            let config = SqliteConfig::new(path).durability(SqliteDurability::ProcessCrash);
            let config = config.log_max_batches(2 * LOGGED);
            self.fill(&Sqlite::open(&self.runtime, config.clone()));
            Sqlite::open(&self.runtime, config)
        })
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(roa) = self.roa.get() {
            roa.close(&self.runtime);
        }
    }
}

/// A list of 10,000 objects of about 1 KiB.
fn list(criterion: &mut Criterion) {
    let mut group = group(criterion, "sqlite/list-10000");
    group.throughput(Throughput::Elements(LISTED as u64));
    let slots = LISTED / LARGE;
    let filled = Filled::new([1, slots, LARGE], slots as u64);
    group.bench_function("raw", |bencher| {
        let reader = filled.raw();
        bencher.iter(|| {
            let rows = reader.list().unwrap();
            assert_eq!(rows.len(), LISTED);
            rows
        });
    });
    group.bench_function("roa", |bencher| {
        let store = &filled.roa().store;
        bencher.to_async(&filled.runtime).iter(async || {
            let page = store.list(ListRequest::new(prefix())).await.unwrap();
            assert_eq!(page.entries.len(), LISTED);
            page
        });
    });
    group.finish();
}

/// The whole log of 100,000 commits, from the file.
fn resume(criterion: &mut Criterion) {
    let mut group = group(criterion, &format!("sqlite/resume-{LOGGED}"));
    group.throughput(Throughput::Elements(LOGGED));
    let writers = 250;
    let filled = Filled::new([writers, SLOTS, 1], LOGGED / writers as u64);
    group.bench_function("raw", |bencher| {
        let reader = filled.raw();
        bencher.iter(|| assert_eq!(replay_raw(reader), LOGGED));
    });
    group.bench_function("roa", |bencher| {
        let store = &filled.roa().store;
        bencher.to_async(&filled.runtime).iter(async || assert_eq!(replay_roa(store).await, LOGGED));
    });
    group.finish();
}

fn replay_raw(reader: &RawReader) -> u64 {
    let (mut count, mut last) = (0, 0);
    loop {
        let commits = reader.log_after(last, STEP).unwrap();
        let Some(newest) = commits.last() else { return count };
        last = newest.revision;
        for commit in commits {
            let (new, previous) = (RawReader::pieces(commit.new), RawReader::pieces(commit.previous));
            black_box((commit.revision, &new, &previous));
            count += 1;
        }
    }
}

async fn replay_roa(store: &SqliteStore) -> u64 {
    let state = store.state().await.unwrap();
    let mut tail = store.tail(state.floor).await.unwrap();
    let mut count = 0;
    loop {
        let batches = tail.next().await.unwrap().unwrap();
        for batch in &batches {
            black_box((batch.revision, batch.changes.len()));
            count += 1;
        }
        if batches.last().is_some_and(|last| last.revision == state.head) {
            return count;
        }
    }
}

/// What is taken of a write and its arrival.
#[derive(Clone, Copy)]
enum Span {
    /// From the call of `commit` to its answer.
    Commit,
    /// From the call of `commit` to the arrival at the watcher.
    Arrival,
    /// From the answer of `commit` to the arrival; next to nothing if that came first.
    AfterAnswer,
}

/// One writer, and when its batches arrived at its watcher.
struct Watched<S: Side> {
    client: Client<S>,
    arrivals: mpsc::Receiver<Instant>,
}

impl<S: Side> Watched<S> {
    fn new(side: &S, arrivals: mpsc::Receiver<Instant>) -> Self {
        Self { client: Client::one(side, SLOTS), arrivals }
    }

    async fn step(&mut self, span: Span) -> Duration {
        let started = Instant::now();
        self.client.step().await;
        let answered = Instant::now();
        let arrived = self.arrivals.recv().await.unwrap();
        let took = match span {
            Span::Commit => answered - started,
            Span::Arrival => arrived - started,
            Span::AfterAnswer => arrived.saturating_duration_since(answered),
        };
        took.max(Duration::from_nanos(1))
    }

    /// `rounds` times a quantile of them.
    async fn steps(mut self, span: Span, quantile: Quantile, rounds: u32) -> (Self, Duration) {
        let mut all = Vec::new();
        for _ in 0..rounds {
            all.push(self.step(span).await);
        }
        (self, quantile.of(&mut all) * rounds)
    }

    /// Measures one span, both quantiles; `make` is called when it is first asked for.
    fn measure(group: &mut Group<'_>, (name, span): (&str, Span), runtime: &Runtime, make: impl Fn() -> Self) {
        let mut watched = None;
        for (quantile, suffix) in Quantile::ALL {
            group.bench_function(format!("{name}-{suffix}"), |bencher| {
                let settle = || runtime.block_on(make().steps(Span::Commit, quantile, SETTLE)).0;
                watched = Some(watched.take().unwrap_or_else(settle));
                bencher.iter_custom(|rounds| {
                    let steps = watched.take().unwrap().steps(span, quantile, u32::try_from(rounds).unwrap());
                    let (back, took) = runtime.block_on(runtime.spawn(steps)).unwrap();
                    watched = Some(back);
                    took
                });
            });
        }
        if let Some(watched) = watched {
            watched.client.side.close(runtime);
        }
    }
}

/// A task that says when each batch comes.
fn follow(runtime: &Runtime, roa: &Sqlite) -> mpsc::Receiver<Instant> {
    let (arrived, arrivals) = mpsc::channel(1_024);
    let mut tail = runtime.block_on(roa.tail());
    runtime.spawn(async move {
        while let Some(Ok(batches)) = tail.next().await {
            let now = Instant::now();
            for _ in batches {
                if arrived.send(now).await.is_err() {
                    return;
                }
            }
        }
    });
    arrivals
}

/// A thread with a connection of its own that looks each millisecond, until nobody listens.
fn follow_raw(path: PathBuf) -> mpsc::Receiver<Instant> {
    let (arrived, arrivals) = mpsc::channel(1_024);
    std::thread::spawn(move || {
        let (reader, random) = (RawReader::open(&path).unwrap(), SeededRandom::new(1));
        let (mut last, mut seen, mut wait) = (0, None, POLL);
        while !arrived.is_closed() {
            std::thread::park_timeout(wait);
            wait = POLL;
            let version = Some(reader.data_version().unwrap());
            if version == seen {
                continue;
            }
            seen = version;
            let commits = reader.log_after(last, STEP).unwrap();
            let now = Instant::now();
            // The next write follows at once; it is not to meet the same moment between two looks each time.
            wait = POLL.mul_f64(random.unit());
            for commit in commits {
                last = commit.revision;
                if arrived.blocking_send(now).is_err() {
                    return;
                }
            }
        }
    });
    arrivals
}

/// From the call of `commit` to its arrival at a feed of the same process, one at a time, beside the commit alone.
fn same_process(criterion: &mut Criterion) {
    let mut group = group(criterion, "sqlite/write-to-watcher");
    for span in [("raw", Span::Commit), ("roa", Span::Arrival)] {
        let (runtime, directory) = (runtime(), directory());
        Watched::measure(&mut group, span, &runtime, || {
            let roa = Sqlite::open(&runtime, SqliteConfig::new(directory.path().join("roa.db")));
            Watched::new(&roa, follow(&runtime, &roa))
        });
    }
    group.finish();
}

/// From the answer of a commit to its arrival at a feed of another handle, whose connections are its own as another
/// process's would be.
fn other_process(criterion: &mut Criterion) {
    let mut group = group(criterion, "sqlite/other-process");
    let (runtime, directory) = (runtime(), directory());
    Watched::measure(&mut group, ("raw", Span::AfterAnswer), &runtime, || {
        let path = directory.path().join("raw.db");
        let side = raw(&path, "FULL");
        Watched::new(&side, follow_raw(path))
    });
    let other = OnceCell::new();
    Watched::measure(&mut group, ("roa", Span::AfterAnswer), &runtime, || {
        let config = SqliteConfig::new(directory.path().join("roa.db"));
        let roa = Sqlite::open(&runtime, config.clone());
        Watched::new(&roa, follow(&runtime, other.get_or_init(|| Sqlite::open(&runtime, config))))
    });
    other.get().iter().for_each(|other| other.close(&runtime));
    group.finish();
}

criterion_group!(benches, commit, batches, list, resume, same_process, other_process);
