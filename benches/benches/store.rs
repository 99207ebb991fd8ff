//! Writing and reading the memory store, beside the raw limit: a map and a log behind one lock.
//!
//! `cargo bench -p roa-benches --bench store`

#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up must stop")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use roa_benches::{RawStore, key, object_value, prefix};
use roa_core::{Entry, Key, ListRequest, Random, RandomExt, Revision, SeededRandom, Store, Txn, TxnId};
use roa_runtime::SystemClock;
use roa_store_memory::{MemoryConfig, MemoryStore};
use tokio::runtime::Runtime;

const KEYS: usize = 10_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn memory(random: &Arc<SeededRandom>) -> MemoryStore {
    MemoryStore::new(MemoryConfig::default(), Arc::new(SystemClock::new()), random.clone())
}

/// Compare-and-swap updates of 10,000 keys in turn, by one writer.
fn commit(criterion: &mut Criterion) {
    let runtime = runtime();
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let value = object_value(1);
    let mut group = criterion.benchmark_group("store/commit");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raw", |bencher| {
        bencher.iter_custom(|rounds| {
            let store = RawStore::new(Revision::new(1).unwrap());
            let random = SeededRandom::new(1);
            let mut revisions: Vec<Option<Revision>> = vec![None; KEYS];
            let started = Instant::now();
            for round in 0..usize::try_from(rounds).unwrap() {
                let slot = round % KEYS;
                let txn = TxnId(random.uuid());
                let make = |at| Entry::created(keys[slot].clone(), value.clone(), at, txn, "bench".into());
                revisions[slot] = store.commit(&keys[slot], revisions[slot], make);
            }
            started.elapsed()
        });
    });
    group.bench_function("roa", |bencher| {
        bencher.to_async(&runtime).iter_custom(async |rounds| {
            let random = Arc::new(SeededRandom::new(1));
            let store = memory(&random);
            let mut revisions: Vec<Option<Revision>> = vec![None; KEYS];
            let writer: Arc<str> = "bench".into();
            let started = Instant::now();
            for round in 0..usize::try_from(rounds).unwrap() {
                let slot = round % KEYS;
                let txn = Txn::new(TxnId(random.uuid()), Arc::clone(&writer));
                let txn = match revisions[slot] {
                    None => txn.create(keys[slot].clone(), value.clone()),
                    Some(at) => txn.update(keys[slot].clone(), value.clone(), at),
                };
                revisions[slot] = Some(store.commit(txn).await.unwrap());
            }
            started.elapsed()
        });
    });
    group.finish();
}

/// A list of 10,000 objects.
fn list(criterion: &mut Criterion) {
    let runtime = runtime();
    let random = Arc::new(SeededRandom::new(1));
    let store = memory(&random);
    let mut raw = BTreeMap::new();
    runtime.block_on(async {
        for number in 0..KEYS {
            let txn = Txn::new(TxnId::random(&*random as &dyn Random), "bench");
            store.commit(txn.create(key(number), object_value(number))).await.unwrap();
            let entry = store.get(&key(number)).await.unwrap().entry.unwrap();
            raw.insert(entry.key.clone(), entry);
        }
    });
    let raw = std::sync::RwLock::new(raw);
    let mut group = criterion.benchmark_group("store/list-10000");
    group.throughput(Throughput::Elements(KEYS as u64)).measurement_time(Duration::from_secs(3));
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

criterion_group!(benches, commit, list);
criterion_main!(benches);
