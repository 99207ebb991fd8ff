//! From writers to watchers on each backend: 64 writers commit, and 1 to 1,000 watchers see all of it, each through a
//! selection of its own. Beside it: the same writers on the raw store, and readers of the raw log.
//!
//! `cargo xtask bench --only deliver`

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use futures_util::future::join_all;
use roa_benches::{
    Backend, Client, Group, RawLog, RawRedis, RawSqlite, RawStore, Side, batches, group, is_quick, object_value, prefix,
};
use roa_core::{Batch, Change, Revision, Start};
use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
use roa_store_redis::test_util::RedisServer;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const WRITERS: usize = 64;
const SLOTS: usize = 16;
/// How many batches a reader takes before it lets others run.
const STEP: usize = 1_024;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

const fn watchers(quick: bool) -> &'static [usize] {
    if quick { &[1, 100] } else { &[1, 10, 100, 1_000] }
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// How many events each writer makes in one go.
fn each(kind: &str) -> usize {
    match (kind, is_quick()) {
        ("memory", true) => 200,
        ("memory", false) => 400,
        _ => 8,
    }
}

fn selection(rare: bool) -> Selection {
    let everything = Selection::prefix(prefix());
    if rare { everything.labels("rare=yes".parse().unwrap()) } else { everything }
}

/// Writers of which one in a hundred writes what the selector matches, as near as 64 come.
fn clients<S: Side>(side: &S) -> Vec<Client<S>> {
    let clients = Client::several(side, WRITERS, SLOTS, 1).into_iter().enumerate();
    clients.map(|(number, client)| client.with_value(object_value(number))).collect()
}

/// ROA: a hub over the store.
fn roa(group: &mut Group<'_>, kind: &str, rare: bool, watchers: usize) {
    let (runtime, name) = (runtime(), if rare { "roa-1pct" } else { "roa" });
    let mut ready = None;
    group.bench_function(BenchmarkId::new(name, watchers), |bencher| {
        let (backend, clients) = ready.get_or_insert_with(|| {
            let backend = Backend::open(kind, &runtime, folder());
            let clients = Client::run_all(&runtime, clients(&backend.roa), SLOTS as u64);
            (backend, clients)
        });
        bencher.iter_custom(|rounds| {
            let run = (0..rounds).map(|_| {
                let (back, took) =
                    runtime.block_on(roa_once(backend, std::mem::take(clients), each(kind), rare, watchers));
                *clients = back;
                took
            });
            run.sum()
        });
    });
    if let Some((backend, clients)) = ready {
        drop(clients);
        backend.close(&runtime);
    }
}

type Writers<S> = Vec<Client<S>>;

async fn roa_once(
    backend: &Backend,
    clients: Writers<roa_benches::Roa>,
    each: usize,
    rare: bool,
    watchers: usize,
) -> (Writers<roa_benches::Roa>, Duration) {
    let config = HubConfig { max_batches: 1 << 20, max_bytes: usize::MAX, ..HubConfig::default() };
    let store = backend.roa.store.clone();
    let hub = WatchHub::start(store.clone(), Arc::new(SystemClock::new()), config).await.unwrap();
    let last = Revision::new(store.state().await.unwrap().head.get() + (each * WRITERS) as u64).unwrap();
    let mut readers = Vec::new();
    for _ in 0..watchers {
        let mut watch = hub.watch(selection(rare), Start::Now).await.unwrap();
        readers.push(spawn_task(async move {
            loop {
                let position = match watch.next().await.unwrap().unwrap() {
                    HubItem::Events(slice) => {
                        slice.events().for_each(|event| {
                            black_box((event.revision, event.change));
                        });
                        slice.position()
                    }
                    HubItem::Progress(position) | HubItem::Synced(position) => position,
                    _ => continue,
                };
                if position.revision >= last {
                    return;
                }
            }
        }));
    }
    let started = Instant::now();
    let clients = write(clients, each, || ()).await;
    join_all(readers).await;
    let took = started.elapsed();
    hub.close().await;
    (clients, took)
}

