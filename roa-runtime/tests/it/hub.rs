//! The hub: what every watcher of it sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roa_core::{ChangeKind, Error, Key, Revision, Start, Store, SystemRandom, TailEnd, Txn, TxnId, Value};
use roa_runtime::{HubConfig, HubItem, HubWatch, Selection, Tasks};
use roa_store_memory::MemoryConfig;

use crate::support::{World, soon, until};

/// What the next events are: kind and name, until the watch has told of `head`.
async fn until_head(watch: &mut HubWatch, head: Revision) -> Vec<(ChangeKind, String, u64)> {
    let mut seen = Vec::new();
    soon("watch reaches the head", async {
        loop {
            let position = match watch.next().await.unwrap().unwrap() {
                HubItem::Events(slice) => {
                    seen.extend(slice.events().map(|e| (e.change, e.entry.key.name().to_owned(), e.revision.get())));
                    slice.position()
                }
                HubItem::Progress(position) | HubItem::Synced(position) => position,
                other => panic!("unexpected {other:?}"),
            };
            if position.revision >= head {
                return;
            }
        }
    })
    .await;
    seen
}

async fn until_synced(watch: &mut HubWatch) -> Vec<(ChangeKind, String, u64)> {
    let mut seen = Vec::new();
    loop {
        match soon("snapshot", watch.next()).await.unwrap().unwrap() {
            HubItem::Events(slice) => {
                seen.extend(slice.events().map(|e| (e.change, e.entry.key.name().to_owned(), e.revision.get())));
            }
            _ => return seen,
        }
    }
}

fn short(seen: &[(ChangeKind, String, u64)]) -> Vec<(ChangeKind, &str)> {
    seen.iter().map(|(change, name, _)| (*change, name.as_str())).collect()
}

#[tokio::test]
async fn w16_w17_a_snapshot_and_the_changes_after_it_leave_nothing_out() {
    let world = World::with(MemoryConfig::default(), HubConfig { page_size: 2, ..HubConfig::default() }).await;
    for name in ["a", "b", "c"] {
        world.create(name, 1).await;
    }
    let mut watch = world.hub.watch(world.selection(), Start::Snapshot).await.unwrap();
    let listed = until_synced(&mut watch).await;
    assert_eq!(short(&listed), [(ChangeKind::Added, "a"), (ChangeKind::Added, "b"), (ChangeKind::Added, "c")]);
    world.resize("b", 2).await;
    world.delete("c").await;
    let changed = until_head(&mut watch, world.head().await).await;
    assert_eq!(short(&changed), [(ChangeKind::Modified, "b"), (ChangeKind::Deleted, "c")]);
}

