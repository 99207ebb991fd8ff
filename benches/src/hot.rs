//! The hot paths, so that their allocations and instructions can be counted: what is counted does not vary with how busy
//! a machine is.
//!
//! Each path sets up, then does its operation some times. What one operation costs is the difference between two runs
//! that differ in their number alone.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use roa_core::{
    Cause, KindRegistry, ManualClock, Object, Resource, ResourceStore, Revision, SeededRandom, Start, Store, Timestamp,
};
use roa_runtime::{HubConfig, HubItem, Outcome, Priority, QueueConfig, Selection, WatchHub, WorkQueue};
use roa_store_memory::{MemoryConfig, MemoryStore};
use stats_alloc::{Region, StatsAlloc};

use crate::{Client, Course, Roa, course, key, object_value, prefix};

/// A path, by its name.
#[derive(Debug, Clone, Copy)]
pub struct HotPath {
    /// What it is called in the file of what was recorded.
    pub name: &'static str,
    run: fn(u64),
}

/// How many keys are written in turn.
const KEYS: usize = 100;
/// How many operations the two runs differ in.
const OPERATIONS: u64 = 1_024;

impl HotPath {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self { name: "commit", run: commit },
        Self { name: "commit-and-dispatch", run: dispatch },
        Self { name: "walk-the-ring", run: walk },
        Self { name: "select-by-label", run: select },
        Self { name: "queue-add-pop-finish", run: queue },
        Self { name: "write-a-status", run: write_status },
    ];

    /// Does the operation so many times.
    pub fn run(&self, operations: u64) {
        (self.run)(operations);
    }

    /// How often 1,024 operations allocate, or grow what was allocated.
    #[must_use]
    pub fn allocations(&self, allocator: &StatsAlloc<System>) -> usize {
        let count = |operations| {
            let region = Region::new(allocator);
            self.run(operations);
            let stats = region.change();
            stats.allocations + stats.reallocations
        };
        // Once before, for what is only made once in a process.
        count(OPERATIONS);
        let few = count(OPERATIONS);
        count(2 * OPERATIONS) - few
    }
}

#[expect(clippy::expect_used, reason = "a count that can't set up must stop")]
fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work);
}

/// Time stands still, so that nothing happens by itself.
fn clock() -> Arc<ManualClock> {
    let begin = Timestamp::from_unix_seconds(1_000_000).unwrap_or_else(|| unreachable!("it is a time"));
    Arc::new(ManualClock::new(begin))
}

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(MemoryConfig::default(), clock(), Arc::new(SeededRandom::new(1))))
}

/// A compare-and-swap update in the memory store.
fn commit(operations: u64) {
    block_on(async {
        let mut client = Client::one(&Roa::over(memory()), KEYS);
        for _ in 0..operations {
            client.step().await;
        }
    });
}

/// The same, and its arrival at a watcher.
#[expect(clippy::expect_used, reason = "a count that can't set up must stop")]
fn dispatch(operations: u64) {
    block_on(async {
        let store = memory();
        let hub = WatchHub::start(store.clone(), clock(), HubConfig::default()).await.expect("a hub");
        let mut watch = hub.watch(Selection::prefix(prefix()), Start::Now).await.expect("a watch");
        let mut client = Client::one(&Roa::over(store), KEYS);
        for _ in 0..operations {
            client.step().await;
            while !matches!(watch.next().await, Some(Ok(HubItem::Events(_)))) {}
        }
        hub.close().await;
    });
}

/// One event to one watcher that has some catching up to do: 64 watchers walk one ring.
#[expect(clippy::expect_used, reason = "a count that can't set up must stop")]
fn walk(operations: u64) {
    const EVENTS: u64 = 64;
    block_on(async {
        let store = memory();
        let floor = store.state().await.expect("a state").head;
        let hub = WatchHub::start(store.clone(), clock(), HubConfig::default()).await.expect("a hub");
        let mut client = Client::one(&Roa::over(store), KEYS);
        let mut head = floor;
        for _ in 0..EVENTS {
            head = client.step().await;
        }
        let deadline = roa_core::Clock::monotonic(&*clock()) + std::time::Duration::from_secs(1);
        hub.wait_for(head, deadline).await.expect("the hub reads on");
        for _ in 0..operations / EVENTS {
            let mut watch = hub.watch(Selection::prefix(prefix()), Start::After(floor)).await.expect("a watch");
            let mut seen = 0;
            while seen < EVENTS {
                if let Some(Ok(HubItem::Events(slice))) = watch.next().await {
                    seen += slice.events().filter(|event| black_box(event.revision) > floor).count() as u64;
                }
            }
        }
        hub.close().await;
    });
}

/// One event, looked at through a selector of labels.
#[expect(clippy::expect_used, reason = "a count that can't set up must stop")]
fn select(operations: u64) {
    let made = crate::batches(KEYS, Revision::new(1_000).expect("a revision"));
    let rare = Selection::prefix(prefix()).labels("rare=yes".parse().expect("a selector"));
    for batch in made.iter().cycle().take(usize::try_from(operations).unwrap_or(usize::MAX)) {
        for entry in batch.changes.iter().filter_map(roa_core::Change::current) {
            black_box(rare.matches(entry));
        }
    }
    black_box(object_value(1));
}

/// A key into the queue, out of it, and done.
#[expect(clippy::expect_used, reason = "a count that can't set up must stop")]
fn queue(operations: u64) {
    block_on(async {
        let queue = WorkQueue::new(QueueConfig::default(), clock(), Arc::new(SeededRandom::new(1)));
        let keys: Vec<_> = (0..KEYS).map(key).collect();
        for key in keys.iter().cycle().take(usize::try_from(operations).unwrap_or(usize::MAX)) {
            queue.try_add(key, Priority::User, Cause::Changed).expect("room");
            queue.next().await.expect("a key").finish(Outcome::Done);
        }
    });
}

/// The status of a typed object: read, merged into what is stored, checked, committed, and read back.
#[expect(clippy::expect_used, reason = "a count that can't set up must stop")]
fn write_status(operations: u64) {
    block_on(async {
        let kinds = Arc::new(KindRegistry::new().with::<Course>());
        let resources = ResourceStore::new(memory(), kinds, clock(), Arc::new(SeededRandom::new(1)), "bench");
        let courses = resources.api::<Course>().expect("the kind is registered");
        let first = Revision::new(1).expect("a revision");
        let Object { metadata, spec, status } = Object::<Course>::decode(&course(1, first)).expect("a course");
        let course = Object::<Course>::new(metadata.namespace, metadata.name, spec);
        let mut course = courses.create(&course).await.expect("a new course");
        course.status = status;
        for number in 0..operations {
            course.status.observed_generation = number % 10;
            course = courses.update_status(&course).await.expect("nobody else writes");
        }
    });
}
