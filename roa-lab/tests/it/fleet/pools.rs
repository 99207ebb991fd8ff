//! The life of a pool, with simulated time.

use std::time::Duration;

use roa_lab::{
    Direction, LabInstance, LabWorker, LabWorkerPool, POOL_FINALIZER, SILENCE_ANNOTATION, WorkerPhase, Written,
};
use serde_json::{Value, json};

use super::world::{Fleet, NAMESPACE, minutes, seconds};

async fn with_pool(scaling: Value) -> Fleet {
    let fleet = Fleet::new().await;
    let capacity = json!({"cpu": 4, "memory": "8Gi"});
    fleet.create::<LabWorkerPool>("p", json!({"workerTemplate": {"capacity": capacity}, "scaling": scaling})).await;
    fleet.pass(seconds(20)).await;
    fleet
}

async fn names(fleet: &Fleet) -> Vec<String> {
    fleet.all::<LabWorker>().await.iter().map(|worker| worker.metadata.name.clone()).collect()
}

async fn labs(fleet: &Fleet, numbers: std::ops::Range<u32>) {
    for number in numbers {
        fleet.lab(&format!("lab-{number}")).await;
    }
    fleet.settle().await;
}

async fn dismiss(fleet: &Fleet, numbers: std::ops::Range<u32>) {
    for number in numbers {
        fleet.delete::<LabInstance>(&format!("lab-{number}")).await;
    }
    fleet.settle().await;
}

/// Direction and worker of all decisions, and why the last was made.
async fn decisions(fleet: &Fleet) -> (Vec<String>, String) {
    let status = fleet.get_pool("p").await.status;
    let all = status.decisions.iter().map(|it| format!("{} {}", it.direction, it.worker)).collect();
    (all, status.decisions.iter().next_back().map(|last| last.reason.clone()).unwrap_or_default())
}

#[tokio::test]
async fn a_pool_has_its_fewest_workers_and_they_are_its_own() {
    let fleet = with_pool(json!({"policy": "CapacityBased", "min": 2})).await;
    let pool = fleet.get_pool("p").await;
    assert!(pool.metadata.has_finalizer(POOL_FINALIZER));
    assert_eq!((pool.status.ready_workers, pool.status.replicas), (2, 2));
    assert_eq!((pool.status.cpu.to_string(), pool.status.memory.to_string()), ("8".into(), "16Gi".into()));
    for worker in fleet.all::<LabWorker>().await {
        assert_eq!(worker.metadata.controller().unwrap().uid, pool.metadata.uid);
        assert_eq!(worker.spec, pool.spec.worker());
        assert_eq!(worker.metadata.labels["lab.neuroglia.com/pool"], "p");
    }
    assert_eq!(decisions(&fleet).await.0, ["Up p-0", "Up p-1"]);
}

#[tokio::test]
async fn it_grows_with_its_labs_and_shrinks_when_they_are_gone() {
    let fleet = with_pool(json!({"policy": "CapacityBased", "cooldownUp": "1m", "cooldownDown": "5m"})).await;
    fleet.pass(minutes(1)).await;
    labs(&fleet, 0..3).await;
    assert_eq!(
        decisions(&fleet).await,
        (vec!["Up p-0".into(), "Up p-1".into()], "cpu at 75%, 75% is the limit".into())
    );
    fleet.pass(seconds(20)).await;
    assert_eq!(fleet.get_pool("p").await.status.utilisation.cpu, 38);
    dismiss(&fleet, 0..3).await;
    fleet.pass(minutes(4)).await;
    assert_eq!(names(&fleet).await, ["p-0", "p-1"], "not before its cooldown is over");
    fleet.pass(minutes(2)).await;
    assert_eq!(names(&fleet).await, ["p-0"]);
    let (all, last) = decisions(&fleet).await;
    assert_eq!(all.last().unwrap(), "Down p-1");
    assert_eq!(last, "2 workers are ready, 1 would do, and p-1 has no labs");
    assert_eq!(fleet.message("ScaledDown"), "p-1 drains: 2 workers are ready, 1 would do, and p-1 has no labs");
    fleet.pass(minutes(30)).await;
    assert_eq!(names(&fleet).await, ["p-0"], "never fewer than the fewest");
}

