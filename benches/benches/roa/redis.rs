//! The Redis store beside a script of forty lines over the same library: commits with one and with many in flight, lists,
//! the replay of the log, and the time from a write to its watcher.
//!
//! `cargo xtask bench --only redis`
//!
//! It starts a server of its own with an append-only file that is synced each second, as Redis does by default.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group};
use futures_util::StreamExt;
use redis::Value as Reply;
use roa_benches::{Client, Quantile, RawRedis, Roa, group, measure, prefix};
use roa_core::{ListRequest, Revision, SeededRandom, Store};
use roa_runtime::SystemClock;
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{RedisConfig, RedisStore};
use tokio::runtime::Runtime;

/// How many keys each writer has of its own.
const SLOTS: usize = 16;
const LISTED: usize = 10_000;
const LOGGED: u64 = 100_000;
const STEP: usize = 1_000;
const LOG: &str = "{roa:bench}:log";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn raw(server: &RedisServer) -> RawRedis {
    RawRedis::open(&server.unix_url()).await.unwrap()
}

async fn roa(server: &RedisServer) -> (Roa, Arc<RedisStore>) {
    let config = RedisConfig::new(server.unix_url()).name("bench").log_max_batches(10 * LOGGED);
    let store = RedisStore::open(config, Arc::new(SystemClock::new()), Arc::new(SeededRandom::new(1))).await.unwrap();
    let store = Arc::new(store);
    (Roa::over(store.clone()), store)
}

/// Compare-and-swap updates of objects of about 1 KiB, with some in flight.
fn commit(criterion: &mut Criterion) {
    for in_flight in [1, 16, 64, 256] {
        let (runtime, mut group) = (runtime(), group(criterion, &format!("redis/commit/{in_flight}")));
        group.throughput(Throughput::Elements(in_flight as u64));
        // A server each: what the one has written does not slow the other.
        let server = runtime.block_on(async { RedisServer::start() });
        measure(&mut group, "raw", &runtime, || Client::several(&runtime.block_on(raw(&server)), in_flight, SLOTS, 1));
        drop(server);
        let server = runtime.block_on(async { RedisServer::start() });
        let (roa, store) = runtime.block_on(roa(&server));
        measure(&mut group, "roa", &runtime, || Client::several(&roa, in_flight, SLOTS, 1));
        runtime.block_on(store.close());
        group.finish();
    }
}

/// A list of 10,000 objects of about 1 KiB.
fn list(criterion: &mut Criterion) {
    let (runtime, mut group) = (runtime(), group(criterion, "redis/list-10000"));
    group.throughput(Throughput::Elements(LISTED as u64));
    let server = runtime.block_on(async { RedisServer::start() });
    let (side, store) = runtime.block_on(roa(&server));
    let writers = 100;
    drop(Client::run_all(&runtime, Client::several(&side, writers, LISTED / writers, 1), (LISTED / writers) as u64));
    let raw = runtime.block_on(raw(&server));
    group.bench_function("raw", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            assert_eq!(raw.list(["{roa:bench}:index", "{roa:bench}:objects"]).await.unwrap().len(), LISTED);
        });
    });
    group.bench_function("roa", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            assert_eq!(store.list(ListRequest::new(prefix())).await.unwrap().entries.len(), LISTED);
        });
    });
    runtime.block_on(store.close());
    group.finish();
}

/// The whole log of 100,000 commits, by a handle that did not write it.
fn resume(criterion: &mut Criterion) {
    let (runtime, mut group) = (runtime(), group(criterion, &format!("redis/resume-{LOGGED}")));
    group.throughput(Throughput::Elements(LOGGED));
    let server = runtime.block_on(async { RedisServer::start() });
    let (writer, written) = runtime.block_on(roa(&server));
    drop(Client::run_all(&runtime, Client::several(&writer, 250, SLOTS, 1), LOGGED / 250));
    runtime.block_on(written.close());
    let (_, store) = runtime.block_on(roa(&server));
    let floor = runtime.block_on(store.state()).unwrap().floor;
    let raw = runtime.block_on(raw(&server));
    group.bench_function("raw", |bencher| {
        bencher.to_async(&runtime).iter(async || assert_eq!(replay_raw(&raw, floor.get()).await, LOGGED));
    });
    group.bench_function("roa", |bencher| {
        bencher.to_async(&runtime).iter(async || assert_eq!(replay_roa(&store, floor).await, LOGGED));
    });
    runtime.block_on(store.close());
    group.finish();
}

async fn replay_raw(raw: &RawRedis, floor: u64) -> u64 {
    let (mut count, mut last) = (0, floor);
    loop {
        let Reply::Array(mut streams) = raw.read(LOG, last, STEP).await.unwrap() else { return count };
        let Some(Reply::Array(mut stream)) = streams.pop() else { return count };
        let Some(Reply::Array(entries)) = stream.pop() else { return count };
        count += entries.len() as u64;
        last += entries.len() as u64;
        black_box(entries);
    }
}

async fn replay_roa(store: &RedisStore, floor: Revision) -> u64 {
    let head = store.state().await.unwrap().head;
    let (mut tail, mut count) = (store.tail(floor).await.unwrap(), 0);
    loop {
        let batches = tail.next().await.unwrap().unwrap();
        count += batches.len() as u64;
        let done = batches.last().is_some_and(|last| last.revision == head);
        black_box(batches);
        if done {
            return count;
        }
    }
}

/// From the call of a write to its arrival at a watcher that waits for it, one at a time.
fn write_to_watcher(criterion: &mut Criterion) {
    let (runtime, mut group) = (runtime(), group(criterion, "redis/write-to-watcher"));
    let server = runtime.block_on(async { RedisServer::start() });
    let side = runtime.block_on(raw(&server));
    let mut connection = runtime.block_on(RawRedis::connect(&server.unix_url())).unwrap();
    let mut client = Client::one(&side, SLOTS);
    for (quantile, name) in Quantile::ALL {
        group.bench_function(format!("raw-{name}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut times = Vec::new();
                runtime.block_on(async {
                    for _ in 0..rounds {
                        let (before, started) = (side.head(), Instant::now());
                        let (arrived, _) = tokio::join!(RawRedis::wait(&mut connection, before), client.step());
                        black_box(arrived.unwrap());
                        times.push(started.elapsed());
                    }
                });
                quantile.of(&mut times) * u32::try_from(rounds).unwrap()
            });
        });
    }
    let (side, store) = runtime.block_on(roa(&server));
    let mut client = Client::one(&side, SLOTS);
    let head = runtime.block_on(store.state()).unwrap().head;
    let mut tail = runtime.block_on(store.tail(head)).unwrap();
    for (quantile, name) in Quantile::ALL {
        group.bench_function(format!("roa-{name}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut times = Vec::new();
                runtime.block_on(async {
                    for _ in 0..rounds {
                        let started = Instant::now();
                        let (arrived, _) = tokio::join!(tail.next(), client.step());
                        black_box(arrived.unwrap().unwrap());
                        times.push(started.elapsed());
                    }
                });
                quantile.of(&mut times) * u32::try_from(rounds).unwrap()
            });
        });
    }
    drop(tail);
    runtime.block_on(store.close());
    group.finish();
}

criterion_group!(benches, commit, list, resume, write_to_watcher);
