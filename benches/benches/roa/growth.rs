//! How cost grows: with the objects of a store, with the watchers of a hub, with the size of a value.
//!
//! `cargo xtask bench --only growth`

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use roa_benches::{Backend, Client, Side, group, is_quick, key, measure, object_value, prefix, sized_value};
use roa_core::{ListRequest, Start};
use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const PAGE: NonZeroUsize = NonZeroUsize::new(500).unwrap();
/// How many events are written in bulk.
const BULK: usize = 2_000;
const IN_FLIGHT: usize = 64;
const SLOTS: usize = 4;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Objects of the memory store.
fn objects(criterion: &mut Criterion) {
    let sizes: &[usize] = &[1_000, 10_000, 100_000, 1_000_000];
    for &size in sizes {
        let (runtime, value) = (runtime(), object_value(1));
        let backend = Backend::open("memory", &runtime, folder());
        let (roa, store) = (backend.roa.clone(), backend.roa.store.clone());
        let mut at = Vec::with_capacity(size);
        runtime.block_on(async {
            for number in 0..size {
                at.push(roa.write(&[key(number)], &value, None).await);
            }
        });
        // A prime's multiples: neighbours in time are none in the order of keys.
        let mut turn = 0;
        let mut next = || {
            turn = (turn + 7_919) % size;
            turn
        };
        let mut one = group(criterion, "growth/objects");
        one.throughput(Throughput::Elements(1));
        one.bench_function(format!("get/{size}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let keys: Vec<_> = (0..rounds).map(|_| key(next())).collect();
                runtime.block_on(async {
                    let started = Instant::now();
                    for key in &keys {
                        black_box(store.get(key).await.unwrap());
                    }
                    started.elapsed()
                })
            });
        });
        one.bench_function(format!("commit/{size}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let slots: Vec<_> = (0..rounds).map(|_| next()).collect();
                let keys: Vec<_> = slots.iter().map(|slot| [key(*slot)]).collect();
                runtime.block_on(async {
                    let started = Instant::now();
                    for (slot, key) in slots.iter().zip(&keys) {
                        at[*slot] = roa.write(key, &value, Some(at[*slot])).await;
                    }
                    started.elapsed()
                })
            });
        });
        one.throughput(Throughput::Elements(PAGE.get() as u64));
        one.bench_function(format!("page/{size}"), |bencher| {
            let page = || ListRequest::new(prefix()).limit(PAGE);
            bencher.to_async(&runtime).iter(async || assert_eq!(store.list(page()).await.unwrap().entries.len(), 500));
        });
        one.throughput(Throughput::Elements(size as u64));
        one.bench_function(format!("list/{size}"), |bencher| {
            let all = || ListRequest::new(prefix());
            bencher.to_async(&runtime).iter(async || assert_eq!(store.list(all()).await.unwrap().entries.len(), size));
        });
        one.finish();
        backend.close(&runtime);
    }
}

/// Counts what is still to arrive.
#[derive(Default)]
struct Arrivals {
    missing: AtomicUsize,
    all: Notify,
}

/// Watchers of one hub over the memory store, until the last one has everything.
fn watchers(criterion: &mut Criterion) {
    for count in [1, 10, 100, 1_000, 10_000] {
        for (name, events) in [("bulk", if count > 1_000 { BULK / 10 } else { BULK }), ("single", 1)] {
            let runtime = runtime();
            let mut group = group(criterion, &format!("growth/watchers/{name}"));
            group.throughput(Throughput::Elements((events * count) as u64));
            group.bench_function(count.to_string(), |bencher| {
                bencher.to_async(&runtime).iter_custom(|rounds| deliver(&runtime, count, events, rounds));
            });
            group.finish();
        }
    }
}

async fn deliver(runtime: &Runtime, watchers: usize, events: usize, rounds: u64) -> Duration {
    let backend = Backend::memory();
    let hub =
        WatchHub::start(backend.roa.store.clone(), Arc::new(SystemClock::new()), HubConfig::default()).await.unwrap();
    let arrivals = Arc::new(Arrivals::default());
    let mut readers = Vec::new();
    for _ in 0..watchers {
        let mut watch = hub.watch(Selection::prefix(prefix()), Start::Now).await.unwrap();
        let arrivals = Arc::clone(&arrivals);
        readers.push(runtime.spawn(async move {
            while let Some(Ok(item)) = watch.next().await {
                let HubItem::Events(slice) = item else { continue };
                let seen = slice.events().inspect(|event| _ = black_box(event.revision)).count();
                if arrivals.missing.fetch_sub(seen, Ordering::AcqRel) == seen {
                    arrivals.all.notify_one();
                }
            }
        }));
    }
    let (mut client, mut total) = (Client::one(&backend.roa, 1_000), Duration::ZERO);
    for _ in 0..rounds {
        arrivals.missing.store(events * watchers, Ordering::Release);
        let started = Instant::now();
        for _ in 0..events {
            client.step().await;
        }
        arrivals.all.notified().await;
        total += started.elapsed();
    }
    hub.close().await;
    for reader in readers {
        reader.await.unwrap();
    }
    total
}

/// The size of a value, on each backend.
fn values(criterion: &mut Criterion) {
    for kind in Backend::ALL {
        let sizes: &[usize] =
            if is_quick() { &[256, 4_096, 65_536, 262_144] } else { &[256, 1_024, 4_096, 16_384, 65_536, 262_144] };
        for &size in sizes {
            let (runtime, mut group) = (runtime(), group(criterion, &format!("growth/value/{kind}")));
            let in_flight = if kind == "memory" { 1 } else { IN_FLIGHT };
            group.throughput(Throughput::Elements(in_flight as u64));
            let backend = Backend::open(kind, &runtime, folder());
            let make = || {
                let clients = Client::several(&backend.roa, in_flight, SLOTS, 1);
                clients.into_iter().map(|client| client.with_value(sized_value(size))).collect()
            };
            measure(&mut group, &size.to_string(), &runtime, make);
            group.finish();
            backend.close(&runtime);
        }
    }
}

criterion_group!(benches, objects, watchers, values);
