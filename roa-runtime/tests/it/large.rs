//! Many objects: who stalls slows nobody, and nothing grows with those who stall.

use std::collections::HashSet;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, Cancellation, Context, Controller, Key, KeyPrefix, Object, ReconcileError, Start, TailEnd, Txn, TxnId,
    Value, WatchEvent,
};
use roa_runtime::{
    Bookmarks, Cache, Clocks, ControllerConfig, ControllerDriver, EventHandler, HandlerRunner, HubConfig, QueueConfig,
    RuntimeMetrics, Selection, StreamWatcher, SystemClock, Tasks,
};
use roa_store_memory::MemoryConfig;

use crate::support::{Thing, World};

const COUNT: usize = 100_000;
/// How many keys the queue may know: far fewer than there are objects.
const QUEUE: usize = 1_000;
/// How many batches the hub keeps.
const RING: usize = COUNT / 500;
const BOUND: Duration = Duration::from_secs(300);

fn key(number: usize) -> Key {
    Key::new("test.example.com", "things", "test", &format!("t{number:06}")).unwrap()
}

fn value(number: usize) -> Value {
    let name = format!("t{number:06}");
    Value::json(format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"test","uid":"{number}"}},"apiVersion":"test.example.com/v1","kind":"Thing","spec":{{"size":1}}}}"#
    ))
}

/// A hundred in each commit.
async fn create(world: &World, range: std::ops::Range<usize>) {
    for from in range.clone().step_by(100) {
        let txn = Txn::new(TxnId::random(&roa_core::SystemRandom), "test");
        let numbers = from..range.end.min(from + 100);
        let txn = numbers.fold(txn, |txn, number| txn.create(key(number), value(number)));
        world.store.commit(txn).await.unwrap();
    }
}

/// Handles all but the first, whose call never returns.
#[derive(Clone, Default)]
struct Counter {
    seen: Arc<Mutex<HashSet<String>>>,
    stuck: Arc<AtomicUsize>,
}

#[async_trait]
impl Controller for Counter {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "counter"
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, _cx: &Context) -> Result<Action, ReconcileError> {
        if thing.metadata.name == "t000000" {
            self.stuck.fetch_add(1, Ordering::SeqCst);
            pending::<()>().await;
        }
        self.seen.lock().unwrap().insert(thing.metadata.name.clone());
        Ok(Action::Done)
    }
}

/// Never comes back from its first event.
struct Stalled;

#[async_trait]
impl EventHandler<Object<Thing>> for Stalled {
    fn name(&self) -> &'static str {
        "stalled"
    }

    async fn handle(&self, _event: &WatchEvent<Object<Thing>>) -> Result<(), ReconcileError> {
        pending().await
    }
}

async fn waits_for(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(BOUND, async {
        while !holds() {
            crate::support::pause().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not within {BOUND:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w14_c7_with_many_objects_who_stalls_slows_nobody_and_nothing_grows() {
    let hub = HubConfig { max_batches: RING, ..HubConfig::default() };
    let world = World::with(MemoryConfig::default(), hub).await;
    let (clock, tasks) = (Arc::new(SystemClock::new()), Tasks::new("test", 16));
    let mut watch = world.hub.watch(Selection::prefix(KeyPrefix::everything()), Start::Now).await.unwrap();
    create(&world, 0..COUNT / 2).await;

    let watcher = || StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    let bookmarks = Bookmarks::new(world.store.clone(), Arc::new(roa_core::SystemRandom));
    let runner =
        HandlerRunner::new(Arc::new(watcher()), Arc::new(Stalled), bookmarks, clock.clone(), Duration::from_secs(1));
    tasks.spawn("stalled handler", async move { runner.run().await }).unwrap();

    let (cache, counter) = (Cache::new(), Counter::default());
    let config = ControllerConfig {
        workers: 4,
        // The call that never returns keeps its worker.
        timeout: Duration::MAX,
        queue: QueueConfig { max_keys: QUEUE, ..QueueConfig::default() },
        ..ControllerConfig::default()
    };
    let (cx, metrics) =
        (Context::new("counter", world.resources.clone()), RuntimeMetrics::unregistered().of("counter"));
    let driver =
        ControllerDriver::new(counter.clone(), cache.clone(), cx, config, Clocks::same(clock.clone()), metrics);
    let (fed, fresh) = (cache.clone(), watcher());
    tasks.spawn("cache", async move { fed.run(&fresh, &*clock).await }).unwrap();
    for worker in 0..driver.workers() {
        let driver = driver.clone();
        tasks.spawn(format!("worker {worker}"), async move { driver.work(Cancellation::never()).await }).unwrap();
    }
    create(&world, COUNT / 2..COUNT).await;

    let most = AtomicUsize::new(0);
    waits_for("all objects but one are handled", || {
        most.fetch_max(driver.queue().len(), Ordering::SeqCst);
        counter.seen.lock().unwrap().len() == COUNT - 1
    })
    .await;
    assert_eq!((cache.len(), counter.stuck.load(Ordering::SeqCst)), (COUNT, 1));
    let most = most.into_inner();
    assert!(most <= QUEUE, "the queue knew {most} keys");

    // Five times as much was committed as the hub keeps: who never looked is told so, and cost nothing meanwhile.
    let first = tokio::time::timeout(BOUND, watch.next()).await.unwrap().unwrap();
    assert!(matches!(first, Err(TailEnd::Lagged | TailEnd::Expired { .. })), "{first:?}");
}
