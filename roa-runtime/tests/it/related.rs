//! Calls because of other objects: of those that one owns, that one refers to, or that a function names.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Action, Cancellation, CancellationSource, Cause, Clock, Context, Controller, Key, KeyOf, ManualClock, Object,
    ReconcileError, Spec, Timestamp,
};
use roa_runtime::{
    Cache, Clocks, ControllerConfig, ControllerDriver, Filter, KeyState, Manager, ManagerConfig, Mode, RuntimeMetrics,
    Selection, StreamWatcher, SystemClock, Tasks,
};

use crate::support::{Part, Plan, Thing, World, pause, soon, until};

/// What led to a call: the thing, the causes, the names of the other objects.
type Calls = Arc<Mutex<Vec<(String, Vec<Cause>, Vec<String>)>>>;

/// Notes why it is called; things of the size 13 can't be handled.
struct Listener(Calls);

#[async_trait]
impl Controller for Listener {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "listener"
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        let related = cx.related().iter().map(|key| format!("{}/{}", key.resource(), key.name())).collect();
        self.0.lock().unwrap().push((thing.metadata.name.clone(), cx.causes().to_vec(), related));
        if thing.spec.size == 13 {
            return Err(ReconcileError::Permanent { reason: "Unlucky", message: "of that size".into() });
        }
        Ok(Action::Done)
    }
}

/// A driver whose queue is looked at, and caches that are filled one by one.
struct Scene {
    world: World,
    things: Cache<Object<Thing>>,
    parts: Cache<Object<Part>>,
    plans: Cache<Object<Plan>>,
    driver: ControllerDriver<Listener>,
    calls: Calls,
    tasks: Tasks,
}