#[tokio::test]
async fn w6_a_watch_resumed_at_any_revision_repeats_and_loses_nothing() {
    let world = World::new().await;
    let begin = world.head().await;
    for number in 0..20 {
        world.create(&format!("t{number:02}"), 1).await;
    }
    let head = world.head().await;
    for after in begin.get()..=head.get() {
        let start = Start::After(Revision::new(after).unwrap());
        let mut watch = world.hub.watch(world.selection(), start).await.unwrap();
        if after == head.get() {
            continue;
        }
        let revisions: Vec<u64> =
            until_head(&mut watch, head).await.into_iter().map(|(_, _, revision)| revision).collect();
        assert_eq!(revisions, (after + 1..=head.get()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn w7_w8_a_start_outside_of_the_log_is_refused() {
    let world = World::new().await;
    let begin = world.head().await;
    world.create("a", 1).await;
    let head = world.head().await;
    let before = Start::After(Revision::new(begin.get() - 1).unwrap());
    assert!(matches!(world.hub.watch(world.selection(), before).await, Err(Error::Expired { .. })));
    let later = Start::After(head.next().unwrap());
    assert!(matches!(world.hub.watch(world.selection(), later).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn w12_w13_what_leaves_the_selection_is_deleted_as_it_last_was_in_it() {
    let world = World::new().await;
    let label = |value: &'static str| {
        move |thing: &mut roa_core::Object<crate::support::Thing>| {
            thing.metadata.labels.insert("tier".into(), value.into());
        }
    };
    world.create("a", 1).await;
    let web = world.selection().labels("tier=web".parse().unwrap());
    let mut watch = world.hub.watch(web, Start::Now).await.unwrap();
    world.api().patch("test", "a", label("web")).await.unwrap();
    world.resize("a", 5).await;
    world.api().patch("test", "a", label("db")).await.unwrap();
    world.resize("a", 6).await;
    let head = world.head().await;
    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        if let HubItem::Events(slice) = soon("event", watch.next()).await.unwrap().unwrap() {
            for event in slice.events() {
                let body = String::from_utf8(event.entry.value.bytes.to_vec()).unwrap();
                bodies.push((event.change, event.revision.get(), body.contains("\"size\":5"), body.contains("web")));
            }
        }
    }
    let head = head.get();
    assert_eq!(
        bodies,
        [
            (ChangeKind::Added, head - 3, false, true),
            (ChangeKind::Modified, head - 2, true, true),
            (ChangeKind::Deleted, head - 1, true, true)
        ]
    );
}

#[tokio::test]
async fn w10_progress_comes_also_from_a_store_that_is_idle() {
    let config = HubConfig { progress_interval: Duration::from_millis(1), ..HubConfig::default() };
    let world = World::with(MemoryConfig::default(), config).await;
    world.create("a", 1).await;
    let mut watch = world.hub.watch(world.selection(), Start::Now).await.unwrap();
    for _ in 0..3 {
        match soon("progress", watch.next()).await.unwrap().unwrap() {
            HubItem::Progress(position) => assert_eq!(position.revision, world.head().await),
            other => panic!("expected progress, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn w10_progress_comes_also_when_nothing_matches() {
    let world = World::new().await;
    let nothing = world.selection().labels("never=there".parse().unwrap());
    let mut watch = world.hub.watch(nothing, Start::Now).await.unwrap();
    world.create("a", 1).await;
    match soon("progress", watch.next()).await.unwrap().unwrap() {
        HubItem::Progress(position) => assert_eq!(position.revision, world.head().await),
        other => panic!("expected progress, got {other:?}"),
    }
}

#[tokio::test]
async fn w14_a_stalled_watcher_costs_nobody_anything_and_is_told() {
    let hub = HubConfig { max_batches: 8, ..HubConfig::default() };
    let memory = MemoryConfig::default().log_max_batches(16);
    let world = World::with(memory, hub).await;
    let mut stalled = world.hub.watch(world.selection(), Start::Now).await.unwrap();
    let mut lively = world.hub.watch(world.selection(), Start::Now).await.unwrap();
    for number in 0..64 {
        world.create(&format!("t{number}"), 1).await;
        let head = world.head().await;
        assert_eq!(until_head(&mut lively, head).await.len(), 1);
    }
    let end = soon("the stalled watch ends", async {
        loop {
            if let Err(end) = stalled.next().await.unwrap() {
                return end;
            }
        }
    })
    .await;
    assert!(matches!(end, TailEnd::Expired { .. }), "{end}");
    assert!(stalled.next().await.is_none(), "nothing comes after the end");
}

#[tokio::test]
async fn w15_a_dropped_watch_leaves_nothing_and_the_number_is_bounded() {
    let world = World::with(MemoryConfig::default(), HubConfig { max_watchers: 2, ..HubConfig::default() }).await;
    let watch = || world.hub.watch(world.selection(), Start::Now);
    let (one, _two) = (watch().await.unwrap(), watch().await.unwrap());
    assert!(matches!(watch().await, Err(Error::Unavailable { .. })));
    drop(one);
    assert_eq!(world.hub.watchers(), 1);
    assert!(watch().await.is_ok());
}

#[tokio::test]
async fn s14_a_break_of_the_history_ends_every_watch_with_expired() {
    let world = World::new().await;
    world.create("a", 1).await;
    let mut watch = world.hub.watch(world.selection(), Start::Now).await.unwrap();
    let position = world.hub.position();
    let state = world.store.state().await.unwrap();
    assert_eq!(world.hub.discontinuities(), 0);
    world.store.fence(state.epoch, state.head).await.unwrap();
    let end = soon("watch ends", watch.next()).await.unwrap().unwrap_err();
    assert_eq!(world.hub.discontinuities(), 1);
    assert!(matches!(end, TailEnd::Expired { .. }), "{end}");
    assert!(matches!(world.hub.watch(world.selection(), Start::Resume(position)).await, Err(Error::Expired { .. })));
    let created = world.create("b", 1).await;
    let mut after = world.hub.watch(world.selection(), Start::Snapshot).await.unwrap();
    let seen = until_synced(&mut after).await;
    assert!(seen[1].2 >= created.metadata.resource_version.unwrap().get());
    assert_eq!(seen.len(), 2, "a new watch sees what there is");
}

#[tokio::test]
async fn w9_closing_ends_every_watch_with_a_reason() {
    let world = World::new().await;
    let mut watch = world.hub.watch(world.selection(), Start::Now).await.unwrap();
    world.hub.close().await;
    assert!(matches!(soon("end", watch.next()).await, Some(Err(TailEnd::Closed))));
    assert!(world.hub.watch(world.selection(), Start::Now).await.is_err());
}

#[tokio::test]
async fn a_watch_of_one_object_sees_no_other() {
    let world = World::new().await;
    let key = world.api().key("test", "a").unwrap();
    let mut watch = world.hub.watch(Selection::key(key), Start::Now).await.unwrap();
    for name in ["a", "ab", "b"] {
        world.create(name, 1).await;
    }
    let seen = until_head(&mut watch, world.head().await).await;
    assert_eq!(short(&seen), [(ChangeKind::Added, "a")]);
}

#[tokio::test]
async fn w9_a_watch_goes_on_when_every_handle_of_its_hub_is_gone() {
    let World { store, clock: _clock, resources, hub } = World::new().await;
    let selection = Selection::prefix(roa_core::KeyPrefix::everything());
    let mut watch = hub.watch(selection, Start::Now).await.unwrap();
    drop(hub);
    resources.api::<crate::support::Thing>().unwrap().create(&crate::support::thing("a", 1)).await.unwrap();
    let head = store.state().await.unwrap().head;
    assert_eq!(until_head(&mut watch, head).await.len(), 1);
}

/// One change a revision, so that a watcher sees each number once.
async fn write(store: &dyn Store, count: usize) {
    for _ in 0..count {
        let id = TxnId::random(&SystemRandom);
        let key = Key::new("test.example.com", "things", "test", &id.to_string()).unwrap();
        store.commit(Txn::new(id, "test").create(key, Value::opaque("v"))).await.unwrap();
    }
}

async fn follow(mut watch: HubWatch, from: Revision, reached: Arc<AtomicU64>) -> TailEnd {
    let mut last = from.get();
    loop {
        match watch.next().await.unwrap() {
            Ok(HubItem::Events(slice)) => {
                for event in slice.events() {
                    assert_eq!(event.revision.get(), last + 1, "lost or seen twice");
                    last += 1;
                }
            }
            Ok(_) => {}
            Err(end) => return end,
        }
        reached.store(last, Ordering::SeqCst);
    }
}

/// Many threads read segments that grow under them, and wait at their ends, where a lost wake-up would leave them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_w9_watchers_of_many_threads_miss_nothing_and_all_learn_of_a_break() {
    const WATCHERS: usize = 8;
    for round in 0..10 {
        let world = World::new().await;
        let (tasks, from) = (Tasks::new("test", WATCHERS), world.head().await);
        let reached: Vec<Arc<AtomicU64>> = (0..WATCHERS).map(|_| Arc::default()).collect();
        let (told, mut ends) = tokio::sync::mpsc::unbounded_channel();
        for reached in &reached {
            let watch = world.hub.watch(world.selection(), Start::After(from)).await.unwrap();
            let (reached, told) = (reached.clone(), told.clone());
            tasks.spawn("watcher", async move { told.send(follow(watch, from, reached).await).unwrap() }).unwrap();
        }
        for burst in [1, 2, 7, 1, 90, 1_100, 3] {
            write(&*world.store, burst).await;
            let head = world.head().await.get();
            let all = || reached.iter().all(|reached| reached.load(Ordering::SeqCst) == head);
            until(&format!("all are at {head} in round {round}"), all).await;
        }
        let (store, fenced) = (world.store.clone(), world.store.clone());
        let writes = async { write(&*store, 50).await };
        let breaks = async {
            let state = fenced.state().await.unwrap();
            fenced.fence(state.epoch, state.head).await.unwrap();
        };
        tokio::join!(writes, breaks);
        for _ in 0..WATCHERS {
            let end = soon("each learns of the break", ends.recv()).await.unwrap();
            assert!(matches!(end, TailEnd::Expired { .. }), "{end:?}");
        }
    }
}
