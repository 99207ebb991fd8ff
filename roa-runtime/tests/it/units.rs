//! Units of work: all writes of a reconcile happen, and only if nothing that it read has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Action, CacheReader, Caches, Context, Controller, Effect, EffectState, Error, Fence, Key, ListOptions, Object,
    ReconcileError, ResourceStore, Tenure, UnitOfWork,
};
use roa_runtime::{
    Cache, Clocks, ControllerConfig, ControllerDriver, RuntimeMetrics, StreamWatcher, SystemClock, Tasks,
};
use serde_json::json;

use crate::support::{Thing, World, soon, thing, until};

fn unit(world: &World) -> (Arc<UnitOfWork>, ResourceStore) {
    let unit = Arc::new(UnitOfWork::new());
    (Arc::clone(&unit), world.resources.clone().in_unit(unit))
}

async fn note(resources: &ResourceStore, name: &str, note: &str) -> roa_core::Result<Object<Thing>> {
    resources.api::<Thing>()?.patch_status("test", name, |thing| note.clone_into(&mut thing.status.note)).await
}

async fn noted(world: &World, name: &str) -> String {
    world.api().get("test", name).await.unwrap().status.note
}

fn key(world: &World, name: &str) -> Key {
    world.api().key("test", name).unwrap()
}

#[tokio::test]
async fn writes_are_held_back_and_done_in_one_revision() {
    let world = World::new().await;
    world.create("a", 1).await;
    let head = world.head().await;
    let (unit, resources) = unit(&world);
    let api = resources.api::<Thing>().unwrap();
    note(&resources, "a", "first").await.unwrap();
    api.patch("test", "a", |thing| thing.spec.size = 2).await.unwrap();
    note(&resources, "a", "second").await.unwrap();
    let seen = api.get("test", "a").await.unwrap();
    assert_eq!((seen.spec.size, seen.status.note.as_str(), seen.metadata.generation), (2, "second", 2), "inside");
    assert_eq!((noted(&world, "a").await.as_str(), world.head().await), ("", head), "outside");
    let committed = unit.commit(&resources).await.unwrap().unwrap();
    assert_eq!(committed.get(), head.get() + 1);
    let after = world.api().get("test", "a").await.unwrap();
    assert_eq!((after.spec.size, after.status.note.as_str(), after.metadata.generation), (2, "second", 2));
}

/// A process whose time is over, as far as it can tell by itself.
#[derive(Debug)]
struct Over;

impl Tenure for Over {
    fn is_current(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn l4_nothing_is_sent_past_the_deadline_neither_a_unit_nor_an_effect() {
    let world = World::new().await;
    world.create("a", 1).await;
    let head = world.head().await;
    let unit = Arc::new(UnitOfWork::new());
    let lapsed = world.resources.clone().during(Arc::new(Over));
    note(&lapsed.clone().in_unit(Arc::clone(&unit)), "a", "late").await.unwrap();
    let late = unit.commit(&lapsed).await;
    assert!(matches!(late, Err(Error::Fenced(Fence::Lapsed))), "{late:?}");
    let late = lapsed.effect("mail", "1", &json!({})).await;
    assert!(matches!(late, Err(Error::Fenced(Fence::Lapsed))), "{late:?}");
    assert_eq!((noted(&world, "a").await.as_str(), world.head().await), ("", head));
}

#[tokio::test]
async fn what_only_reads_commits_nothing() {
    let world = World::new().await;
    world.create("a", 1).await;
    let (unit, resources) = unit(&world);
    resources.api::<Thing>().unwrap().get("test", "a").await.unwrap();
    let unchanged = resources.api::<Thing>().unwrap().patch("test", "a", |thing| thing.spec.size = 1).await.unwrap();
    assert_eq!((unchanged.spec.size, unit.commit(&resources).await.unwrap()), (1, None));
}

/// Write skew: each reads both and writes one, which compare-and-swap of what is written alone would let through.
#[tokio::test]
async fn a_read_that_is_no_longer_so_refuses_all_writes() {
    let world = World::new().await;
    world.create("a", 1).await;
    world.create("b", 1).await;
    let (first, second) = (unit(&world), unit(&world));
    for (resources, name) in [(&first.1, "a"), (&second.1, "b")] {
        let api = resources.api::<Thing>().unwrap();
        let sum = api.get("test", "a").await.unwrap().spec.size + api.get("test", "b").await.unwrap().spec.size;
        assert_eq!(sum, 2);
        note(resources, name, "mine").await.unwrap();
    }
    assert!(first.0.commit(&first.1).await.unwrap().is_some());
    let refused = second.0.commit(&second.1).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict { key, .. } if key.name() == "a"), "{refused}");
    assert_eq!(noted(&world, "b").await, "");
}