fn plan_of(thing: &Object<Thing>) -> Option<KeyOf<Plan>> {
    KeyOf::new(&thing.metadata.namespace, &format!("size-{}", thing.spec.size)).ok()
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let (things, parts, plans) = (Cache::new(), Cache::new(), Cache::new());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(0).unwrap()));
        let cx = Context::new("listener", world.resources.clone());
        let (calls, metrics) = (Calls::default(), RuntimeMetrics::unregistered().of("listener"));
        let (listener, config) = (Listener(calls.clone()), ControllerConfig::default());
        let driver = ControllerDriver::new(listener, things.clone(), cx, config, Clocks::same(clock), metrics);
        Self { world, things, parts, plans, driver, calls, tasks: Tasks::new("test", 4) }
    }

    async fn fill<S: Spec>(&self, cache: &Cache<Object<S>>) {
        let selection = Selection::prefix(self.world.resources.kinds().of::<S>().unwrap().prefix(None).unwrap());
        let (watcher, fed) = (StreamWatcher::new(self.world.hub.clone(), selection), cache.clone());
        self.tasks.spawn("cache", async move { fed.run(&watcher, &SystemClock::new()).await }).unwrap();
        soon("synced", cache.synced()).await;
    }

    async fn reached<S: Spec>(&self, cache: &Cache<Object<S>>) {
        let clock = SystemClock::new();
        let deadline = clock.monotonic() + Duration::from_secs(10);
        cache.wait_for(self.world.head().await, &clock, deadline).await.unwrap();
    }

    async fn part(&self, owner: &Object<Thing>, slot: &str) -> Object<Part> {
        let part = Object::child_of(owner, slot, Part { weight: 1 });
        self.world.resources.api::<Part>().unwrap().create_child(&part).await.unwrap()
    }

    async fn plan(&self, name: &str) -> Object<Plan> {
        let plan = Object::new("", name, Plan { steps: 1 });
        self.world.resources.api::<Plan>().unwrap().create(&plan).await.unwrap()
    }

    fn queued(&self, thing: &str) -> Option<KeyState> {
        self.driver.queue().why(&self.key(thing))
    }

    fn key(&self, thing: &str) -> Key {
        self.world.api().key("test", thing).unwrap()
    }

    /// Handles what is queued. Gives what was called and why.
    async fn drain(&self) -> Vec<(String, Vec<Cause>, Vec<String>)> {
        soon("all is handled", async {
            tokio::select! {
                () = self.driver.work(Cancellation::never()) => {}
                () = self.driver.queue().idle() => {}
            }
        })
        .await;
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

#[tokio::test]
async fn c6_a_change_of_what_one_owns_leads_to_a_call_that_knows_of_it() {
    let scene = Scene::new().await;
    scene.driver.owns(&scene.parts, Filter::all());
    let owner = scene.world.create("a", 1).await;
    scene.fill(&scene.things).await;
    scene.fill(&scene.parts).await;
    scene.drain().await;
    let (wheel, door) = (scene.part(&owner, "wheel").await, scene.part(&owner, "door").await);
    scene.reached(&scene.parts).await;
    let names = [&wheel, &door].map(|part| format!("parts/{}", part.metadata.name));
    assert_eq!(scene.drain().await, [("a".into(), vec![Cause::Related], names.to_vec())], "two changes are one call");
    scene
        .world
        .resources
        .api::<Part>()
        .unwrap()
        .delete("test", &wheel.metadata.name, &DeleteOptions::default())
        .await
        .unwrap();
    scene.reached(&scene.parts).await;
    assert_eq!(scene.drain().await[0].2, [names[0].clone()], "that it went is a change");
}

#[tokio::test]
async fn d5_an_owner_of_the_same_name_is_not_called_for_parts_of_another() {
    let scene = Scene::new().await;
    scene.driver.owns(&scene.parts, Filter::all());
    let first = scene.world.create("a", 1).await;
    let part = scene.part(&first, "wheel").await;
    scene.world.delete("a").await;
    scene.world.create("a", 2).await;
    scene.fill(&scene.things).await;
    scene.drain().await;
    scene.fill(&scene.parts).await;
    assert!(scene.queued("a").is_none(), "{} is not its part", part.metadata.name);
}

/// Who is given up, and who is taken on, both hear of it.
#[tokio::test]
async fn the_owner_before_and_the_owner_after_are_called() {
    let scene = Scene::new().await;
    scene.driver.owns(&scene.parts, Filter::all());
    let (a, b) = (scene.world.create("a", 1).await, scene.world.create("b", 1).await);
    let part = scene.part(&a, "wheel").await;
    scene.fill(&scene.things).await;
    scene.fill(&scene.parts).await;
    scene.drain().await;
    let owners = Object::<Part>::child_of(&b, "wheel", Part { weight: 1 }).metadata.owner_references;
    let parts = scene.world.resources.api::<Part>().unwrap();
    parts.patch("test", &part.metadata.name, |part| part.metadata.owner_references.clone_from(&owners)).await.unwrap();
    scene.reached(&scene.parts).await;
    let mut called: Vec<_> = scene.drain().await.into_iter().map(|(name, ..)| name).collect();
    called.sort();
    assert_eq!(called, ["a", "b"]);
}

/// A template that does not exist yet, and more than one page of those that wait for it.
#[tokio::test]
async fn what_is_referred_to_need_not_be_there_and_all_that_wait_are_called_when_it_comes() {
    let scene = Scene::new().await;
    scene.driver.refers_to(&scene.plans, Filter::specs(), plan_of);
    for number in 0..1_500 {
        scene.world.create(&format!("t{number}"), 1 + number % 3).await;
    }
    scene.fill(&scene.things).await;
    scene.fill(&scene.plans).await;
    assert_eq!(scene.drain().await.len(), 1_500);
    scene.plan("size-1").await;
    scene.reached(&scene.plans).await;
    let called = scene.drain().await;
    assert!(
        called.len() == 500 && called.iter().all(|(_, _, related)| related == &["plans/size-1"]),
        "{}",
        called.len()
    );
    let plans = scene.world.resources.api::<Plan>().unwrap();
    plans.patch_status("", "size-1", |plan| plan.status.note = "seen".into()).await.unwrap();
    scene.reached(&scene.plans).await;
    assert!(scene.drain().await.is_empty(), "the filter leaves its status out");
    plans.delete("", "size-1", &DeleteOptions::default()).await.unwrap();
    scene.reached(&scene.plans).await;
    assert_eq!(scene.drain().await.len(), 500, "and no filter can leave out that it went");
}

#[tokio::test]
async fn c12_it_does_not_matter_which_cache_is_filled_first() {
    for things_first in [true, false] {
        let scene = Scene::new().await;
        scene.driver.refers_to(&scene.plans, Filter::all(), plan_of);
        scene.driver.owns(&scene.parts, Filter::all());
        let thing = scene.world.create("a", 1).await;
        scene.part(&thing, "wheel").await;
        scene.plan("size-1").await;
        if things_first {
            scene.fill(&scene.things).await;
        }
        scene.fill(&scene.plans).await;
        scene.fill(&scene.parts).await;
        if !things_first {
            assert!(scene.queued("a").is_none(), "who is not known is not called");
            scene.fill(&scene.things).await;
        }
        assert!(scene.queued("a").unwrap().causes.contains(&Cause::Changed), "it is called when all are filled");
        assert_eq!(scene.drain().await.len(), 1);
    }
}

#[tokio::test]
async fn a_function_may_say_whom_a_change_concerns() {
    let scene = Scene::new().await;
    scene.driver.watches(&scene.plans, Filter::all(), |plan: &Object<Plan>| {
        assert!(plan.spec.steps < 100, "boom");
        let names = (0..plan.spec.steps).map(|number| format!("t{number}"));
        names.filter_map(|name| KeyOf::<Thing>::new("test", &name).ok()).collect::<Vec<_>>()
    });
    for name in ["t0", "t1", "t2"] {
        scene.world.create(name, 1).await;
    }
    scene.fill(&scene.things).await;
    scene.fill(&scene.plans).await;
    scene.drain().await;
    scene.plan("p").await;
    let plans = scene.world.resources.api::<Plan>().unwrap();
    for steps in [200, 2] {
        plans.patch("", "p", |plan| plan.spec.steps = steps).await.unwrap();
    }
    scene.reached(&scene.plans).await;
    let called: Vec<_> = scene.drain().await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(called, ["t0", "t1"], "also after it panicked");
}

/// Lessons 16 and 17, on a controller's own objects.
#[tokio::test]
async fn lesson_16_a_filter_leaves_out_updates_and_neither_deletions_nor_finalizers() {
    let scene = Scene::new().await;
    scene.driver.only(Filter::updates(|_| false));
    scene.fill(&scene.things).await;
    scene.world.create("a", 1).await;
    scene.reached(&scene.things).await;
    assert_eq!(scene.drain().await.len(), 1, "that it came");
    scene.world.resize("a", 2).await;
    scene.reached(&scene.things).await;
    assert!(scene.queued("a").is_none(), "a change that is filtered");
    let finalizer = |thing: &mut Object<Thing>| thing.metadata.finalizers.push("test.example.com/hold".into());
    scene.world.api().patch("test", "a", finalizer).await.unwrap();
    scene.reached(&scene.things).await;
    assert!(scene.queued("a").is_some(), "a finalizer");
    scene.drain().await;
    scene.world.delete("a").await;
    scene.reached(&scene.things).await;
    assert_eq!(scene.queued("a").unwrap().causes, [Cause::Deleting]);
}

#[tokio::test]
async fn what_was_given_up_is_tried_again_when_what_it_refers_to_has_another_spec() {
    let scene = Scene::new().await;
    scene.driver.refers_to(&scene.plans, Filter::all(), plan_of);
    scene.plan("size-13").await;
    scene.world.create("a", 13).await;
    scene.fill(&scene.things).await;
    scene.fill(&scene.plans).await;
    scene.drain().await;
    scene.reached(&scene.things).await;
    assert_eq!((scene.driver.parked(), scene.drain().await.len()), (1, 0));
    let plans = scene.world.resources.api::<Plan>().unwrap();
    plans.patch_status("", "size-13", |plan| plan.status.note = "seen".into()).await.unwrap();
    scene.reached(&scene.plans).await;
    assert!(scene.queued("a").is_none(), "its status is no help");
    plans.patch("", "size-13", |plan| plan.spec.steps = 9).await.unwrap();
    scene.reached(&scene.plans).await;
    assert_eq!(scene.queued("a").unwrap().related, [KeyOf::<Plan>::new("", "size-13").unwrap().into_key()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_fills_the_caches_of_all_kinds_that_lead_to_calls() {
    let world = World::new().await;
    let (calls, stop) = (Calls::default(), CancellationSource::new());
    let config = ManagerConfig::new(Mode::Single);
    let clocks = Clocks::same(Arc::new(SystemClock::new()));
    let mut manager = Manager::new(world.store.clone(), world.resources.clone(), clocks, config).await.unwrap();
    let builder = manager.controller::<Thing, _>(Listener(calls.clone()), ControllerConfig::default());
    let builder = builder.only(Filter::specs()).owns::<Part>(Filter::all()).unwrap();
    builder.refers_to::<Plan, _>(Filter::specs(), plan_of).unwrap().add().unwrap();
    let owner = world.create("a", 1).await;
    let story = async {
        until("the first call", || !calls.lock().unwrap().is_empty()).await;
        let part = Object::child_of(&owner, "wheel", Part { weight: 1 });
        let part = world.resources.api::<Part>().unwrap().create_child(&part).await.unwrap();
        let related =
            |name: String| move || calls.lock().unwrap().iter().any(|(_, _, related)| related.contains(&name));
        until("a call for the part", related.clone()(format!("parts/{}", part.metadata.name))).await;
        world.resources.api::<Plan>().unwrap().create(&Object::new("", "size-1", Plan { steps: 1 })).await.unwrap();
        until("a call for the plan", related("plans/size-1".into())).await;
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(manager.run(stop.token(), || ()), story);
    ran.unwrap();
    pause().await;
}

/// Who tells of a change that concerns very many is held up by the first few: the workers queue the others.
#[tokio::test]
async fn lesson_26_a_change_that_concerns_many_holds_up_nobody_and_all_are_called() {
    const MANY: usize = 3_500;
    let scene = Scene::new().await;
    for number in 0..MANY {
        scene.world.create(&format!("t{number}"), 1).await;
    }
    scene.fill(&scene.things).await;
    scene.fill(&scene.plans).await;
    scene.driver.refers_to(&scene.plans, Filter::all(), plan_of);
    assert_eq!(scene.drain().await.len(), MANY);
    for steps in [1, 2] {
        scene.calls.lock().unwrap().clear();
        match steps {
            1 => drop(scene.plan("size-1").await),
            _ => _ = scene.world.resources.api::<Plan>().unwrap().patch("", "size-1", |plan| plan.spec.steps = 9).await,
        }
        scene.reached(&scene.plans).await;
        assert_eq!(scene.driver.queue().len(), 1_000);
        let called = scene.drain().await;
        let names: std::collections::BTreeSet<_> = called.iter().map(|(name, ..)| name).collect();
        assert_eq!((called.len(), names.len()), (MANY, MANY));
    }
}

/// The same where an author's function names them: it is asked again for each thousand, and none of its keys is kept.
#[tokio::test]
async fn lesson_26_a_function_that_names_many_holds_up_nobody_and_all_are_called() {
    const MANY: usize = 3_500;
    let scene = Scene::new().await;
    for number in 0..MANY {
        scene.world.create(&format!("t{number}"), 1).await;
    }
    scene.fill(&scene.things).await;
    scene.fill(&scene.plans).await;
    scene.driver.watches(&scene.plans, Filter::all(), |plan: &Object<Plan>| {
        (0..plan.spec.steps)
            .filter_map(|number| KeyOf::<Thing>::new("test", &format!("t{number}")).ok())
            .collect::<Vec<_>>()
    });
    assert_eq!(scene.drain().await.len(), MANY);
    let plans = scene.world.resources.api::<Plan>().unwrap();
    let many = u32::try_from(MANY).unwrap();
    plans.create(&Object::new("", "p", Plan { steps: many })).await.unwrap();
    scene.reached(&scene.plans).await;
    assert_eq!(scene.driver.queue().len(), 1_000);
    let names = |called: &[(String, Vec<Cause>, Vec<String>)]| {
        called.iter().map(|(name, ..)| name.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    let called = scene.drain().await;
    assert_eq!((called.len(), names(&called).len()), (MANY, MANY));
    // Who is not named any more was so before; what changes once more before all are queued is seen by all of them.
    for steps in [2_000, 10] {
        plans.patch("", "p", |plan| plan.spec.steps = steps).await.unwrap();
    }
    scene.reached(&scene.plans).await;
    assert_eq!(scene.driver.queue().len(), 1_000);
    let called = scene.drain().await;
    assert_eq!(names(&called).len(), MANY);
    assert!(called.len() <= 2 * MANY, "{} calls", called.len());
}
