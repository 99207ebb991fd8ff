//! The cache: what it shows is always true at its revision, and it never goes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{CacheReader, Clock, Error, Key, Object, Result, Start, WatchStream, Watcher};
use roa_runtime::{Cache, CacheListener, StreamWatcher, SystemClock, Tasks};

use crate::support::{Thing, World, soon, until};

/// What a listener was told: name, size before, size after.
type Told = Arc<Mutex<Vec<(String, Option<u32>, Option<u32>)>>>;

struct Listener(Told);

impl CacheListener<Object<Thing>> for Listener {
    fn changed(&self, key: &Key, before: Option<&Arc<Object<Thing>>>, after: Option<&Arc<Object<Thing>>>) {
        let size = |thing: Option<&Arc<Object<Thing>>>| thing.map(|thing| thing.spec.size);
        self.0.lock().unwrap().push((key.name().to_owned(), size(before), size(after)));
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
    down: Arc<AtomicBool>,
    tasks: Tasks,
}

fn run(world: &World) -> Running {
    let (cache, told, down) = (Cache::new(), Told::default(), Arc::new(AtomicBool::new(false)));
    cache.listen(Arc::new(Listener(told.clone())));
    let watcher = Flaky { inner: StreamWatcher::new(world.hub.clone(), world.selection()), down: down.clone() };
    let tasks = Tasks::new("test", 1);
    let fed = cache.clone();
    tasks.spawn("cache", async move { fed.run(&watcher, &SystemClock::new()).await }).unwrap();
    Running { cache, told, down, tasks }
}

impl Running {
    async fn reaches_head(&self, world: &World) {
        let head = world.head().await;
        let clock = SystemClock::new();
        let deadline = clock.monotonic() + Duration::from_secs(10);
        self.cache.wait_for(head, &clock, deadline).await.unwrap();
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
    let txn = roa_core::Txn::new(roa_core::TxnId::random(&roa_core::SystemRandom), "poisoner");
    let broken = roa_core::Value::json("{\"metadata\":{\"name\":\"a\"}}");
    world.store.commit(txn.update(key.clone(), broken, created.metadata.resource_version.unwrap())).await.unwrap();
    running.reaches_head(&world).await;
    assert!(running.take().is_empty() && running.cache.get(&key).is_none());
    assert_eq!(running.cache.unreadable()[0].0, key);
}
