//! kube-rs, fed from memory: its shared reflector, its reflector store, its controller.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta};
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store, store_shared};
use kube::runtime::watcher::{Error as WatchError, Event};
use roa_benches::{Course, ReplayStore, batches, group, prefix};
use roa_core::{Batch, Entry, Revision, Spec, Start};
use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};

use super::stores::runtime;

const EVENTS: usize = 20_000;
const OBJECTS: usize = 1_000;
const KEYS: usize = 10_000;
const MANY_KEYS: usize = 100_000;
/// How many objects the shared reflector holds for its subscribers.
const BUFFER: usize = 1_024;

/// An object of about 1 KiB.
fn object(number: usize) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(format!("thing-{number:06}")),
        namespace: Some("bench".to_owned()),
        uid: Some(format!("{number:036}")),
        labels: Some(BTreeMap::from([("tier".to_owned(), "web".to_owned())])),
        ..ObjectMeta::default()
    };
    let data = Some(BTreeMap::from([("padding".to_owned(), "x".repeat(800))]));
    ConfigMap { metadata, data, ..ConfigMap::default() }
}

/// Events to 1, 10 and 100 subscribers of one reflector, and to as many watchers of one hub that take batches away.
pub(crate) fn deliver(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, "peers/deliver");
    let objects: Vec<_> = (0..OBJECTS).map(object).collect();
    let made = Arc::new(batches(EVENTS, Revision::new(1_000).unwrap()));
    for watchers in [1, 10, 100] {
        group.throughput(Throughput::Elements((EVENTS * watchers) as u64));
        group.bench_function(BenchmarkId::new("kube", watchers), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(kube_once(watchers, &objects))).sum());
        });
        group.bench_function(BenchmarkId::new("roa", watchers), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(roa_once(watchers, &made))).sum());
        });
    }
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "the benchmark joins its tasks itself")]
fn spawn_task<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

async fn kube_once(watchers: usize, objects: &[ConfigMap]) -> Duration {
    let (_, writer) = store_shared::<ConfigMap>(BUFFER);
    let subscribe = |_| {
        let subscriber = writer.subscribe().unwrap();
        spawn_task(async move {
            subscriber.take(EVENTS).for_each(async |object| drop(black_box(object))).await;
        })
    };
    let readers: Vec<_> = (0..watchers).map(subscribe).collect();
    let events: Vec<_> = objects.iter().cycle().take(EVENTS).cloned().map(Event::Apply).collect();
    let started = Instant::now();
    let feed = reflector(writer, stream::iter(events).map(Ok::<_, WatchError>));
    // A feed that is always ready would keep its subscribers from running.
    let mut feed = pin!(feed);
    while feed.next().await.is_some() {
        tokio::task::consume_budget().await;
    }
    join_all(readers).await;
    started.elapsed()
}

async fn roa_once(watchers: usize, made: &Arc<Vec<Arc<Batch>>>) -> Duration {
    let store = Arc::new(ReplayStore::new(Arc::clone(made), Revision::new(1_000).unwrap()));
    let config = HubConfig { max_bytes: usize::MAX, ..HubConfig::default() };
    let hub = WatchHub::start(store.clone(), Arc::new(SystemClock::new()), config).await.unwrap();
    let last = made.last().unwrap().revision;
    let mut readers = Vec::new();
    for _ in 0..watchers {
        let mut watch = hub.watch(Selection::prefix(prefix()), Start::Now).await.unwrap();
        readers.push(spawn_task(async move {
            while let Some(Ok(item)) = watch.next().await {
                let HubItem::Events(slice) = item else { continue };
                slice.shared_batches().for_each(|batch| drop(black_box(Arc::clone(batch))));
                if slice.position().revision >= last {
                    return;
                }
            }
        }));
    }
    let started = Instant::now();
    store.release();
    join_all(readers).await;
    let took = started.elapsed();
    hub.close().await;
    took
}

/// Decoded objects into the store of a reflector.
pub(crate) fn cache_apply(criterion: &mut Criterion) {
    let mut group = group(criterion, "peers/cache-apply");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("kube", |bencher| {
        let events: Vec<_> = (0..KEYS).map(object).map(Event::Apply).collect();
        let (_, mut writer) = store::<ConfigMap>();
        bencher.iter(|| events.iter().for_each(|event| writer.apply_watcher_event(event)));
    });
    group.finish();
}

/// Reconciles that do nothing, through the applier that is the heart of its controller.
pub(crate) fn reconcile(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, "peers/reconcile");
    for count in [KEYS, MANY_KEYS] {
        group.throughput(Throughput::Elements(count as u64));
        let reader = listed(count);
        let references: Vec<_> = (0..count).map(|number| ObjectRef::from_obj(&object(number))).collect();
        for workers in [1, 16, 64] {
            group.bench_function(format!("kube/{workers}-workers-{count}-keys"), |bencher| {
                let fed = || references.clone();
                let round = |references| reconcile_once(reader.clone(), references, workers);
                bencher.to_async(&runtime).iter_batched(fed, round, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

/// A store of so many objects. Its controller waits until the first list is whole.
fn listed(count: usize) -> Store<ConfigMap> {
    let (reader, mut writer) = store::<ConfigMap>();
    let listed = (0..count).map(object).map(Event::InitApply);
    for event in [Event::Init].into_iter().chain(listed).chain([Event::InitDone]) {
        writer.apply_watcher_event(&event);
    }
    reader
}

/// One call for each of these.
async fn reconcile_once(reader: Store<ConfigMap>, references: Vec<ObjectRef<ConfigMap>>, workers: u16) {
    let count = references.len();
    let all = stream::iter(references).map(Ok::<ObjectRef<ConfigMap>, Infallible>);
    // With the end of what it is fed it ends, whatever is still to be done.
    let queue = all.chain(stream::pending());
    let act = |object: Arc<ConfigMap>, _: Arc<()>| {
        black_box(object);
        Box::pin(async { Ok::<_, Infallible>(Action::await_change()) })
    };
    let never = |_: Arc<ConfigMap>, _: &Infallible, _: Arc<()>| Action::await_change();
    let config = Config::default().concurrency(workers);
    let done = applier(act, never, Arc::new(()), reader, queue, config);
    let done = done.take(count).map_err(|error| panic!("{error}"));
    assert_eq!(done.try_fold(0, async |count, _| Ok::<_, Infallible>(count + 1)).await, Ok(count));
}

/// A store of these objects, as kube-rs keeps those of kinds that it knows no Rust type for.
pub(crate) fn hold(entries: impl Iterator<Item = Entry>) -> Writer<DynamicObject> {
    let gvk = GroupVersionKind::gvk(Course::GROUP, Course::VERSION, Course::KIND);
    let mut writer = Writer::new(ApiResource::from_gvk_with_plural(&gvk, Course::PLURAL));
    for entry in entries {
        writer.apply_watcher_event(&Event::Apply(serde_json::from_slice(&entry.value.bytes).unwrap()));
    }
    writer
}
