//! Events as objects.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{
    CancellationSource, Context, DynamicObject, FieldSelector, KindRegistry, ListOptions, Metadata, Resource,
    ResourceStore, SystemRandom, Txn, TxnId, Value,
};
use roa_runtime::{EventRecorder, EventRecorderConfig, Runnable, RuntimeMetrics, SystemClock, Tasks, event_kind};

use crate::support::{Thing, World, soon, until};

struct Recording {
    resources: ResourceStore,
    recorder: Arc<EventRecorder>,
    metrics: RuntimeMetrics,
    tasks: Tasks,
    stop: CancellationSource,
}

fn resources(world: &World) -> ResourceStore {
    let kinds = KindRegistry::new().with::<Thing>().with_kind(event_kind());
    ResourceStore::new(world.store.clone(), Arc::new(kinds), world.clock.clone(), Arc::new(SystemRandom), "test")
}

impl Recording {
    fn start(world: &World) -> Self {
        Self::with(world, EventRecorderConfig::default())
    }

    fn with(world: &World, config: EventRecorderConfig) -> Self {
        let config = EventRecorderConfig { flush_interval: Duration::from_millis(1), ..config };
        let metrics = RuntimeMetrics::unregistered();
        let recorder = Arc::new(EventRecorder::new(config, Arc::new(SystemClock::new()), &metrics));
        let (tasks, stop, resources) = (Tasks::new("test", 1), CancellationSource::new(), resources(world));
        let cx = Context::new("event-recorder", resources.clone()).with_cancellation(stop.token());
        let running = Arc::clone(&recorder);
        tasks
            .spawn_draining("recorder", move |_| async move {
                tokio::join!(running.run(&cx), running.run_in_each(&cx));
            })
            .unwrap();
        Self { resources, recorder, metrics, tasks, stop }
    }

    /// What the component `doer` is given.
    fn context(&self) -> Context {
        Context::new("doer", self.resources.clone()).with_events(self.recorder.clone())
    }

    async fn written(&self, count: u64) {
        until("the events are written", || self.metrics.event_count("written") >= count).await;
    }

    async fn list(&self) -> Vec<DynamicObject> {
        let kind = self.resources.kinds().by_name("events").unwrap();
        let list = self.resources.list(kind, &ListOptions::everywhere()).await.unwrap();
        list.entries.iter().map(|entry| DynamicObject::decode(entry).unwrap()).collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        assert!(self.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await.is_empty());
    }
}

async fn say(world: &World, cx: &Context, reason: &str, message: &str) {
    let thing = world.api().get("test", "a").await.unwrap();
    cx.warn(world.api().key("test", "a").unwrap(), &thing.metadata, reason, message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_again_is_counted_and_not_repeated_also_after_a_restart() {
    let world = World::new().await;
    let thing = world.create("a", 1).await;
    let recording = Recording::start(&world);
    let cx = recording.context();
    for number in 1..=5 {
        say(&world, &cx, "Down", &format!("try {number}")).await;
        world.clock.advance(Duration::from_secs(10));
    }
    recording.written(5).await;
    recording.stop().await;

    let recording = Recording::start(&world);
    say(&world, &recording.context(), "Down", "try 6").await;
    say(&world, &recording.context(), "Up", "all is well").await;
    recording.written(2).await;
    let events = recording.list().await;
    assert_eq!(events.len(), 2);
    let down = events.iter().find(|event| event.body["reason"] == "Down").unwrap();
    assert_eq!((&down.body["count"], &down.body["message"]), (&6.into(), &"try 6".into()));
    assert_eq!((&down.body["type"], &down.body["reportingComponent"]), (&"Warning".into(), &"doer".into()));
    assert_eq!(down.body["firstTimestamp"], "2027-01-15T08:00:00Z");
    assert_eq!(down.body["lastTimestamp"], "2027-01-15T08:00:50Z");
    let involved = serde_json::json!({
        "apiVersion": "test.example.com/v1", "kind": "Thing", "namespace": "test", "name": "a", "uid": thing.metadata.uid,
    });
    assert_eq!(down.body["involvedObject"], involved);
    let of_a: FieldSelector = "involvedObject.kind=Thing,involvedObject.name=a,reason=Up".parse().unwrap();
    let kind = recording.resources.kinds().by_name("ev").unwrap();
    let found = recording.resources.list(kind, &ListOptions::namespace("test").fields(of_a)).await.unwrap();
    assert_eq!(found.entries.len(), 1, "as `kubectl describe` asks for them");
    recording.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_an_event_goes_an_hour_after_it_was_last_said_by_an_ordinary_commit() {
    let world = World::new().await;
    world.create("a", 1).await;
    let recording = Recording::start(&world);
    let cx = recording.context();
    say(&world, &cx, "Old", "").await;
    say(&world, &cx, "Kept", "").await;
    recording.written(2).await;
    for _ in 0..2 {
        world.clock.timers_pending(1).await;
        world.clock.advance(Duration::from_secs(1_795));
    }
    say(&world, &cx, "Kept", "still").await;
    recording.written(3).await;
    let before = world.head().await;
    world.clock.timers_pending(1).await;
    world.clock.advance(Duration::from_secs(60));
    until("it is swept", || recording.metrics.event_count("expired") == 1).await;
    let left: Vec<_> = recording.list().await.into_iter().map(|event| event.body["reason"].clone()).collect();
    assert_eq!(left, ["Kept"]);
    assert_eq!(world.head().await.get(), before.get() + 1);
    recording.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_read_keeps_no_other_from_going() {
    let world = World::new().await;
    world.create("a", 1).await;
    let recording = Recording::start(&world);
    let kind = recording.resources.kinds().by_name("events").unwrap();
    let first = kind.key("aaa", "a").unwrap();
    let txn = Txn::new(TxnId::random(&SystemRandom), "test").create(first, Value::opaque("nonsense"));
    world.store.commit(txn).await.unwrap();
    say(&world, &recording.context(), "Old", "").await;
    recording.written(1).await;
    world.clock.timers_pending(1).await;
    world.clock.advance(Duration::from_secs(7_200));
    until("it is swept", || recording.metrics.event_count("expired") == 1).await;
    recording.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_different_events_is_bounded_and_counted_and_the_last_are_written_at_the_end() {
    let world = World::new().await;
    let recording = Recording::with(&world, EventRecorderConfig { max_pending: 3, ..EventRecorderConfig::default() });
    let (metadata, cx) = (Metadata::default(), recording.context());
    let key = world.api().key("test", "a").unwrap();
    for number in 0..100 {
        cx.note(key.clone(), &metadata, format!("Reason{number}"), "");
    }
    let metrics = recording.metrics.clone();
    let (taken, dropped) = (metrics.event_count("recorded"), metrics.event_count("dropped"));
    assert!(taken >= 3 && dropped > 0 && taken + dropped == 100);
    soon("the end", recording.stop()).await;
    assert_eq!(metrics.event_count("written"), taken, "none of those that were taken is lost");
}
