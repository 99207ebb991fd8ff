//! Every metric of the runtime, provoked and found in one scrape or another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Action, CancellationSource, Context, Controller, Dependencies, Drift, DriftKind, Key, KindRegistry, Object,
    OwnerReference, Ownership, ReconcileError, Reconciler, ResourceStore, Store, SystemRandom, Timestamp, Txn, TxnId,
    Value,
};
use roa_runtime::{
    BackoffPolicy, BreakerConfig, Cache, Clocks, ControllerConfig, ControllerDriver, EffectHandler, EventRecorder,
    EventRecorderConfig, GarbageCollector, GarbageCollectorConfig, Manager, ManagerConfig, MeasuredStore, Mode,
    OscillationConfig, OscillationWatch, OutboxConfig, OutboxRelay, Protected, QueueConfig, ReconcilerConfig,
    RetryBudgetConfig, RuntimeMetrics, StreamWatcher, SystemClock, Tasks, Territory, Trip, event_kind,
};
use serde_json::{Value as Json, json};

use crate::support::{Thing, World, soon, thing};

const FINALIZER: &str = "test.example.com/meter";

/// What the controller does, by the size of the thing.
const PANIC: u32 = 13;
const HANG: u32 = 14;
const FAIL: u32 = 15;
const CALL: u32 = 16;
const LATER: u32 = 17;
const STAY: u32 = 18;

struct Meter;

#[async_trait]
impl Controller for Meter {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "meter"
    }

    fn finalizer(&self) -> Option<&str> {
        Some(FINALIZER)
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        let down = || ReconcileError::Transient { reason: "Down", message: "no answer".into() };
        match thing.spec.size {
            PANIC => panic!("unlucky"),
            HANG => std::future::pending().await,
            FAIL => Err(down()),
            CALL => cx.call("outside", async { Err(down()) }).await,
            LATER => Ok(Action::RequeueAfter(Duration::from_secs(3_600))),
            _ => {
                cx.api::<Thing>()?.update(&thing).await?;
                Ok(Action::Done)
            }
        }
    }

    async fn finalize(&self, thing: Arc<Object<Thing>>, _cx: &Context) -> Result<Action, ReconcileError> {
        match thing.spec.size {
            STAY => Ok(Action::RequeueAfter(Duration::from_secs(3_600))),
            _ => Ok(Action::Done),
        }
    }
}

struct Finder;

#[async_trait]
impl Reconciler for Finder {
    type Resource = Object<Thing>;
    type Observed = ();

    fn name(&self) -> &'static str {
        "finder"
    }

    async fn observe(&self, _thing: &Object<Thing>, _cx: &Context) -> Result<(), ReconcileError> {
        Ok(())
    }

    fn drift(&self, _thing: &Object<Thing>, _seen: &(), _now: Timestamp) -> Option<Drift> {
        Some(Drift { kind: DriftKind::Drifted, reason: "Found", message: String::new() })
    }

    async fn correct(&self, _: Arc<Object<Thing>>, _: Drift, _: &Context) -> Result<Action, ReconcileError> {
        Ok(Action::Done)
    }
}

#[derive(Debug)]
struct Mail;

#[async_trait]
impl EffectHandler for Mail {
    fn name(&self) -> &'static str {
        "mail"
    }

    async fn perform(&self, _id: &str, _request: &Json, _cx: &Context) -> Result<Json, ReconcileError> {
        Ok(json!("sent"))
    }
}

