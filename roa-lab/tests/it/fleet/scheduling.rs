//! Which worker a lab gets, and what it is told when it gets none.

use roa_lab::{LabInstance, LabState, LabWorker, Scheduling, Strategy, conditions};
use serde_json::json;

use super::world::{Fleet, NAMESPACE, seconds};

async fn scheduled(fleet: &Fleet, name: &str) -> (bool, String, String) {
    let status = fleet.get_lab(name).await.status;
    let condition = status.conditions.get(conditions::SCHEDULED).unwrap().clone();
    (status.conditions.is_true(conditions::SCHEDULED), condition.reason, condition.message)
}

async fn worker_of(fleet: &Fleet, name: &str) -> Option<String> {
    fleet.get_lab(name).await.status.worker_ref
}

#[tokio::test]
async fn a_namespace_without_workers_has_the_local_one() {
    let fleet = Fleet::new().await;
    fleet.lab("a").await;
    fleet.settle().await;
    assert_eq!(worker_of(&fleet, "a").await.as_deref(), Some("local"));
    fleet.ready_worker("w", 4).await;
    fleet.lab("b").await;
    fleet.settle().await;
    assert_eq!(worker_of(&fleet, "b").await.as_deref(), Some("w"));
    let held = fleet.get_lab("b").await.status.allocation.unwrap();
    assert!(held.is_on(&fleet.get_worker("w").await.metadata.uid));
    assert_eq!(fleet.get_lab("a").await.status.state(), LabState::Ready, "what is local stays");
    fleet.check_accounts().await;
}

#[tokio::test]
async fn a_pool_without_workers_yet_is_waited_for() {
    let fleet = Fleet::new().await;
    let capacity = json!({"cpu": 4, "memory": "4Gi"});
    fleet.create::<roa_lab::LabWorkerPool>("p", json!({"workerTemplate": {"capacity": capacity}})).await;
    fleet.lab("a").await;
    fleet.call::<LabInstance, _>(&fleet.labs, "a").await;
    fleet.call::<LabInstance, _>(&fleet.labs, "a").await;
    fleet.call::<LabInstance, _>(&fleet.labs, "a").await.unwrap().unwrap();
    let waits = (false, "Unschedulable".to_owned(), "0/0 workers: there is none yet".to_owned());
    assert_eq!(scheduled(&fleet, "a").await, waits);
    fleet.settle().await;
    assert_eq!(scheduled(&fleet, "a").await.2, "0/1 workers: 1 not ready yet");
    fleet.clock.advance(seconds(5));
    fleet.settle().await;
    assert_eq!(worker_of(&fleet, "a").await.as_deref(), Some("p-0"));
}

#[tokio::test]
async fn what_fits_nowhere_is_told_why_and_goes_on_when_there_is_room() {
    let fleet = Fleet::new().await;
    for (name, size) in [("small", 1), ("smaller", 1), ("draining", 8)] {
        fleet.worker(name, size).await;
    }
    fleet.settle().await;
    fleet.clock.advance(seconds(5));
    fleet.settle().await;
    let drain = |it: &mut roa_lab::Worker| it.spec.desired_phase = Some(roa_lab::DesiredPhase::Draining.into());
    fleet.api::<LabWorker>().patch(NAMESPACE, "draining", drain).await.unwrap();
    fleet.lab_with("a", json!({"resources": {"cpu": 2, "memory": "500Mi"}})).await;
    fleet.call::<LabInstance, _>(&fleet.labs, "a").await;
    fleet.call::<LabInstance, _>(&fleet.labs, "a").await;
    fleet.call::<LabInstance, _>(&fleet.labs, "a").await.unwrap().unwrap();
    let expected = "0/3 workers: 2 insufficient cpu, 1 draining";
    assert_eq!(scheduled(&fleet, "a").await, (false, "Unschedulable".to_owned(), expected.to_owned()));
    fleet.settle().await;
    assert_eq!(scheduled(&fleet, "a").await.2, "0/3 workers: 2 insufficient cpu, 1 terminated");
    fleet.ready_worker("large", 4).await;
    assert_eq!(worker_of(&fleet, "a").await.as_deref(), Some("large"));
    assert_eq!(scheduled(&fleet, "a").await.2, "2 cpu and 500Mi memory on worker large");
}

#[tokio::test]
async fn a_lab_with_a_track_gets_a_worker_of_it() {
    let fleet = Fleet::new().await;
    fleet.ready_worker("plain", 8).await;
    fleet.lab_with("a", json!({"track": "gpu"})).await;
    fleet.settle().await;
    assert_eq!(scheduled(&fleet, "a").await.2, "0/1 workers: 1 of another track");
    let capacity = json!({"cpu": 1, "memory": "1Gi"});
    fleet.create::<LabWorker>("gpu", json!({"capacity": capacity, "track": "gpu"})).await;
    fleet.settle().await;
    fleet.clock.advance(seconds(5));
    fleet.settle().await;
    assert_eq!(worker_of(&fleet, "a").await.as_deref(), Some("gpu"));
}

#[tokio::test]
async fn the_strategy_is_the_one_that_is_configured() {
    for (strategy, expected) in [
        (Strategy::BestFit, ["a", "a", "a"]),
        (Strategy::LeastLabs, ["a", "b", "a"]),
        (Strategy::RoundRobin, ["a", "b", "a"]),
    ] {
        let fleet = Fleet::with(|settings| settings.scheduling = Scheduling { strategy, seed: 1 }).await;
        fleet.ready_worker("a", 4).await;
        fleet.ready_worker("b", 4).await;
        for (number, expected) in expected.iter().enumerate() {
            let name = format!("lab-{number}");
            fleet.lab(&name).await;
            fleet.settle().await;
            assert_eq!(worker_of(&fleet, &name).await.as_deref(), Some(*expected), "{strategy} {number}");
        }
    }
}

#[tokio::test]
async fn a_lab_that_goes_gives_its_place_back() {
    let fleet = Fleet::new().await;
    fleet.ready_worker("w", 1).await;
    fleet.lab("a").await;
    fleet.lab("b").await;
    fleet.settle().await;
    assert_eq!(fleet.get_worker("w").await.status.utilisation.cpu, 100);
    assert_eq!(worker_of(&fleet, "b").await, None);
    fleet.delete::<LabInstance>("a").await;
    fleet.settle().await;
    assert!(fleet.find::<LabInstance>("a").await.is_none());
    assert_eq!(worker_of(&fleet, "b").await.as_deref(), Some("w"));
    fleet.delete::<LabInstance>("b").await;
    fleet.settle().await;
    assert_eq!(fleet.get_worker("w").await.status.allocated, roa_lab::Account::default());
    fleet.check_accounts().await;
}
