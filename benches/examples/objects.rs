//! What 100,000 objects cost: memory for each beside its bytes and beside the bare Rust value, while a cache lists them
//! anew, and how long a cache takes to be filled from a store. Each figure is of a process of its own.
//!
//! `cargo run --release -p roa-benches --example objects -- 100000`

use std::error::Error;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roa_benches::{Course, Generated, course};
use roa_core::{
    CacheReader, Clock, KindDescriptor, Object, RawObject, Resource, Revision, Store, SystemRandom, Txn, TxnId,
};
use roa_runtime::{Cache, HubConfig, Selection, StreamWatcher, SystemClock, WatchHub};
use roa_store_memory::{MemoryConfig, MemoryStore};
use roa_store_sqlite::{SqliteConfig, SqliteStore};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is measured, and what it is called.
const CASES: [(&str, &str); 6] = [
    ("bytes", "the bytes alone"),
    ("values", "the Rust values alone"),
    ("typed", "cache of Rust values"),
    ("raw", "cache of bytes"),
    ("memory", "memory store and cache of Rust values"),
    ("sqlite", "SQLite store and cache of Rust values"),
];

#[tokio::main]
#[expect(clippy::print_stdout, reason = "figures for people")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.first().map_or(Ok(100_000), |count| count.parse())?;
    if let Some(case) = arguments.get(1) {
        println!("{}", measure(case, count).await?);
        return Ok(());
    }
    println!("{count} objects of {} bytes", course(0, Revision::new(1)?).value.bytes.len());
    println!("{:42} {:>12} {:>10} {:>10} {:>10}", "", "bytes each", "filled ms", "listed ms", "peak");
    for (case, name) in CASES {
        let child = Command::new(std::env::current_exe()?).args([&count.to_string(), case]).output()?;
        let printed = String::from_utf8(child.stdout)?;
        if !child.status.success() {
            return Err(format!("{name}: {}", String::from_utf8_lossy(&child.stderr)).into());
        }
        println!("{name:42} {}", printed.trim_end());
    }
    Ok(())
}

async fn measure(case: &str, count: usize) -> Result<String> {
    let revision = Revision::new(1)?;
    let before = resident("VmRSS:");
    match case {
        "bytes" => {
            let held: Vec<_> = (0..count).map(|number| course(number, revision).value.bytes).collect();
            Ok(line(each(before, held.len()), None))
        }
        "values" => {
            let decode = |number| Object::<Course>::decode(&course(number, revision)).map(Arc::new);
            let held = (0..count).map(decode).collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(line(each(before, held.len()), None))
        }
        "typed" => generated::<Object<Course>>(count).await,
        "raw" => generated::<RawObject>(count).await,
        "memory" => {
            let clock = Arc::new(SystemClock::new());
            let config = MemoryConfig::default();
            from_store(Arc::new(MemoryStore::new(config, clock, Arc::new(SystemRandom))), count).await
        }
        _ => {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join("objects.db");
            let open =
                || SqliteStore::open(SqliteConfig::new(&path), Arc::new(SystemClock::new()), Arc::new(SystemRandom));
            let store = open().await?;
            let filled = from_store(Arc::new(store), count).await?;
            Ok(filled)
        }
    }
}

/// A cache over a watcher that makes the objects as it goes; then the history is lost, and all are listed anew.
async fn generated<R: Resource>(count: usize) -> Result<String> {
    let (cache, clock) = (Cache::<R>::new(), SystemClock::new());
    let watcher = Generated::<R>::new(count, Revision::new(1)?);
    let lost = Arc::clone(&watcher.lost);
    let before = resident("VmRSS:");
    let story = async {
        let begun = Instant::now();
        cache.synced().await;
        let filled = begun.elapsed();
        let (each, steady) = (each(before, cache.len()), resident("VmRSS:"));
        forget_peak()?;
        let begun = Instant::now();
        lost.notify_one();
        while cache.relists() < 2 || cache.staleness(clock.monotonic()) > Some(begun.elapsed()) {
            clock.sleep_until(clock.monotonic() + Duration::from_millis(1)).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let peak = resident("VmHWM:") as f64 / steady as f64;
        Ok(line(each, Some((filled, Some((begun.elapsed(), peak))))))
    };
    tokio::select! {
        () = cache.run(&watcher, &clock) => unreachable!("a cache runs until it is dropped"),
        told = story => told,
    }
}

/// A store with so many objects, and how long a hub and a cache over it take from nothing.
async fn from_store(store: Arc<dyn Store>, count: usize) -> Result<String> {
    let before = resident("VmRSS:");
    fill(&*store, count).await?;
    let clock = Arc::new(SystemClock::new());
    let begun = Instant::now();
    let hub = WatchHub::start(store, clock.clone(), HubConfig::default()).await?;
    let selection = Selection::prefix(KindDescriptor::of::<Course>().prefix(None)?);
    let (cache, watcher) = (Cache::<Object<Course>>::new(), StreamWatcher::new(hub, selection));
    tokio::select! {
        () = cache.run(&watcher, &*clock) => {}
        () = cache.synced() => {}
    }
    let filled = begun.elapsed();
    if cache.list(None).len() != count {
        return Err(format!("{} objects in the cache, expected {count}", cache.len()).into());
    }
    Ok(line(each(before, count), Some((filled, None))))
}

async fn fill(store: &dyn Store, count: usize) -> Result<()> {
    let random = SystemRandom;
    for from in (0..count).step_by(100) {
        let mut txn = Txn::new(TxnId::random(&random), "bench");
        for number in from..count.min(from + 100) {
            let made = course(number, Revision::new(1)?);
            txn = txn.create(made.key, made.value);
        }
        store.commit(txn).await?;
    }
    Ok(())
}

/// Bytes for each of so many objects, since there were `before` KiB.
fn each(before: u64, count: usize) -> u64 {
    (resident("VmRSS:").saturating_sub(before) << 10) / count.max(1) as u64
}

fn line(each: u64, times: Option<(Duration, Option<(Duration, f64)>)>) -> String {
    let Some((filled, again)) = times else { return format!("{each:>12}") };
    let again = again.map_or_else(String::new, |(listed, peak)| format!(" {:>10} {peak:>10.3}", listed.as_millis()));
    format!("{each:>12} {:>10}{again}", filled.as_millis())
}

/// A line of `/proc/self/status`, in KiB; 0 where there is none.
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line));
    found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// From now on, the peak is that of what follows.
fn forget_peak() -> Result<()> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}
