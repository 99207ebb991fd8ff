//! Watching: events delivered per second to 1, 10, 100 and 1,000 watchers in one process, beside the raw limit and
//! beside `tokio::sync::broadcast`; the same through a selector; the time from a write to its watcher.
//!
//! `cargo xtask bench --only watch`

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group};
use futures_util::future::{BoxFuture, join_all};
use roa_benches::{Client, Quantile, RawLog, ReplayStore, Roa, batches, group, is_quick, prefix};
use roa_core::{Batch, Change, Revision, Start, Store, SystemRandom};
use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
use roa_store_memory::{MemoryConfig, MemoryStore};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, broadcast};

const WATCHERS: [usize; 4] = [1, 10, 100, 1_000];
/// How many batches a reader takes before it lets others run.
const STEP: usize = 1_024;
/// How many batches are appended at a time.
const CHUNK: usize = 1;

fn head() -> Revision {
    Revision::new(1_000).unwrap()
}

fn events_for(watchers: usize) -> usize {
    match watchers {
        watchers if is_quick() => (400_000 / watchers).clamp(1_000, 20_000),
        1_000.. => 20_000,
        _ => 50_000,
    }
}

/// What a watcher does with an event: looks at its revision and its key.
fn visit(batch: &Arc<Batch>) {
    for change in batch.changes.iter() {
        black_box((batch.revision, change.key().encoded().len()));
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs `watchers` readers and one writer to the end, and says how long that took from the first write on.
async fn race<R, W>(watchers: usize, reader: impl Fn() -> R, writer: W) -> Duration
where
    R: Future<Output = ()> + Send + 'static,
    W: Future<Output = ()>,
{
    let (ready, mut waiting) = tokio::sync::mpsc::channel(watchers);
    let spawn = |reader: R| {
        let ready = ready.clone();
        let task = async move {
            ready.send(()).await.unwrap();
            reader.await;
        };
        spawn_task(task)
    };
    let readers: Vec<_> = (0..watchers).map(|_| spawn(reader())).collect();
    for _ in 0..watchers {
        waiting.recv().await.unwrap();
    }
    let started = Instant::now();
    writer.await;
    join_all(readers).await;
    started.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "the benchmark joins its tasks itself")]
fn spawn_task(task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(task)
}

async fn raw(watchers: usize, made: Arc<Vec<Arc<Batch>>>) -> Duration {
    let log = Arc::new(RawLog::default());
    let count = made.len();
    let reader = || {
        let log = Arc::clone(&log);
        async move { log.read(count, STEP, visit).await }
    };
    race(watchers, reader, async { made.chunks(CHUNK).for_each(|chunk| log.append(chunk)) }).await
}

async fn raw_cloned(watchers: usize, made: Arc<Vec<Arc<Batch>>>) -> Duration {
    let log = Arc::new(RawLog::default());
    let count = made.len();
    let reader = || {
        let log = Arc::clone(&log);
        async move { log.read(count, STEP, |batch| visit(&black_box(Arc::clone(batch)))).await }
    };
    race(watchers, reader, async { made.chunks(CHUNK).for_each(|chunk| log.append(chunk)) }).await
}

async fn tokio_broadcast(watchers: usize, made: Arc<Vec<Arc<Batch>>>) -> Duration {
    let (sender, _) = broadcast::channel(made.len());
    let count = made.len();
    let reader = || {
        let mut receiver = sender.subscribe();
        async move {
            for _ in 0..count {
                visit(&receiver.recv().await.unwrap());
            }
        }
    };
    let writer = async {
        for batch in made.iter() {
            sender.send(Arc::clone(batch)).unwrap();
        }
    };
    race(watchers, reader, writer).await
}

#[derive(Clone, Copy)]
enum Way {
    /// Events are lent.
    Lent,
    /// Each batch is handed on as a shared one.
    Shared,
}

async fn hub(watchers: usize, made: Arc<Vec<Arc<Batch>>>, selection: Selection, way: Way) -> Duration {
    let store = Arc::new(ReplayStore::new(Arc::clone(&made), head()));
    let config = HubConfig { max_batches: made.len() * 2, max_bytes: usize::MAX, ..HubConfig::default() };
    let hub = WatchHub::start(store.clone() as Arc<dyn Store>, Arc::new(SystemClock::new()), config).await.unwrap();
    let last = made.last().unwrap().revision;
    let mut watches = Vec::new();
    for _ in 0..watchers {
        watches.push(hub.watch(selection.clone(), Start::Now).await.unwrap());
    }
    let watches = std::cell::RefCell::new(watches);
    let reader = || {
        let mut watch = watches.borrow_mut().pop().unwrap();
        async move {
            loop {
                let position = match watch.next().await {
                    Some(Ok(HubItem::Events(slice))) => {
                        match way {
                            Way::Lent => slice.events().for_each(|event| {
                                black_box((event.revision, event.entry.key.encoded().len()));
                            }),
                            Way::Shared => {
                                slice.shared_batches().for_each(|batch| visit(&black_box(Arc::clone(batch))));
                            }
                        }
                        slice.position()
                    }
                    Some(Ok(HubItem::Progress(position) | HubItem::Synced(position))) => position,
                    other => panic!("the watch ended: {other:?}"),
                };
                if position.revision >= last {
                    return;
                }
            }
        }
    };
    let took = race(watchers, reader, async { store.release() }).await;
    hub.close().await;
    took
}

fn deliver(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, "watch/deliver");
    for watchers in WATCHERS {
        let made = Arc::new(batches(events_for(watchers), head()));
        group.throughput(Throughput::Elements((made.len() * watchers) as u64));
        let everything = Selection::prefix(prefix());
        macro_rules! side {
            ($name:literal, $run:expr) => {
                group.bench_function(BenchmarkId::new($name, watchers), |bencher| {
                    bencher.to_async(&runtime).iter_custom(|rounds| {
                        let (made, everything) = (made.clone(), everything.clone());
                        async move {
                            let mut total = Duration::ZERO;
                            for _ in 0..rounds {
                                total += $run(made.clone(), everything.clone()).await;
                            }
                            total
                        }
                    });
                });
            };
        }
        side!("raw-log", |made, _| raw(watchers, made));
        side!("roa-lent", |made, all| hub(watchers, made, all, Way::Lent));
        side!("raw-log-cloned", |made, _| raw_cloned(watchers, made));
        side!("roa-shared", |made, all| hub(watchers, made, all, Way::Shared));
        if watchers <= 100 {
            side!("tokio-broadcast", |made, _| tokio_broadcast(watchers, made));
        }
    }
    group.finish();
}

