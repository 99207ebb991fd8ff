//! Work that belongs to no kind: a manager runs it where it runs controllers, and under the same fence.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    CancellationSource, Context, Error, KindRegistry, ListOptions, OwnerReference, ResourceStore, SystemRandom,
};
use roa_runtime::{
    Clocks, EventRecorder, EventRecorderConfig, GarbageCollector, GarbageCollectorConfig, LeaseConfig, Manager,
    ManagerConfig, Mode, Runnable, RuntimeMetrics, ShardBy, SystemClock, Tasks, event_kind,
};

use crate::support::{Thing, World, pause, soon, thing, until};

/// Counts its runs, and keeps the last context.
#[derive(Default)]
struct Counter {
    running: AtomicUsize,
    runs: AtomicUsize,
    context: Mutex<Option<Context>>,
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Runnable for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    async fn run(&self, cx: &Context) {
        self.running.fetch_add(1, Ordering::SeqCst);
        let _leave = Leave(&self.running);
        self.runs.fetch_add(1, Ordering::SeqCst);
        *self.context.lock().unwrap() = Some(cx.clone());
        cx.cancelled().await;
    }
}

fn leader(holder: &str) -> Mode {
    let millis = Duration::from_millis;
    let config = LeaseConfig { duration: millis(4_000), renew_deadline: millis(3_000), retry_period: millis(50) };
    Mode::Leader { lease: "things".into(), holder: holder.into(), config }
}

async fn manager(world: &World, resources: &ResourceStore, mode: Mode) -> Manager {
    let clocks = Clocks::same(Arc::new(SystemClock::new()));
    Manager::new(world.store.clone(), resources.clone(), clocks, ManagerConfig::new(mode)).await.unwrap()
}

fn start(manager: Manager) -> (Tasks, CancellationSource) {
    let (tasks, stop) = (Tasks::new("manager", 1), CancellationSource::new());
    let token = stop.token();
    tasks.spawn_draining("manager", move |_| async move { manager.run(token, || ()).await.unwrap() }).unwrap();
    (tasks, stop)
}

async fn end((tasks, stop): (Tasks, CancellationSource)) {
    stop.cancel();
    assert!(soon("the end", tasks.shutdown(&SystemClock::new(), Duration::from_secs(8))).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_c12_it_runs_in_one_process_at_a_time_and_a_former_one_writes_nothing() {
    let world = World::new().await;
    let counters = [Arc::new(Counter::default()), Arc::new(Counter::default())];
    let mut first = manager(&world, &world.resources, leader("first")).await;
    first.add_runnable(counters[0].clone());
    let first = start(first);
    until("the first runs", || counters[0].running.load(Ordering::SeqCst) == 1).await;
    let mut second = manager(&world, &world.resources, leader("second")).await;
    second.add_runnable(counters[1].clone());
    let second = start(second);
    let former = counters[0].context.lock().unwrap().clone().unwrap();
    former.api::<Thing>().unwrap().create(&thing("a", 1)).await.unwrap();
    assert_eq!(counters[1].runs.load(Ordering::SeqCst), 0);
    end(first).await;
    assert_eq!(counters[0].running.load(Ordering::SeqCst), 0);
    until("the second runs", || counters[1].running.load(Ordering::SeqCst) == 1).await;
    let late = former.api::<Thing>().unwrap().create(&thing("b", 1)).await;
    assert!(matches!(late, Err(Error::Fenced(_))), "{late:?}");
    end(second).await;
}

/// Which parts of it run in one process.
#[derive(Default)]
struct Parts {
    one: AtomicUsize,
    each: AtomicUsize,
    context: Mutex<Option<Context>>,
}

#[async_trait]
impl Runnable for Parts {
    fn name(&self) -> &'static str {
        "parts"
    }

    async fn run(&self, cx: &Context) {
        self.one.fetch_add(1, Ordering::SeqCst);
        let _leave = Leave(&self.one);
        *self.context.lock().unwrap() = Some(cx.clone());
        cx.cancelled().await;
    }

    async fn run_in_each(&self, cx: &Context) {
        self.each.fetch_add(1, Ordering::SeqCst);
        let _leave = Leave(&self.each);
        cx.cancelled().await;
    }
}

/// A process that stands by runs its own part before it leads, then, and until its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c12_a_process_runs_its_own_part_from_its_start_to_its_end() {
    let world = World::new().await;
    let parts: Vec<_> = (0..2).map(|_| Arc::new(Parts::default())).collect();
    let runs = |part: &Parts| [&part.one, &part.each].map(|part| part.load(Ordering::SeqCst));
    let mut running = Vec::new();
    for (part, expected) in parts.iter().zip([[1, 1], [0, 1]]) {
        let mut manager = manager(&world, &world.resources, leader(&format!("holder-{}", running.len()))).await;
        manager.add_runnable(part.clone());
        running.push(start(manager));
        until("it runs what it may", || runs(part) == expected).await;
    }
    end(running.remove(0)).await;
    until("the other one leads", || runs(&parts[1]) == [1, 1]).await;
    end(running.remove(0)).await;
    assert_eq!(parts.iter().map(|part| runs(part)).collect::<Vec<_>>(), [[0; 2]; 2]);
}

