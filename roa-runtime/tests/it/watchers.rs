//! The two watchers: both see every change, in order; only the time differs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{
    ChangeKind, Clock, Error, ManualClock, Object, Start, TailEnd, Timestamp, WatchItem, WatchStream, Watcher,
};
use roa_runtime::{HubConfig, PollWatcher, StreamWatcher};
use roa_store_memory::MemoryConfig;

use crate::support::{BOUND, Thing, World, soon, thing};

type Seen = Vec<(ChangeKind, String)>;

const INTERVAL: Duration = Duration::from_secs(5);

struct Poll {
    watcher: PollWatcher<Object<Thing>>,
    clock: Arc<ManualClock>,
}

fn poll(world: &World) -> Poll {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(0).unwrap()));
    let watcher = PollWatcher::new(world.store.clone(), clock.clone() as Arc<dyn Clock>, world.selection(), INTERVAL);
    Poll { watcher, clock }
}

fn note(item: WatchItem<Object<Thing>>, seen: &mut Seen) {
    if let WatchItem::Events { events, .. } = item {
        seen.extend(events.into_iter().map(|event| (event.change, event.key.name().to_owned())));
    }
}

/// One interval passes; what the watch then delivers, up to its progress.
async fn tick(poll: &Poll, watch: &mut WatchStream<Object<Thing>>) -> Seen {
    let mut seen = Vec::new();
    soon("a poll", async {
        loop {
            let next = tokio::select! {
                item = watch.next() => item,
                () = async { poll.clock.timers_pending(1).await; poll.clock.advance(INTERVAL); std::future::pending().await } => None,
            };
            match next.unwrap().unwrap() {
                WatchItem::Progress(_) | WatchItem::Synced(_) => return,
                item => note(item, &mut seen),
            }
        }
    })
    .await;
    seen
}

fn names(seen: &Seen) -> Vec<(ChangeKind, &str)> {
    seen.iter().map(|(change, name)| (*change, name.as_str())).collect()
}

#[tokio::test]
async fn lesson_20_what_came_and_went_between_two_polls_was_seen() {
    let world = World::new().await;
    let poll = poll(&world);
    let mut watch = poll.watcher.watch(Start::Snapshot).await.unwrap();
    assert!(tick(&poll, &mut watch).await.is_empty());
    world.create("a", 1).await;
    world.resize("a", 2).await;
    world.resize("a", 3).await;
    world.delete("a").await;
    use ChangeKind::{Added, Deleted, Modified};
    let seen = tick(&poll, &mut watch).await;
    assert_eq!(names(&seen), [(Added, "a"), (Modified, "a"), (Modified, "a"), (Deleted, "a")]);
}

#[tokio::test]
async fn lesson_22_a_new_object_of_an_old_name_comes_after_the_old_one_went() {
    let world = World::with(MemoryConfig::default().min_retain(0), HubConfig::default()).await;
    let poll = poll(&world);
    world.create("a", 1).await;
    let mut watch = poll.watcher.watch(Start::Snapshot).await.unwrap();
    assert_eq!(names(&tick(&poll, &mut watch).await), [(ChangeKind::Added, "a")]);
    world.delete("a").await;
    world.create("a", 2).await;
    // The log is gone: the poller must list and compare.
    world.store.compact(world.head().await).await.unwrap();
    let seen = tick(&poll, &mut watch).await;
    assert_eq!(names(&seen), [(ChangeKind::Deleted, "a"), (ChangeKind::Added, "a")]);
}

/// Passes one interval; gives what the watch delivers first.
async fn first_after_a_tick(
    poll: &Poll,
    watch: &mut WatchStream<Object<Thing>>,
) -> Option<Result<WatchItem<Object<Thing>>, TailEnd>> {
    let ticking = async {
        poll.clock.timers_pending(1).await;
        poll.clock.advance(INTERVAL);
        std::future::pending::<()>().await;
    };
    soon("a poll", async {
        tokio::select! {
            item = watch.next() => item,
            () = ticking => None,
        }
    })
    .await
}

#[tokio::test]
async fn c2_a_poller_that_did_not_see_all_expires_where_the_log_was_cut() {
    let world = World::with(MemoryConfig::default().min_retain(0), HubConfig::default()).await;
    let poll = poll(&world);
    world.create("stays", 1).await;
    let clock = roa_runtime::SystemClock::new();
    for number in 0..3 {
        let goes = format!("goes-{number}");
        world.create(&goes, 1).await;
        let head = world.head().await;
        world.hub.wait_for(head, clock.monotonic() + BOUND).await.unwrap();
        let start = [Start::Resume(world.hub.position()), Start::After(head), Start::Now][number];
        let mut watch = poll.watcher.watch(start).await.unwrap();
        world.delete(&goes).await;
        world.store.compact(world.head().await).await.unwrap();
        let first = first_after_a_tick(&poll, &mut watch).await;
        assert!(matches!(first, Some(Err(TailEnd::Expired { .. }))), "{start:?}: {first:?}");
        assert!(soon("the end", watch.next()).await.is_none());
    }
}

