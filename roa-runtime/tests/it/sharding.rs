//! Several managers that share the work, and what a process may write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use roa_core::{
    Action, CacheReader, Cancellation, CancellationSource, Context, Controller, Drift, Error, Fence, Key, ManualClock,
    Object, ReconcileError, Reconciler, SystemRandom, Timestamp, Txn, TxnId, Value,
};
use roa_runtime::{
    Cache, Clocks, ControllerConfig, Coordinator, Layout, LeaseConfig, Manager, ManagerConfig, ManagerError, Mode,
    ReconcilerConfig, ReconcilerDriver, RuntimeMetrics, SHARDS, ShardBy, StreamWatcher, SystemClock, Tasks, Territory,
};
use tokio::sync::Notify;

use crate::support::{Thing, World, soon, thing, until};

/// Who handled what, in order.
type Calls = Arc<Mutex<Vec<(&'static str, String)>>>;

/// Notes who handled a thing, each time.
struct Noter {
    name: &'static str,
    calls: Calls,
}

#[async_trait]
impl Controller for Noter {
    type Resource = Object<Thing>;

    fn name(&self) -> &str {
        self.name
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        self.calls.lock().unwrap().push((self.name, thing.metadata.name.clone()));
        let mut next = (*thing).clone();
        next.status.note = format!("{} by {}", thing.spec.size, self.name);
        cx.api::<Thing>()?.update_status(&next).await?;
        Ok(Action::Done)
    }
}

fn lease() -> LeaseConfig {
    let [duration, renew_deadline, retry_period] = [3_000, 2_000, 100].map(Duration::from_millis);
    LeaseConfig { duration, renew_deadline, retry_period }
}

fn sharded(holder: &str, by: ShardBy) -> Mode {
    Mode::Sharded { group: "things".into(), holder: holder.into(), config: lease(), by }
}

/// A running manager, and how it is stopped.
struct Running {
    territory: Territory,
    driver: roa_runtime::ControllerDriver<Noter>,
    stop: CancellationSource,
    task: std::pin::Pin<Box<dyn Future<Output = Result<(), ManagerError>> + Send>>,
}

async fn start(world: &World, name: &'static str, calls: &Calls) -> Running {
    let clocks = Clocks::same(Arc::new(SystemClock::new()));
    let config = ManagerConfig::new(sharded(name, ShardBy::Object));
    let manager = Manager::new(world.store.clone(), world.resources.clone(), clocks, config).await.unwrap();
    let mut manager = manager.with_metrics(RuntimeMetrics::unregistered());
    let noter = Noter { name, calls: calls.clone() };
    let driver = manager.add_controller::<Thing, _>(noter, ControllerConfig::default()).unwrap();
    let (territory, stop) = (manager.territory().clone(), CancellationSource::new());
    let token = stop.token();
    Running { territory, driver, stop, task: Box::pin(async move { manager.run(token, || ()).await }) }
}

async fn notes(world: &World, count: usize) -> BTreeMap<String, String> {
    let mut notes = BTreeMap::new();
    for number in 0..count {
        let name = format!("thing-{number}");
        notes.insert(name.clone(), world.api().get("test", &name).await.unwrap().status.note);
    }
    notes
}

async fn all_noted(world: &World, count: usize, size: u32) {
    soon("all are noted", async {
        while !notes(world, count).await.values().all(|note| note.starts_with(&format!("{size} by"))) {
            crate::support::pause().await;
        }
    })
    .await;
}

/// Warm standby: a member's queue has no key that is not its own, and it has what it takes over at hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_handle_their_own_things_alone_and_take_over_what_another_gives_back() {
    let (world, calls) = (World::new().await, Calls::default());
    for number in 0..60 {
        world.create(&format!("thing-{number}"), 1).await;
    }
    let (one, two) = (start(&world, "one", &calls).await, start(&world, "two", &calls).await);
    let (first, second) = (one.territory.clone(), two.territory.clone());
    let story = async {
        until("both have some", || {
            let held = [&first, &second].map(|territory| territory.held().len());
            held.iter().sum::<usize>() == SHARDS && !held.contains(&0)
        })
        .await;
        all_noted(&world, 60, 1).await;
        calls.lock().unwrap().clear();
        for number in 0..60 {
            world.resize(&format!("thing-{number}"), 2).await;
        }
        all_noted(&world, 60, 2).await;
        for (name, noted) in notes(&world, 60).await {
            let key = world.api().key("test", &name).unwrap();
            let owner = if first.owns(&key) { "one" } else { "two" };
            assert_eq!(noted, format!("2 by {owner}"));
            let handled = calls.lock().unwrap().clone();
            assert!(handled.iter().filter(|(_, of)| *of == name).all(|(who, _)| *who == owner), "{name}: {handled:?}");
        }
        one.stop.cancel();
        until("the other has all", || second.held().len() == SHARDS).await;
        for number in 0..60 {
            world.resize(&format!("thing-{number}"), 3).await;
        }
        all_noted(&world, 60, 3).await;
        assert!(notes(&world, 60).await.values().all(|note| note == "3 by two"));
        assert!(one.driver.queue().is_empty(), "nothing of what is another's is queued");
        two.stop.cancel();
    };
    let (one, two, ()) = soon("the story", async { tokio::join!(one.task, two.task, story) }).await;
    one.unwrap();
    two.unwrap();
}