/// Reads every event through a selector of labels that one in a hundred has.
fn select(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, "watch/select-one-percent");
    for watchers in [1, 100] {
        let made = Arc::new(batches(events_for(watchers).min(20_000), head()));
        group.throughput(Throughput::Elements((made.len() * watchers) as u64));
        let rare = Selection::prefix(prefix()).labels("rare=yes".parse().unwrap());
        for name in ["raw-log", "roa-lent"] {
            group.bench_function(BenchmarkId::new(name, watchers), |bencher| {
                bencher.to_async(&runtime).iter_custom(|rounds| {
                    let (made, rare) = (made.clone(), rare.clone());
                    async move {
                        let mut total = Duration::ZERO;
                        for _ in 0..rounds {
                            total += match name {
                                "raw-log" => raw_selected(watchers, made.clone(), rare.clone()).await,
                                _ => hub(watchers, made.clone(), rare.clone(), Way::Lent).await,
                            };
                        }
                        total
                    }
                });
            });
        }
    }
    group.finish();
}

async fn raw_selected(watchers: usize, made: Arc<Vec<Arc<Batch>>>, selection: Selection) -> Duration {
    let (log, count) = (Arc::new(RawLog::default()), made.len());
    let reader = || {
        let (log, selection) = (Arc::clone(&log), selection.clone());
        let selected = move |batch: &Arc<Batch>| {
            let matches = |change: &Change| change.current().is_some_and(|entry| selection.matches(entry));
            if batch.changes.iter().any(matches) {
                visit(batch);
            }
        };
        async move { log.read(count, STEP, selected).await }
    };
    race(watchers, reader, async { made.chunks(CHUNK).for_each(|chunk| log.append(chunk)) }).await
}