#[tokio::test]
async fn labs_that_wait_bring_workers_up_to_the_most_and_all_are_placed() {
    let fleet = with_pool(json!({"policy": "LabCountBased", "max": 3, "cooldownUp": "1m"})).await;
    labs(&fleet, 0..11).await;
    fleet.pass(minutes(5)).await;
    assert_eq!(names(&fleet).await, ["p-0", "p-1", "p-2"]);
    let placed = fleet.all::<LabInstance>().await.iter().filter(|lab| lab.status.allocation.is_some()).count();
    assert_eq!(placed, 11);
    fleet.check_accounts().await;
    // One that fits on no worker at all brings none.
    fleet.lab_with("huge", json!({"resources": {"cpu": 8}})).await;
    fleet.api::<LabWorkerPool>().patch(NAMESPACE, "p", |pool| pool.spec.scaling.max = 10).await.unwrap();
    fleet.pass(minutes(5)).await;
    assert_eq!(names(&fleet).await.len(), 3);
}

#[tokio::test]
async fn a_worker_with_labs_is_never_the_victim() {
    let fleet =
        with_pool(json!({"policy": "CapacityBased", "cooldownUp": "0s", "cooldownDown": "0s", "cpuDown": 0.7})).await;
    labs(&fleet, 0..4).await;
    fleet.pass(seconds(20)).await;
    labs(&fleet, 4..5).await;
    let on_second = fleet.get_lab("lab-4").await.status.worker_ref.unwrap();
    assert_eq!(on_second, "p-1");
    dismiss(&fleet, 0..4).await;
    fleet.pass(seconds(30)).await;
    assert_eq!(names(&fleet).await, ["p-1"], "the idle one went, though it was there first");
    fleet.pass(minutes(10)).await;
    assert!(fleet.find::<LabInstance>("lab-4").await.is_some());
    assert_eq!(fleet.get_lab("lab-4").await.status.worker_ref.unwrap(), "p-1");
}

#[tokio::test]
async fn a_worker_that_fails_is_replaced_and_its_labs_go_on() {
    let fleet = with_pool(json!({"policy": "CapacityBased", "cooldownUp": "1h"})).await;
    labs(&fleet, 0..2).await;
    let silent =
        |it: &mut roa_lab::Worker| _ = it.metadata.annotations.insert(SILENCE_ANNOTATION.into(), String::new());
    fleet.api::<LabWorker>().patch(NAMESPACE, "p-0", silent).await.unwrap();
    fleet.pass(minutes(3)).await;
    let (all, _) = decisions(&fleet).await;
    assert_eq!(all, ["Up p-0", "Remove p-0", "Up p-1"]);
    assert_eq!(names(&fleet).await, ["p-1"]);
    for name in ["lab-0", "lab-1"] {
        let status = fleet.get_lab(name).await.status;
        assert_eq!((status.worker_ref.as_deref(), status.is_degraded()), (Some("p-1"), false), "{name}: {status:?}");
    }
    fleet.check_accounts().await;
}

/// Lesson 22: what fails again and again is tried ever more rarely.
#[tokio::test]
async fn lesson_22_a_pool_whose_workers_all_fail_gets_few() {
    let fleet = Fleet::new().await;
    let template = json!({"capacity": {"cpu": 4, "memory": "8Gi"}, "provisioner": "nobody"});
    fleet.create::<LabWorkerPool>("p", json!({"workerTemplate": template})).await;
    fleet.pass(minutes(10)).await;
    let (all, _) = decisions(&fleet).await;
    let came = all.iter().filter(|it| it.starts_with("Up")).count();
    assert!((5..=15).contains(&came), "{came} workers: {all:?}");
    assert!(fleet.get_pool("p").await.status.message.contains("failed"), "it says why none comes");

    let mend = |pool: &mut roa_lab::Pool| pool.spec.worker_template.provisioner = None;
    fleet.api::<LabWorkerPool>().patch(NAMESPACE, "p", mend).await.unwrap();
    fleet.pass(seconds(30)).await;
    assert_eq!(fleet.get_pool("p").await.status.ready_workers, 1, "a change of the spec is tried at once");
}

#[tokio::test]
async fn replicas_are_what_somebody_says_and_no_worker_with_labs_goes_for_it() {
    let fleet = with_pool(json!({})).await;
    for (replicas, count) in [(3, 3), (1, 1), (0, 0), (2, 2)] {
        fleet.api::<LabWorkerPool>().patch(NAMESPACE, "p", |pool| pool.spec.replicas = Some(replicas)).await.unwrap();
        fleet.pass(minutes(1)).await;
        assert_eq!(names(&fleet).await.len(), count, "{replicas}");
    }
    labs(&fleet, 0..1).await;
    fleet.api::<LabWorkerPool>().patch(NAMESPACE, "p", |pool| pool.spec.replicas = Some(0)).await.unwrap();
    fleet.pass(minutes(2)).await;
    assert_eq!(names(&fleet).await, ["p-0"]);
    dismiss(&fleet, 0..1).await;
    fleet.pass(minutes(1)).await;
    assert!(names(&fleet).await.is_empty());
}