/// Among processes that share, one runs it and each its own part; what a process that has left still writes is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_of_processes_that_share_one_runs_it_and_each_its_own_part() {
    let world = World::new().await;
    let parts: Vec<_> = (0..3).map(|_| Arc::new(Parts::default())).collect();
    let mut running = Vec::new();
    for (holder, part) in ["a", "b", "c"].into_iter().zip(&parts) {
        let Mode::Leader { config, .. } = leader(holder) else { unreachable!() };
        let mode = Mode::Sharded { group: "things".into(), holder: holder.into(), config, by: ShardBy::Object };
        let mut manager = manager(&world, &world.resources, mode).await;
        manager.add_runnable(part.clone());
        running.push(start(manager));
    }
    let one = |parts: &[Arc<Parts>]| parts.iter().map(|part| part.one.load(Ordering::SeqCst)).sum::<usize>();
    let each = |parts: &[Arc<Parts>]| parts.iter().map(|part| part.each.load(Ordering::SeqCst)).sum::<usize>();
    until("one runs it, and each its own", || one(&parts) == 1 && each(&parts) == 3).await;
    let runs = parts.iter().position(|part| part.one.load(Ordering::SeqCst) == 1).unwrap();
    let former = parts[runs].context.lock().unwrap().clone().unwrap();
    former.api::<Thing>().unwrap().create(&thing("a", 1)).await.unwrap();
    end(running.remove(runs)).await;
    assert_eq!(parts[runs].one.load(Ordering::SeqCst) + parts[runs].each.load(Ordering::SeqCst), 0);
    until("another one runs it", || one(&parts) == 1 && each(&parts) == 2).await;
    let late = former.api::<Thing>().unwrap().create(&thing("b", 1)).await;
    assert!(matches!(late, Err(Error::Fenced(_))), "{late:?}");
    for process in running {
        end(process).await;
    }
}

/// Panics in its first run, ends in its second.
#[derive(Default)]
struct Faint(AtomicUsize);

#[async_trait]
impl Runnable for Faint {
    fn name(&self) -> &'static str {
        "faint"
    }

    async fn run(&self, cx: &Context) {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("too much"),
            1 => {}
            _ => cx.cancelled().await,
        }
    }
}

/// Lesson 41: an end that nobody asked for leaves no process without its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_41_c11_what_panics_or_ends_too_early_runs_again() {
    let (world, faint) = (World::new().await, Arc::new(Faint::default()));
    let mut manager = manager(&world, &world.resources, Mode::Single).await;
    manager.add_runnable(faint.clone());
    let running = start(manager);
    for runs in 1..=2 {
        until("it ran", || faint.0.load(Ordering::SeqCst) == runs).await;
        world.clock.timers_pending(1).await;
        world.clock.advance(Duration::from_secs(5));
    }
    until("it stays", || faint.0.load(Ordering::SeqCst) == 3).await;
    end(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_collects_garbage_and_records_events() {
    let world = World::new().await;
    let kinds = KindRegistry::new().with::<Thing>().with_kind(event_kind());
    let clock = Arc::new(SystemClock::new());
    let resources =
        ResourceStore::new(world.store.clone(), Arc::new(kinds), clock.clone(), Arc::new(SystemRandom), "test");
    let metrics = RuntimeMetrics::unregistered();
    let config = EventRecorderConfig { flush_interval: Duration::from_millis(1), ..EventRecorderConfig::default() };
    let recorder = Arc::new(EventRecorder::new(config, clock.clone(), &metrics));
    let mut manager = manager(&world, &resources, Mode::Single).await.with_events(recorder.clone());
    let collector = GarbageCollector::new(manager.hub().clone(), clock, GarbageCollectorConfig::default(), &metrics);
    manager.add_runnable(Arc::new(collector));
    manager.add_runnable(recorder);
    let running = start(manager);
    let api = resources.api::<Thing>().unwrap();
    let owner = api.create(&thing("owner", 1)).await.unwrap();
    let reference = |kind: &str, uid: &str| OwnerReference {
        api_version: "test.example.com/v1".into(),
        kind: kind.into(),
        name: "owner".into(),
        uid: uid.into(),
        ..OwnerReference::default()
    };
    for (name, reference) in
        [("part", reference("Thing", &owner.metadata.uid)), ("odd", reference("Unheard", "nobody"))]
    {
        let mut part = thing(name, 1);
        part.metadata.owner_references.push(reference);
        api.create(&part).await.unwrap();
    }
    world.delete("owner").await;
    soon("the part goes", async {
        while api.get("test", "part").await.is_ok() {
            pause().await;
        }
    })
    .await;
    soon("the event is there", async {
        let kind = resources.kinds().by_name("events").unwrap();
        while resources.list(kind, &ListOptions::namespace("test")).await.unwrap().entries.is_empty() {
            pause().await;
        }
    })
    .await;
    assert!(api.get("test", "odd").await.is_ok());
    end(running).await;
}
