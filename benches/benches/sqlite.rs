//! The SQLite store beside raw rusqlite: commits with one and with many in flight, large transactions, lists, the
//! replay of the log, and the time from a write to its watcher, in the same process and in another.
//!
//! `cargo bench -p roa-benches --bench sqlite`
//!
//! The files lie in the target directory: on a RAM disk a sync costs nothing and the figures mean nothing.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up must stop")]

use std::cell::OnceCell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use roa_benches::{RawPut, RawReader, RawSqlite, key, object_value, prefix};
use roa_core::{Key, ListRequest, RandomExt, Revision, SeededRandom, Store, Tail, Txn, TxnId, Value};
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

/// One of the two that are compared.
trait Side: Clone + Send + Sync + 'static {
    type At: Copy + Send;

    /// Writes a value under some keys that were written together at `expect`, in one transaction.
    fn write(&self, keys: &[Key], value: &Value, expect: Option<Self::At>) -> impl Future<Output = Self::At> + Send;

    /// Ends it; what it has is in the file then. Of the raw side this is what dropping it does.
    fn close(&self, _runtime: &Runtime) {}
}

#[derive(Clone)]
struct Raw(Arc<RawSqlite>);

impl Raw {
    fn open(path: &Path, synchronous: &str) -> Self {
        Self(Arc::new(RawSqlite::open(path, synchronous).unwrap()))
    }
}

impl Side for Raw {
    type At = i64;

    async fn write(&self, keys: &[Key], value: &Value, expect: Option<i64>) -> i64 {
        let put = |key: &Key| RawPut { key: key.clone(), value: value.bytes.clone(), expect };
        self.0.commit(keys.iter().map(put).collect()).await.unwrap()
    }
}

#[derive(Clone)]
struct Roa {
    store: Arc<SqliteStore>,
    random: Arc<SeededRandom>,
    writer: Arc<str>,
}

impl Roa {
    fn open(runtime: &Runtime, config: SqliteConfig) -> Self {
        let random = Arc::new(SeededRandom::new(1));
        let store = SqliteStore::open(config, Arc::new(SystemClock::new()), random.clone());
        Self { store: Arc::new(runtime.block_on(store).unwrap()), random, writer: "bench".into() }
    }

    async fn tail(&self) -> Tail {
        self.store.tail(self.store.state().await.unwrap().head).await.unwrap()
    }
}

impl Side for Roa {
    type At = Revision;

    async fn write(&self, keys: &[Key], value: &Value, expect: Option<Revision>) -> Revision {
        let txn = Txn::new(TxnId::random(&*self.random), Arc::clone(&self.writer));
        let txn = keys.iter().fold(txn, |txn, key| match expect {
            None => txn.create(key.clone(), value.clone()),
            Some(at) => txn.update(key.clone(), value.clone(), at),
        });
        self.store.commit(txn).await.unwrap()
    }

    fn close(&self, runtime: &Runtime) {
        runtime.block_on(self.store.close());
    }
}

/// A writer that updates its groups of keys in turn, each group in one transaction.
struct Client<S: Side> {
    side: S,
    groups: Vec<(Vec<Key>, Option<S::At>)>,
    value: Value,
    turn: usize,
}

impl<S: Side> Client<S> {
    /// `count` of them that share no key, with `slots` groups of `size` keys each.
    fn several(side: &S, count: usize, slots: usize, size: usize) -> Vec<Self> {
        let group = |number: usize| ((0..size).map(|at| key(number * size + at)).collect(), None);
        let client = |number: usize| Self {
            side: side.clone(),
            groups: (0..slots).map(|slot| group(number * slots + slot)).collect(),
            value: object_value(1),
            turn: 0,
        };
        (0..count).map(client).collect()
    }

    async fn step(&mut self) {
        let turn = self.turn % self.groups.len();
        let (keys, at) = &mut self.groups[turn];
        *at = Some(self.side.write(keys, &self.value, *at).await);
        self.turn += 1;
    }

    /// Each client does `rounds` steps, in a task of its own.
    fn run_all(runtime: &Runtime, clients: Vec<Self>, rounds: u64) -> Vec<Self> {
        let run = |mut client: Self| async move {
            for _ in 0..rounds {
                client.step().await;
            }
            client
        };
        let tasks: Vec<_> = clients.into_iter().map(|client| runtime.spawn(run(client))).collect();
        tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect()
    }
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn group<'a>(criterion: &'a mut Criterion, name: &str, seconds: u64) -> Group<'a> {
    let mut group = criterion.benchmark_group(format!("sqlite/{name}"));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(seconds));
    group
}

/// Measures steps of many clients at once, after each has written all of its keys. Nothing is made for a benchmark that
/// was not asked for.
fn measure<S: Side>(group: &mut Group<'_>, name: &str, runtime: &Runtime, make: impl Fn() -> Vec<Client<S>>) {
    let mut clients = Vec::new();
    group.bench_function(name, |bencher| {
        if clients.is_empty() {
            clients = Client::run_all(runtime, make(), SLOTS as u64);
        }
        bencher.iter_custom(|rounds| {
            let started = Instant::now();
            clients = Client::run_all(runtime, std::mem::take(&mut clients), rounds);
            started.elapsed()
        });
    });
    if let Some(client) = clients.first() {
        client.side.close(runtime);
    }
}

