//! The memory store beside the raw limit, a map and a log behind one lock: commits with one and with many in flight, a
//! list, and the replay of the log.
//!
//! `cargo xtask bench --only store`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, RwLock};

use criterion::{Criterion, Throughput, criterion_group};
use futures_util::StreamExt;
use roa_benches::{Client, RawStore, Roa, Side, group, key, measure, object_value, prefix};
use roa_core::{Batch, Entry, ListRequest, Revision, SeededRandom, Store};
use roa_runtime::SystemClock;
use roa_store_memory::{MemoryConfig, MemoryStore};
use tokio::runtime::Runtime;

const KEYS: usize = 10_000;
const LOGGED: usize = 100_000;
/// How many batches a reader takes at a time.
const STEP: usize = 1_024;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn memory() -> Arc<MemoryStore> {
    let config = MemoryConfig::default().log_max_batches(2 * LOGGED).log_max_bytes(usize::MAX);
    Arc::new(MemoryStore::new(config, Arc::new(SystemClock::new()), Arc::new(SeededRandom::new(1))))
}

/// Compare-and-swap updates of 10,000 keys in turn.
fn commit(criterion: &mut Criterion) {
    for in_flight in [1, 16, 256] {
        let (runtime, mut group) = (runtime(), group(criterion, &format!("store/commit/{in_flight}")));
        group.throughput(Throughput::Elements(in_flight as u64));
        let slots = KEYS / in_flight;
        let raw = || Client::several(&Arc::new(RawStore::new(Revision::new(1).unwrap())), in_flight, slots, 1);
        measure(&mut group, "raw", &runtime, raw);
        let default = || MemoryStore::new(MemoryConfig::default(), Arc::new(SystemClock::new()), random());
        let roa = || Client::several(&Roa::over(Arc::new(default())), in_flight, slots, 1);
        measure(&mut group, "roa", &runtime, roa);
        group.finish();
    }
}

fn random() -> Arc<SeededRandom> {
    Arc::new(SeededRandom::new(1))
}

/// A list of 10,000 objects.
fn list(criterion: &mut Criterion) {
    let (runtime, store) = (runtime(), memory());
    let (roa, mut raw) = (Roa::over(store.clone()), BTreeMap::new());
    runtime.block_on(async {
        for number in 0..KEYS {
            roa.write(&[key(number)], &object_value(number), None).await;
            let entry = store.get(&key(number)).await.unwrap().entry.unwrap();
            raw.insert(entry.key.clone(), entry);
        }
    });
    let raw = RwLock::new(raw);
    let mut group = group(criterion, "store/list-10000");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("raw", |bencher| {
        bencher.iter(|| {
            let found: Vec<Arc<Entry>> =
                raw.read().unwrap().range(key(0)..).map(|(_, entry)| Arc::clone(entry)).collect();
            black_box(found.len())
        });
    });
    group.bench_function("roa", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(async || black_box(store.list(ListRequest::new(prefix())).await.unwrap().entries.len()));
    });
    group.finish();
}

/// The whole log of 100,000 commits; the raw side is a slice of one, taken a stretch at a time under its lock.
fn resume(criterion: &mut Criterion) {
    let (runtime, store) = (runtime(), memory());
    let floor = runtime.block_on(store.state()).unwrap().floor;
    drop(Client::run_all(&runtime, Client::several(&Roa::over(store.clone()), 1, KEYS, 1), LOGGED as u64));
    let raw = RwLock::new(runtime.block_on(replay(&store, floor)));
    let mut group = group(criterion, &format!("store/resume-{LOGGED}"));
    group.throughput(Throughput::Elements(LOGGED as u64));
    group.bench_function("raw", |bencher| {
        bencher.iter(|| {
            let mut count = 0;
            while count < LOGGED {
                let stretch = {
                    let log = raw.read().unwrap();
                    log[count..log.len().min(count + STEP)].to_vec()
                };
                count += stretch.iter().filter(|batch| black_box(batch.revision) > floor).count();
            }
        });
    });
    group.bench_function("roa", |bencher| {
        bencher.to_async(&runtime).iter(async || assert_eq!(count(&store, floor).await, LOGGED));
    });
    group.finish();
}

async fn replay(store: &MemoryStore, floor: Revision) -> Vec<Arc<Batch>> {
    let (mut tail, mut all) = (store.tail(floor).await.unwrap(), Vec::new());
    while all.len() < LOGGED {
        all.extend(tail.next().await.unwrap().unwrap());
    }
    all
}

async fn count(store: &MemoryStore, floor: Revision) -> usize {
    let (mut tail, mut count) = (store.tail(floor).await.unwrap(), 0);
    while count < LOGGED {
        let batches = tail.next().await.unwrap().unwrap();
        count += batches.iter().filter(|batch| black_box(batch.revision) > floor).count();
    }
    count
}

criterion_group!(benches, commit, list, resume);