/// A series, and the least that it must show once.
const EXPECTED: &[(&str, f64)] = &[
    ("reconciles_total{component=\"meter\",result=\"success\"}", 1.0),
    ("reconciles_total{component=\"meter\",result=\"error\"}", 1.0),
    ("reconciles_total{component=\"meter\",result=\"panic\"}", 1.0),
    ("reconciles_total{component=\"meter\",result=\"timeout\"}", 1.0),
    ("reconciles_total{component=\"meter\",result=\"deferred\"}", 1.0),
    ("reconciles_total{component=\"meter\",result=\"requeue_after\"}", 1.0),
    ("reconcile_seconds_count{component=\"meter\"}", 1.0),
    ("reconcile_seconds_sum{component=\"meter\"}", 0.05),
    ("queue_seconds_count{component=\"meter\"}", 1.0),
    ("queue_depth{component=\"meter\",priority=\"user\"}", 1.0),
    ("queue_delayed{component=\"meter\"}", 1.0),
    ("queue_running{component=\"meter\"}", 1.0),
    ("queue_adds_total{component=\"meter\"}", 1.0),
    ("queue_refused_total{component=\"meter\"}", 1.0),
    ("queue_retries_total{component=\"meter\"}", 1.0),
    ("queue_longest_running_seconds{component=\"meter\"}", 0.01),
    ("queue_oldest_waiting_seconds{component=\"meter\"}", 0.01),
    ("convergence_seconds_count{component=\"meter\"}", 1.0),
    ("oldest_unreconciled_seconds{component=\"meter\"}", 0.1),
    ("finalizer_age_seconds{component=\"meter\"}", 0.5),
    ("unchanged_writes_total{component=\"meter\"}", 1.0),
    ("parked_objects{component=\"meter\"}", 1.0),
    ("quarantines_total{component=\"meter\"}", 1.0),
    ("budget_waits_total{component=\"meter\"}", 1.0),
    ("breaker_state{dependency=\"outside\"}", 2.0),
    ("breaker_transitions_total{dependency=\"outside\",to=\"open\"}", 1.0),
    ("dependency_refusals_total{dependency=\"outside\",reason=\"DependencyDown\"}", 1.0),
    ("swept_objects_total{component=\"finder\"}", 1.0),
    ("drift_total{component=\"finder\",reason=\"Found\"}", 1.0),
    ("oscillations_total{resource=\"things\",field=\"spec.size\",writers=\"ann, bob\"}", 1.0),
    ("gc_actions_total{action=\"deleted\"}", 1.0),
    ("events_total{fate=\"written\"}", 1.0),
    ("effects_total{handler=\"mail\",result=\"success\"}", 1.0),
    ("fence_rejections_total{component=\"fenced\"}", 1.0),
    ("commits_total{writer=\"meter\",result=\"committed\"}", 1.0),
    ("commits_total{writer=\"late\",result=\"conflict\"}", 1.0),
    ("commits_total{writer=\"fenced\",result=\"fenced\"}", 1.0),
    ("cache_relists_total{component=\"things\",reason=\"start\"}", 1.0),
    ("cache_relists_total{component=\"things\",reason=\"expired\"}", 1.0),
    ("cache_staleness_seconds{component=\"things\"}", 0.001),
    // It is not behind for long enough to be seen.
    ("cache_lag_revisions{component=\"things\"}", 0.0),
];

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("roa_runtime_")?.strip_prefix(series)?.trim().parse().ok())
}

/// Lesson 11: metrics are on by default, by bounded labels, and each is asserted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_metric_shows_what_it_is_about() {
    let mut registry = Registry::with_prefix("roa");
    let metrics = RuntimeMetrics::register(registry.sub_registry_with_prefix("runtime"));
    let world = World::new().await;
    let store: Arc<dyn Store> = Arc::new(MeasuredStore::new(world.store.clone(), &metrics));
    let kinds = Arc::new(KindRegistry::new().with::<Thing>().with_kind(event_kind()));
    let clocks = Clocks::same(Arc::new(SystemClock::new()));
    let resources = ResourceStore::new(store.clone(), kinds, clocks.domain.clone(), Arc::new(SystemRandom), "test");
    let manager = manager(&store, &resources, &clocks, &metrics).await;
    let (tasks, stop) = (Tasks::new("test", 8), CancellationSource::new());
    let token = stop.token();
    let (ready, synced) = tokio::sync::oneshot::channel();
    let run = move |_| async move { manager.run(token, || _ = ready.send(())).await.unwrap() };
    tasks.spawn_draining("manager", run).unwrap();
    // What is there from the begin is not known to have waited.
    soon("the manager is ready", synced).await.unwrap();
    fence_a_controller(&world, &resources, &clocks, &metrics, &tasks).await;
    provoke(&store, &resources).await;

    let (mut missing, mut seen): (Vec<_>, BTreeSet<String>) = (EXPECTED.to_vec(), BTreeSet::new());
    let found = tokio::time::timeout(crate::support::BOUND * 2, async {
        while !missing.is_empty() {
            let text = text(&registry);
            seen.extend(
                text.lines().filter_map(|line| Some(line.strip_prefix("# HELP ")?.split_once(' ')?.0.to_owned())),
            );
            // Again: who looks for fights may have begun to look after the first.
            if missing.iter().any(|(series, _)| series.starts_with("oscillations")) {
                fight(&resources).await;
            }
            missing.retain(|(series, least)| value(&text, series).is_none_or(|value| value < *least));
            crate::support::pause().await;
        }
    });
    assert!(found.await.is_ok(), "{missing:#?} in {}", text(&registry));
    let untested: Vec<_> = seen
        .iter()
        .filter_map(|name| name.strip_prefix("roa_runtime_"))
        .filter(|name| !EXPECTED.iter().any(|(series, _)| series.starts_with(name)))
        .collect();
    assert!(untested.is_empty(), "nothing is said here of {untested:?}");
    stop.cancel();
    tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await;
}

