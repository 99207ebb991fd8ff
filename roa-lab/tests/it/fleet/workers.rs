//! The life of a worker: up, drained, gone; and what becomes of its labs.

use roa_lab::{DesiredPhase, LabInstance, LabState, LabWorker, WORKER_FINALIZER, Worker, WorkerPhase, conditions};
use serde_json::json;

use super::world::{Fleet, NAMESPACE, seconds};

async fn phase(fleet: &Fleet, name: &str) -> WorkerPhase {
    fleet.get_worker(name).await.status.phase()
}

async fn wish(fleet: &Fleet, name: &str, phase: DesiredPhase) {
    let change = |worker: &mut Worker| worker.spec.desired_phase = Some(phase.into());
    fleet.api::<LabWorker>().patch(NAMESPACE, name, change).await.unwrap();
    fleet.settle().await;
}

async fn with_a_lab() -> Fleet {
    let fleet = Fleet::new().await;
    fleet.ready_worker("w", 4).await;
    fleet.lab("a").await;
    fleet.settle().await;
    assert_eq!(fleet.get_lab("a").await.status.state(), LabState::Ready);
    fleet
}

#[tokio::test]
async fn a_worker_takes_its_time_and_is_marked_before_anything_is_begun() {
    let fleet = Fleet::new().await;
    fleet.worker("w", 4).await;
    fleet.settle().await;
    let worker = fleet.get_worker("w").await;
    assert!(worker.metadata.has_finalizer(WORKER_FINALIZER));
    assert_eq!(worker.status.phase(), WorkerPhase::Provisioning);
    fleet.clock.advance(seconds(4));
    fleet.settle().await;
    assert_eq!(phase(&fleet, "w").await, WorkerPhase::Provisioning);
    fleet.clock.advance(seconds(1));
    fleet.settle().await;
    assert!(fleet.get_worker("w").await.status.is_accepting());
}

#[tokio::test]
async fn a_provisioner_that_is_not_registered_fails_the_worker_until_its_spec_changes() {
    let fleet = Fleet::new().await;
    let capacity = json!({"cpu": 1, "memory": "1Gi"});
    fleet.create::<LabWorker>("w", json!({"capacity": capacity, "provisioner": "cloud"})).await;
    fleet.settle().await;
    let status = fleet.get_worker("w").await.status;
    assert_eq!(status.phase(), WorkerPhase::Failed);
    assert_eq!(status.message, "names the provisioner \"cloud\", expected simulated");
    fleet.api::<LabWorker>().patch(NAMESPACE, "w", |it| it.spec.provisioner = None).await.unwrap();
    fleet.settle().await;
    fleet.clock.advance(seconds(5));
    fleet.settle().await;
    assert_eq!(phase(&fleet, "w").await, WorkerPhase::Ready);
}

#[tokio::test]
async fn lesson_60_a_worker_that_drains_waits_for_its_labs_and_then_goes() {
    let fleet = with_a_lab().await;
    wish(&fleet, "w", DesiredPhase::Draining).await;
    assert_eq!(phase(&fleet, "w").await, WorkerPhase::Draining);
    assert_eq!(fleet.get_worker("w").await.status.message, "takes no new labs, and has 1");
    fleet.lab("b").await;
    fleet.settle().await;
    assert_eq!(fleet.get_lab("b").await.status.state(), LabState::Pending);
    assert_eq!(fleet.get_lab("a").await.status.state(), LabState::Ready, "it lives on");
    fleet.delete::<LabInstance>("a").await;
    fleet.settle().await;
    assert_eq!(phase(&fleet, "w").await, WorkerPhase::Terminated);
    assert!(fleet.message("Terminated").contains("nothing is left"));
}

#[tokio::test]
async fn a_drained_worker_may_be_called_back_while_it_has_labs() {
    let fleet = with_a_lab().await;
    wish(&fleet, "w", DesiredPhase::Draining).await;
    wish(&fleet, "w", DesiredPhase::Ready).await;
    assert!(fleet.get_worker("w").await.status.is_accepting());
}

#[tokio::test]
async fn a_worker_that_is_deleted_drains_first() {
    let fleet = with_a_lab().await;
    fleet.delete::<LabWorker>("w").await;
    fleet.settle().await;
    assert_eq!(phase(&fleet, "w").await, WorkerPhase::Draining);
    fleet.delete::<LabInstance>("a").await;
    fleet.settle().await;
    assert!(fleet.find::<LabWorker>("w").await.is_none());
}

#[tokio::test]
async fn a_worker_that_is_to_be_terminated_has_its_labs_moved() {
    let fleet = with_a_lab().await;
    fleet.ready_worker("x", 4).await;
    let uid = fleet.get_lab("a").await.metadata.uid;
    wish(&fleet, "w", DesiredPhase::Terminated).await;
    assert_eq!(phase(&fleet, "w").await, WorkerPhase::Terminated);
    let status = fleet.get_lab("a").await.status;
    assert_eq!(
        (status.state(), status.worker_ref.as_deref(), status.is_degraded()),
        (LabState::Ready, Some("x"), false)
    );
    assert_eq!(fleet.fake.begun(&uid), 2, "it was ended there and begun here");
    fleet.check_accounts().await;
}

#[tokio::test]
async fn labs_that_can_not_be_moved_wait_without_a_place_and_keep_their_end() {
    let fleet = with_a_lab().await;
    let before = fleet.get_lab("a").await.status.expires_at;
    wish(&fleet, "w", DesiredPhase::Terminated).await;
    let status = fleet.get_lab("a").await.status;
    assert_eq!((status.state(), status.allocation.clone(), status.expires_at), (LabState::Ready, None, before));
    assert!(status.is_degraded() && !status.conditions.is_true(conditions::WORKER_ASSIGNED), "{status:?}");
    assert_eq!(status.message, "0/1 workers: 1 terminated");
    assert!(fleet.fake.uids().is_empty(), "nothing of it runs");
    fleet.clock.advance(seconds(8 * 3600));
    fleet.settle().await;
    assert!(fleet.find::<LabInstance>("a").await.is_none(), "its time is over nevertheless");
}

#[tokio::test]
async fn a_worker_that_is_not_up_yet_goes_without_having_been() {
    let fleet = Fleet::new().await;
    fleet.worker("w", 1).await;
    fleet.settle().await;
    fleet.delete::<LabWorker>("w").await;
    fleet.settle().await;
    assert!(fleet.find::<LabWorker>("w").await.is_none());
}

#[tokio::test]
async fn a_worker_of_the_same_name_is_another_one() {
    let fleet = with_a_lab().await;
    // Somebody takes the record away by force: the labs on it are on a worker that is gone.
    fleet.api::<LabWorker>().patch(NAMESPACE, "w", |it| it.metadata.finalizers.clear()).await.unwrap();
    fleet.delete::<LabWorker>("w").await;
    fleet.ready_worker("w", 4).await;
    fleet.settle().await;
    let held = fleet.get_lab("a").await.status.allocation.unwrap();
    assert!(held.is_on(&fleet.get_worker("w").await.metadata.uid), "it found a place again: {held:?}");
    assert!(fleet.message("WorkerLost").contains("worker w is gone"));
    fleet.check_accounts().await;
}