#[tokio::test]
async fn what_was_found_absent_must_still_be_absent() {
    let world = World::new().await;
    world.create("a", 1).await;
    let (unit, resources) = unit(&world);
    let api = resources.api::<Thing>().unwrap();
    assert!(api.find(&key(&world, "b")).await.unwrap().is_none());
    note(&resources, "a", "b is not there").await.unwrap();
    world.create("b", 1).await;
    assert!(api.find(&key(&world, "b")).await.unwrap().is_none(), "a unit reads each object once");
    assert!(matches!(unit.commit(&resources).await, Err(Error::Conflict { .. })));
    assert_eq!(noted(&world, "a").await, "");
}

#[tokio::test]
async fn objects_come_and_go_within_a_unit() {
    let world = World::new().await;
    let (unit, resources) = unit(&world);
    let (api, options) = (resources.api::<Thing>().unwrap(), DeleteOptions::default());
    let created = api.create(&thing("a", 1)).await.unwrap();
    assert_eq!(api.get("test", "a").await.unwrap().metadata.uid, created.metadata.uid);
    assert!(matches!(api.create(&thing("a", 2)).await, Err(Error::AlreadyExists { .. })));
    note(&resources, "a", "new").await.unwrap();
    let second = api.create(&thing("b", 1)).await.unwrap_err();
    assert!(second.to_string().contains("at most one object of each kind"), "{second}");
    assert!(unit.commit(&resources).await.unwrap().is_some());
    assert_eq!(noted(&world, "a").await, "new");

    let (unit, resources) = self::unit(&world);
    let api = resources.api::<Thing>().unwrap();
    api.delete("test", "a", &options).await.unwrap();
    assert!(api.find(&key(&world, "a")).await.unwrap().is_none());
    assert!(matches!(api.create(&thing("a", 1)).await, Err(Error::Invalid { .. })), "one life or the other");
    assert!(unit.commit(&resources).await.unwrap().is_some());
    assert!(world.api().get("test", "a").await.is_err());

    let (unit, resources) = self::unit(&world);
    let api = resources.api::<Thing>().unwrap();
    api.create(&thing("c", 1)).await.unwrap();
    api.delete("test", "c", &options).await.unwrap();
    assert_eq!(unit.commit(&resources).await.unwrap(), None, "what came and went was never there");
}

#[tokio::test]
async fn a_list_is_a_typed_error_also_through_a_cache() {
    let world = World::new().await;
    world.create("a", 1).await;
    let (unit, resources) = unit(&world);
    let refused = resources.api::<Thing>().unwrap().list(&ListOptions::everywhere()).await.unwrap_err();
    assert!(matches!(refused, Error::ListInUnit { .. }), "{refused}");
    note(&resources, "a", "x").await.unwrap();
    let cache: Arc<dyn CacheReader<Object<Thing>>> = Arc::new(Cache::<Object<Thing>>::new());
    let cx = Context::new("doer", resources).with_caches(Caches::default().with(cache));
    cx.cache::<Thing>().unwrap().list(None);
    assert!(matches!(unit.commit(cx.resources()).await, Err(Error::ListInUnit { .. })));
    assert_eq!(noted(&world, "a").await, "");
}

#[tokio::test]
async fn what_a_cache_showed_is_guarded_too_and_must_agree_with_the_store() {
    let world = World::new().await;
    let shown = world.create("a", 1).await;
    world.create("b", 1).await;
    let (unit, resources) = unit(&world);
    unit.note(&key(&world, "a"), shown.metadata.resource_version);
    world.resize("a", 2).await;
    let stale = resources.api::<Thing>().unwrap().get("test", "a").await.unwrap_err();
    assert!(matches!(stale, Error::Conflict { .. }), "{stale}");
    note(&resources, "b", "x").await.unwrap();
    assert!(matches!(unit.commit(&resources).await, Err(Error::Conflict { .. })));
}

