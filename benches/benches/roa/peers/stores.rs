//! Commits, the time from a write to its watcher, and lists: ROA's SQLite and Redis stores beside etcd and NATS.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use futures_util::StreamExt;
use roa_benches::{Backend, Client, Group, Quantile, Side, group, measure, prefix, skipped};
use roa_core::ListRequest;
use tokio::runtime::Runtime;

use super::etcd::{self, Etcd};
use super::nats::{self, Nats};

const SLOTS: usize = 16;
const LISTED: usize = 10_000;

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Says why there will be no figure.
fn missing(id: &str, program: &str) {
    skipped(id, &not_installed(program));
}

/// The same of both quantiles.
fn no_latencies(name: &str, reason: &str) {
    for (_, suffix) in Quantile::ALL {
        skipped(&format!("peers/watch/{name}-{suffix}"), reason);
    }
}

fn not_installed(program: &str) -> String {
    format!("{program} is not installed")
}

/// Compare-and-swap updates of objects of about 1 KiB.
pub(crate) fn put(criterion: &mut Criterion) {
    let mut group = group(criterion, "peers/put");
    for in_flight in [1, 64, 256] {
        group.throughput(Throughput::Elements(in_flight as u64));
        for kind in ["sqlite", "redis"] {
            let runtime = runtime();
            let backend = Backend::open(kind, &runtime, folder());
            one(&mut group, &format!("{kind}/{in_flight}"), &runtime, in_flight, &backend.roa);
            backend.close(&runtime);
        }
        let runtime = runtime();
        match etcd::start() {
            Some(server) => {
                let etcd = runtime.block_on(Etcd::connect(&server));
                one(&mut group, &format!("etcd/{in_flight}"), &runtime, in_flight, &etcd);
            }
            None => missing(&format!("peers/put/etcd/{in_flight}"), "etcd"),
        }
        match nats::start() {
            Some(server) => match runtime.block_on(Nats::connect(&server)) {
                Ok(nats) => one(&mut group, &format!("nats/{in_flight}"), &runtime, in_flight, &nats),
                Err(reason) => skipped(&format!("peers/put/nats/{in_flight}"), &reason),
            },
            None => missing(&format!("peers/put/nats/{in_flight}"), "nats-server"),
        }
    }
    group.finish();
}

fn one<S: Side>(group: &mut Group<'_>, name: &str, runtime: &Runtime, in_flight: usize, side: &S) {
    measure(group, name, runtime, || Client::several(side, in_flight, SLOTS, 1));
}

/// From the call of a write to its arrival at a watcher, one at a time.
pub(crate) fn watch(criterion: &mut Criterion) {
    let mut group = group(criterion, "peers/watch");
    for kind in ["sqlite", "redis"] {
        let runtime = runtime();
        let backend = Backend::open(kind, &runtime, folder());
        let store = &backend.roa.store;
        let tail = runtime.block_on(async { store.tail(store.state().await.unwrap().head).await.unwrap() });
        latencies(&mut group, kind, &runtime, &backend.roa, tail, async |tail| {
            drop(tail.next().await.unwrap().unwrap())
        });
        backend.close(&runtime);
    }
    let runtime = runtime();
    if let Some(server) = etcd::start() {
        let etcd = runtime.block_on(Etcd::connect(&server));
        let stream = runtime.block_on(etcd.watch());
        latencies(&mut group, "etcd", &runtime, &etcd, stream, async |stream| {
            assert!(!stream.message().await.unwrap().unwrap().events().is_empty());
        });
    } else {
        no_latencies("etcd", &not_installed("etcd"));
    }
    match nats::start().map(|server| (runtime.block_on(Nats::connect(&server)), server)) {
        Some((Ok(nats), _server)) => {
            let stream = runtime.block_on(nats.watch());
            latencies(&mut group, "nats", &runtime, &nats, stream, async |stream| {
                drop(stream.next().await.unwrap().unwrap());
            });
        }
        Some((Err(reason), _)) => no_latencies("nats", &reason),
        None => no_latencies("nats", &not_installed("nats-server")),
    }
    group.finish();
}

fn latencies<S: Side, W>(
    group: &mut Group<'_>,
    name: &str,
    runtime: &Runtime,
    side: &S,
    watch: W,
    arrive: impl AsyncFn(&mut W),
) {
    let (mut client, watch) = (Client::one(side, SLOTS), RefCell::new(watch));
    for (quantile, suffix) in Quantile::ALL {
        group.bench_function(format!("{name}-{suffix}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut times: Vec<Duration> = Vec::new();
                let mut watch = watch.borrow_mut();
                runtime.block_on(async {
                    for _ in 0..rounds {
                        let started = Instant::now();
                        tokio::join!(arrive(&mut watch), client.step());
                        times.push(started.elapsed());
                    }
                });
                quantile.of(&mut times) * u32::try_from(rounds).unwrap()
            });
        });
    }
}

/// A list of 10,000 objects.
pub(crate) fn list(criterion: &mut Criterion) {
    let mut group = group(criterion, "peers/list");
    group.throughput(Throughput::Elements(LISTED as u64));
    let writers = 100;

    for kind in ["sqlite", "redis"] {
        let runtime = runtime();
        let backend = Backend::open(kind, &runtime, folder());
        drop(Client::run_all(
            &runtime,
            Client::several(&backend.roa, writers, LISTED / writers, 1),
            (LISTED / writers) as u64,
        ));
        let list = || backend.roa.store.list(ListRequest::new(prefix()));
        group.bench_function(kind, |bencher| {
            bencher.to_async(&runtime).iter(async || assert_eq!(list().await.unwrap().entries.len(), LISTED));
        });
        backend.close(&runtime);
    }
    if let Some(server) = etcd::start() {
        let runtime = runtime();
        let etcd = runtime.block_on(Etcd::connect(&server));
        drop(Client::run_all(
            &runtime,
            Client::several(&etcd, writers, LISTED / writers, 1),
            (LISTED / writers) as u64,
        ));
        group.bench_function("etcd", |bencher| {
            bencher.to_async(&runtime).iter(async || assert_eq!(etcd.list().await, LISTED));
        });
    } else {
        missing("peers/list/etcd", "etcd");
    }
    group.finish();
}