async fn manager(
    store: &Arc<dyn Store>,
    resources: &ResourceStore,
    clocks: &Clocks,
    metrics: &RuntimeMetrics,
) -> Manager {
    let trip = BreakerConfig { trip: Trip::Consecutive(1), ..BreakerConfig::default() };
    let outside = Protected::new("outside", clocks.domain.clone()).with_breaker(trip).measured_by(metrics);
    let config = EventRecorderConfig { flush_interval: Duration::from_millis(1), ..EventRecorderConfig::default() };
    let recorder = Arc::new(EventRecorder::new(config, clocks.io.clone(), metrics));
    let config = ManagerConfig { shutdown_grace: Duration::from_millis(100), ..ManagerConfig::new(Mode::Single) };
    let mut manager = Manager::new(store.clone(), resources.clone(), clocks.clone(), config)
        .await
        .unwrap()
        .with_metrics(metrics.clone())
        .with_events(recorder.clone())
        .with_dependencies(Dependencies::default().with(Arc::new(outside)));
    let millis = Duration::from_millis;
    let backoff = BackoffPolicy { base: millis(10), max: millis(50), jitter_percent: 0 };
    let config = ControllerConfig {
        workers: 2,
        timeout: millis(100),
        max_retries: 100_000,
        max_panics: 1,
        retry_budget: Some(RetryBudgetConfig { percent: 0, per_second: 20, burst: 1 }),
        queue: QueueConfig { backoff, max_keys: 16, ..QueueConfig::default() },
        ..ControllerConfig::default()
    };
    manager.add_controller::<Thing, _>(Meter, config).unwrap();
    let sweeps = ReconcilerConfig { interval: millis(200), ..ReconcilerConfig::default() };
    manager.add_reconciler::<Thing, _>(Finder, sweeps).unwrap();
    let hub = manager.hub().clone();
    manager.add_runnable(Arc::new(OscillationWatch::new(hub.clone(), OscillationConfig::default(), metrics)));
    let config = GarbageCollectorConfig::default();
    manager.add_runnable(Arc::new(GarbageCollector::new(hub.clone(), clocks.io.clone(), config, metrics)));
    let outbox = OutboxRelay::new(hub, clocks.io.clone(), OutboxConfig::default(), metrics).with(Arc::new(Mail));
    manager.add_runnable(Arc::new(outbox));
    manager.add_runnable(recorder);
    manager
}

/// A controller that writes under an ownership that has moved.
async fn fence_a_controller(
    world: &World,
    resources: &ResourceStore,
    clocks: &Clocks,
    metrics: &RuntimeMetrics,
    tasks: &Tasks,
) {
    struct Fenced;

    #[async_trait]
    impl Controller for Fenced {
        type Resource = Object<Thing>;

        fn name(&self) -> &'static str {
            "fenced"
        }

        async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
            let mut thing = (*thing).clone();
            thing.status.note.push('x');
            cx.api::<Thing>()?.update_status(&thing).await?;
            Ok(Action::Done)
        }
    }
    let key = Key::system("leases", "test").unwrap();
    let txn = || Txn::new(TxnId::random(&SystemRandom), "test");
    let revision = world.store.commit(txn().create(key.clone(), Value::opaque("me"))).await.unwrap();
    let epoch = world.store.state().await.unwrap().epoch;
    world.store.commit(txn().update(key.clone(), Value::opaque("you"), revision)).await.unwrap();
    let territory = Territory::under(Ownership { key, revision, epoch });
    let (cache, cx) = (Cache::new(), Context::new("fenced", resources.clone()));
    let (config, measured) = (ControllerConfig::default(), metrics.of("fenced"));
    let driver = ControllerDriver::within(territory, Fenced, cache.clone(), cx, config, clocks.clone(), measured);
    let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    tasks.spawn("fenced cache", async move { cache.run(&watcher, &SystemClock::new()).await }).unwrap();
    let token = CancellationSource::new();
    tasks.spawn("fenced", async move { driver.work(token.token()).await }).unwrap();
}

async fn provoke(store: &Arc<dyn Store>, resources: &ResourceStore) {
    let things = resources.api::<Thing>().unwrap();
    for size in [PANIC, HANG, HANG + 100, FAIL, CALL, CALL + 100, LATER, STAY] {
        let mut one = thing(&format!("t{size}"), size % 100);
        one.metadata.finalizers.extend((size == STAY).then(|| FINALIZER.to_owned()));
        things.create(&one).await.unwrap();
    }
    for number in 0..60 {
        things.create(&thing(&format!("n{number}"), 1)).await.unwrap();
    }
    things.delete("test", &format!("t{STAY}"), &DeleteOptions::default()).await.unwrap();
    let late = resources.clone().writing_as("late").api::<Thing>().unwrap();
    late.create(&thing("n1", 1)).await.unwrap_err();
    let owner = things.get("test", "n2").await.unwrap();
    let mut owned = thing("owned", 1);
    owned.metadata.owner_references.push(OwnerReference {
        api_version: "test.example.com/v1".into(),
        kind: "Thing".into(),
        name: owner.metadata.name.clone(),
        uid: owner.metadata.uid.clone(),
        ..OwnerReference::default()
    });
    things.create(&owned).await.unwrap();
    things.delete("test", "n2", &DeleteOptions::default()).await.unwrap();
    resources.effect("mail", "one", &json!({})).await.unwrap();
    // The history breaks: everything is listed again.
    let state = store.state().await.unwrap();
    store.fence(state.epoch, state.head).await.unwrap();
}

/// Two writers change a field back and forth.
async fn fight(resources: &ResourceStore) {
    soon("a fight", async {
        for size in [2, 1, 2, 1] {
            let writer = if size == 2 { "ann" } else { "bob" };
            let things = resources.clone().writing_as(writer).api::<Thing>().unwrap();
            things.patch("test", "n3", |thing| thing.spec.size = size).await.unwrap();
        }
    })
    .await;
}
