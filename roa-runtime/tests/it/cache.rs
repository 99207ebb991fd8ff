//! The cache: what it shows is always true at its revision, and it never goes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    CacheReader, Clock, Error, Index, Key, ManualClock, Object, Random, RandomExt, Result, Revision, SeededRandom,
    Start, Timestamp, Txn, TxnId, Value, WatchStream, Watcher,
};
use roa_runtime::{Cache, CacheListener, HubConfig, StreamWatcher, SystemClock, Tasks, Tombstone};
use roa_store_memory::MemoryConfig;

use crate::support::{Thing, World, soon, until};

/// What a listener was told: name, size before, size after.
type Told = Arc<Mutex<Vec<(String, Option<u32>, Option<u32>)>>>;

/// When things went: name, and the revision if that was seen.
type Tombstones = Arc<Mutex<Vec<(String, Option<Revision>)>>>;

const BY_SIZE: Index<Object<Thing>> = Index::new("size", |thing, value| value(&thing.spec.size.to_string()));

struct Listener(Told, Tombstones);

impl CacheListener<Object<Thing>> for Listener {
    fn changed(&self, key: &Key, before: Option<&Arc<Object<Thing>>>, after: Option<&Arc<Object<Thing>>>) {
        let size = |thing: Option<&Arc<Object<Thing>>>| thing.map(|thing| thing.spec.size);
        self.0.lock().unwrap().push((key.name().to_owned(), size(before), size(after)));
    }

    fn gone(&self, key: &Key, tombstone: &Tombstone<Object<Thing>>) {
        self.1.lock().unwrap().push((key.name().to_owned(), tombstone.revision));
        self.changed(key, Some(&tombstone.last), None);
    }
}

/// A watcher that can be made to fail, as a store that does not answer.
struct Flaky {
    inner: StreamWatcher<Object<Thing>>,
    down: Arc<AtomicBool>,
}

#[async_trait]
impl Watcher<Object<Thing>> for Flaky {
    async fn watch(&self, start: Start) -> Result<WatchStream<Object<Thing>>> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::unavailable("it is down"));
        }
        self.inner.watch(start).await
    }
}

struct Running {
    cache: Cache<Object<Thing>>,
    told: Told,
    tombstones: Tombstones,
    down: Arc<AtomicBool>,
    tasks: Tasks,
}

fn run(world: &World) -> Running {
    let (cache, down) = (Cache::new(), Arc::new(AtomicBool::new(false)));
    let (told, tombstones) = (Told::default(), Tombstones::default());
    cache.listen(Arc::new(Listener(told.clone(), tombstones.clone())));
    cache.index(BY_SIZE);
    let watcher = Flaky { inner: StreamWatcher::new(world.hub.clone(), world.selection()), down: down.clone() };
    let tasks = Tasks::new("test", 1);
    let fed = cache.clone();
    tasks.spawn("cache", async move { fed.run(&watcher, &SystemClock::new()).await }).unwrap();
    Running { cache, told, tombstones, down, tasks }
}

impl Running {
    async fn reaches_head(&self, world: &World) {
        let head = world.head().await;
        let clock = SystemClock::new();
        let deadline = clock.monotonic() + Duration::from_secs(10);
        self.cache.wait_for(head, &clock, deadline).await.unwrap();
    }

    /// What happens in `change` is not watched: the history breaks before, and is listed anew after it.
    async fn unwatched(&self, world: &World, change: impl AsyncFnOnce()) {
        self.down.store(true, Ordering::SeqCst);
        let state = world.store.state().await.unwrap();
        world.store.fence(state.epoch, state.head).await.unwrap();
        until("the watch has ended", || world.hub.watchers() == 0).await;
        change().await;
        self.down.store(false, Ordering::SeqCst);
        self.reaches_head(world).await;
    }

