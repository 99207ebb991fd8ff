//! Namespaces (D9): created with the first write, closed by their deletion, gone when empty.

use std::sync::Arc;
use std::time::Duration;

use roa_core::lifecycle::{DeleteOptions, FieldValidation, NAME_LABEL};
use roa_core::{
    Cancellation, CancellationSource, ConditionStatus, Context, Error, Expect, Key, KindRegistry, ListOptions,
    Namespace, Object, ResourceStore, SystemRandom, Txn, TxnId, UnitOfWork, Value, namespace_kind,
};
use roa_runtime::{
    Clocks, ControllerConfig, EventRecorder, EventRecorderConfig, Manager, ManagerConfig, Mode, NamespaceController,
    Runnable, RuntimeMetrics, SystemClock, Tasks, event_kind,
};

use crate::support::{Thing, World, soon, thing, until};

/// What another process has over the same store.
fn resources(world: &World) -> ResourceStore {
    let kinds = KindRegistry::new().with::<Thing>().with_kind(event_kind()).with_kind(namespace_kind());
    ResourceStore::new(
        world.store.clone(),
        Arc::new(kinds),
        Arc::new(SystemClock::new()),
        Arc::new(SystemRandom),
        "test",
    )
}

async fn namespace(resources: &ResourceStore, name: &str) -> Option<Object<Namespace>> {
    let api = resources.api::<Namespace>().unwrap();
    api.find(&api.key("", name).unwrap()).await.unwrap()
}

async fn create(resources: &ResourceStore, name: &str) -> Result<Object<Thing>, Error> {
    resources.api::<Thing>().unwrap().create(&thing(name, 1)).await
}

async fn delete_namespace(resources: &ResourceStore, name: &str) {
    resources.api::<Namespace>().unwrap().delete("", name, &DeleteOptions::default()).await.unwrap();
}

/// A manager that runs the controller of namespaces alone.
struct Emptying {
    tasks: Tasks,
    stop: CancellationSource,
}

