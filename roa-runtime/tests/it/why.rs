//! Why an object is as it is, told by the process that handles it and by the store alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{
    Action, CancellationSource, ConditionStatus, Context, Controller, Dependencies, KindRegistry, Object,
    ReconcileError, ResourceStore, Store, SystemRandom,
};
use roa_runtime::{
    BreakerConfig, Clocks, ControllerConfig, Explainer, Explanation, LeaseConfig, Manager, ManagerConfig, Mode, Phase,
    Protected, SystemClock, Tasks, Trip, event_kind, explain_from_store,
};
use serde_json::json;

use crate::driving::{Driving, Scripted, advancing_until, config};
use crate::support::{Thing, World, soon, until};

const FINALIZER: &str = "test.example.com/slow";

/// What the controller does, by the size of the thing.
const HANG: u32 = 14;
const FAIL: u32 = 15;
const CALL: u32 = 16;
const STAY: u32 = 18;

struct Slow;

#[async_trait]
impl Controller for Slow {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "slow"
    }

    fn finalizer(&self) -> Option<&str> {
        Some(FINALIZER)
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        let down = || ReconcileError::Transient { reason: "Down", message: "no answer".into() };
        match thing.spec.size {
            HANG => std::future::pending().await,
            FAIL => Err(down()),
            CALL => cx.call("outside", async { Err(down()) }).await,
            _ => Ok(Action::Done),
        }
    }

    async fn finalize(&self, _: Arc<Object<Thing>>, _: &Context) -> Result<Action, ReconcileError> {
        Ok(Action::RequeueAfter(Duration::from_secs(3_600)))
    }
}

fn leader(holder: &str) -> Mode {
    let millis = Duration::from_millis;
    let config = LeaseConfig { duration: millis(9_000), renew_deadline: millis(8_000), retry_period: millis(50) };
    Mode::Leader { lease: "things".into(), holder: holder.into(), config }
}

struct Process {
    explainer: Explainer,
    tasks: Tasks,
    stop: CancellationSource,
}

impl Process {
    async fn start(world: &World, mode: Mode, address: &str) -> Self {
        let clocks = Clocks::same(Arc::new(SystemClock::new()));
        let config = ManagerConfig {
            address: Some(address.to_owned()),
            shutdown_grace: Duration::from_millis(100),
            ..ManagerConfig::new(mode)
        };
        let trip = BreakerConfig { trip: Trip::Consecutive(1), ..BreakerConfig::default() };
        let outside = Protected::new("outside", clocks.domain.clone()).with_breaker(trip);
        let mut manager = Manager::new(world.store.clone(), world.resources.clone(), clocks, config)
            .await
            .unwrap()
            .with_dependencies(Dependencies::default().with(Arc::new(outside)));
        manager.add_controller::<Thing, _>(Slow, ControllerConfig::default()).unwrap();
        let explainer = manager.explainer();
        let (tasks, stop) = (Tasks::new("test", 1), CancellationSource::new());
        let token = stop.token();
        tasks.spawn_draining("manager", move |_| async move { manager.run(token, || {}).await.unwrap() }).unwrap();
        Self { explainer, tasks, stop }
    }

    async fn why(&self, name: &str) -> Explanation {
        self.explainer.explain("things", "test", name).await.unwrap()
    }

    /// Waits until the explanation is as wanted.
    async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Explanation) -> bool) -> Explanation {
        soon(what, async {
            loop {
                let why = self.why(name).await;
                if wanted(&why) {
                    return why;
                }
                crate::support::pause().await;
            }
        })
        .await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await;
    }
}

