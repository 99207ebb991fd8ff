//! What each of 100,000 cached objects of about 1 KiB costs in memory, beside its bytes, the bare Rust value and the bare
//! `serde_json::Value`; and how much more a cache needs at most while it lists all of them anew. Each figure is of a
//! process of its own: what an allocator keeps of one case would flatter the next.
//!
//! `cargo xtask bench --only memory`

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roa_benches::{Course, Generated, course, figure, resident, skipped};
use roa_core::{Clock, KindDescriptor, Object, RawObject, Resource, Revision, Store, SystemRandom, Txn, TxnId};
use roa_runtime::{Cache, HubConfig, Selection, StreamWatcher, SystemClock, WatchHub};
use roa_store_memory::{MemoryConfig, MemoryStore};
use roa_store_sqlite::{SqliteConfig, SqliteStore};

/// Names the case that a process is to hold, and how many objects.
const VARIABLE: &str = "ROA_BENCH_HOLD";

const COUNT: usize = 100_000;
const CASES: [&str; 7] = ["bytes", "values", "json", "typed", "untyped", "with-memory-store", "with-sqlite-store"];

/// Measures each case in a process of its own.
pub(crate) fn run() {
    CASES.iter().for_each(|case| in_child(case));
    if cfg!(feature = "peers") {
        in_child("kube");
    }
}

fn in_child(case: &str) {
    let child = Command::new(std::env::current_exe().unwrap()).env(VARIABLE, format!("{case} {COUNT}")).output();
    let child = child.unwrap();
    if !child.status.success() {
        return skipped(&format!("memory/{case}"), "its process failed");
    }
    let printed = String::from_utf8(child.stdout).unwrap();
    let numbers: Vec<f64> = printed.split_whitespace().map(|number| number.parse().unwrap()).collect();
    figure(&format!("memory/{case}"), numbers[0]);
    if let Some(peak) = numbers.get(1) {
        figure(&format!("memory/{case}-relist-peak"), *peak);
    }
}

/// What this process is to hold, if it is one of those.
pub(crate) fn asked() -> Option<(String, usize)> {
    let asked = std::env::var(VARIABLE).ok()?;
    let (case, count) = asked.split_once(' ')?;
    Some((case.to_owned(), count.parse().ok()?))
}

/// What a case came to.
pub(crate) struct Held {
    /// Bytes for each object.
    each: f64,
    /// What it took at most during a second list, as a share of what it took before.
    peak: Option<f64>,
}

/// Holds it, and prints the bytes for each object; then the peak of a second list, if there was one.
#[expect(clippy::print_stdout, reason = "read by the process that started this one")]
pub(crate) fn hold(case: &str, count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let held = runtime.block_on(held(case, count));
    let peak = held.peak.map(|peak| format!(" {peak}")).unwrap_or_default();
    println!("{}{peak}", held.each);
}

async fn held(case: &str, count: usize) -> Held {
    let before = resident("self", "VmRSS:");
    let entries = (0..count).map(|number| course(number, first()));
    match case {
        "bytes" => kept(before, entries.map(|entry| entry.value.bytes).collect()),
        "values" => kept(before, entries.map(|entry| Arc::new(Object::<Course>::decode(&entry).unwrap())).collect()),
        "json" => {
            let decode = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
            kept(before, entries.map(|entry| Arc::new(decode(&entry.value.bytes))).collect())
        }
        "typed" => generated::<Object<Course>>(count).await,
        "untyped" => generated::<RawObject>(count).await,
        "with-memory-store" => {
            let clock = Arc::new(SystemClock::new());
            from_store(Arc::new(MemoryStore::new(MemoryConfig::default(), clock, Arc::new(SystemRandom))), count).await
        }
        "with-sqlite-store" => {
            let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let config = SqliteConfig::new(directory.path().join("objects.db"));
            let store = SqliteStore::open(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom));
            from_store(Arc::new(store.await.unwrap()), count).await
        }
        #[cfg(feature = "peers")]
        "kube" => {
            let store = crate::peers::hold(entries);
            let each = each(before, count);
            drop(store);
            Held { each, peak: None }
        }
        other => panic!("no such case: {other}"),
    }
}

fn first() -> Revision {
    Revision::new(1).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "it is held until it has been looked at")]
fn kept<T>(before: u64, held: Vec<T>) -> Held {
    Held { each: each(before, held.len()), peak: None }
}

/// Bytes for each of so many objects, since there were `before`.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn each(before: u64, count: usize) -> f64 {
    resident("self", "VmRSS:").saturating_sub(before) as f64 / count as f64
}

/// A cache over a watcher that makes the objects as it goes; then the history is lost, and all are listed anew.
async fn generated<R: Resource>(count: usize) -> Held {
    let (cache, clock) = (Cache::<R>::new(), SystemClock::new());
    let watcher = Generated::<R>::new(count, first());
    let lost = Arc::clone(&watcher.lost);
    let before = resident("self", "VmRSS:");
    let story = async {
        cache.synced().await;
        assert_eq!(cache.len(), count);
        let (each, steady) = (each(before, count), resident("self", "VmRSS:"));
        // From now on, the peak is that of what follows.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let begun = Instant::now();
        lost.notify_one();
        while cache.relists() < 2 || cache.staleness(clock.monotonic()) > Some(begun.elapsed()) {
            clock.sleep_until(clock.monotonic() + Duration::from_millis(1)).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let peak = resident("self", "VmHWM:") as f64 / steady as f64;
        Held { each, peak: Some(peak) }
    };
    tokio::select! {
        () = cache.run(&watcher, &clock) => unreachable!("a cache runs until it is dropped"),
        held = story => held,
    }
}

/// A store with so many objects, and a hub and a cache over it.
async fn from_store(store: Arc<dyn Store>, count: usize) -> Held {
    let before = resident("self", "VmRSS:");
    fill(&*store, count).await;
    let clock = Arc::new(SystemClock::new());
    let hub = WatchHub::start(store, clock.clone(), HubConfig::default()).await.unwrap();
    let selection = Selection::prefix(KindDescriptor::of::<Course>().prefix(None).unwrap());
    let (cache, watcher) = (Cache::<Object<Course>>::new(), StreamWatcher::new(hub, selection));
    tokio::select! {
        () = cache.run(&watcher, &*clock) => {}
        () = cache.synced() => {}
    }
    assert_eq!(cache.len(), count);
    Held { each: each(before, count), peak: None }
}

async fn fill(store: &dyn Store, count: usize) {
    for from in (0..count).step_by(100) {
        let mut txn = Txn::new(TxnId::random(&SystemRandom), "bench");
        for number in from..count.min(from + 100) {
            let made = course(number, first());
            txn = txn.create(made.key, made.value);
        }
        store.commit(txn).await.unwrap();
    }
}