impl Emptying {
    async fn start(world: &World) -> Self {
        let config = ManagerConfig::new(Mode::Single);
        let clocks = Clocks::same(Arc::new(SystemClock::new()));
        let mut manager = Manager::new(world.store.clone(), resources(world), clocks, config).await.unwrap();
        manager.add_controller::<Namespace, _>(NamespaceController::new(), ControllerConfig::default()).unwrap();
        let (tasks, stop) = (Tasks::new("test", 1), CancellationSource::new());
        let token: Cancellation = stop.token();
        tasks.spawn_draining("manager", move |_| async move { manager.run(token, || {}).await.unwrap() }).unwrap();
        Self { tasks, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        assert!(self.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await.is_empty());
    }
}

async fn is_gone(resources: &ResourceStore, name: &str) {
    soon("the namespace goes", async {
        while namespace(resources, name).await.is_some() {
            crate::support::pause().await;
        }
    })
    .await;
}

#[tokio::test]
async fn d9_a_namespace_is_created_with_the_first_write_into_it() {
    let world = World::new().await;
    let resources = resources(&world);
    create(&resources, "a").await.unwrap();
    let test = namespace(&resources, "test").await.expect("it is there");
    assert_eq!((test.status.phase.as_str(), test.metadata.labels[NAME_LABEL].as_str()), ("Active", "test"));
    let before = world.head().await;
    create(&resources, "b").await.unwrap();
    assert_eq!(world.head().await.get(), before.get() + 1, "the second write is one commit");
}

#[tokio::test]
async fn d9_where_namespaces_are_strict_one_that_is_absent_is_not_found_but_for_the_default() {
    let world = World::new().await;
    let resources = resources(&world).strict_namespaces();
    let error = create(&resources, "a").await.unwrap_err();
    assert!(
        matches!(&error, Error::NotFound { key } if key.resource() == "namespaces" && key.name() == "test"),
        "{error}"
    );
    let things = resources.api::<Thing>().unwrap();
    things.create(&Object::new("default", "a", Thing { size: 1 })).await.unwrap();
    resources.api::<Namespace>().unwrap().create(&Object::new("", "test", Namespace::default())).await.unwrap();
    create(&resources, "a").await.unwrap();
}

#[tokio::test]
async fn d9_nothing_is_created_in_a_namespace_that_another_process_deleted() {
    let world = World::new().await;
    let (one, other) = (resources(&world), resources(&world));
    create(&one, "a").await.unwrap();
    delete_namespace(&other, "test").await;
    let head = world.head().await;
    for resources in [&one, &other] {
        let error = create(resources, "late").await.unwrap_err();
        assert!(matches!(&error, Error::NamespaceTerminating { namespace } if &**namespace == "test"), "{error}");
    }
    assert_eq!(world.head().await, head);
    one.api::<Thing>()
        .unwrap()
        .patch("test", "a", |thing| thing.spec.size = 2)
        .await
        .expect("what is there may change");
}

#[tokio::test]
async fn d9_what_was_known_of_a_namespace_is_looked_up_when_it_changed() {
    let world = World::new().await;
    let (one, other) = (resources(&world), resources(&world));
    create(&one, "a").await.unwrap();
    let label = |namespace: &mut Object<Namespace>| _ = namespace.metadata.labels.insert("team".into(), "red".into());
    other.api::<Namespace>().unwrap().patch("", "test", label).await.unwrap();
    create(&one, "b").await.expect("a label closes nothing");
}

#[tokio::test]
async fn d9_a_unit_of_work_that_creates_in_a_namespace_guards_it() {
    let world = World::new().await;
    let (one, other) = (resources(&world), resources(&world));
    create(&one, "a").await.unwrap();
    let unit = Arc::new(UnitOfWork::new());
    create(&one.clone().in_unit(unit.clone()), "late").await.unwrap();
    delete_namespace(&other, "test").await;
    let error = unit.commit(&one).await.unwrap_err();
    assert!(matches!(&error, Error::Conflict { key, .. } if key.name() == "test"), "{error}");
    let unit = Arc::new(UnitOfWork::new());
    let error = create(&one.clone().in_unit(unit), "late").await.unwrap_err();
    assert!(matches!(error, Error::NamespaceTerminating { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d9_a_deleted_namespace_is_emptied_and_goes_only_when_nothing_is_left() {
    let world = World::new().await;
    let (resources, emptying) = (resources(&world), Emptying::start(&world).await);
    for number in 0..50 {
        create(&resources, &format!("thing-{number}")).await.unwrap();
    }
    let hold = |thing: &mut Object<Thing>| thing.metadata.finalizers.push("test.example.com/held".into());
    let things = resources.api::<Thing>().unwrap();
    things.patch("test", "thing-7", hold).await.unwrap();
    delete_namespace(&resources, "test").await;
    soon("it says what it waits for", async {
        loop {
            let waits = namespace(&resources, "test").await.expect("it is not empty");
            let condition = waits.status.conditions.get("NamespaceFinalizersRemaining").cloned();
            let left = things.list(&ListOptions::namespace("test")).await.unwrap().0;
            if condition.is_some_and(|it| it.status == ConditionStatus::True && it.message.contains("held on 1"))
                && left.len() == 1
            {
                return;
            }
            crate::support::pause().await;
        }
    })
    .await;
    things.patch("test", "thing-7", |thing| thing.metadata.finalizers.clear()).await.unwrap();
    is_gone(&resources, "test").await;
    create(&resources, "again").await.expect("a new namespace of that name");
    emptying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d9_creations_that_race_with_the_deletion_are_deleted_or_refused() {
    let world = World::new().await;
    let emptying = Emptying::start(&world).await;
    let tasks = Tasks::new("creators", 4);
    for creator in 0..4 {
        let resources = resources(&world);
        tasks
            .spawn(format!("creator {creator}"), async move {
                for number in 0.. {
                    match create(&resources, &format!("t-{creator}-{number}")).await {
                        // The memory store never waits: others must have their turn.
                        Ok(_) => crate::support::pause().await,
                        Err(Error::NamespaceTerminating { .. }) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
            .unwrap();
    }
    let resources = resources(&world);
    let things = resources.api::<Thing>().unwrap();
    soon("a few are there", async {
        while things.find(&things.key("test", "t-0-20").unwrap()).await.unwrap().is_none() {
            crate::support::pause().await;
        }
    })
    .await;
    delete_namespace(&resources, "test").await;
    until("all creators are refused", || tasks.is_empty()).await;
    is_gone(&resources, "test").await;
    assert!(things.list(&ListOptions::everywhere()).await.unwrap().0.is_empty());
    emptying.stop().await;
}

#[tokio::test]
async fn d9_a_namespace_with_something_in_it_is_not_finalized_whoever_asks() {
    let world = World::new().await;
    let resources = resources(&world);
    create(&resources, "a").await.unwrap();
    assert!(matches!(resources.finalize_namespace("test").await, Err(Error::Invalid { .. })), "it is active");
    delete_namespace(&resources, "test").await;
    let left = resources.finalize_namespace("test").await.unwrap();
    assert_eq!((&*left.objects[0].0.plural, left.objects[0].1), ("things", 1));
    let mut stripped = resources.get(&Key::new("", "namespaces", "", "test").unwrap()).await.unwrap();
    stripped.metadata.finalizers.clear();
    resources.update(stripped, FieldValidation::Ignore).await.unwrap();
    assert!(namespace(&resources, "test").await.is_some(), "no update takes the finalizer off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d9_events_of_what_went_with_a_namespace_do_not_bring_it_back() {
    let world = World::new().await;
    let (resources, metrics) = (resources(&world), RuntimeMetrics::unregistered());
    let config = EventRecorderConfig { flush_interval: Duration::from_millis(1), ..EventRecorderConfig::default() };
    let recorder = Arc::new(EventRecorder::new(config, Arc::new(SystemClock::new()), &metrics));
    let (tasks, stop) = (Tasks::new("test", 1), CancellationSource::new());
    let cx = Context::new("event-recorder", resources.clone()).with_cancellation(stop.token());
    let running = recorder.clone();
    tasks.spawn("recorder", async move { running.run_in_each(&cx).await }).unwrap();
    let (gone, doer) = (thing("a", 1), Context::new("doer", resources.clone()).with_events(recorder));
    let key = resources.api::<Thing>().unwrap().key("test", "a").unwrap();
    doer.note(key, &gone.metadata, "Deleted", "");
    until("it is dropped", || metrics.event_count("dropped") == 1).await;
    assert!(namespace(&resources, "test").await.is_none());
    let key = resources.api::<Namespace>().unwrap().key("", "test").unwrap();
    doer.note(key, &gone.metadata, "Gone", "events of cluster-scoped objects are in `default`");
    until("it is written", || metrics.event_count("written") == 1).await;
    tasks.shutdown(&SystemClock::new(), Duration::from_secs(1)).await;
}

/// The guard is what closes the gap between looking and committing: a store that takes the creation without it does not
/// know of the deletion.
#[tokio::test]
async fn d9_the_creation_itself_carries_the_guard() {
    let world = World::new().await;
    let resources = resources(&world);
    create(&resources, "a").await.unwrap();
    let active = namespace(&resources, "test").await.unwrap().metadata.resource_version.unwrap();
    delete_namespace(&resources, "test").await;
    let key = resources.api::<Thing>().unwrap().key("test", "late").unwrap();
    let namespaces = Key::new("", "namespaces", "", "test").unwrap();
    let txn = Txn::new(TxnId::random(&SystemRandom), "test").create(key, Value::opaque("x"));
    let refused = world.store.commit(txn.guard(namespaces, Expect::At(active))).await;
    assert!(refused.is_err());
}
