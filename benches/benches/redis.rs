//! The Redis store beside a script of forty lines over the same library: commits with one and with many in flight, the
//! replay of the log, and the time from a write to its watcher.
//!
//! `cargo bench -p roa-benches --bench redis`
//!
//! It starts a server of its own with an append-only file that is synced each second, as Redis does by default.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up must stop")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use redis::Value as Reply;
use roa_benches::{RawRedis, key, object_value};
use roa_core::{Key, Revision, SeededRandom, Store, Txn, TxnId, Value};
use roa_runtime::SystemClock;
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{RedisConfig, RedisStore};
use tokio::runtime::Runtime;

/// How many keys each writer has of its own.
const SLOTS: usize = 16;
const LOGGED: u64 = 100_000;
const STEP: usize = 1_000;
const LOG: &str = "{roa:bench}:log";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// One of the two that are compared.
trait Side: Clone + Send + Sync + 'static {
    fn write(&self, key: &Key, value: &Value, expect: Option<u64>) -> impl Future<Output = u64> + Send;
}

#[derive(Clone)]
struct Raw(RawRedis, Arc<SeededRandom>);

impl Raw {
    async fn open(server: &RedisServer) -> Self {
        Self(RawRedis::open(&server.unix_url()).await.unwrap(), Arc::new(SeededRandom::new(1)))
    }
}

impl Side for Raw {
    async fn write(&self, key: &Key, value: &Value, expect: Option<u64>) -> u64 {
        self.0.put(key, &value.bytes, expect, TxnId::random(&*self.1)).await.unwrap()
    }
}

#[derive(Clone)]
struct Roa(Arc<RedisStore>, Arc<SeededRandom>);

impl Roa {
    async fn open(server: &RedisServer) -> Self {
        let random = Arc::new(SeededRandom::new(1));
        let config = RedisConfig::new(server.unix_url()).name("bench").log_max_batches(10 * LOGGED);
        let store = RedisStore::open(config, Arc::new(SystemClock::new()), random.clone()).await.unwrap();
        Self(Arc::new(store), random)
    }
}

impl Side for Roa {
    async fn write(&self, key: &Key, value: &Value, expect: Option<u64>) -> u64 {
        let txn = Txn::new(TxnId::random(&*self.1), "bench");
        let txn = match expect {
            None => txn.create(key.clone(), value.clone()),
            Some(at) => txn.update(key.clone(), value.clone(), Revision::new(at).unwrap()),
        };
        self.0.commit(txn).await.unwrap().get()
    }
}

/// A writer that updates keys of its own in turn.
struct Client<S> {
    side: S,
    keys: Vec<(Key, Option<u64>)>,
    value: Value,
    turn: usize,
}

impl<S: Side> Client<S> {
    fn several(side: &S, count: usize) -> Vec<Self> {
        let keys = |number: usize| (0..SLOTS).map(|slot| (key(number * SLOTS + slot), None)).collect();
        let client = |number| Self { side: side.clone(), keys: keys(number), value: object_value(1), turn: 0 };
        (0..count).map(client).collect()
    }

    async fn step(&mut self) -> u64 {
        let turn = self.turn % SLOTS;
        let (key, at) = &mut self.keys[turn];
        let written = self.side.write(key, &self.value, *at).await;
        *at = Some(written);
        self.turn += 1;
        written
    }

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

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(format!("redis/{name}"));
    group.sample_size(15).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group
}

fn measure<S: Side>(group: &mut Group<'_>, name: &str, runtime: &Runtime, in_flight: usize, side: &S) {
    let mut clients = Vec::new();
    group.bench_function(name, |bencher| {
        if clients.is_empty() {
            clients = Client::run_all(runtime, Client::several(side, in_flight), SLOTS as u64);
        }
        bencher.iter_custom(|rounds| {
            let started = Instant::now();
            clients = Client::run_all(runtime, std::mem::take(&mut clients), rounds);
            started.elapsed()
        });
    });
}

/// Compare-and-swap updates of objects of about 1 KiB, with some in flight.
fn commit(criterion: &mut Criterion) {
    for in_flight in [1, 64, 256] {
        let mut group = group(criterion, &format!("commit/{in_flight}"));
        group.throughput(Throughput::Elements(in_flight as u64));
        let runtime = runtime();
        // A server each: what the one has written does not slow the other.
        let server = runtime.block_on(async { RedisServer::start() });
        measure(&mut group, "raw", &runtime, in_flight, &runtime.block_on(Raw::open(&server)));
        drop(server);
        let server = runtime.block_on(async { RedisServer::start() });
        let roa = runtime.block_on(Roa::open(&server));
        measure(&mut group, "roa", &runtime, in_flight, &roa);
        runtime.block_on(roa.0.close());
        group.finish();
    }
}

/// The whole log of 100,000 commits, by a handle that did not write it.
fn resume(criterion: &mut Criterion) {
    let (runtime, mut group) = (runtime(), group(criterion, &format!("resume-{LOGGED}")));
    group.throughput(Throughput::Elements(LOGGED));
    let server = runtime.block_on(async { RedisServer::start() });
    let writer = runtime.block_on(Roa::open(&server));
    drop(Client::run_all(&runtime, Client::several(&writer, 250), LOGGED / 250));
    runtime.block_on(writer.0.close());
    let roa = runtime.block_on(Roa::open(&server));
    let floor = runtime.block_on(roa.0.state()).unwrap().floor;
    let raw = runtime.block_on(Raw::open(&server));
    group.bench_function("raw", |bencher| {
        bencher.to_async(&runtime).iter(async || assert_eq!(replay_raw(&raw.0, floor.get()).await, LOGGED));
    });
    group.bench_function("roa", |bencher| {
        bencher.to_async(&runtime).iter(async || assert_eq!(replay_roa(&roa.0, floor).await, LOGGED));
    });
    runtime.block_on(roa.0.close());
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
    let (runtime, mut group) = (runtime(), group(criterion, "write-to-watcher"));
    let server = runtime.block_on(async { RedisServer::start() });
    let raw = runtime.block_on(Raw::open(&server));
    let mut connection =
        runtime.block_on(redis::Client::open(server.unix_url()).unwrap().get_multiplexed_async_connection()).unwrap();
    let mut client = Client::several(&raw, 1).remove(0);
    group.bench_function("raw", |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..rounds {
                    let before = raw.0.head();
                    let (arrived, _) = tokio::join!(RawRedis::wait(&mut connection, before), client.step());
                    black_box(arrived.unwrap());
                }
                started.elapsed()
            })
        });
    });
    let roa = runtime.block_on(Roa::open(&server));
    let mut client = Client::several(&roa, 1).remove(0);
    let head = runtime.block_on(roa.0.state()).unwrap().head;
    let mut tail = runtime.block_on(roa.0.tail(head)).unwrap();
    group.bench_function("roa", |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..rounds {
                    let (arrived, _) = tokio::join!(tail.next(), client.step());
                    black_box(arrived.unwrap().unwrap());
                }
                started.elapsed()
            })
        });
    });
    drop(tail);
    runtime.block_on(roa.0.close());
    group.finish();
}

criterion_group!(benches, commit, resume, write_to_watcher);
criterion_main!(benches);
