//! The engine: calls per second that do nothing, and that take a millisecond, beside a bare queue with a look-up; the time
//! from a commit to the call that it leads to; what a cache takes to apply changes, beside decoding alone.
//!
//! `cargo xtask bench --only engine`

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group};
use futures_util::{StreamExt, stream};
use roa_benches::{Course, CourseStatus, Generated, Quantile, RawQueue, added, course, group};
use roa_core::{
    Action, Cancellation, Cause, Clock, ClockExt, Context, Controller, Entry, Key, KindRegistry, Metadata, Object,
    ReconcileError, Resource, ResourceStore, Result, Revision, Start, Store, SystemRandom, Txn, TxnId, WatchEvent,
    WatchItem, WatchStream, Watcher,
};
use roa_runtime::{
    Cache, Clocks, ControllerConfig, ControllerDriver, HubConfig, Priority, RuntimeMetrics, Selection, StreamWatcher,
    SystemClock, Tasks, WatchHub,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};

/// No limit on tasks: as many as workers.
const TASKS: usize = 1_000;

fn first() -> Revision {
    Revision::new(1).unwrap()
}

/// Calls that take no time, or a time.
struct Work(Option<Duration>, Arc<dyn Clock>);

#[async_trait]
impl Controller for Work {
    type Resource = Object<Course>;

    fn name(&self) -> &'static str {
        "work"
    }

    async fn reconcile(&self, course: Arc<Object<Course>>, _cx: &Context) -> Result<Action, ReconcileError> {
        black_box(course.metadata.generation);
        if let Some(time) = self.0 {
            self.1.sleep(time).await;
        }
        Ok(Action::Done)
    }
}

struct Engine<C: Controller> {
    driver: ControllerDriver<C>,
    cache: Cache<C::Resource>,
    _tasks: Tasks,
}

/// A controller with its workers over a cache that is filled, after the first call for each object.
async fn engine<C>(controller: C, workers: usize, watcher: impl Watcher<Object<Course>> + 'static) -> Engine<C>
where
    C: Controller<Resource = Object<Course>>,
{
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let kinds = Arc::new(KindRegistry::new().with::<Course>());
    let cx = Context::new("work", ResourceStore::new(store, kinds, clock.clone(), random, "work"));
    let (cache, tasks) = (Cache::new(), Tasks::new("bench", TASKS));
    let config = ControllerConfig { workers, ..ControllerConfig::default() };
    let metrics = RuntimeMetrics::unregistered().of("work");
    let driver = ControllerDriver::new(controller, cache.clone(), cx, config, Clocks::same(clock.clone()), metrics);
    let fed = cache.clone();
    tasks.spawn("cache", async move { fed.run(&watcher, &*clock).await }).unwrap();
    cache.synced().await;
    for worker in 0..workers {
        let driver = driver.clone();
        tasks.spawn(format!("worker {worker}"), async move { driver.work(Cancellation::never()).await }).unwrap();
    }
    driver.queue().idle().await;
    Engine { driver, cache, _tasks: tasks }
}

impl<C: Controller> Engine<C> {
    async fn round(&self, keys: &[Key]) {
        for key in keys {
            self.driver.queue().try_add(key, Priority::User, Cause::Changed).unwrap();
        }
        self.driver.queue().idle().await;
    }
}

/// A queue, a map, and workers.
struct Raw {
    queue: Arc<RawQueue>,
    left: Arc<AtomicUsize>,
    done: Arc<Notify>,
    _tasks: Tasks,
}

impl Raw {
    fn start(workers: usize, count: usize, time: Option<Duration>) -> Self {
        let objects: HashMap<Key, Arc<Object<Course>>> = (0..count)
            .map(|number| course(number, first()))
            .map(|entry| (entry.key.clone(), Arc::new(Object::decode(&entry).unwrap())))
            .collect();
        let (objects, queue) = (Arc::new(RwLock::new(objects)), Arc::new(RawQueue::default()));
        let (left, done, tasks) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Tasks::new("raw", TASKS));
        for worker in 0..workers {
            let (objects, queue, left, done) = (objects.clone(), queue.clone(), left.clone(), done.clone());
            let clock = SystemClock::new();
            let work = async move {
                loop {
                    let key = queue.next().await;
                    let object = objects.read().unwrap().get(&key).cloned();
                    black_box(object.map(|object| object.metadata.generation));
                    if let Some(time) = time {
                        clock.sleep(time).await;
                    }
                    queue.done(&key);
                    if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                        done.notify_one();
                    }
                    tokio::task::consume_budget().await;
                }
            };
            tasks.spawn(format!("raw {worker}"), work).unwrap();
        }
        Self { queue, left, done, _tasks: tasks }
    }

    async fn round(&self, keys: &[Key]) {
        self.left.store(keys.len(), Ordering::Release);
        keys.iter().for_each(|key| self.queue.add(key));
        self.done.notified().await;
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|number| course(number, first()).key).collect()
}

/// Calls per second, of the engine and of the raw limit.
fn calls(criterion: &mut Criterion, name: &str, time: Option<Duration>, cases: &[(usize, usize)]) {
    let mut group = group(criterion, name);
    for &(workers, count) in cases {
        let (runtime, keys) = (runtime(), keys(count));
        group.throughput(Throughput::Elements(count as u64));
        let id = |who: &str| format!("{who}/{workers}-workers-{count}-keys");
        {
            let _within = runtime.enter();
            let raw = Raw::start(workers, count, time);
            group.bench_function(id("raw"), |bencher| bencher.iter(|| runtime.block_on(raw.round(&keys))));
        }
        let clock = Arc::new(SystemClock::new());
        let engine = runtime.block_on(engine(Work(time, clock), workers, Generated::new(count, first())));
        assert_eq!(engine.cache.len(), count);
        group.bench_function(id("roa"), |bencher| bencher.iter(|| runtime.block_on(engine.round(&keys))));
    }
    group.finish();
}