#[tokio::test]
async fn managers_that_divide_the_work_otherwise_are_refused() {
    let (world, calls) = (World::new().await, Calls::default());
    let one = start(&world, "one", &calls).await;
    let (territory, stop) = (one.territory.clone(), one.stop);
    let story = async {
        until("it has all", || territory.held().len() == SHARDS).await;
        let clocks = Clocks::same(Arc::new(SystemClock::new()));
        let config = ManagerConfig::new(sharded("two", ShardBy::Namespace));
        let refused = Manager::new(world.store.clone(), world.resources.clone(), clocks, config).await;
        let Err(ManagerError::Layout(error)) = refused else { panic!("expected a refusal") };
        let message = error.to_string();
        assert!(message.contains("expected 64 shards by namespace") && message.contains("owned by one"), "{message}");
        stop.cancel();
    };
    let (one, ()) = soon("the story", async { tokio::join!(one.task, story) }).await;
    one.unwrap();
}

/// As others do who find a paused process dead: when it goes on, it has nothing to do any more.
#[tokio::test]
async fn a_process_that_wakes_up_under_another_layout_ends_and_says_why() {
    let (world, calls) = (World::new().await, Calls::default());
    let one = start(&world, "one", &calls).await;
    let (store, territory) = (world.store.clone(), one.territory.clone());
    let story = async {
        until("it has all", || territory.held().len() == SHARDS).await;
        let [layout, heartbeat] =
            [("layouts", "things"), ("heartbeats", "one")].map(|(resource, name)| Key::system(resource, name).unwrap());
        let agreed = store.get(&layout).await.unwrap().entry.unwrap();
        loop {
            let alive = store.get(&heartbeat).await.unwrap().entry.unwrap();
            let txn = Txn::new(TxnId::random(&SystemRandom), "two");
            let txn = txn.update(layout.clone(), Value::opaque(r#"{"mode":"leader"}"#), agreed.revision);
            if store.commit(txn.delete(heartbeat.clone(), alive.revision)).await.is_ok() {
                return;
            }
        }
    };
    let (ended, ()) = soon("its end", async { tokio::join!(one.task, story) }).await;
    let Err(ManagerError::Layout(error)) = ended else { panic!("expected another layout, found {ended:?}") };
    assert!(error.to_string().contains("things"), "{error}");
    assert_eq!(territory.held(), []);
    drop(one.stop);
}

/// A process among others, polled by hand.
struct Lone {
    world: World,
    clock: ManualClock,
    territory: Territory,
    run: std::pin::Pin<Box<dyn Future<Output = ()>>>,
}

async fn lone() -> Lone {
    let world = World::new().await;
    let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
    let store = world.store.clone();
    let coordinator = Coordinator::new(store, Arc::new(clock.clone()), Arc::new(SystemRandom), "one", lease());
    let mut coordinator = coordinator.unwrap();
    let territory = coordinator.divide("things", Layout::Sharded(ShardBy::Object)).await.unwrap();
    let mut run: std::pin::Pin<Box<dyn Future<Output = ()>>> = Box::pin(coordinator.run(Cancellation::never()));
    assert!((&mut run).now_or_never().is_none());
    Lone { world, clock, territory, run }
}

/// L4: after a pause the first write is not even sent, though nothing has run since.
#[tokio::test]
async fn l4_past_the_local_deadline_a_write_is_not_sent() {
    let lone = lone().await;
    let key = lone.world.api().key("test", "a").unwrap();
    let permit = lone.territory.begin(&key).unwrap();
    let fenced = permit.fence(lone.world.resources.clone());
    fenced.api::<Thing>().unwrap().create(&thing("a", 1)).await.unwrap();
    lone.clock.advance(lease().renew_deadline);
    let head = lone.world.head().await;
    let refused = fenced.api::<Thing>().unwrap().create(&thing("b", 1)).await;
    assert!(matches!(refused, Err(Error::Fenced(Fence::Lapsed))), "{refused:?}");
    assert!(!Error::Fenced(Fence::Lapsed).to_string().is_empty());
    assert_eq!((lone.world.head().await, lone.territory.begin(&key).is_none()), (head, true));
    drop(lone.run);
}

/// Without the check at the client the store would have taken it: nobody else has the shard yet. So it is the clock
/// that keeps L4, and the guard that keeps L5.
#[tokio::test]
async fn l5_the_guard_goes_with_each_write_of_a_key() {
    let mut lone = lone().await;
    let key = lone.world.api().key("test", "a").unwrap();
    let ownership = lone.territory.begin(&key).unwrap().ownership().unwrap().clone();
    assert_eq!(ownership.key.name(), format!("{:02}", ShardBy::Object.shard(&key)));
    lone.territory.leave();
    assert!((&mut lone.run).now_or_never().is_none());
    assert!(lone.territory.vacated().now_or_never().is_some());
    let unchecked = lone.world.resources.clone().fenced_by(ownership.clone());
    let refused = unchecked.api::<Thing>().unwrap().create(&thing("a", 1)).await;
    assert!(matches!(refused, Err(Error::Fenced(Fence::Ownership { key })) if key == ownership.key));
}

/// Notes what it looks at; the first look lasts until it is told to go on.
#[derive(Default)]
struct Looker {
    seen: Mutex<Vec<String>>,
    begun: Notify,
    go: Notify,
}

struct Handle(Arc<Looker>);

#[async_trait]
impl Reconciler for Handle {
    type Resource = Object<Thing>;
    type Observed = ();

    fn name(&self) -> &'static str {
        "looker"
    }

    async fn observe(&self, thing: &Object<Thing>, _cx: &Context) -> Result<(), ReconcileError> {
        let first = {
            let mut seen = self.0.seen.lock().unwrap();
            seen.push(thing.metadata.name.clone());
            seen.len() == 1
        };
        if first {
            self.0.begun.notify_one();
            self.0.go.notified().await;
        }
        Ok(())
    }

    fn drift(&self, _thing: &Object<Thing>, _seen: &(), _now: Timestamp) -> Option<Drift> {
        None
    }

    async fn correct(&self, _thing: Arc<Object<Thing>>, _: Drift, _: &Context) -> Result<Action, ReconcileError> {
        Ok(Action::Done)
    }
}

/// What was lost and got again during a sweep may have been another process's in between: what the sweep knows of it is
/// too old, and its last part is not under the new fence. The next sweep looks at it.
#[tokio::test]
async fn c10_a_sweep_looks_at_nothing_that_was_got_after_it_began() {
    let mut lone = lone().await;
    for name in ["a", "b"] {
        lone.world.create(name, 1).await;
    }
    let (cache, tasks) = (Cache::<Object<Thing>>::new(), Tasks::new("test", 1));
    let watcher = StreamWatcher::<Object<Thing>>::new(lone.world.hub.clone(), lone.world.selection());
    let fed = cache.clone();
    tasks.spawn("cache", async move { fed.run(&watcher, &SystemClock::new()).await }).unwrap();
    soon("the cache has both", async {
        while cache.list(None).len() < 2 {
            crate::support::pause().await;
        }
    })
    .await;
    let (looker, metrics) = (Arc::new(Looker::default()), RuntimeMetrics::unregistered().of("looker"));
    let cx = Context::new("looker", lone.world.resources.clone());
    let config = ReconcilerConfig { concurrency: 1, ..ReconcilerConfig::default() };
    let clocks = Clocks::same(Arc::new(SystemClock::new()));
    let driver = ReconcilerDriver::new(Handle(looker.clone()), cache, cx, config, clocks, metrics);
    let driver = driver.within(lone.territory.clone());
    let before = lone.territory.held();
    let again = async {
        looker.begun.notified().await;
        lone.clock.advance(lease().renew_deadline);
        while lone.territory.held().is_empty() {
            assert!((&mut lone.run).now_or_never().is_none());
            lone.clock.advance(lease().retry_period);
        }
        assert!(lone.territory.held().iter().all(|held| !before.contains(held)), "all of it is got again");
        looker.go.notify_one();
    };
    let never = Cancellation::never();
    let (sweep, ()) = soon("the sweep", async { tokio::join!(driver.sweep(&never), again) }).await;
    assert_eq!((sweep.looked_at, looker.seen.lock().unwrap().len()), (1, 1));
    assert_eq!(soon("the next sweep", driver.sweep(&never)).await.looked_at, 2);
}
