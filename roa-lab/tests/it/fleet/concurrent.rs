//! Whatever happens at the same time, whoever writes: no change of state that is not declared is ever stored, and every
//! account is the sum of its labs at every revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use roa_core::{Change, DynamicObject, Error, ReconcileError, StateMachine, TransitionFacts};
use roa_lab::{
    Account, DesiredPhase, Lab, LabInstance, LabState, LabWorker, LabWorkerPool, MACHINE, WORKER_MACHINE, Worker,
    WorkerPhase, Written,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::backends::Backend;
use super::world::{Fleet, NAMESPACE, seconds};

const LABS: [&str; 3] = ["a", "b", "c"];
const WORKERS: [&str; 3] = ["w", "x", "p-0"];
/// Writers at the same time.
const WRITERS: usize = 4;

/// Something that somebody does.
#[derive(Debug, Clone)]
enum Deed {
    CallLab(usize),
    CallWorker(usize),
    CallPool,
    SweepLabs,
    SweepWorkers,
    Beat,
    Pass(u64),
    Answers,
    Crashes,
    EditLab(usize, u8),
    DeleteLab(usize),
    CreateLab(usize),
    Wish(usize, DesiredPhase),
    DeleteWorker(usize),
    CreateWorker(usize),
    /// A writer who knows no rules.
    SetState(usize, LabState),
    SetPhase(usize, WorkerPhase),
}

fn deed() -> impl Strategy<Value = Deed> {
    let (lab, worker) = (0..LABS.len(), 0..WORKERS.len());
    let state = prop::sample::select(LabState::ALL.to_vec());
    let phase = prop::sample::select(WorkerPhase::ALL.to_vec());
    prop_oneof![
        16 => lab.clone().prop_map(Deed::CallLab),
        10 => worker.clone().prop_map(Deed::CallWorker),
        3 => Just(Deed::CallPool),
        2 => Just(Deed::SweepLabs),
        2 => Just(Deed::SweepWorkers),
        2 => Just(Deed::Beat),
        3 => (1..200_u64).prop_map(Deed::Pass),
        4 => Just(Deed::Answers),
        1 => Just(Deed::Crashes),
        2 => (lab.clone(), 1..8_u8).prop_map(|(lab, hours)| Deed::EditLab(lab, hours)),
        1 => lab.clone().prop_map(Deed::DeleteLab),
        3 => lab.clone().prop_map(Deed::CreateLab),
        2 => (worker.clone(), prop::sample::select(DesiredPhase::ALL.to_vec())).prop_map(|(w, wish)| Deed::Wish(w, wish)),
        1 => worker.clone().prop_map(Deed::DeleteWorker),
        2 => worker.clone().prop_map(Deed::CreateWorker),
        2 => (lab, state).prop_map(|(lab, state)| Deed::SetState(lab, state)),
        2 => (worker, phase).prop_map(|(worker, phase)| Deed::SetPhase(worker, phase)),
    ]
}

/// What a controller may say when others write at the same time; never that it tried what is not declared, unless a writer
/// who knows no rules was between its read and its write.
fn assert_outcome<T>(outcome: Option<Result<T, ReconcileError>>) {
    if let Some(Err(error)) = outcome {
        let refused = matches!(error, ReconcileError::Resource(Error::Transition { .. } | Error::Invalid { .. }));
        assert!(error.is_retryable() || refused, "{error}");
    }
}

fn tolerate<T>(outcome: Result<T, Error>) {
    match outcome {
        Ok(_)
        | Err(
            Error::Conflict { .. } | Error::NotFound { .. } | Error::AlreadyExists { .. } | Error::Transition { .. },
        ) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn sweep_labs(fleet: &Fleet) {
    use roa_core::Reconciler as _;
    let cx = fleet.context(fleet.lab_sweep.name());
    let labs: Vec<Arc<Lab>> = fleet.all::<LabInstance>().await.into_iter().map(Arc::new).collect();
    for lab in &labs {
        let Ok(seen) = fleet.lab_sweep.observe(lab, &cx).await else { continue };
        if let Some(drift) = fleet.lab_sweep.drift(lab, &seen, cx.now()) {
            assert_outcome(Some(fleet.lab_sweep.correct(Arc::clone(lab), drift, &cx).await));
        }
    }
}

async fn sweep_workers(fleet: &Fleet) {
    use roa_core::Reconciler as _;
    let cx = fleet.context(fleet.worker_sweep.name());
    let workers: Vec<Arc<Worker>> = fleet.all::<LabWorker>().await.into_iter().map(Arc::new).collect();
    for worker in &workers {
        let Ok(seen) = fleet.worker_sweep.observe(worker, &cx).await else { continue };
        if let Some(drift) = fleet.worker_sweep.drift(worker, &seen, cx.now()) {
            assert_ne!(drift.reason, "AccountWrong", "{}: {}", worker.metadata.name, drift.message);
            assert_outcome(Some(fleet.worker_sweep.correct(Arc::clone(worker), drift, &cx).await));
        }
    }
}

async fn create_worker(fleet: &Fleet, name: &str) {
    let spec = json!({"capacity": {"cpu": 2, "memory": "4Gi", "maxLabs": 2}, "simulated": {"provisionTime": "1s"}});
    let worker = Worker::new(NAMESPACE, name, serde_json::from_value(spec).unwrap());
    tolerate(fleet.api::<LabWorker>().create(&worker).await);
}

async fn create_lab(fleet: &Fleet, name: &str) {
    let spec = json!({"template": "course", "studentEmail": "a@b.c", "duration": "5m"});
    let lab = Lab::new(NAMESPACE, name, serde_json::from_value(spec).unwrap());
    tolerate(fleet.api::<LabInstance>().create(&lab).await);
}

async fn act(fleet: &Fleet, deed: Deed) {
    let options = roa_core::lifecycle::DeleteOptions::default();
    match deed {
        Deed::CallLab(lab) => assert_outcome(fleet.call::<LabInstance, _>(&fleet.labs, LABS[lab]).await),
        Deed::CallWorker(it) => assert_outcome(fleet.call::<LabWorker, _>(&fleet.workers, WORKERS[it]).await),
        Deed::CallPool => assert_outcome(fleet.call::<LabWorkerPool, _>(&fleet.pools, "p").await),
        Deed::SweepLabs => sweep_labs(fleet).await,
        Deed::SweepWorkers => sweep_workers(fleet).await,
        Deed::Beat => tolerate(fleet.simulated.beat(&fleet.context("simulated-workers")).await),
        Deed::Pass(time) => fleet.clock.advance(seconds(time)),
        Deed::Answers => fleet.answer(),
        Deed::Crashes => fleet.fake.uids().iter().for_each(|uid| fleet.fake.exits(uid, "boom")),
        Deed::EditLab(lab, hours) => {
            let change = |lab: &mut Lab| lab.spec.duration = Some(Written::new(format!("{hours}h")));
            tolerate(fleet.api::<LabInstance>().patch(NAMESPACE, LABS[lab], change).await);
        }
        Deed::DeleteLab(lab) => tolerate(fleet.api::<LabInstance>().delete(NAMESPACE, LABS[lab], &options).await),
        Deed::CreateLab(lab) => create_lab(fleet, LABS[lab]).await,
        Deed::Wish(it, wish) => {
            let change = |worker: &mut Worker| worker.spec.desired_phase = Some(wish.into());
            tolerate(fleet.api::<LabWorker>().patch(NAMESPACE, WORKERS[it], change).await);
        }
        Deed::DeleteWorker(it) => tolerate(fleet.api::<LabWorker>().delete(NAMESPACE, WORKERS[it], &options).await),
        Deed::CreateWorker(it) => create_worker(fleet, WORKERS[it]).await,
        Deed::SetState(lab, state) => {
            let change = |lab: &mut Lab| lab.status.state = Some(state);
            tolerate(fleet.api::<LabInstance>().patch_status(NAMESPACE, LABS[lab], change).await);
        }
        Deed::SetPhase(it, phase) => {
            let change = |worker: &mut Worker| worker.status.phase = Some(phase);
            tolerate(fleet.api::<LabWorker>().patch_status(NAMESPACE, WORKERS[it], change).await);
        }
    }
}

/// Everything as of one revision.
#[derive(Default)]
struct Past {
    labs: BTreeMap<String, Lab>,
    workers: BTreeMap<String, Worker>,
}

fn tree(entry: Option<&Arc<roa_core::Entry>>) -> Option<DynamicObject> {
    entry.map(|entry| entry.object().unwrap().to_dynamic().unwrap())
}

fn assert_transition(machine: &StateMachine, field: &str, change: &Change) {
    let (Some(before), Some(after)) = (tree(change.previous()), tree(change.current())) else { return };
    let facts = TransitionFacts {
        spec_changed: before.metadata.generation > before.observed_generation(),
        deleting: before.metadata.is_deleting(),
    };
    if let Some(to) = after.state_in(field) {
        let checked = machine.check(before.state_in(field), to, facts);
        assert_eq!(checked, Ok(()), "{} by {:?}", change.key(), change.current().map(|entry| &entry.writer));
    }
}

impl Past {
    fn apply(&mut self, change: &Change) {
        let (name, after) = (change.key().name().to_owned(), tree(change.current()));
        match change.key().resource() {
            "labinstances" => {
                assert_transition(&MACHINE, "state", change);
                match after.map(|after| Lab::from_dynamic(&after).unwrap()) {
                    Some(lab) => drop(self.labs.insert(name, lab)),
                    None => drop(self.labs.remove(&name)),
                }
            }
            "labworkers" => {
                assert_transition(&WORKER_MACHINE, "phase", change);
                match after.map(|after| Worker::from_dynamic(&after).unwrap()) {
                    Some(worker) => drop(self.workers.insert(name, worker)),
                    None => drop(self.workers.remove(&name)),
                }
            }
            _ => {}
        }
    }

    fn assert_accounts(&self, at: roa_core::Revision) {
        for worker in self.workers.values() {
            let (said, capacity) = (worker.status.allocated, worker.spec.capacity());
            let real = Account::of(&worker.metadata.uid, self.labs.values());
            assert_eq!(said, real, "{} at {at}", worker.metadata.name);
            let labs = usize::try_from(said.labs).unwrap();
            let fits = said.cpu <= capacity.cpu && said.memory <= capacity.memory && labs <= capacity.labs;
            assert!(fits, "{} at {at}: {said:?} of {capacity:?}", worker.metadata.name);
        }
    }
}

/// Several writers at the same time, each with its own list of deeds. Gives how many writes they made.
async fn tumult(fleet: Arc<Fleet>, deeds: Vec<Vec<Deed>>) -> usize {
    let capacity = json!({"cpu": 2, "memory": "4Gi"});
    fleet.create::<LabWorkerPool>("p", json!({"workerTemplate": {"capacity": capacity}})).await;
    let mut writers = JoinSet::new();
    for deeds in deeds {
        let fleet = Arc::clone(&fleet);
        writers.spawn(async move {
            for deed in deeds {
                act(&fleet, deed).await;
            }
        });
    }
    writers.join_all().await;
    let (mut past, log) = (Past::default(), fleet.log().await);
    for batch in &log {
        batch.changes.iter().for_each(|change| past.apply(change));
        past.assert_accounts(batch.revision);
    }
    log.len()
}

/// Runs of one seed: a failure names it.
async fn tumults(backend: Backend, seeds: std::ops::Range<u8>, length: usize) {
    let mut writes = 0;
    for seed in seeds {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let lists = prop::collection::vec(prop::collection::vec(deed(), length), WRITERS);
        let deeds = lists.new_tree(&mut runner).unwrap().current();
        let store = backend.open(&format!("tumult-{seed}")).await;
        let fleet = Arc::new(Fleet::over(store, |_| {}).await);
        println!("seed {seed}");
        writes += tumult(fleet, deeds).await;
    }
    assert!(writes > length, "something happened: {writes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_44_no_tumult_stores_what_is_not_declared_in_memory() {
    tumults(Backend::Memory, 0..24, 120).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_44_no_tumult_stores_what_is_not_declared_in_sqlite() {
    tumults(Backend::sqlite(), 100..108, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_44_no_tumult_stores_what_is_not_declared_in_redis() {
    tumults(Backend::redis(), 200..208, 100).await;
}
