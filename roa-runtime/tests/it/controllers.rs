//! Driving controllers: what an author of one can count on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, CancellationSource, Context, Controller, Error, Key, Object, Ownership, ReconcileError, Severity, Value,
};
use roa_runtime::{
    BackoffPolicy, Cache, ChannelSink, Clocks, ControllerConfig, ControllerDriver, QueueConfig, RuntimeMetrics,
    StreamWatcher, SystemClock, Tasks, Territory,
};
use tokio::sync::{Notify, mpsc};

use crate::support::{Thing, World, soon, thing, until};

const FINALIZER: &str = "test.example.com/cleanup";

/// What the controller under test does, by the size of the thing.
const PANIC: u32 = 13;
const HANG: u32 = 14;
const FAIL: u32 = 15;
const PERMANENT: u32 = 16;
const LATER: u32 = 17;
const HANG_IN_FINALIZE: u32 = 18;
const LATE_PERMANENT: u32 = 19;

/// Writes `done` and the generation that it saw; counts everything.
#[derive(Default)]
struct Doer {
    finalizer: bool,
    calls: Mutex<Vec<String>>,
    running: Mutex<HashSet<String>>,
    overlaps: AtomicUsize,
    stale: AtomicUsize,
    last_seen: Mutex<std::collections::HashMap<String, u64>>,
    slow: AtomicBool,
    go_on: Notify,
}

struct Handle(Arc<Doer>);

fn bad() -> ReconcileError {
    ReconcileError::Permanent { reason: "Bad", message: "never".into() }
}

impl Doer {
    fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| *call == name).count()
    }

    async fn do_it(&self, thing: &Object<Thing>, cx: &Context) -> Result<Action, ReconcileError> {
        match thing.spec.size {
            PANIC => panic!("unlucky"),
            HANG => std::future::pending().await,
            FAIL => return Err(ReconcileError::Transient { reason: "Down", message: "no answer".into() }),
            PERMANENT => return Err(bad()),
            LATE_PERMANENT => {
                self.go_on.notified().await;
                return Err(bad());
            }
            LATER if self.calls(&thing.metadata.name) < 3 => return Ok(Action::RequeueAfter(Duration::from_secs(60))),
            _ => {}
        }
        if self.slow.load(Ordering::SeqCst) {
            self.go_on.notified().await;
        }
        let mut next = thing.clone();
        next.status.state = Some("done".into());
        next.status.observed_generation = thing.metadata.generation;
        if thing.status.observed_generation < thing.metadata.generation && thing.status.state.is_some() {
            next.status.state = Some("new".into());
        }
        let written = cx.api::<Thing>()?.update_status(&next).await?;
        let version = written.metadata.resource_version.unwrap().get();
        self.last_seen.lock().unwrap().insert(thing.metadata.name.clone(), version);
        Ok(Action::Done)
    }
}

#[async_trait]
impl Controller for Handle {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "doer"
    }

    fn finalizer(&self) -> Option<&str> {
        self.0.finalizer.then_some(FINALIZER)
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        let name = thing.metadata.name.clone();
        if !self.0.running.lock().unwrap().insert(name.clone()) {
            self.0.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        let seen = thing.metadata.resource_version.unwrap().get();
        if self.0.last_seen.lock().unwrap().get(&name).is_some_and(|written| *written > seen) {
            self.0.stale.fetch_add(1, Ordering::SeqCst);
        }
        self.0.calls.lock().unwrap().push(name.clone());
        struct Leave<'a>(&'a Doer, String);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.running.lock().unwrap().remove(&self.1);
            }
        }
        let _leave = Leave(&self.0, name);
        assert!(
            !self.0.finalizer || thing.metadata.has_finalizer(FINALIZER),
            "the finalizer is on before the first call"
        );
        tokio::task::yield_now().await;
        self.0.do_it(&thing, cx).await
    }

    async fn finalize(&self, thing: Arc<Object<Thing>>, _cx: &Context) -> Result<Action, ReconcileError> {
        self.0.calls.lock().unwrap().push(format!("finalize {}", thing.metadata.name));
        if thing.spec.size == HANG_IN_FINALIZE {
            std::future::pending::<()>().await;
        }
        Ok(Action::Done)
    }
}

