//! Workers that give no sign of life.

use roa_lab::{
    LabInstance, LabState, LabWorker, LabWorkerHeartbeat, SILENCE_ANNOTATION, WorkerPhase, worker_conditions,
};

use super::world::{Fleet, NAMESPACE, seconds};

async fn silence(fleet: &Fleet, name: &str, silent: bool) {
    let change = |worker: &mut roa_lab::Worker| {
        if silent {
            worker.metadata.annotations.insert(SILENCE_ANNOTATION.to_owned(), String::new());
        } else {
            worker.metadata.annotations.remove(SILENCE_ANNOTATION);
        }
    };
    fleet.api::<LabWorker>().patch(NAMESPACE, name, change).await.unwrap();
}

async fn is_accepting(fleet: &Fleet, name: &str) -> bool {
    fleet.get_worker(name).await.status.is_accepting()
}

/// A worker with a lab, which beats each ten seconds.
async fn with_a_lab() -> Fleet {
    let fleet = Fleet::new().await;
    fleet.ready_worker("w", 4).await;
    fleet.lab("a").await;
    fleet.pass(seconds(20)).await;
    fleet
}

#[tokio::test]
async fn a_sign_of_life_is_no_change_of_the_worker_and_is_shown_there_rarely() {
    let fleet = with_a_lab().await;
    let before = fleet.get_worker("w").await;
    fleet.pass(seconds(60)).await;
    let after = fleet.get_worker("w").await;
    assert_eq!(before.metadata.resource_version, after.metadata.resource_version);
    let beat = fleet.find::<LabWorkerHeartbeat>("w").await.unwrap();
    assert_eq!(beat.spec.time, Some(roa_core::Clock::now(&fleet.clock)));
    assert_eq!(beat.metadata.owner_references[0].uid, after.metadata.uid, "it goes with its worker");
    fleet.pass(seconds(60)).await;
    assert!(fleet.get_worker("w").await.status.last_heartbeat > before.status.last_heartbeat);
}

#[tokio::test]
async fn after_three_missed_heartbeats_a_worker_gets_no_new_labs_and_one_is_enough_to_be_back() {
    let fleet = with_a_lab().await;
    silence(&fleet, "w", true).await;
    fleet.pass(seconds(20)).await;
    assert!(is_accepting(&fleet, "w").await);
    fleet.pass(seconds(10)).await;
    assert!(!is_accepting(&fleet, "w").await);
    assert_eq!(fleet.message("HeartbeatMissed"), "gave no sign of life for 30s");
    fleet.lab("b").await;
    fleet.settle().await;
    assert_eq!(fleet.get_lab("b").await.status.message, "0/1 workers: 1 silent");
    assert_eq!(fleet.get_lab("a").await.status.state(), LabState::Ready, "its labs stay");
    silence(&fleet, "w", false).await;
    fleet.pass(seconds(10)).await;
    assert!(is_accepting(&fleet, "w").await);
    assert_eq!(fleet.get_lab("b").await.status.worker_ref.as_deref(), Some("w"));
}

#[tokio::test]
async fn after_ten_missed_heartbeats_a_worker_has_failed_and_its_labs_go_elsewhere() {
    let fleet = with_a_lab().await;
    let uid = fleet.get_lab("a").await.metadata.uid;
    silence(&fleet, "w", true).await;
    fleet.pass(seconds(90)).await;
    assert_eq!(fleet.get_worker("w").await.status.phase(), WorkerPhase::Ready);
    fleet.pass(seconds(10)).await;
    let worker = fleet.get_worker("w").await.status;
    assert_eq!(worker.phase(), WorkerPhase::Failed);
    for kind in [worker_conditions::READY, worker_conditions::ACCEPTING_LABS, worker_conditions::HEALTHY] {
        assert!(!worker.conditions.is_true(kind), "{kind}");
    }
    assert_eq!(worker.allocated.labs, 0, "its labs gave their places back");
    let lab = fleet.get_lab("a").await.status;
    assert_eq!((lab.state(), lab.allocation.clone()), (LabState::Ready, None));
    fleet.ready_worker("x", 4).await;
    let lab = fleet.get_lab("a").await.status;
    assert_eq!((lab.worker_ref.as_deref(), lab.is_degraded(), fleet.fake.begun(&uid)), (Some("x"), false, 2));
    fleet.check_accounts().await;
}

/// It may have been cut off, and its labs are elsewhere by now: a sign of life alone brings nothing back. Somebody who changes
/// its spec does.
#[tokio::test]
async fn a_worker_that_has_failed_stays_so_when_it_beats_again_until_its_spec_is_changed() {
    let fleet = with_a_lab().await;
    silence(&fleet, "w", true).await;
    fleet.pass(seconds(100)).await;
    assert_eq!(fleet.get_worker("w").await.status.phase(), WorkerPhase::Failed);
    silence(&fleet, "w", false).await;
    fleet.pass(seconds(60)).await;
    assert_eq!(fleet.get_worker("w").await.status.phase(), WorkerPhase::Failed);
    assert!(!is_accepting(&fleet, "w").await);
    fleet.api::<LabWorker>().patch(NAMESPACE, "w", |worker| worker.spec.track = Some("b".into())).await.unwrap();
    fleet.pass(seconds(20)).await;
    assert_eq!(fleet.get_worker("w").await.status.phase(), WorkerPhase::Ready);
    assert!(is_accepting(&fleet, "w").await);
    fleet.check_accounts().await;
}

#[tokio::test]
async fn a_process_that_was_away_takes_no_worker_for_dead_before_it_has_looked_for_long_enough() {
    let mut fleet = with_a_lab().await;
    // All were away for an hour, the workers as well.
    fleet.clock.advance(seconds(3600));
    fleet.restart();
    assert!(fleet.found().await.is_empty());
    fleet.clock.advance(seconds(29));
    assert!(fleet.found().await.is_empty());
    fleet.clock.advance(seconds(1));
    assert_eq!(fleet.found().await, [("w".to_owned(), "HeartbeatMissed")]);
}

#[tokio::test]
async fn a_worker_that_never_beats_is_noticed_as_well() {
    let fleet = Fleet::new().await;
    fleet.ready_worker("w", 4).await;
    assert!(fleet.found().await.is_empty());
    fleet.clock.advance(seconds(100));
    assert_eq!(fleet.found().await, [("w".to_owned(), "HeartbeatLost")]);
    assert!(fleet.find::<LabInstance>("w").await.is_none());
}