#[tokio::test]
async fn an_effect_is_asked_for_once_however_often() {
    let world = World::new().await;
    let ask = async |request| world.resources.effect("mail", "one", &json!({"to": request})).await;
    assert_eq!(ask("ann").await.unwrap(), EffectState::Pending);
    let head = world.head().await;
    assert_eq!((ask("ann").await.unwrap(), world.head().await), (EffectState::Pending, head));
    assert!(matches!(ask("bob").await, Err(Error::Invalid { .. })), "an id stands for one effect");
    let entry = world.store.get(&Key::system("outbox", "mail/one").unwrap()).await.unwrap().entry.unwrap();
    let effect = Effect::decode(&entry).unwrap();
    world.resources.settle_effect(&effect, EffectState::Done(json!(7))).await.unwrap();
    assert_eq!(ask("ann").await.unwrap(), EffectState::Done(json!(7)));
    let late = world.resources.settle_effect(&effect, EffectState::Done(json!(8))).await;
    assert!(matches!(late, Err(Error::Conflict { .. })));
}

/// Asks for an effect, and notes the generation, for each generation.
struct Asker {
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Controller for Asker {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "asker"
    }

    fn finalizer(&self) -> Option<&str> {
        Some("test.example.com/asker")
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if thing.status.observed_generation == thing.metadata.generation {
            return Ok(Action::Done);
        }
        let id = format!("{}.{}", thing.metadata.uid, thing.metadata.generation);
        cx.resources().effect("mail", &id, &json!(thing.spec.size)).await?;
        let mut next = (*thing).clone();
        next.status.observed_generation = thing.metadata.generation;
        tokio::task::yield_now().await;
        cx.api::<Thing>()?.update_status(&next).await?;
        Ok(Action::Done)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_controller_writes_its_status_and_asks_for_its_effects_in_one_commit() {
    let world = World::new().await;
    let begin = world.head().await;
    let (cache, calls, io) = (Cache::new(), Arc::new(AtomicUsize::new(0)), Arc::new(SystemClock::new()));
    let config = ControllerConfig { workers: 2, transactional: true, ..ControllerConfig::default() };
    let (cx, metrics) = (Context::new("asker", world.resources.clone()), RuntimeMetrics::unregistered().of("asker"));
    let asker = Asker { calls: Arc::clone(&calls) };
    let driver = ControllerDriver::new(asker, cache.clone(), cx, config, Clocks::same(io), metrics);
    let (tasks, watcher) = (Tasks::new("test", 3), StreamWatcher::new(world.hub.clone(), world.selection()));
    tasks.spawn("cache", async move { cache.run(&watcher, &SystemClock::new()).await }).unwrap();
    for _ in 0..2 {
        let driver = driver.clone();
        tasks.spawn("worker", async move { driver.work(roa_core::Cancellation::never()).await }).unwrap();
    }
    for name in ["a", "b"] {
        world.create(name, 1).await;
    }
    for size in 100..130 {
        world.resize("a", size).await;
        world.resize("b", size).await;
    }
    soon("all is observed", async {
        for name in ["a", "b"] {
            while !settled(&world, name).await {
                crate::support::pause().await;
            }
        }
    })
    .await;
    world.delete("a").await;
    soon("it goes", async {
        while world.api().get("test", "a").await.is_ok() {
            crate::support::pause().await;
        }
    })
    .await;
    until("calls", || calls.load(Ordering::SeqCst) > 2).await;
    assert_one_commit_for_both(&world, begin).await;
}

async fn settled(world: &World, name: &str) -> bool {
    let thing = world.api().get("test", name).await.unwrap();
    thing.status.observed_generation == thing.metadata.generation
}

/// In each revision: a generation is observed if, and only if, its effect is asked for.
async fn assert_one_commit_for_both(world: &World, begin: roa_core::Revision) {
    let (mut tail, head) = (world.store.tail(begin).await.unwrap(), world.head().await);
    let (mut seen, mut both) = (begin, 0);
    while seen < head {
        for batch in soon("the log", tail.next()).await.unwrap().unwrap() {
            seen = batch.revision;
            let asked = batch.changes.iter().filter(|change| change.key().is_system()).count();
            let observed = batch.changes.iter().filter(|change| {
                let of = |entry: Option<&Arc<roa_core::Entry>>| {
                    entry
                        .and_then(|entry| entry.object().ok()?.to_dynamic().ok())
                        .map(|object| object.observed_generation())
                };
                change.current().is_some() && of(change.previous()).unwrap_or(0) != of(change.current()).unwrap_or(0)
            });
            let observed = observed.count();
            assert_eq!(observed, asked, "{batch:?}");
            both += asked;
        }
    }
    assert!(both >= 2);
}
