//! Controllers of places, workers and pools with faults at operations on the store: refused, lost in reply, late, crashed
//! before and after. Which of all, a seed chooses, so that it does not take long.

use std::sync::Arc;

use roa_core::lifecycle::DeleteOptions;
use roa_core::{KindRegistry, ListOptions, Object, Spec};
use roa_lab::{
    Account, Lab, LabController, LabInstance, LabSettings, LabState, LabTemplate, LabWorker, LabWorkerPool,
    PoolController, Provisioners, SimulatedWorkers, Worker, WorkerController, WorkerPhase, WorkerProvisioners, kinds,
    worker_conditions,
};
use roa_runtime::testing::{Trial, World};
use serde_json::{Value, json};

use super::world::{NAMESPACE, seconds};
use crate::lab::fake::{Fake, fake};

/// How many faults each controller meets.
const FAULTS: usize = 24;

async fn create<S: Spec, O>(world: &World<O>, name: &str, spec: Value) -> roa_core::Result<()> {
    let object = Object::<S>::new(NAMESPACE, name, serde_json::from_value(spec).unwrap());
    world.resources.api::<S>()?.create(&object).await.map(|_| ())
}

async fn all<S: Spec, O>(world: &World<O>) -> Result<Vec<Object<S>>, String> {
    let api = world.resources.api::<S>().map_err(|error| error.to_string())?;
    Ok(api.list(&ListOptions::everywhere()).await.map_err(|error| error.to_string())?.0)
}

fn capacity() -> Value {
    json!({"cpu": 4, "memory": "8Gi"})
}

/// A worker that is ready, by the hand of a test.
async fn make_ready(world: &World<Arc<Fake>>) -> roa_core::Result<()> {
    create::<LabWorker, _>(world, "w", json!({"capacity": capacity()})).await?;
    let api = world.resources.api::<LabWorker>()?;
    for phase in [WorkerPhase::Provisioning, WorkerPhase::Ready] {
        let now = world.resources.clock().now();
        let change = |worker: &mut Worker| {
            worker.status.enter(phase, "", now);
            worker.status.condition(worker_conditions::ACCEPTING_LABS, true, ("Test", ""), now);
        };
        api.patch_status(NAMESPACE, "w", change).await?;
    }
    Ok(())
}

/// The lab comes up, is deleted when it is ready, and goes; the worker's account is the sum of its labs all the time.
async fn came_and_went(world: &World<Arc<Fake>>) -> Result<bool, String> {
    world.outside.uids().iter().for_each(|uid| world.outside.answers(uid));
    let (labs, workers) = (all::<LabInstance, _>(world).await?, all::<LabWorker, _>(world).await?);
    let (said, real) = (workers[0].status.allocated, Account::of(&workers[0].metadata.uid, labs.iter()));
    if said != real {
        return Err(format!("the account says {said:?}, the labs {real:?}"));
    }
    let is_ready = |lab: &Lab| lab.status.state() == LabState::Ready && !lab.metadata.is_deleting();
    if labs.iter().any(is_ready) {
        let api = world.resources.api::<LabInstance>().map_err(|error| error.to_string())?;
        api.delete(NAMESPACE, "a", &DeleteOptions::default()).await.map_err(|error| error.to_string())?;
    }
    Ok(labs.is_empty() && said == Account::default() && world.outside.uids().is_empty())
}

#[test]
fn no_fault_at_any_operation_makes_an_account_wrong() {
    let trial = Trial::new(
        kinds(KindRegistry::new()),
        fake,
        |fake: &Arc<Arc<Fake>>| {
            let provisioners = Provisioners::new().with(Arc::<Fake>::clone(fake));
            LabController::new(LabSettings::new("node-1", provisioners))
        },
        async |world: &World<Arc<Fake>>| {
            create::<LabTemplate, _>(world, "course", json!({"provisioner": "fake"})).await?;
            make_ready(world).await?;
            create::<LabInstance, _>(world, "a", json!({"template": "course", "studentEmail": "a@b.c"})).await
        },
        came_and_went,
    );
    let report = trial.sampled(FAULTS, 1).survives_faults().unwrap();
    assert!(report.runs > FAULTS && report.restarts > 3, "{report:?}");
}

#[test]
fn no_fault_at_any_operation_gives_a_pool_more_workers_than_it_wants() {
    let trial = Trial::new(
        kinds(KindRegistry::new()),
        || (),
        |_: &Arc<()>| PoolController::new(LabSettings::new("node-1", Provisioners::new())),
        async |world: &World<()>| {
            let spec = json!({"workerTemplate": {"capacity": capacity()}, "replicas": 3});
            create::<LabWorkerPool, _>(world, "p", spec).await
        },
        async |world: &World<()>| {
            let (pools, workers) = (all::<LabWorkerPool, _>(world).await?, all::<LabWorker, _>(world).await?);
            let (decided, status) = (pools[0].status.decisions.iter().count(), &pools[0].status);
            match workers.len() {
                more @ 4.. => Err(format!("{more} workers, expected 3")),
                count if count != decided => Err(format!("{count} workers, and {decided} decisions")),
                count => Ok(count == 3 && status.replicas == 3),
            }
        },
    );
    let report = trial.sampled(FAULTS, 2).survives_faults().unwrap();
    assert!(report.runs > FAULTS && report.restarts > 3, "{report:?}");
}

#[test]
fn no_fault_at_any_operation_keeps_a_worker_from_coming_up() {
    let trial = Trial::new(
        kinds(KindRegistry::new()),
        || (),
        |_: &Arc<()>| {
            let mut settings = LabSettings::new("node-1", Provisioners::new());
            settings.workers = WorkerProvisioners::new().with(Arc::new(SimulatedWorkers::new(seconds(10))));
            WorkerController::new(settings)
        },
        async |world: &World<()>| create::<LabWorker, _>(world, "w", json!({"capacity": capacity()})).await,
        async |world: &World<()>| Ok(all::<LabWorker, _>(world).await?[0].status.is_accepting()),
    );
    let report = trial.sampled(FAULTS, 3).survives_faults().unwrap();
    assert!(report.runs > FAULTS && report.restarts > 3, "{report:?}");
}