/// All writers at once, each in a task of its own; `after` is called after each commit.
async fn write<S: Side>(clients: Writers<S>, each: usize, after: impl Fn() + Clone + Send + 'static) -> Writers<S> {
    let run = |mut client: Client<S>| {
        let after = after.clone();
        spawn_task(async move {
            for _ in 0..each {
                client.step().await;
                after();
            }
            client
        })
    };
    let tasks: Vec<_> = clients.into_iter().map(run).collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

#[expect(clippy::disallowed_methods, reason = "the benchmark joins its tasks itself")]
fn spawn_task<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

/// The raw limit: what is committed goes into the raw log.
fn raw<S: Side>(group: &mut Group<'_>, kind: &str, (rare, watchers): (bool, usize), make: impl Fn(&Runtime) -> S) {
    let (runtime, name) = (runtime(), if rare { "raw-1pct" } else { "raw" });
    let made = Arc::new(batches(each(kind) * WRITERS, Revision::new(1_000).unwrap()));
    let mut ready: Option<Writers<S>> = None;
    group.bench_function(BenchmarkId::new(name, watchers), |bencher| {
        let all = ready.get_or_insert_with(|| Client::run_all(&runtime, clients(&make(&runtime)), SLOTS as u64));
        bencher.iter_custom(|rounds| {
            let run = (0..rounds).map(|_| {
                let (back, took) = runtime.block_on(raw_once(std::mem::take(all), &made, rare, watchers));
                *all = back;
                took
            });
            run.sum()
        });
    });
}

async fn raw_once<S: Side>(
    clients: Writers<S>,
    made: &Arc<Vec<Arc<Batch>>>,
    rare: bool,
    watchers: usize,
) -> (Writers<S>, Duration) {
    let (log, count) = (Arc::new(RawLog::default()), made.len());
    let reader = |_| {
        let (log, selection) = (Arc::clone(&log), selection(rare));
        let visit = move |batch: &Arc<Batch>| {
            let matches = |change: &Change| !rare || change.current().is_some_and(|entry| selection.matches(entry));
            if batch.changes.iter().any(matches) {
                black_box(batch.revision);
            }
        };
        spawn_task(async move { log.read(count, STEP, visit).await })
    };
    let readers: Vec<_> = (0..watchers).map(reader).collect();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (made, append_to) = (Arc::clone(made), Arc::clone(&log));
    let append = move || {
        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        append_to.append(&made[at..=at]);
    };
    let started = Instant::now();
    let clients = write(clients, count / WRITERS, append).await;
    join_all(readers).await;
    (clients, started.elapsed())
}

fn deliver(criterion: &mut Criterion) {
    for kind in Backend::ALL {
        let mut group = group(criterion, &format!("deliver/{kind}"));
        for &watchers in watchers(is_quick()) {
            group.throughput(Throughput::Elements((each(kind) * WRITERS * watchers) as u64));
            for rare in [false, true] {
                let which = (rare, watchers);
                match kind {
                    "sqlite" => {
                        let directory = TempDir::new_in(folder()).unwrap();
                        let open = || RawSqlite::open(&directory.path().join("raw.db"), "FULL").unwrap();
                        raw(&mut group, kind, which, |_| Arc::new(open()));
                    }
                    "redis" => {
                        let server = runtime().block_on(async { RedisServer::start() });
                        let open = |runtime: &Runtime| runtime.block_on(RawRedis::open(&server.unix_url())).unwrap();
                        raw(&mut group, kind, which, open);
                    }
                    _ => raw(&mut group, kind, which, |_| Arc::new(RawStore::new(Revision::new(1).unwrap()))),
                }
                roa(&mut group, kind, rare, watchers);
            }
        }
        group.finish();
    }
}

criterion_group!(benches, deliver);