#[tokio::test]
async fn lesson_26_every_change_is_seen_whatever_it_changes() {
    let world = World::new().await;
    let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    let mut watch = watcher.watch(Start::Now).await.unwrap();
    let api = world.api();
    let mut made = thing("a", 1);
    made.metadata.finalizers = vec!["example.com/one".into()];
    api.create(&made).await.unwrap();
    api.patch("test", "a", |thing| drop(thing.metadata.labels.insert("l".into(), "v".into()))).await.unwrap();
    api.patch("test", "a", |thing| drop(thing.metadata.annotations.insert("n".into(), "v".into()))).await.unwrap();
    api.patch("test", "a", |thing| thing.metadata.finalizers.push("example.com/two".into())).await.unwrap();
    api.patch_status("test", "a", |thing| thing.status.note = "n".into()).await.unwrap();
    world.delete("a").await;
    let mut objects = Vec::new();
    while objects.len() < 6 {
        if let WatchItem::Events { events, .. } = soon("event", watch.next()).await.unwrap().unwrap() {
            objects.extend(events.into_iter().map(|event| event.object.unwrap()));
        }
    }
    assert_eq!(objects[1].metadata.labels.len(), 1);
    assert_eq!(objects[2].metadata.annotations.len(), 1);
    assert_eq!(objects[3].metadata.finalizers.len(), 2);
    assert_eq!(objects[4].status.note, "n");
    assert!(objects[5].metadata.is_deleting());
    let revisions: Vec<_> = objects.iter().map(|object| object.metadata.resource_version.unwrap()).collect();
    assert!(revisions.is_sorted());
}

#[tokio::test]
async fn lessons_23_and_24_a_position_is_resumed_in_its_own_history_and_no_other() {
    let world = World::new().await;
    let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    for number in 0..12 {
        world.create(&format!("t{number}"), 1).await;
    }
    world
        .hub
        .wait_for(world.head().await, roa_runtime::SystemClock::new().monotonic() + Duration::from_secs(5))
        .await
        .unwrap();
    let position = world.hub.position();
    world.delete("t3").await;
    let mut watch = watcher.watch(Start::Resume(position)).await.unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        note(soon("event", watch.next()).await.unwrap().unwrap(), &mut seen);
    }
    assert_eq!(names(&seen), [(ChangeKind::Deleted, "t3")], "the deletion is seen, the creations are not repeated");
    let elsewhere = World::new().await;
    let other = StreamWatcher::<Object<Thing>>::new(elsewhere.hub.clone(), elsewhere.selection());
    assert!(matches!(other.watch(Start::Resume(position)).await, Err(Error::Expired { .. })));
}

#[tokio::test]
async fn lesson_27_an_object_that_cannot_be_read_is_an_error_of_that_object_alone() {
    let world = World::new().await;
    let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    let mut watch = watcher.watch(Start::Now).await.unwrap();
    let broken = world.api().key("test", "broken").unwrap();
    let txn = roa_core::Txn::new(roa_core::TxnId::random(&roa_core::SystemRandom), "poisoner");
    world
        .store
        .commit(txn.create(broken, roa_core::Value::json("{\"metadata\":{\"name\":\"broken\"}}")))
        .await
        .unwrap();
    world.create("good", 1).await;
    let mut outcomes = Vec::new();
    while outcomes.len() < 2 {
        if let WatchItem::Events { events, .. } = soon("event", watch.next()).await.unwrap().unwrap() {
            outcomes.extend(events.into_iter().map(|event| (event.key.name().to_owned(), event.object.is_ok())));
        }
    }
    assert_eq!(outcomes, [("broken".to_owned(), false), ("good".to_owned(), true)]);
}

#[tokio::test]
async fn w10_a_cache_is_as_far_as_its_watch_though_the_newest_batch_is_of_another_kind() {
    let never = HubConfig { progress_interval: Duration::MAX, ..HubConfig::default() };
    let world = World::with(MemoryConfig::default(), never).await;
    let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    let mut watch = watcher.watch(Start::Now).await.unwrap();
    world.create("a", 1).await;
    let txn = roa_core::Txn::new(roa_core::TxnId::random(&roa_core::SystemRandom), "somebody");
    let other = roa_core::Key::new("test.example.com", "others", "test", "b").unwrap();
    let last = world.store.commit(txn.create(other, roa_core::Value::opaque("x"))).await.unwrap();
    // Both are there before the watch looks.
    let clock = roa_runtime::SystemClock::new();
    world.hub.wait_for(last, clock.monotonic() + Duration::from_secs(5)).await.unwrap();
    let WatchItem::Events { position, .. } = soon("event", watch.next()).await.unwrap().unwrap() else {
        panic!("the event is first")
    };
    assert!(position.revision < last);
    let WatchItem::Progress(position) = soon("progress", watch.next()).await.unwrap().unwrap() else {
        panic!("nothing else matched")
    };
    assert_eq!(position.revision, last);
}