/// Both sides, each durable when it answers.
fn measure_both(group: &mut Group<'_>, in_flight: usize, size: usize) {
    let (runtime, directory) = (runtime(), directory());
    let path = |name| directory.path().join(name);
    let raw = || Client::several(&Raw::open(&path("raw.db"), "FULL"), in_flight, SLOTS, size);
    measure(group, "raw", &runtime, raw);
    let roa = || Client::several(&Roa::open(&runtime, SqliteConfig::new(path("roa.db"))), in_flight, SLOTS, size);
    measure(group, "roa", &runtime, roa);
}

/// Compare-and-swap updates with some in flight.
fn commit(criterion: &mut Criterion) {
    for in_flight in [1, 16, 64, 256] {
        let mut group = group(criterion, &format!("commit/{in_flight}"), 4);
        group.throughput(Throughput::Elements(in_flight as u64));
        measure_both(&mut group, in_flight, 1);
        group.finish();
    }
}

/// Large transactions, one after the other.
fn batches(criterion: &mut Criterion) {
    let mut group = group(criterion, "batches-of-100", 4);
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
    roa: OnceCell<Roa>,
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
            self.fill(&Raw::open(&path, "NORMAL"));
            RawReader::open(&path).unwrap()
        })
    }

    /// What was written by another handle is in the file, not in this one's memory.
    fn roa(&self) -> &Roa {
        self.roa.get_or_init(|| {
            let path = self.directory.path().join("roa.db");
            let config = SqliteConfig::new(path).durability(SqliteDurability::ProcessCrash);
            let config = config.log_max_batches(2 * LOGGED);
            self.fill(&Roa::open(&self.runtime, config.clone()));
            Roa::open(&self.runtime, config)
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
    let mut group = group(criterion, "list-10000", 3);
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
    let mut group = group(criterion, &format!("resume-{LOGGED}"), 5);
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
        Self { client: Client::several(side, 1, SLOTS, 1).remove(0), arrivals }
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

    /// `rounds` times the median, so that what is reported are medians: the slowest syncs say little.
    async fn steps(mut self, span: Span, rounds: u32) -> (Self, Duration) {
        let mut all = Vec::new();
        for _ in 0..rounds {
            all.push(self.step(span).await);
        }
        all.sort_unstable();
        let median = all[all.len() / 2];
        (self, median * rounds)
    }

    /// Measures one span; `watched` is made when it is first asked for.
    fn measure(group: &mut Group<'_>, (name, span): (&str, Span), runtime: &Runtime, make: impl Fn() -> Self) {
        let mut watched = None;
        group.bench_function(name, |bencher| {
            let ready = watched.take().unwrap_or_else(|| runtime.block_on(make().steps(Span::Commit, SETTLE)).0);
            watched = Some(ready);
            bencher.iter_custom(|rounds| {
                let steps = watched.take().unwrap().steps(span, u32::try_from(rounds).unwrap());
                let (back, took) = runtime.block_on(runtime.spawn(steps)).unwrap();
                watched = Some(back);
                took
            });
        });
        if let Some(watched) = watched {
            watched.client.side.close(runtime);
        }
    }
}

/// A task that says when each batch comes.
fn follow(runtime: &Runtime, roa: &Roa) -> mpsc::Receiver<Instant> {
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
    let mut group = group(criterion, "write-to-watcher", 3);
    for span in [("commit", Span::Commit), ("watcher", Span::Arrival)] {
        let (runtime, directory) = (runtime(), directory());
        Watched::measure(&mut group, span, &runtime, || {
            let roa = Roa::open(&runtime, SqliteConfig::new(directory.path().join("roa.db")));
            Watched::new(&roa, follow(&runtime, &roa))
        });
    }
    group.finish();
}

/// From the answer of a commit to its arrival at a feed of another handle, whose connections are its own as another
/// process's would be.
fn other_process(criterion: &mut Criterion) {
    let mut group = group(criterion, "other-process", 3);
    let (runtime, directory) = (runtime(), directory());
    Watched::measure(&mut group, ("raw-poll-1ms", Span::AfterAnswer), &runtime, || {
        let path = directory.path().join("raw.db");
        let raw = Raw::open(&path, "FULL");
        Watched::new(&raw, follow_raw(path))
    });
    let other = OnceCell::new();
    Watched::measure(&mut group, ("roa", Span::AfterAnswer), &runtime, || {
        let config = SqliteConfig::new(directory.path().join("roa.db"));
        let roa = Roa::open(&runtime, config.clone());
        Watched::new(&roa, follow(&runtime, other.get_or_init(|| Roa::open(&runtime, config))))
    });
    other.get().iter().for_each(|other| other.close(&runtime));
    group.finish();
}

criterion_group!(benches, commit, batches, list, resume, same_process, other_process);
criterion_main!(benches);
