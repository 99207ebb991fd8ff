//! Four schedulers race for the last place, again and again: none is given away twice.

use std::sync::Arc;

use roa_core::{Controller, Error, Expected, ReconcileError};
use roa_lab::{Lab, LabController, LabInstance, LabState, LabWorker};
use serde_json::json;
use tokio::task::JoinSet;

use super::backends::Backend;
use super::world::{Fleet, NAMESPACE, blind};

const SCHEDULERS: usize = 4;
const ROUNDS: u32 = 1_000;

/// One call of a scheduler that sees nothing but its lab and the workers in the store.
async fn schedule(controller: Arc<LabController>, lab: Lab, cx: roa_core::Context) -> Result<(), ReconcileError> {
    match controller.reconcile(Arc::new(lab), &cx).await {
        Ok(_) => Ok(()),
        // Its lab was written by nobody else.
        Err(ReconcileError::Resource(Error::Conflict { expected: Expected::Revision(_), key, .. })) => {
            panic!("{key} was written by another scheduler")
        }
        Err(error) => Err(error),
    }
}

async fn labs(fleet: &Fleet, names: &[String]) -> Vec<Lab> {
    let mut labs = Vec::new();
    for name in names {
        labs.push(fleet.get_lab(name).await);
    }
    labs
}

/// In each round there is room for one lab more, and four that want it, each with a scheduler of its own.
async fn race(backend: Backend) {
    let fleet = Fleet::over(backend.open("race").await, |_| {}).await;
    let capacity = json!({"cpu": "2000", "memory": "2000Gi", "maxLabs": 1});
    fleet.create::<LabWorker>("w", json!({"capacity": capacity, "simulated": {"provisionTime": "0s"}})).await;
    fleet.settle().await;
    let schedulers: Vec<_> = (0..SCHEDULERS)
        .map(|number| {
            let mut settings = fleet.settings.clone();
            settings.node = format!("node-{number}");
            Arc::new(LabController::new(settings))
        })
        .collect();
    let cx = fleet.context("scheduler").with_caches(blind());
    let mut waiting: Vec<String> = Vec::new();
    for round in 1..=ROUNDS {
        while waiting.len() < SCHEDULERS {
            let name = format!("lab-{round}-{}", waiting.len());
            let lab = fleet.lab(&name).await;
            schedule(Arc::clone(&schedulers[0]), lab, cx.clone()).await.unwrap(); // accepted
            waiting.push(name);
        }
        fleet.api::<LabWorker>().patch(NAMESPACE, "w", |it| it.spec.capacity.max_labs = Some(round)).await.unwrap();
        let mut calls = JoinSet::new();
        for (scheduler, lab) in schedulers.iter().zip(labs(&fleet, &waiting).await) {
            calls.spawn(schedule(Arc::clone(scheduler), lab, cx.clone()));
        }
        for outcome in calls.join_all().await {
            outcome.unwrap();
        }
        let labs = labs(&fleet, &waiting).await;
        let placed: Vec<&Lab> = labs.iter().filter(|lab| lab.status.state() == LabState::Provisioning).collect();
        assert_eq!(placed.len(), 1, "round {round}: the place is given to one");
        assert_eq!(fleet.get_worker("w").await.status.allocated.labs, round, "and it is written down");
        waiting.retain(|name| *name != placed[0].metadata.name);
    }
    fleet.check_accounts().await;
    let placed = fleet.all::<LabInstance>().await.iter().filter(|lab| lab.status.allocation.is_some()).count();
    assert_eq!(placed, usize::try_from(ROUNDS).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_57_four_schedulers_never_oversubscribe_a_worker_in_memory() {
    race(Backend::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_57_four_schedulers_never_oversubscribe_a_worker_in_sqlite() {
    race(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_57_four_schedulers_never_oversubscribe_a_worker_in_redis() {
    race(Backend::redis()).await;
}