fn phase(why: &Explanation) -> Phase {
    why.controllers[0].phase
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_object_waits_for_is_told_with_the_last_error_and_the_next_run() {
    let world = World::new().await;
    let process = Process::start(&world, Mode::Single, "/a").await;
    for (name, size) in [("well", 1), ("hung", HANG), ("failing", FAIL)] {
        world.create(name, size).await;
    }
    let why = process
        .until("well", "it is done", |why| !why.finalizers.is_empty() && matches!(phase(why), Phase::Idle))
        .await;
    let (object, write) = (why.object.as_ref().unwrap(), why.last_write.as_ref().unwrap());
    assert_eq!((object.generation, object.state.as_deref()), (1, None));
    assert_eq!(write.writer, "slow", "it put its finalizer on");
    assert_eq!((why.finalizers[0].name.as_str(), why.finalizers[0].owner.as_deref()), (FINALIZER, Some("slow")));
    assert_eq!((why.next_run, &why.waits_for), (None, &Vec::new()));
    assert_eq!(why.process.as_deref(), Some("this process, which is alone"));

    let hung = process.until("hung", "it runs", |why| matches!(phase(why), Phase::Running { .. })).await;
    assert!(hung.waits_for[0].starts_with("slow, which has run for "), "{:?}", hung.waits_for);

    let delayed = |why: &Explanation| matches!(phase(why), Phase::Delayed { .. }) && why.controllers[0].failures > 2;
    let failing = process.until("failing", "it backs off", delayed).await;
    let error = failing.controllers[0].last_error.as_ref().unwrap();
    assert_eq!((error.reason.as_str(), error.message.as_str()), ("Down", "Down: no answer"));
    assert!(failing.waits_for[0].contains("the back-off of slow after"), "{:?}", failing.waits_for);
    assert!(failing.next_run.unwrap() > failing.at);

    let text = serde_json::to_string(&failing).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), failing, "what is read is what was written");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependency_that_is_down_and_a_finalizer_are_named() {
    let world = World::new().await;
    let process = Process::start(&world, Mode::Single, "/a").await;
    world.create("a", CALL).await;
    let down =
        |why: &Explanation| why.controllers[0].last_error.as_ref().is_some_and(|it| it.reason == "DependencyDown");
    let why = process.until("a", "the breaker is open", |why| down(why) && !why.dependencies.is_empty()).await;
    assert_eq!(why.dependencies[0].name, "outside");
    assert!(why.waits_for.iter().any(|wait| wait.starts_with("dependency outside: ")), "{:?}", why.waits_for);

    world.create("b", STAY).await;
    process.until("b", "it is done", |why| !why.finalizers.is_empty() && matches!(phase(why), Phase::Idle)).await;
    let foreign = |thing: &mut Object<Thing>| thing.metadata.finalizers.push("test.example.com/nobody".into());
    world.api().patch("test", "b", foreign).await.unwrap();
    world.api().delete("test", "b", &DeleteOptions::default()).await.unwrap();
    let why = process.until("b", "it waits", |why| matches!(phase(why), Phase::Delayed { .. })).await;
    for wait in [
        "its time with slow: ",
        "finalizer test.example.com/nobody, which no controller of this process takes off",
        "finalizer test.example.com/slow to be taken off",
    ] {
        assert!(why.waits_for.iter().any(|it| it.starts_with(wait)), "{wait:?} is not in {:?}", why.waits_for);
    }
    assert!(why.finalizers.iter().all(|finalizer| finalizer.waiting_seconds.is_some()));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_each_tells_which_one_handles_the_object_and_where_it_is_asked() {
    let world = World::new().await;
    let one = Process::start(&world, leader("one"), "/one").await;
    world.create("a", 1).await;
    one.until("a", "it leads", |why| matches!(phase(why), Phase::Idle) && !why.finalizers.is_empty()).await;
    let other = Process::start(&world, leader("other"), "/other").await;
    let mine = one.why("a").await.owner.unwrap();
    assert_eq!((mine.what.as_str(), mine.process.as_deref(), mine.is_self), ("the lease of things", Some("one"), true));
    let theirs = other.until("a", "it stands by", |why| why.owner.is_some()).await;
    let owner = theirs.owner.as_ref().unwrap();
    assert_eq!((owner.process.as_deref(), owner.address.as_deref(), owner.is_self), (Some("one"), Some("/one"), false));
    assert_eq!(phase(&theirs), Phase::Elsewhere);
    assert_eq!(theirs.waits_for, ["one handles it: it has the lease of things"]);

    let from_store = stored(&world.store, &world.resources, "a").await;
    assert_eq!((from_store.process, from_store.controllers.len()), (None, 0));
    assert_eq!(from_store.owner.unwrap().address.as_deref(), Some("/one"));
    let absent = stored(&world.store, &world.resources, "nobody").await;
    assert!(absent.object.is_none() && absent.waits_for[0].contains("no such object"), "{absent:?}");
    one.stop().await;
    other.stop().await;
}

async fn stored(store: &Arc<dyn Store>, resources: &ResourceStore, name: &str) -> Explanation {
    let kind = resources.kinds().of::<Thing>().unwrap();
    explain_from_store(store, resources, kind, &kind.key("test", name).unwrap(), Some("things")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_was_given_up_says_so_and_why() {
    let world = World::new().await;
    let script = Scripted::new(|_, _| Err(ReconcileError::Permanent { reason: "Bad", message: "never".into() }));
    let driving = Driving::start(&world, script, config());
    world.create("a", 1).await;
    until("it is given up", || driving.driver.parked() == 1).await;
    advancing_until(&world, "quiet", || driving.driver.queue().is_empty()).await;
    let handling = driving.driver.explain(&world.api().key("test", "a").unwrap());
    assert_eq!((handling.phase, handling.last_error.unwrap().message), (Phase::GivenUp, "Bad: never".to_owned()));
    driving.stop().await;
}

/// A condition that is bad when it holds is waited for while it does, or while nobody can tell.
#[tokio::test]
async fn what_is_well_waits_for_no_condition() {
    let world = World::new().await;
    world.create("a", 1).await;
    let (key, kind) = (world.api().key("test", "a").unwrap(), world.resources.kinds().of::<Thing>().unwrap());
    let (yes, no, unknown) = (ConditionStatus::True, ConditionStatus::False, ConditionStatus::Unknown);
    let waits = async |ready, broken| {
        let set = async |name, status| {
            world.resources.set_condition(&key, name, status, (name, "")).await.unwrap();
        };
        set("Ready", ready).await;
        set("Broken", broken).await;
        explain_from_store(&world.store, &world.resources, kind, &key, None).await.unwrap().waits_for
    };
    assert_eq!(waits(yes, no).await, [""; 0]);
    assert_eq!(waits(yes, yes).await, ["condition Broken: Broken"]);
    assert_eq!(waits(yes, unknown).await, ["condition Broken: Broken"]);
    assert_eq!(waits(no, no).await, ["condition Ready: Ready"]);
    assert_eq!(waits(unknown, no).await, ["condition Ready: Ready"]);
}

/// Of another object that had the name before nothing is told.
#[tokio::test]
async fn d5_events_are_those_of_the_object_itself() {
    let world = World::new().await;
    let kinds = Arc::new(KindRegistry::new().with::<Thing>().with_kind(event_kind()));
    let (clock, random) = (world.clock.clone(), Arc::new(SystemRandom));
    let resources = ResourceStore::new(world.store.clone(), kinds, clock, random, "test");
    let happened = async |reason: &str, uid: &str| {
        let involved = json!({"kind": "Thing", "namespace": "test", "name": "a", "uid": uid});
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "test", "name": reason.to_ascii_lowercase()},
            "involvedObject": involved, "reason": reason, "type": "Normal",
        });
        resources.create(serde_json::from_value(event).unwrap(), FieldValidation::Ignore).await.unwrap();
    };
    let reasons = async || {
        let told = stored(&world.store, &resources, "a").await;
        told.events.into_iter().map(|event| event.reason).collect::<Vec<_>>()
    };
    let before = world.create("a", 1).await.metadata.uid;
    happened("Before", &before.to_string()).await;
    assert_eq!(reasons().await, ["Before"]);
    world.delete("a").await;
    assert_eq!(reasons().await, ["Before"], "of what is gone it is told what happened to it");
    let after = world.create("a", 1).await.metadata.uid;
    assert_eq!(reasons().await, [""; 0]);
    happened("After", &after.to_string()).await;
    assert_eq!(reasons().await, ["After"]);
}

#[tokio::test]
async fn a_kind_that_is_unknown_and_a_name_that_makes_no_key_are_refused() {
    let world = World::new().await;
    let process = Process::start(&world, Mode::Single, "/a").await;
    assert!(process.explainer.explain("unicorns", "test", "a").await.is_err());
    assert!(process.explainer.explain("things", "test", "a\0b").await.is_err());
    process.stop().await;
}
