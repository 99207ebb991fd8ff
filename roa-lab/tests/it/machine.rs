//! What holds whatever happens, in whatever order; and everything together, run by a manager.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use roa_core::{CancellationSource, ChangeKind, Clock, Error, KindDescriptor, Start, TransitionFacts};
use roa_lab::provision::SimulatedProvisioner;
use roa_lab::{
    Lab, LabController, LabInstance, LabMetrics, LabReconciler, LabSettings, LabState, MACHINE, Provisioners,
};
use roa_runtime::{
    Clocks, ControllerConfig, HubItem, Manager, ManagerConfig, Mode, ReconcilerConfig, Selection, SystemClock,
};
use tokio::time::timeout;

use crate::world::{Fate, NAMESPACE, World, exited, minutes};

#[tokio::test]
async fn lesson_44_an_illegal_transition_is_refused_whoever_writes_it() {
    for state in [LabState::Pending, LabState::Provisioning, LabState::Ready, LabState::Failed] {
        for to in LabState::ALL {
            let world = World::new().await;
            world.fake.always(if state == LabState::Failed { Fate::Invalid } else { Fate::Works });
            world.create("a").await;
            match state {
                LabState::Failed => world.reach("a", state).await,
                LabState::Pending => {}
                _ => world.step_to("a", state).await,
            }
            let lab = world.lab("a").await;
            let facts = TransitionFacts {
                spec_changed: lab.metadata.generation > lab.status.observed_generation,
                deleting: false,
            };
            let from = lab.status.state.map(LabState::as_str);
            let legal = MACHINE.check(from, to.as_str(), facts).is_ok();
            let outcome = world.labs().patch_status(NAMESPACE, "a", |lab| lab.status.state = Some(to)).await;
            match outcome {
                Ok(_) => assert!(legal, "{state} -> {to} was taken"),
                Err(Error::Transition { .. }) => assert!(!legal, "{state} -> {to} was refused"),
                Err(error) => panic!("{state} -> {to}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn lesson_44_a_state_that_was_given_is_never_taken_away_nor_changed_through_the_spec_path() {
    let world = World::new().await;
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    let taken = world.labs().patch_status(NAMESPACE, "a", |lab| lab.status.state = None).await;
    assert!(matches!(taken, Err(Error::Invalid { .. })), "{taken:?}");
    let mut lab = world.lab("a").await;
    lab.status.state = Some(LabState::Failed);
    lab.spec.duration = Some(minutes(90));
    world.labs().update(&lab).await.unwrap();
    assert_eq!(world.state("a").await, LabState::Ready);
}

#[derive(Debug, Clone)]
enum Happens {
    Step,
    Steps,
    Sweep,
    /// A sweep over what a cache showed before.
    LateSweep,
    Advance(u64),
    Duration(u64),
    Delete,
    Fate(Fate),
    Dies,
    Vanishes,
    Hangs,
    Restart,
    Orphan,
}

fn happens() -> impl Strategy<Value = Happens> {
    let fate =
        prop_oneof![Just(Fate::Works), Just(Fate::Hangs), Just(Fate::Exits), Just(Fate::Refused), Just(Fate::Invalid)];
    prop_oneof![
        6 => Just(Happens::Step),
        4 => Just(Happens::Steps),
        3 => Just(Happens::Sweep),
        1 => Just(Happens::LateSweep),
        4 => prop_oneof![1..10_u64, 20..400_u64, 3_000..8_000_u64].prop_map(Happens::Advance),
        2 => (1..480_u64).prop_map(Happens::Duration),
        1 => Just(Happens::Delete),
        3 => fate.prop_map(Happens::Fate),
        1 => Just(Happens::Dies),
        1 => Just(Happens::Vanishes),
        1 => Just(Happens::Hangs),
        1 => Just(Happens::Restart),
        1 => Just(Happens::Orphan),
    ]
}

async fn happen(world: &mut World, seen_before: &[Arc<Lab>], what: Happens) {
    match what {
        // A step that fails is tried again, as its driver does.
        Happens::Step => drop(world.step("a").await),
        Happens::Steps => {
            for _ in 0..5 {
                drop(world.step("a").await);
            }
        }
        Happens::Sweep => world.late_sweep(&world.all().await).await,
        Happens::LateSweep => world.late_sweep(seen_before).await,
        Happens::Advance(seconds) => world.advance(seconds),
        Happens::Duration(length) if world.find("a").await.is_some() => {
            world.change("a", |lab| lab.duration = Some(minutes(length))).await;
        }
        Happens::Delete if world.find("a").await.is_some() => world.delete("a").await,
        Happens::Duration(_) | Happens::Delete => drop(world.create("a").await),
        Happens::Fate(fate) => world.fake.always(fate),
        Happens::Dies => world.fake.all_are(&exited()),
        Happens::Vanishes => world.fake.kill_all(),
        Happens::Hangs => world.fake.stop_slowly(2),
        Happens::Restart => world.restart().await,
        Happens::Orphan => world.fake.put("nobodys"),
    }
}

async fn only_legal_transitions(world: &World) {
    let past = world.past("a").await;
    for pair in past.windows(2) {
        let [before, after] = pair else { continue };
        if before.metadata.uid != after.metadata.uid || before.status.state == after.status.state {
            continue;
        }
        let facts = TransitionFacts {
            spec_changed: before.metadata.generation > before.status.observed_generation,
            deleting: before.metadata.is_deleting(),
        };
        let (from, to) = (before.status.state.map(LabState::as_str), after.status.state.unwrap().as_str());
        MACHINE.check(from, to, facts).unwrap();
        assert_eq!(after.status.history.last().unwrap().state.as_str(), to, "the history tells of it");
    }
}

async fn whatever_happens(what: Vec<Happens>) {
    let mut world = World::new().await;
    world.create("a").await;
    let mut seen_before = world.all().await;
    for what in what {
        let seen = world.all().await;
        happen(&mut world, &seen_before, what).await;
        seen_before = seen;
    }
    world.fake.always(Fate::Works);
    if world.find("a").await.is_some() {
        world.delete("a").await;
        world.reach("a", None).await;
    }
    // The first sweep asks what has no lab to end; a slow one takes some more.
    for _ in 0..3 {
        world.sweep().await;
    }
    assert_eq!((world.find("a").await, world.fake.holds()), (None, 0));
    only_legal_transitions(&world).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_states_change_legally_and_a_deleted_lab_leaves_nothing(
        what in prop::collection::vec(happens(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(whatever_happens(what));
    }
}

/// Longer than the whole story takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_by_a_manager_a_lab_lives_its_life_and_deleted_is_the_last_that_a_watch_sees() {
    let world = World::new().await;
    let domain: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let simulated = Arc::new(SimulatedProvisioner::new(domain.clone(), 10));
    let settings = LabSettings {
        provisioners: Provisioners::default().with(simulated.clone()),
        metrics: LabMetrics::unregistered(),
        ..world.settings.clone()
    };
    let clocks = Clocks { domain, io: Arc::new(SystemClock::new()) };
    let config = ManagerConfig::new(Mode::Single);
    let mut manager = Manager::new(world.store.clone(), world.resources.clone(), clocks, config).await.unwrap();
    manager
        .add_controller::<LabInstance, _>(LabController::new(settings.clone()), ControllerConfig::default())
        .unwrap();
    manager.add_reconciler::<LabInstance, _>(LabReconciler::new(settings), ReconcilerConfig::default()).unwrap();
    let selection = Selection::prefix(KindDescriptor::of::<LabInstance>().prefix(None).unwrap());
    let mut watch = manager.hub().watch(selection, Start::After(world.head().await)).await.unwrap();
    let stop = CancellationSource::new();
    let story = async {
        world.create_with("a", |lab| lab.template = "simulated".into()).await;
        let mut seen = Vec::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        loop {
            tokio::select! {
                item = watch.next() => {
                    let Some(Ok(HubItem::Events(events))) = item else { continue };
                    for event in events.events() {
                        let object = event.entry.object().unwrap().to_dynamic().unwrap();
                        seen.extend(object.state().map(str::to_owned));
                        if event.change == ChangeKind::Deleted {
                            return seen;
                        }
                    }
                }
                // Time goes on: the lab lives an hour.
                _ = ticks.tick() => world.clock.advance(Duration::from_secs(20)),
            }
        }
    };
    let running = manager.run(stop.token(), || ());
    let mut seen = timeout(PATIENCE, async {
        tokio::select! {
            seen = story => seen,
            outcome = running => panic!("the manager ended: {outcome:?}"),
        }
    })
    .await
    .unwrap();
    seen.dedup();
    assert_eq!(seen, ["provisioning", "ready", "deleting", "deleted"]);
    assert!(simulated.is_empty());
}