fn idle_calls(criterion: &mut Criterion) {
    let cases = [10_000, 100_000].map(|count| [1, 16, 64].map(|workers| (workers, count)));
    calls(criterion, "engine/calls-that-do-nothing", None, cases.as_flattened());
}

fn busy_calls(criterion: &mut Criterion) {
    calls(criterion, "engine/calls-of-a-millisecond", Some(Duration::from_millis(1)), &[(256, 25_600)]);
}

/// Says when a call begins.
struct Tells(mpsc::UnboundedSender<Instant>);

#[async_trait]
impl Controller for Tells {
    type Resource = Object<Course>;

    fn name(&self) -> &'static str {
        "tells"
    }

    async fn reconcile(&self, _course: Arc<Object<Course>>, _cx: &Context) -> Result<Action, ReconcileError> {
        let _ = self.0.send(Instant::now());
        Ok(Action::Done)
    }
}

/// From before the commit to the begin of the call that it leads to.
fn latency(criterion: &mut Criterion) {
    let runtime = runtime();
    let (told, mut begins) = mpsc::unbounded_channel();
    let (store, key, engine) = runtime.block_on(async {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random));
        let Entry { key, value, .. } = course(0, first());
        store.commit(Txn::new(TxnId::random(&SystemRandom), "bench").create(key.clone(), value)).await.unwrap();
        let hub = WatchHub::start(store.clone(), clock, HubConfig::default()).await.unwrap();
        let prefix = roa_core::KindDescriptor::of::<Course>().prefix(None).unwrap();
        let watcher = StreamWatcher::new(hub, Selection::prefix(prefix));
        (store, key, engine(Tells(told), 16, watcher).await)
    });
    runtime.block_on(begins.recv()).unwrap();
    let mut group = group(criterion, "engine/commit-to-call");
    for (quantile, name) in Quantile::ALL {
        group.bench_function(format!("roa-{name}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut times = Vec::new();
                runtime.block_on(async {
                    for _ in 0..rounds {
                        let at = store.get(&key).await.unwrap().entry.unwrap().revision;
                        let txn = Txn::new(TxnId::random(&SystemRandom), "bench");
                        let txn = txn.update(key.clone(), course(0, first()).value, at);
                        let begun = Instant::now();
                        store.commit(txn).await.unwrap();
                        times.push(begins.recv().await.unwrap().saturating_duration_since(begun));
                        engine.driver.queue().idle().await;
                    }
                });
                quantile.of(&mut times) * u32::try_from(rounds).unwrap()
            });
        });
    }
    group.finish();
}

/// Lists what was prepared.
struct Prepared<F>(usize, F);

#[async_trait]
impl<F: Fn(usize) -> WatchEvent<Object<Course>> + Clone + Send + Sync + 'static> Watcher<Object<Course>>
    for Prepared<F>
{
    async fn watch(&self, _start: Start) -> Result<WatchStream<Object<Course>>> {
        let (count, event) = (self.0, self.1.clone());
        let position = Generated::<Object<Course>>::new(0, first()).position();
        let page = move |from: usize| {
            let events = (from..count.min(from + 500)).map(&event).collect();
            Ok(WatchItem::Events { position, events })
        };
        let pages = stream::iter((0..count).step_by(500).map(page));
        Ok(pages.chain(stream::iter([Ok(WatchItem::Synced(position))])).chain(stream::pending()).boxed())
    }
}

async fn filled(watcher: impl Watcher<Object<Course>>) -> Cache<Object<Course>> {
    let (cache, clock) = (Cache::new(), SystemClock::new());
    tokio::select! {
        () = cache.run(&watcher, &clock) => {}
        () = cache.synced() => {}
    }
    cache
}

/// What is the least that must be read of a course.
#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Course,
    status: Option<CourseStatus>,
}

fn apply(criterion: &mut Criterion) {
    const COUNT: usize = 20_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entries: Arc<Vec<Entry>> = Arc::new((0..COUNT).map(|number| course(number, first())).collect());
    let mut group = group(criterion, "engine/apply");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("raw-decode", |bencher| {
        bencher.iter_with_large_drop(|| {
            let decode = |entry: &Entry| {
                let Wire { metadata, spec, status } = serde_json::from_slice(&entry.value.bytes).unwrap();
                Arc::new(Object::<Course> { metadata, spec, status: status.unwrap_or_default() })
            };
            entries.iter().map(decode).collect::<Vec<_>>()
        });
    });
    group.bench_function("roa-decode-and-apply", |bencher| {
        let entries = entries.clone();
        let event = move |number: usize| added(&entries[number]);
        bencher.iter_with_large_drop(|| runtime.block_on(filled(Prepared(COUNT, event.clone()))));
    });
    group.bench_function("roa-apply", |bencher| {
        let events: Arc<Vec<_>> = Arc::new(entries.iter().map(added::<Object<Course>>).collect());
        let event = move |number: usize| events[number].clone();
        bencher.iter_with_large_drop(|| runtime.block_on(filled(Prepared(COUNT, event.clone()))));
    });
    group.finish();
    let _same_kind = Object::<Course>::decode(&entries[0]).map(|course| course.revision());
}

criterion_group!(benches, idle_calls, busy_calls, latency, apply);
