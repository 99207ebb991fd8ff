//! Handlers with bookmarks: at least once, in order, also across a restart.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{ChangeKind, Error, Expect, Key, Object, Op, ReconcileError, SystemRandom, Value, WatchEvent};
use roa_runtime::{Bookmarks, EventHandler, HandlerRunner, HubConfig, StreamWatcher, SystemClock, Tasks, WatchHub};

use crate::support::{Thing, World, until};

#[derive(Clone, Default)]
struct Handler {
    name: &'static str,
    seen: Arc<Mutex<Vec<(ChangeKind, String)>>>,
    failing: Arc<AtomicBool>,
    tries: Arc<Mutex<u32>>,
}

#[async_trait]
impl EventHandler<Object<Thing>> for Handler {
    fn name(&self) -> &str {
        self.name
    }

    async fn handle(&self, event: &WatchEvent<Object<Thing>>) -> Result<(), ReconcileError> {
        *self.tries.lock().unwrap() += 1;
        if self.failing.load(Ordering::SeqCst) {
            return Err(ReconcileError::Transient { reason: "Down", message: "the sink is down".into() });
        }
        self.seen.lock().unwrap().push((event.change, event.key.name().to_owned()));
        Ok(())
    }
}

impl Handler {
    fn seen(&self) -> Vec<(ChangeKind, String)> {
        self.seen.lock().unwrap().clone()
    }
}

/// Runs a handler as a process would, over a hub of its own.
async fn run(world: &World, handler: &Handler) -> Tasks {
    let hub = WatchHub::start(world.store.clone(), Arc::new(SystemClock::new()), HubConfig::default()).await.unwrap();
    let watcher = Arc::new(StreamWatcher::new(hub, world.selection()));
    let bookmarks = Bookmarks::new(world.store.clone(), Arc::new(SystemRandom));
    let retry = Duration::from_millis(1);
    let runner = HandlerRunner::new(watcher, Arc::new(handler.clone()), bookmarks, Arc::new(SystemClock::new()), retry);
    let tasks = Tasks::new("test", 1);
    tasks.spawn("handler", async move { runner.run().await }).unwrap();
    tasks
}

async fn stop(tasks: Tasks) {
    assert!(tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await.is_empty());
}

fn named(change: ChangeKind, name: &str) -> (ChangeKind, String) {
    (change, name.to_owned())
}

#[tokio::test]
async fn lesson_24_after_a_restart_a_handler_goes_on_where_it_stopped() {
    let world = World::new().await;
    let handler = Handler { name: "sink", ..Handler::default() };
    world.create("a", 1).await;
    let first = run(&world, &handler).await;
    until("the snapshot is handled", || handler.seen().len() == 1).await;
    world.create("b", 1).await;
    until("the change is handled", || handler.seen().len() == 2).await;
    let bookmarks = Bookmarks::new(world.store.clone(), Arc::new(SystemRandom));
    let b = world.api().get("test", "b").await.unwrap().metadata.resource_version.unwrap();
    crate::support::soon("the bookmark is kept", async {
        while bookmarks.load("sink").await.unwrap().is_none_or(|position| position.revision < b) {
            crate::support::pause().await;
        }
    })
    .await;
    stop(first).await;
    world.delete("a").await;
    let second = run(&world, &handler).await;
    until("what happened meanwhile is handled", || handler.seen().len() == 3).await;
    use ChangeKind::{Added, Deleted};
    assert_eq!(
        handler.seen(),
        [named(Added, "a"), named(Added, "b"), named(Deleted, "a")],
        "nothing is repeated or lost"
    );
    stop(second).await;
}

#[tokio::test]
async fn lesson_25_an_event_that_was_not_handled_comes_again_also_after_a_restart() {
    let world = World::new().await;
    let handler = Handler { name: "sink", ..Handler::default() };
    let first = run(&world, &handler).await;
    handler.failing.store(true, Ordering::SeqCst);
    world.create("a", 1).await;
    until("it was tried twice", || *handler.tries.lock().unwrap() >= 2).await;
    stop(first).await;
    handler.failing.store(false, Ordering::SeqCst);
    let second = run(&world, &handler).await;
    until("it is handled", || !handler.seen().is_empty()).await;
    assert_eq!(handler.seen(), [named(ChangeKind::Added, "a")]);
    stop(second).await;
}

#[tokio::test]
async fn lesson_29_a_handler_that_fails_delays_no_other() {
    let world = World::new().await;
    let (stuck, lively) =
        (Handler { name: "stuck", ..Handler::default() }, Handler { name: "lively", ..Handler::default() });
    stuck.failing.store(true, Ordering::SeqCst);
    let (one, two) = (run(&world, &stuck).await, run(&world, &lively).await);
    for name in ["a", "b", "c"] {
        world.create(name, 1).await;
    }
    until("the lively one has seen all", || lively.seen().len() == 3).await;
    assert!(stuck.seen().is_empty());
    stop(one).await;
    stop(two).await;
}

#[tokio::test]
async fn keeping_a_bookmark_is_no_change_that_is_bookmarked() {
    let world = World::new().await;
    let handler = Handler { name: "sink", ..Handler::default() };
    let tasks = run(&world, &handler).await;
    world.create("a", 1).await;
    until("handled", || handler.seen().len() == 1).await;
    let bookmarks = Bookmarks::new(world.store.clone(), Arc::new(SystemRandom));
    let a = world.api().get("test", "a").await.unwrap().metadata.resource_version.unwrap();
    crate::support::soon("kept", async {
        while bookmarks.load("sink").await.unwrap().is_none_or(|position| position.revision < a) {
            crate::support::pause().await;
        }
    })
    .await;
    let head = world.head().await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.head().await, head, "a quiet store stays quiet");
    stop(tasks).await;
}

/// Records are a door for the store's own: objects have rules, and only one way in.
#[tokio::test]
async fn a_record_is_written_under_the_reserved_prefix_alone() {
    let world = World::new().await;
    let put = |key| Op::Put { key, value: Value::opaque("17"), expect: Expect::Absent };
    world.resources.write_record(put(Key::system("bookmarks", "sink").unwrap())).await.unwrap();
    let refused = world.resources.write_record(put(world.api().key("test", "a").unwrap())).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert!(matches!(world.api().get("test", "a").await, Err(Error::NotFound { .. })));
}