struct Running {
    doer: Arc<Doer>,
    driver: ControllerDriver<Handle>,
    metrics: RuntimeMetrics,
    events: mpsc::Receiver<roa_core::Event>,
    tasks: Tasks,
    stop: CancellationSource,
}

fn config() -> ControllerConfig {
    let backoff =
        BackoffPolicy { base: Duration::from_secs(1), max: Duration::from_secs(60), ..BackoffPolicy::default() };
    let queue = QueueConfig { backoff, ..QueueConfig::default() };
    ControllerConfig {
        workers: 4,
        max_retries: 2,
        timeout: Duration::from_millis(200),
        queue,
        ..ControllerConfig::default()
    }
}

async fn run(world: &World, doer: Doer) -> Running {
    run_with(world, doer, config(), None).await
}

async fn run_with(world: &World, doer: Doer, config: ControllerConfig, ownership: Option<Ownership>) -> Running {
    let (doer, cache, metrics) = (Arc::new(doer), Cache::new(), RuntimeMetrics::unregistered());
    let (sink, events) = ChannelSink::new(100);
    let io = Arc::new(SystemClock::new());
    let clocks = Clocks { domain: world.clock.clone(), io: io.clone(), lease: io };
    let cx = Context::new("doer", world.resources.clone()).with_events(Arc::new(sink));
    let territory = ownership.map_or_else(Territory::everything, Territory::under);
    let (handle, measured) = (Handle(doer.clone()), metrics.of("doer"));
    let driver = ControllerDriver::within(territory, handle, cache.clone(), cx, config, clocks, measured);
    let (tasks, stop) = (Tasks::new("test", 16), CancellationSource::new());
    let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    tasks.spawn("cache", async move { cache.run(&watcher, &SystemClock::new()).await }).unwrap();
    for worker in 0..driver.workers() {
        let (driver, token) = (driver.clone(), stop.token());
        tasks.spawn_draining(format!("worker {worker}"), move |_| async move { driver.work(token).await }).unwrap();
    }
    Running { doer, driver, metrics, events, tasks, stop }
}

impl Running {
    fn count(&self, result: &'static str) -> u64 {
        self.metrics.of("doer").count(result)
    }

    async fn stop(self) {
        self.driver.shut_down();
        self.stop.cancel();
        let left = self.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await;
        assert!(left.is_empty(), "{left:?} did not end");
    }
}

