//! Watching: events delivered per second to 1, 10, 100 and 1,000 watchers in one process, beside the raw limit and
//! beside `tokio::sync::broadcast`; the same through a selector; the time from a write to its watcher.
//!
//! `cargo bench -p roa-benches --bench watch`

#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up must stop")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use roa_benches::{RawLog, ReplayStore, batches, key, object_value, prefix};
use roa_core::{Batch, Revision, Start, Store, SystemRandom, Txn, TxnId};
use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
use roa_store_memory::{MemoryConfig, MemoryStore};
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

const WATCHERS: [usize; 4] = [1, 10, 100, 1_000];
/// How many batches a reader takes before it lets others run.
const STEP: usize = 1_024;
/// How many batches are appended at a time.
const CHUNK: usize = 1;

fn head() -> Revision {
    Revision::new(1_000).unwrap()
}

fn events_for(watchers: usize) -> usize {
    if watchers >= 1_000 { 20_000 } else { 50_000 }
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
    let mut group = criterion.benchmark_group("watch/deliver");
    group.sample_size(10);
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

fn select(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("watch/select-one-percent");
    group.sample_size(10);
    for watchers in [1, 100] {
        let made = Arc::new(batches(20_000, head()));
        group.throughput(Throughput::Elements((made.len() * watchers) as u64));
        let rare = Selection::prefix(prefix()).labels("rare=yes".parse().unwrap());
        group.bench_function(BenchmarkId::new("roa-lent", watchers), |bencher| {
            bencher.to_async(&runtime).iter_custom(|rounds| {
                let (made, rare) = (made.clone(), rare.clone());
                async move {
                    let mut total = Duration::ZERO;
                    for _ in 0..rounds {
                        total += hub(watchers, made.clone(), rare.clone(), Way::Lent).await;
                    }
                    total
                }
            });
        });
    }
    group.finish();
}

/// The time from the call of `commit` until one watcher has the event, one at a time.
fn latency(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("watch/write-to-watcher");
    group.sample_size(20);
    group.bench_function("memory", |bencher| {
        bencher.to_async(&runtime).iter_custom(async |rounds| {
            let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
            let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
            let hub = WatchHub::start(store.clone(), clock, HubConfig::default()).await.unwrap();
            let mut watch = hub.watch(Selection::prefix(prefix()), Start::Now).await.unwrap();
            let (value, mut total) = (object_value(1), Duration::ZERO);
            for round in 0..rounds {
                let txn = Txn::new(TxnId::random(&*random), "bench");
                let txn = txn.create(key(usize::try_from(round).unwrap()), value.clone());
                let started = Instant::now();
                store.commit(txn).await.unwrap();
                while !matches!(watch.next().await, Some(Ok(HubItem::Events(_)))) {}
                total += started.elapsed();
            }
            hub.close().await;
            total
        });
    });
    group.finish();
}

criterion_group!(benches, deliver, select, latency);
criterion_main!(benches);