#[tokio::test]
async fn a_pool_that_is_deleted_drains_its_workers_and_goes_last() {
    let fleet = with_pool(json!({"policy": "CapacityBased", "min": 2})).await;
    labs(&fleet, 0..1).await;
    fleet.delete::<LabWorkerPool>("p").await;
    fleet.pass(minutes(1)).await;
    assert_eq!(names(&fleet).await, ["p-0"], "the idle one is gone");
    assert_eq!(fleet.get_worker("p-0").await.status.phase(), WorkerPhase::Draining);
    assert!(fleet.find::<LabInstance>("lab-0").await.is_some());
    dismiss(&fleet, 0..1).await;
    fleet.pass(minutes(1)).await;
    assert!(names(&fleet).await.is_empty());
    assert!(fleet.find::<LabWorkerPool>("p").await.is_none());
}

#[tokio::test]
async fn hours_that_wrap_midnight_make_it_large_at_night() {
    let scaling = json!({
        "policy": "Scheduled", "max": 3, "hours": {"start": "22:00", "end": "06:00"},
        "cooldownUp": "5m", "cooldownDown": "5m"
    });
    let fleet = with_pool(scaling).await;
    assert_eq!(names(&fleet).await.len(), 1, "it is eight in the morning");
    let jump = async |time: Duration| {
        fleet.clock.advance(time);
        fleet.pass(minutes(15)).await;
        names(&fleet).await.len()
    };
    assert_eq!(jump(minutes(14 * 60)).await, 3, "after 22:00");
    assert_eq!(jump(minutes(3 * 60)).await, 3, "after midnight");
    assert_eq!(jump(minutes(5 * 60)).await, 1, "after 06:00");
}

#[tokio::test]
async fn a_process_that_takes_over_goes_on_where_the_other_stopped() {
    let mut fleet = with_pool(json!({"policy": "CapacityBased", "cooldownUp": "10m"})).await;
    labs(&fleet, 0..3).await;
    assert_eq!(names(&fleet).await, ["p-0"], "its first worker came a moment ago");
    fleet.restart();
    fleet.pass(minutes(9)).await;
    assert_eq!(names(&fleet).await, ["p-0"], "the cooldown is not forgotten");
    fleet.pass(minutes(1)).await;
    assert_eq!(names(&fleet).await, ["p-0", "p-1"]);
}

/// Two processes that both believe that the pool is theirs: one step is taken once.
#[tokio::test]
async fn l5_two_controllers_take_one_step_once() {
    let fleet = Fleet::new().await;
    let capacity = json!({"cpu": 4, "memory": "8Gi"});
    fleet.create::<LabWorkerPool>("p", json!({"workerTemplate": {"capacity": capacity}})).await;
    let pool = std::sync::Arc::new(fleet.get_pool("p").await);
    let mut refused = 0;
    for _ in 0..2 {
        let other = roa_lab::PoolController::new(fleet.settings.clone());
        let cx = fleet.context("pool-controller");
        refused += usize::from(roa_core::Controller::reconcile(&other, pool.clone(), &cx).await.is_err());
    }
    assert_eq!((names(&fleet).await, refused), (vec!["p-0".to_owned()], 1));
    let status = fleet.get_pool("p").await.status;
    assert_eq!(status.decisions.iter().map(|it| it.direction).collect::<Vec<_>>(), [Direction::Up]);
}

#[tokio::test]
async fn a_change_of_the_cooldown_counts_at_once() {
    let fleet = with_pool(json!({"policy": "CapacityBased", "cooldownUp": "10h"})).await;
    labs(&fleet, 0..3).await;
    fleet.pass(minutes(20)).await;
    assert_eq!(names(&fleet).await.len(), 1);
    let change = |pool: &mut roa_lab::Pool| pool.spec.scaling.cooldown_up = Written::new("5m");
    fleet.api::<LabWorkerPool>().patch(NAMESPACE, "p", change).await.unwrap();
    fleet.pass(seconds(20)).await;
    assert_eq!(names(&fleet).await.len(), 2);
}