async fn done(world: &World, name: &str) {
    soon("the thing is done", async {
        loop {
            let thing = world.api().get("test", name).await.unwrap();
            if thing.status.state.as_deref() == Some("done")
                && thing.status.observed_generation == thing.metadata.generation
            {
                return;
            }
            crate::support::pause().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_32_and_2_and_6_a_new_object_and_each_change_of_its_spec_are_handled_and_that_is_seen() {
    let world = World::new().await;
    let running = run(&world, Doer::default()).await;
    world.create("a", 1).await;
    done(&world, "a").await;
    world.resize("a", 2).await;
    done(&world, "a").await;
    assert_eq!(world.api().get("test", "a").await.unwrap().status.observed_generation, 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_38_c4_c10_one_call_at_a_time_for_a_key_and_never_on_stale_data() {
    let world = World::new().await;
    let running = run(&world, Doer::default()).await;
    for name in ["a", "b"] {
        world.create(name, 1).await;
    }
    for size in 100..160 {
        world.resize("a", size).await;
        world.resize("b", size).await;
    }
    done(&world, "a").await;
    done(&world, "b").await;
    assert_eq!(running.doer.overlaps.load(Ordering::SeqCst), 0);
    assert_eq!(running.doer.stale.load(Ordering::SeqCst), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_31_an_object_is_called_again_when_it_asked_to_be() {
    let world = World::new().await;
    let running = run(&world, Doer::default()).await;
    world.create("a", LATER).await;
    for calls in 1..3 {
        until("the call", || running.doer.calls("a") == calls).await;
        until("the wait", || running.driver.queue().in_flight() == 0).await;
        world.clock.timers_pending(1).await;
        assert_eq!(running.doer.calls("a"), calls, "not before its time");
        world.clock.advance(Duration::from_secs(60));
    }
    done(&world, "a").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_a_panic_disturbs_no_other_key() {
    let world = World::new().await;
    let running = run(&world, Doer::default()).await;
    world.create("unlucky", PANIC).await;
    for name in ["a", "b", "c"] {
        world.create(name, 1).await;
        done(&world, name).await;
    }
    until("the panic is counted", || running.count("panic") >= 1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_36_time_outs_cover_reconcile_and_finalize() {
    let world = World::new().await;
    let running = run(&world, Doer { finalizer: true, ..Doer::default() }).await;
    world.create("slow", HANG).await;
    until("the time-out is counted", || running.count("timeout") >= 1).await;
    world.create("stuck", HANG_IN_FINALIZE).await;
    done(&world, "stuck").await;
    world.delete("stuck").await;
    until("finalize ran", || running.doer.calls("finalize stuck") >= 1).await;
    let before = running.count("timeout");
    until("its time-out is counted", || running.count("timeout") > before).await;
    assert!(world.api().get("test", "stuck").await.unwrap().metadata.is_deleting(), "the finalizer stays on");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_after_the_last_retry_the_object_says_so_and_recovers_when_it_changes() {
    let world = World::new().await;
    let mut running = run(&world, Doer::default()).await;
    world.create("a", FAIL).await;
    for tries in 1..=3 {
        until("the try", || running.doer.calls("a") == tries).await;
        until("it ended", || running.driver.queue().in_flight() == 0).await;
        world.clock.advance(Duration::from_secs(120));
    }
    let event = soon("an event", running.events.recv()).await.unwrap();
    assert_eq!(
        (event.severity, event.reason.as_str(), event.message.as_str()),
        (Severity::Warning, "Down", "Down: no answer")
    );
    let key = world.api().key("test", "a").unwrap();
    let conditions = async || world.resources.get(&key).await.unwrap().body["status"]["conditions"].clone();
    soon("the condition", async {
        while conditions().await[0]["status"] != "False" {
            crate::support::pause().await;
        }
    })
    .await;
    assert_eq!((conditions().await[0]["reason"].as_str(), running.driver.parked()), (Some("Down"), 1));
    world.resize("a", 1).await;
    soon("the condition is lifted", async {
        while conditions().await[0]["status"] != "True" {
            crate::support::pause().await;
        }
    })
    .await;
    assert_eq!(running.driver.parked(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_succeed_is_not_tried_again() {
    let world = World::new().await;
    let mut running = run(&world, Doer::default()).await;
    world.create("a", PERMANENT).await;
    assert_eq!(soon("an event", running.events.recv()).await.unwrap().reason, "Bad");
    world.clock.advance(Duration::from_secs(3_600));
    // Its own condition is a change, and so one more look; none after that.
    until("quiet", || running.driver.queue().is_empty()).await;
    assert!(running.doer.calls("a") <= 3, "{} calls", running.doer.calls("a"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_during_its_last_call_is_not_counted_as_given_up() {
    let world = World::new().await;
    let config = ControllerConfig { timeout: Duration::from_secs(30), ..config() };
    let running = run_with(&world, Doer::default(), config, None).await;
    world.create("a", LATE_PERMANENT).await;
    until("the call runs", || running.doer.calls("a") == 1).await;
    world.delete("a").await;
    world.create("b", 1).await;
    done(&world, "b").await; // so it is seen that the other is gone
    running.doer.go_on.notify_one();
    until("the calls end", || running.driver.queue().in_flight() == 0).await;
    assert_eq!(running.driver.parked(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_33_a_finalizer_is_taken_off_after_the_clean_up_which_runs_once() {
    let world = World::new().await;
    let running = run(&world, Doer { finalizer: true, ..Doer::default() }).await;
    world.create("a", 1).await;
    done(&world, "a").await;
    assert_eq!(world.api().get("test", "a").await.unwrap().metadata.finalizers, [FINALIZER]);
    world.delete("a").await;
    soon("the object goes", async {
        while !matches!(world.api().get("test", "a").await, Err(Error::NotFound { .. })) {
            crate::support::pause().await;
        }
    })
    .await;
    assert_eq!(running.doer.calls("finalize a"), 1, "clean-up runs once when it succeeds");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_34_the_finalizer_is_put_on_before_the_first_call_and_nothing_is_finalized_that_is_gone() {
    let world = World::new().await;
    let running = run(&world, Doer { finalizer: true, ..Doer::default() }).await;
    for number in 0..20 {
        world.create(&format!("t{number}"), 1).await;
    }
    for number in 0..20 {
        done(&world, &format!("t{number}")).await;
    }
    assert_eq!(running.count("panic"), 0, "each call found the finalizer on");
    running.stop().await;

    let running = run(&world, Doer::default()).await;
    world.create("gone", 1).await;
    done(&world, "gone").await;
    world.delete("gone").await;
    world.create("after", 1).await;
    done(&world, "after").await;
    assert_eq!(running.doer.calls("finalize gone"), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_30_c8_shutdown_lets_a_running_call_end_and_begins_no_new_one() {
    let world = World::new().await;
    let doer = Doer { slow: AtomicBool::new(true), ..Doer::default() };
    let config = ControllerConfig { workers: 1, timeout: Duration::from_secs(30), ..config() };
    let running = run_with(&world, doer, config, None).await;
    world.create("a", 1).await;
    until("the call runs", || running.doer.calls("a") == 1).await;
    world.create("b", 1).await;
    running.driver.shut_down();
    let doer = running.doer.clone();
    let drained = async { running.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await };
    let release = async { doer.go_on.notify_one() };
    let (left, ()) = tokio::join!(drained, release);
    assert!(left.is_empty());
    assert_eq!(
        world.api().get("test", "a").await.unwrap().status.state.as_deref(),
        Some("done"),
        "it was not cut in half"
    );
    assert_eq!(doer.calls("b"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_a_controller_that_lost_what_it_owned_writes_nothing() {
    let world = World::new().await;
    let key = Key::system("leases", "test").unwrap();
    let txn = || roa_core::Txn::new(roa_core::TxnId::random(&roa_core::SystemRandom), "test");
    let revision = world.store.commit(txn().create(key.clone(), Value::opaque("me"))).await.unwrap();
    let epoch = world.store.state().await.unwrap().epoch;
    world.store.commit(txn().update(key.clone(), Value::opaque("you"), revision)).await.unwrap();
    let running = run_with(&world, Doer::default(), config(), Some(Ownership { key, revision, epoch })).await;
    world.create("a", 1).await;
    until("the call failed", || running.count("error") >= 1).await;
    assert_eq!(world.api().get("test", "a").await.unwrap().status.state, None);
    assert_eq!(running.doer.calls("a"), 1, "a fenced write is never tried again");
    assert_eq!(running.metrics.of("doer").fence_rejections(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c5_a_full_queue_loses_no_object() {
    let world = World::new().await;
    for number in 0..50 {
        world.api().create(&thing(&format!("t{number}"), 1)).await.unwrap();
    }
    let queue = QueueConfig { max_keys: 8, ..QueueConfig::default() };
    let running = run_with(&world, Doer::default(), ControllerConfig { queue, ..config() }, None).await;
    for number in 0..50 {
        done(&world, &format!("t{number}")).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_5_what_somebody_asks_for_goes_before_what_follows_from_a_status() {
    let world = World::new().await;
    let config = ControllerConfig { workers: 1, timeout: Duration::from_secs(60), ..config() };
    let running = run_with(&world, Doer::default(), config, None).await;
    for name in ["busy", "old"] {
        world.create(name, 1).await;
        done(&world, name).await;
    }
    let idle = || running.driver.queue().is_empty();
    until("all calls have ended", idle).await;

    running.doer.slow.store(true, Ordering::SeqCst);
    world.resize("busy", 2).await;
    until("the worker is busy", || running.doer.running.lock().unwrap().contains("busy")).await;
    let mut old = world.api().get("test", "old").await.unwrap();
    old.status.note = "somebody looked at it".into();
    world.api().update_status(&old).await.unwrap();
    until("the status is seen", || running.driver.queue().len() == 2).await;
    world.create("new", 1).await;
    until("the new one is seen", || running.driver.queue().len() == 3).await;
    let before = running.doer.calls("old");
    running.doer.slow.store(false, Ordering::SeqCst);
    running.doer.go_on.notify_one();
    until("the old one is called", || running.doer.calls("old") > before).await;

    let calls = running.doer.calls.lock().unwrap().clone();
    let nth = |name: &str, number: usize| calls.iter().enumerate().filter(|(_, call)| *call == name).nth(number);
    let (new, old) = (nth("new", 0).map(|it| it.0), nth("old", before).map(|it| it.0));
    assert!(new.is_some() && new < old, "{calls:?}");
    running.stop().await;
}