/// The time from the call of `commit` until a watcher of the same task has the event, one at a time.
fn latency(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, "watch/write-to-watcher");
    for (quantile, name) in Quantile::ALL {
        let run = |bencher: &mut Bencher<'_>, times: fn(u64) -> BoxFuture<'static, Vec<Duration>>| {
            bencher.iter_custom(|rounds| {
                let mut times = runtime.block_on(runtime.spawn(times(rounds))).unwrap();
                quantile.of(&mut times) * u32::try_from(rounds).unwrap()
            });
        };
        group.bench_function(format!("raw-{name}"), |bencher| run(bencher, |rounds| Box::pin(raw_latencies(rounds))));
        group.bench_function(format!("roa-{name}"), |bencher| run(bencher, |rounds| Box::pin(latencies(rounds))));
    }
    group.finish();
}

async fn raw_latencies(rounds: u64) -> Vec<Duration> {
    let (made, log) = (batches(1_000, head()), RawLog::default());
    let (mut reader, mut times) = (log.reader(), Vec::new());
    for batch in made.chunks(1).cycle().take(usize::try_from(rounds).unwrap()) {
        let started = Instant::now();
        log.append(batch);
        log.next(&mut reader, STEP, visit).await;
        times.push(started.elapsed());
    }
    times
}

async fn latencies(rounds: u64) -> Vec<Duration> {
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let hub = WatchHub::start(store.clone(), clock, HubConfig::default()).await.unwrap();
    let mut watch = hub.watch(Selection::prefix(prefix()), Start::Now).await.unwrap();
    let (mut client, mut times) = (Client::one(&Roa::over(store), 1_000), Vec::new());
    for _ in 0..rounds {
        let started = Instant::now();
        client.step().await;
        while !matches!(watch.next().await, Some(Ok(HubItem::Events(_)))) {}
        times.push(started.elapsed());
    }
    hub.close().await;
    times
}

/// Who counts when all watchers have what was written.
#[derive(Default)]
struct Arrivals {
    missing: AtomicUsize,
    all: Notify,
}

impl Arrivals {
    fn arrived(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.notify_one();
        }
    }

    /// How long it takes until all have what `write` writes.
    async fn time(&self, watchers: usize, write: impl Future<Output = ()>) -> Duration {
        self.missing.store(watchers, Ordering::Release);
        let started = Instant::now();
        write.await;
        self.all.notified().await;
        started.elapsed()
    }
}

const ALL: usize = 1_000;

/// One event to all of 1,000 watchers that wait for it, until the last one has it.
fn to_all(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, &format!("watch/to-all-of-{ALL}"));
    group.bench_function("raw", |bencher| bencher.to_async(&runtime).iter_custom(raw_to_all));
    group.bench_function("roa", |bencher| bencher.to_async(&runtime).iter_custom(roa_to_all));
    group.finish();
}

async fn raw_to_all(rounds: u64) -> Duration {
    let (made, log, arrivals) = (batches(1_000, head()), Arc::new(RawLog::default()), Arc::new(Arrivals::default()));
    let reader = |_| {
        let (log, arrivals, mut reader) = (Arc::clone(&log), Arc::clone(&arrivals), log.reader());
        spawn_task(async move {
            loop {
                log.next(&mut reader, STEP, visit).await;
                arrivals.arrived();
            }
        })
    };
    let readers: Vec<_> = (0..ALL).map(reader).collect();
    let mut total = Duration::ZERO;
    for batch in made.chunks(1).cycle().take(usize::try_from(rounds).unwrap()) {
        total += arrivals.time(ALL, async { log.append(batch) }).await;
    }
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    total
}

async fn roa_to_all(rounds: u64) -> Duration {
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random));
    let hub = WatchHub::start(store.clone(), clock, HubConfig::default()).await.unwrap();
    let arrivals = Arc::new(Arrivals::default());
    let mut readers = Vec::new();
    for _ in 0..ALL {
        let mut watch = hub.watch(Selection::prefix(prefix()), Start::Now).await.unwrap();
        let arrivals = Arc::clone(&arrivals);
        readers.push(spawn_task(async move {
            while let Some(Ok(item)) = watch.next().await {
                if let HubItem::Events(slice) = item {
                    slice.events().for_each(|event| {
                        black_box((event.revision, event.entry.key.encoded().len()));
                    });
                    arrivals.arrived();
                }
            }
        }));
    }
    let (mut client, mut total) = (Client::one(&Roa::over(store), 1_000), Duration::ZERO);
    for _ in 0..rounds {
        let write = async {
            client.step().await;
        };
        total += arrivals.time(ALL, write).await;
    }
    hub.close().await;
    join_all(readers).await;
    total
}

criterion_group!(benches, deliver, select, latency, to_all);