    fn take(&self) -> Vec<(String, Option<u32>, Option<u32>)> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[tokio::test]
async fn c1_c3_the_cache_is_the_fold_of_the_list_and_the_events() {
    let world = World::new().await;
    world.create("a", 1).await;
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    assert_eq!(running.take(), [("a".into(), None, Some(1))], "listeners know the list before the cache is synced");
    world.resize("a", 2).await;
    world.create("b", 3).await;
    world.delete("a").await;
    running.reaches_head(&world).await;
    let expected = [("a".into(), Some(1), Some(2)), ("b".into(), None, Some(3)), ("a".into(), Some(2), None)];
    assert_eq!(running.take(), expected);
    let names: Vec<_> = running.cache.list(Some("test")).iter().map(|thing| thing.metadata.name.clone()).collect();
    assert_eq!((names, running.cache.list(Some("other")).len()), (vec!["b".to_owned()], 0));
    running.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await;
}

#[tokio::test]
async fn c10_a_reader_can_wait_for_what_it_wrote() {
    let world = World::new().await;
    let running = run(&world);
    let clock = SystemClock::new();
    for size in 0..50 {
        let written = world.create(&format!("t{size}"), size).await;
        let deadline = clock.monotonic() + Duration::from_secs(10);
        running.cache.wait_for(written.metadata.resource_version.unwrap(), &clock, deadline).await.unwrap();
        let key = world.api().key("test", &written.metadata.name).unwrap();
        assert_eq!(running.cache.get(&key).unwrap().spec.size, size);
    }
    let future = world.head().await.next().unwrap();
    let never = running.cache.wait_for(future, &clock, clock.monotonic() + Duration::from_millis(20)).await;
    assert!(matches!(never, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn c2_after_a_break_of_the_history_the_difference_is_told_and_nothing_else() {
    let world = World::new().await;
    for name in ["same", "gone", "changed"] {
        world.create(name, 1).await;
    }
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    running.reaches_head(&world).await;
    running.take();
    running.down.store(true, Ordering::SeqCst);
    let state = world.store.state().await.unwrap();
    world.store.fence(state.epoch, state.head).await.unwrap();
    world.delete("gone").await;
    world.resize("changed", 2).await;
    world.create("new", 3).await;
    running.down.store(false, Ordering::SeqCst);
    running.reaches_head(&world).await;
    let mut told = running.take();
    told.sort();
    let expected =
        [("changed".into(), Some(1), Some(2)), ("gone".into(), Some(1), None), ("new".into(), None, Some(3))];
    assert_eq!(told, expected, "an object that did not change is not told of");
    assert_eq!(running.cache.relists(), 2);
}

#[tokio::test]
async fn lesson_21_a_store_that_does_not_answer_deletes_nothing() {
    let world = World::new().await;
    world.create("a", 1).await;
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    running.take();
    running.down.store(true, Ordering::SeqCst);
    let state = world.store.state().await.unwrap();
    world.store.fence(state.epoch, state.head).await.unwrap();
    until("the watch has ended", || world.hub.watchers() == 0).await;
    assert_eq!((running.take(), running.cache.len()), (vec![], 1));
    running.down.store(false, Ordering::SeqCst);
    running.reaches_head(&world).await;
    assert_eq!((running.take(), running.cache.len()), (vec![], 1));
}

#[tokio::test]
async fn t20_an_object_that_cannot_be_read_is_neither_there_nor_gone() {
    let world = World::new().await;
    let created = world.create("a", 1).await;
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    running.take();
    let key = world.api().key("test", "a").unwrap();
    poison(&world, &key, created.metadata.resource_version.unwrap()).await;
    running.reaches_head(&world).await;
    assert!(running.take().is_empty() && running.cache.get(&key).is_none());
    assert_eq!(running.cache.unreadable()[0].0, key);
    assert!(running.cache.by_index(&BY_SIZE, "1").is_empty(), "what is not there is not found");
}

async fn poison(world: &World, key: &Key, at: Revision) -> Revision {
    let txn = Txn::new(TxnId::random(&roa_core::SystemRandom), "poisoner");
    let broken = Value::json("{\"metadata\":{\"name\":\"a\"}}");
    world.store.commit(txn.update(key.clone(), broken, at)).await.unwrap()
}

#[tokio::test]
async fn c2_what_could_not_be_read_when_it_went_leaves_what_was_last_known_of_it() {
    let world = World::new().await;
    let created = world.create("a", 7).await;
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    let key = world.api().key("test", "a").unwrap();
    let poisoned = poison(&world, &key, created.metadata.resource_version.unwrap()).await;
    let txn = Txn::new(TxnId::random(&roa_core::SystemRandom), "remover");
    let removed = world.store.commit(txn.delete(key, poisoned)).await.unwrap();
    running.reaches_head(&world).await;
    assert_eq!(running.take(), [("a".into(), None, Some(7)), ("a".into(), Some(7), None)]);
    assert_eq!(*running.tombstones.lock().unwrap(), [("a".into(), Some(removed))]);
    assert!(running.cache.unreadable().is_empty());
}

#[tokio::test]
async fn d5_c2_another_object_of_the_same_name_comes_after_the_first_has_gone() {
    let world = World::new().await;
    world.create("a", 1).await;
    world.create("stays", 1).await;
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    running.take();
    running
        .unwatched(&world, async || {
            world.delete("a").await;
            world.create("a", 1).await;
        })
        .await;
    assert_eq!(running.take(), [("a".into(), Some(1), None), ("a".into(), None, Some(1))]);
    assert_eq!(*running.tombstones.lock().unwrap(), [("a".into(), None)], "that it went was not seen");
    assert_eq!(running.cache.by_index(&BY_SIZE, "1").len(), 2);
}

/// Objects come, change and go, watched or not, with a list of small pages in between: what an index answers is what a
/// look at all objects answers, and that is what the store has.
#[tokio::test]
async fn c1_c2_an_index_is_exact_through_changes_and_lists() {
    let hub = HubConfig { page_size: 3, ..HubConfig::default() };
    let world = World::with(MemoryConfig::default(), hub).await;
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    let random = SeededRandom::new(7);
    for round in 0..12 {
        match round % 3 {
            2 => running.unwatched(&world, async || change_some(&world, &random).await).await,
            _ => change_some(&world, &random).await,
        }
        running.reaches_head(&world).await;
        let (stored, _) = world.api().list(&roa_core::ListOptions::everywhere()).await.unwrap();
        for size in 0..4 {
            let expected: Vec<_> = stored.iter().filter(|thing| thing.spec.size == size).cloned().collect();
            let found = running.cache.by_index(&BY_SIZE, &size.to_string());
            assert_eq!(found.iter().map(|thing| (**thing).clone()).collect::<Vec<_>>(), expected, "round {round}");
        }
    }
    assert!(running.cache.relists() > 3);
}

async fn change_some(world: &World, random: &dyn Random) {
    for _ in 0..20 {
        let (name, size) = (format!("t{}", random.below(12)), u32::try_from(random.below(4)).unwrap());
        let there = world.api().get("test", &name).await.is_ok();
        match random.below(3) {
            0 if there => world.delete(&name).await,
            _ if there => _ = world.resize(&name, size).await,
            _ => _ = world.create(&name, size).await,
        }
    }
}

#[tokio::test]
async fn an_index_that_is_added_late_or_not_at_all_answers_the_same() {
    let world = World::new().await;
    for (name, size) in [("a", 1), ("b", 2), ("c", 1)] {
        world.create(name, size).await;
    }
    let running = run(&world);
    soon("synced", running.cache.synced()).await;
    let parity =
        Index::<Object<Thing>>::new("parity", |thing, value| value(["even", "odd"][thing.spec.size as usize % 2]));
    let odd =
        || running.cache.by_index(&parity, "odd").iter().map(|thing| thing.metadata.name.clone()).collect::<Vec<_>>();
    assert_eq!(odd(), ["a", "c"]);
    running.cache.index(parity);
    world.delete("a").await;
    running.reaches_head(&world).await;
    assert_eq!(odd(), ["c"]);
}

/// Lesson 18: that nothing is heard any more can be read.
#[tokio::test]
async fn lesson_18_how_long_nothing_was_heard_can_be_read() {
    let world = World::new().await;
    world.create("a", 1).await;
    let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
    let cache = Cache::<Object<Thing>>::new();
    let (tasks, fed, time) = (Tasks::new("test", 1), cache.clone(), clock.clone());
    let watcher = StreamWatcher::new(world.hub.clone(), world.selection());
    assert_eq!(cache.staleness(clock.monotonic()), None);
    tasks.spawn("cache", async move { fed.run(&watcher, &time).await }).unwrap();
    soon("synced", cache.synced()).await;
    clock.advance(Duration::from_secs(90));
    assert_eq!(cache.staleness(clock.monotonic()), Some(Duration::from_secs(90)));
    world.create("b", 2).await;
    until("it heard of that", || cache.staleness(clock.monotonic()) == Some(Duration::ZERO)).await;
}
