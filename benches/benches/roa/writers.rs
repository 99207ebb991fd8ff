//! How much watchers slow a writer: the rate of one writer beside none, 1, 10, 100 and 1,000 watchers of the memory store,
//! as a share of its rate without any; the same of the raw store with readers of the raw log.
//!
//! `cargo xtask bench --only writers`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use roa_benches::{Backend, Client, RawLog, RawStore, batches, figure, is_quick, median, prefix};
use roa_core::{Revision, Start};
use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
use tokio::runtime::Runtime;

const WATCHERS: [usize; 4] = [1, 10, 100, 1_000];
/// How many commits one measurement has.
const COMMITS: usize = 20_000;
const KEYS: usize = 1_000;
/// How many batches a reader takes before it lets others run.
const STEP: usize = 1_024;

/// Measures, each count beside none, in turn.
pub(crate) fn run() {
    let turns = if is_quick() { 5 } else { 11 };
    for watchers in WATCHERS {
        let mut kept = [Vec::new(), Vec::new()];
        for _ in 0..turns {
            kept[0].push(share(|count| runtime().block_on(raw(count)), watchers));
            kept[1].push(share(|count| runtime().block_on(roa(count)), watchers));
        }
        for (name, kept) in ["raw", "roa"].into_iter().zip(kept) {
            figure(&format!("writers/{name}/{watchers}"), median(kept));
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// How much of the rate without watchers is left with them.
fn share(measure: impl Fn(usize) -> Duration, watchers: usize) -> f64 {
    let (alone, watched) = (measure(0), measure(watchers));
    alone.as_secs_f64() / watched.as_secs_f64()
}

#[expect(clippy::disallowed_methods, reason = "the benchmark joins its tasks itself")]
fn spawn_task(task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(task)
}

/// How long the writer takes; the readers must have all of it afterwards.
async fn raw(readers: usize) -> Duration {
    let (log, store) = (Arc::new(RawLog::default()), Arc::new(RawStore::new(Revision::new(1).unwrap())));
    let made = batches(COMMITS, Revision::new(1_000).unwrap());
    let reader = |_| {
        let log = Arc::clone(&log);
        spawn_task(async move { log.read(COMMITS, STEP, |batch| _ = black_box(batch.revision)).await })
    };
    let readers: Vec<_> = (0..readers).map(reader).collect();
    let mut client = Client::one(&store, KEYS);
    let started = Instant::now();
    for batch in made.chunks(1) {
        client.step().await;
        log.append(batch);
    }
    let took = started.elapsed();
    join_all(readers).await;
    took
}

async fn roa(watchers: usize) -> Duration {
    let backend = Backend::memory();
    let store = backend.roa.store.clone();
    let config = HubConfig { max_batches: 1 << 20, max_bytes: usize::MAX, ..HubConfig::default() };
    let hub = WatchHub::start(store.clone(), Arc::new(SystemClock::new()), config).await.unwrap();
    let last = store.state().await.unwrap().head.get() + COMMITS as u64;
    let mut readers = Vec::new();
    for _ in 0..watchers {
        let mut watch = hub.watch(Selection::prefix(prefix()), Start::Now).await.unwrap();
        readers.push(spawn_task(async move {
            loop {
                match watch.next().await.unwrap().unwrap() {
                    HubItem::Events(slice) => {
                        slice.events().for_each(|event| _ = black_box(event.revision));
                        if slice.position().revision.get() >= last {
                            return;
                        }
                    }
                    _ => continue,
                }
            }
        }));
    }
    let mut client = Client::one(&backend.roa, KEYS);
    let started = Instant::now();
    for _ in 0..COMMITS {
        client.step().await;
    }
    let took = started.elapsed();
    join_all(readers).await;
    hub.close().await;
    took
}
