//! CloudEvents: at least once, in order for each object, from a bookmark.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roa_core::{
    CancellationSource, Context, Key, KindDescriptor, Ownership, ResourceStore, SystemRandom, Txn, TxnId, Value,
};
use roa_runtime::{
    CloudEventRelay, CloudEventRelayConfig, HubConfig, LineSink, Runnable, SystemClock, Tasks, WatchHub,
};
use serde_json::Value as Json;

use crate::support::{Thing, World, pause, soon, until};

/// A place to write to that may be broken.
#[derive(Clone, Default)]
struct Paper {
    text: Arc<Mutex<Vec<u8>>>,
    torn: Arc<AtomicBool>,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.torn.load(Ordering::SeqCst) {
            return Err(io::Error::other("torn"));
        }
        self.text.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    /// Type, name, id of each line.
    fn lines(&self) -> Vec<(String, String, String)> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        let line = |line: &str| {
            let json: Json = serde_json::from_str(line).unwrap();
            let text = |value: &Json| value.as_str().unwrap().to_owned();
            let change = text(&json["type"]).rsplit('.').next().unwrap().to_owned();
            (change, text(&json["data"]["metadata"]["name"]), text(&json["id"]))
        };
        text.lines().map(line).collect()
    }

    fn told(&self) -> Vec<String> {
        self.lines().into_iter().map(|(change, name, _)| format!("{change} {name}")).collect()
    }
}

/// Runs a relay as a process would, over a hub of its own.
async fn run(world: &World, paper: &Paper) -> (Tasks, CancellationSource) {
    run_through(world, world.resources.clone(), paper).await
}

async fn run_through(world: &World, resources: ResourceStore, paper: &Paper) -> (Tasks, CancellationSource) {
    let clock = Arc::new(SystemClock::new());
    let hub = WatchHub::start(world.store.clone(), clock.clone(), HubConfig::default()).await.unwrap();
    let config = CloudEventRelayConfig { retry: Duration::from_millis(1), ..CloudEventRelayConfig::new("/roa/test") };
    let sink = Arc::new(LineSink::new("paper", paper.clone()));
    let kind = KindDescriptor::of::<Thing>();
    let relay = CloudEventRelay::new(hub, clock, sink, config, &[kind]).unwrap();
    let (tasks, stop) = (Tasks::new("test", 1), CancellationSource::new());
    let cx = Context::new("cloud-events", resources).with_cancellation(stop.token());
    tasks.spawn_draining("relay", move |_| async move { relay.run(&cx).await }).unwrap();
    (tasks, stop)
}

async fn stop((tasks, stop): (Tasks, CancellationSource)) {
    stop.cancel();
    assert!(soon("the end", tasks.shutdown(&SystemClock::new(), Duration::from_secs(5))).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_is_told_in_order_and_a_restart_goes_on_where_it_stopped() {
    let (world, paper) = (World::new().await, Paper::default());
    let running = run(&world, &paper).await;
    world.create("a", 1).await;
    until("the first is told", || paper.told() == ["added a"]).await;
    world.resize("a", 2).await;
    until("the second is told", || paper.told() == ["added a", "modified a"]).await;
    stop(running).await;
    world.delete("a").await;
    world.create("b", 1).await;
    let running = run(&world, &paper).await;
    until("what happened meanwhile is told", || paper.told().ends_with(&["deleted a".into(), "added b".into()])).await;
    let mut told = paper.lines();
    told.dedup();
    assert_eq!(told.len(), 4, "what was told twice has the same id: {told:?}");
    let ids: std::collections::HashSet<_> = told.iter().map(|(_, _, id)| id).collect();
    assert_eq!(ids.len(), 4);
    stop(running).await;
}

/// A sink that fails disturbs nobody, and loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_35_what_the_sink_does_not_take_comes_again_in_order() {
    let (world, paper) = (World::new().await, Paper::default());
    let running = run(&world, &paper).await;
    world.create("a", 1).await;
    until("the first is told", || paper.lines().len() == 1).await;
    paper.torn.store(true, Ordering::SeqCst);
    for size in 2..=5 {
        world.resize("a", size).await;
    }
    paper.torn.store(false, Ordering::SeqCst);
    until("all is told", || paper.lines().len() >= 5).await;
    let revisions: Vec<u64> =
        paper.lines().iter().map(|(_, _, id)| id.rsplit('.').next().unwrap().parse().unwrap()).collect();
    assert!(revisions.is_sorted(), "{revisions:?}");
    stop(running).await;
}

/// What it has told is told again by its successor; but it must not have the successor leave anything out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_a_relay_that_lost_its_ownership_moves_no_bookmark() {
    let (world, paper) = (World::new().await, Paper::default());
    let key = Key::system("leases", "test").unwrap();
    let txn = || Txn::new(TxnId::random(&SystemRandom), "test");
    let revision = world.store.commit(txn().create(key.clone(), Value::opaque("me"))).await.unwrap();
    let epoch = world.store.state().await.unwrap().epoch;
    let fenced = world.resources.clone().fenced_by(Ownership { key: key.clone(), revision, epoch });
    let running = run_through(&world, fenced, &paper).await;
    let bookmark = Key::system("bookmarks", "cloudevents.paper.things.test.example.com").unwrap();
    let kept = async || world.store.get(&bookmark).await.unwrap().entry.map(|entry| entry.revision);
    world.create("a", 1).await;
    soon("it is told and kept", async {
        while paper.told() != ["added a"] || kept().await <= Some(revision) {
            pause().await;
        }
    })
    .await;
    world.store.commit(txn().update(key, Value::opaque("you"), revision)).await.unwrap();
    let before = kept().await;
    world.create("b", 1).await;
    until("what was not kept is told again", || paper.told().iter().filter(|told| *told == "added b").count() > 1)
        .await;
    assert_eq!(kept().await, before);
    stop(running).await;
}
