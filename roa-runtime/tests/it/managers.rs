//! The manager: order of start and stop, and one of several at work.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, CacheReader, CancellationSource, Context, Controller, Drift, DriftKind, Object, ReconcileError, Reconciler,
    Timestamp,
};
use roa_runtime::{
    Clocks, ControllerConfig, LeaseConfig, Manager, ManagerConfig, ManagerError, Mode, ReconcilerConfig, SystemClock,
    WatchKind,
};

use crate::support::{Thing, World, soon, until};

/// Notes the size of each thing in its status, and under whose name.
struct Noter {
    name: &'static str,
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Controller for Noter {
    type Resource = Object<Thing>;

    fn name(&self) -> &str {
        self.name
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Result<Action, ReconcileError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let cached = cx.cache::<Thing>().map(|cache| cache.list(None).len());
        assert!(cached.is_some_and(|count| count > 0), "caches are filled before workers start");
        let mut next = (*thing).clone();
        next.status.note = format!("{} by {}", thing.spec.size, self.name);
        if thing.status.observed_generation == thing.metadata.generation {
            return Ok(Action::Done);
        }
        next.status.observed_generation = thing.metadata.generation;
        cx.api::<Thing>()?.update_status(&next).await?;
        Ok(Action::Done)
    }
}

/// Finds things whose note was taken away, and gives one back.
struct Mender(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Reconciler for Mender {
    type Resource = Object<Thing>;
    type Observed = ();

    fn name(&self) -> &'static str {
        "mender"
    }

    async fn observe(&self, thing: &Object<Thing>, _cx: &Context) -> Result<(), ReconcileError> {
        assert!(thing.spec.size != 13, "one that can't be looked at");
        Ok(())
    }

    fn drift(&self, thing: &Object<Thing>, _seen: &(), _now: Timestamp) -> Option<Drift> {
        thing.status.note.is_empty().then(|| Drift {
            kind: DriftKind::Drifted,
            reason: "NoteGone",
            message: "no note".into(),
        })
    }

    async fn correct(&self, thing: Arc<Object<Thing>>, drift: Drift, cx: &Context) -> Result<Action, ReconcileError> {
        let mut next = (*thing).clone();
        next.status.note = "mended".into();
        cx.api::<Thing>()?.update_status(&next).await?;
        self.0.lock().unwrap().push(format!("{} {}", thing.metadata.name, drift.reason));
        Ok(Action::Done)
    }

    async fn after_sweep(&self, objects: &[Arc<Object<Thing>>], _cx: &Context) -> Result<usize, ReconcileError> {
        self.0.lock().unwrap().push(format!("swept {}", objects.len()));
        Ok(0)
    }
}

fn leader(holder: &str) -> Mode {
    let millis = Duration::from_millis;
    let config = LeaseConfig { duration: millis(4_000), renew_deadline: millis(3_000), retry_period: millis(50) };
    Mode::Leader { lease: "things".into(), holder: holder.into(), config }
}

async fn manager(world: &World, mode: Mode, watch: WatchKind) -> Manager {
    let config = ManagerConfig { watch, ..ManagerConfig::new(mode) };
    let clocks = Clocks::same(Arc::new(SystemClock::new()));
    Manager::new(world.store.clone(), world.resources.clone(), clocks, config).await.unwrap()
}

async fn noted(world: &World, name: &str, note: &str) {
    soon(note, async {
        while world.api().get("test", name).await.unwrap().status.note != note {
            crate::support::pause().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l6_l2_one_of_two_works_and_the_other_takes_over() {
    let world = World::new().await;
    let stops = [CancellationSource::new(), CancellationSource::new()];
    let calls = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let ended = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let mut running = Vec::new();
    for (index, name) in ["one", "two"].into_iter().enumerate() {
        let mut manager = manager(&world, leader(name), WatchKind::Stream).await;
        let noter = Noter { name, calls: calls[index].clone() };
        manager.add_controller::<Thing, _>(noter, ControllerConfig::default()).unwrap();
        let token = stops[index].token();
        let ended = ended[index].clone();
        running.push(Box::pin(async move {
            let outcome = manager.run(token, || ()).await;
            ended.store(true, Ordering::SeqCst);
            outcome
        }));
        if index == 0 {
            world.create("a", 1).await;
            soon("the first leads", async {
                tokio::select! { biased; () = noted(&world, "a", "1 by one") => {}, _ = &mut running[0] => panic!("it ended") }
            })
            .await;
        }
    }
    let [first, second] = <[_; 2]>::try_from(running).ok().unwrap();
    let story = async {
        world.create("b", 2).await;
        noted(&world, "b", "2 by one").await;
        assert_eq!(calls[1].load(Ordering::SeqCst), 0, "who stands by does nothing");
        stops[0].cancel();
        until("the first has ended", || ended[0].load(Ordering::SeqCst)).await;
        world.create("c", 3).await;
        noted(&world, "c", "3 by two").await;
        stops[1].cancel();
    };
    let (first, second, ()) = soon("the story", async { tokio::join!(first, second, story) }).await;
    first.unwrap();
    second.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_find_and_mend_drift_and_a_panic_in_one_look_disturbs_no_other() {
    let world = World::new().await;
    let mended = Arc::new(Mutex::new(Vec::new()));
    world.create("poison", 13).await;
    world.create("a", 1).await;
    let mut manager = manager(&world, Mode::Single, WatchKind::Poll(Duration::from_millis(10))).await;
    let config = ReconcilerConfig { interval: Duration::from_millis(20), ..ReconcilerConfig::default() };
    manager.add_reconciler::<Thing, _>(Mender(mended.clone()), config).unwrap();
    let (one, two) = (manager.cache::<Thing>().unwrap(), manager.cache::<Thing>().unwrap());
    let stop = CancellationSource::new();
    let run = manager.run(stop.token(), || ());
    let story = async {
        noted(&world, "a", "mended").await;
        assert_eq!((one.len(), two.len(), one.list(None).len()), (2, 2, 2), "asking twice gives the same cache");
        until("it was swept", || mended.lock().unwrap().iter().any(|line| line == "swept 2")).await;
        assert!(mended.lock().unwrap().contains(&"a NoteGone".to_owned()));
        stop.cancel();
    };
    let (outcome, ()) = soon("the story", async { tokio::join!(run, story) }).await;
    outcome.unwrap();
    assert!(world.api().get("test", "poison").await.unwrap().status.note.is_empty());
}

#[tokio::test]
async fn l3_times_of_a_lease_that_contradict_each_other_are_refused_with_every_reason() {
    let world = World::new().await;
    let millis = Duration::from_millis;
    let config = LeaseConfig { duration: millis(10), renew_deadline: millis(20), retry_period: millis(30) };
    let mode = Mode::Leader { lease: "l".into(), holder: "h".into(), config };
    let clocks = Clocks::same(Arc::new(SystemClock::new()));
    let refused = Manager::new(world.store.clone(), world.resources.clone(), clocks, ManagerConfig::new(mode)).await;
    let Err(ManagerError::Lease(error)) = refused else { panic!("expected a refusal") };
    let message = error.to_string();
    assert!(message.contains("duration") && message.contains("retry_period"), "{message}");
}
