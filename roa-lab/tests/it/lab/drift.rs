//! Labs that are not outside as they say, and what is outside and no lab's.

use roa_core::lifecycle::DeleteOptions;
use roa_core::{Action, ListOptions};
use roa_lab::provision::{LabIdentity, Observation};
use roa_lab::{LabState, conditions};
use serde_json::json;

use super::world::{NAMESPACE, World, condition, seconds};

fn drift(reason: &'static str) -> Vec<(String, &'static str)> {
    vec![("a".to_owned(), reason)]
}

#[tokio::test]
async fn a_lab_whose_process_is_gone_is_brought_up_again_and_stays_ready_by_its_state() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    let before = world.status("a").await;
    world.fake.exits(&uid, "killed by signal 9");
    assert_eq!(world.found().await, drift("ProcessGone"));
    let status = world.status("a").await;
    assert_eq!((status.state(), status.restarts), (LabState::Ready, 1));
    let (degraded, reason, message) = condition(&status, conditions::DEGRADED);
    assert!(degraded && reason == "ProcessGone" && message.contains("killed by signal 9"), "{message}");
    assert!(!condition(&status, conditions::READY).0);
    assert!(world.message("ProcessGone").contains("brought up again (1 of 3)"));

    world.run("a").await;
    assert_eq!(world.fake.begun(&uid), 2);
    assert!(world.found().await.is_empty(), "it is being mended");
    world.fake.answers(&uid);
    let action = world.run_after(seconds(2), "a").await;
    let mended = world.status("a").await;
    assert_eq!((mended.state(), mended.is_degraded()), (LabState::Ready, false));
    assert!(condition(&mended, conditions::READY).0);
    assert_eq!((mended.expires_at, mended.state_since), (before.expires_at, before.state_since), "its end stays");
    assert_eq!(action, Action::RequeueAfter(before.expires_at.unwrap().duration_since(world.now())));
    assert_eq!(world.message("Repaired"), format!("can be used again at fake://{uid}"));
    assert!(world.found().await.is_empty());
}

#[tokio::test]
async fn a_lab_that_vanished_without_a_trace_is_brought_up_again_too() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.fake.vanishes(&uid);
    assert_eq!(world.found().await, drift("ProcessGone"));
    world.run("a").await;
    assert_eq!(world.fake.begun(&uid), 2);
}

#[tokio::test]
async fn a_lab_that_ends_again_and_again_fails_after_the_last_retry() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.fake.exits(&uid, "boom");
    assert_eq!(world.found().await, drift("ProcessGone"));
    for restart in 1..=3 {
        assert_eq!(world.status("a").await.restarts, restart);
        let due = world.status("a").await.next_attempt_at.unwrap();
        let wait = due.duration_since(world.now());
        let least = [0, 30, 60][restart as usize - 1];
        assert!(wait >= seconds(least) && wait <= seconds(least * 12 / 10), "restart {restart} after {wait:?}");
        world.run_after(wait, "a").await;
        assert_eq!(world.fake.begun(&uid), 1 + restart as usize);
        world.fake.exits(&uid, "boom");
        world.run("a").await;
    }
    let failed = world.status("a").await;
    assert_eq!((failed.state(), failed.message.as_str(), failed.endpoint), (LabState::Failed, "boom", None));
    assert_eq!(world.fake.begun(&uid), 4);
}

#[tokio::test]
async fn restarts_are_forgotten_when_a_lab_was_well_for_long() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    for (well_for, restarts) in [(10, 1), (10, 2), (301, 1)] {
        world.clock.advance(seconds(well_for));
        world.fake.exits(&uid, "boom");
        assert_eq!(world.found().await, drift("ProcessGone"));
        assert_eq!(world.status("a").await.restarts, restarts);
        world.run_after(seconds(100), "a").await;
        world.fake.answers(&uid);
        world.run("a").await;
        assert!(!world.status("a").await.is_degraded());
    }
}

#[tokio::test]
async fn an_endpoint_that_is_dead_for_a_moment_ends_nothing() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.fake.is_unhealthy(&uid);
    assert_eq!(world.found().await, drift("EndpointDead"));
    assert!(world.message("EndpointDead").contains("refused"));
    world.run_after(seconds(29), "a").await;
    assert!(world.status("a").await.is_degraded());
    world.fake.answers(&uid);
    world.run_after(seconds(2), "a").await;
    let status = world.status("a").await;
    assert_eq!((status.is_degraded(), status.restarts, world.fake.begun(&uid)), (false, 0, 1));
}

#[tokio::test]
async fn an_endpoint_that_stays_dead_is_ended_and_brought_up_again() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.fake.is_unhealthy(&uid);
    assert_eq!(world.found().await, drift("EndpointDead"));
    world.run_after(seconds(30), "a").await;
    assert!(!world.fake.exists(&uid), "it was ended");
    world.run_after(seconds(2), "a").await;
    assert_eq!((world.fake.begun(&uid), world.status("a").await.restarts), (2, 1));
    world.fake.answers(&uid);
    world.run("a").await;
    assert!(!world.status("a").await.is_degraded());
}

#[tokio::test]
async fn an_endpoint_that_moved_is_corrected() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.fake.set(&uid, Observation::Ready { endpoint: "fake://other".into() });
    assert_eq!(world.found().await, drift("EndpointMoved"));
    world.run("a").await;
    let status = world.status("a").await;
    assert_eq!((status.endpoint.as_deref(), status.is_degraded()), (Some("fake://other"), false));
}

#[tokio::test]
async fn a_repair_that_takes_too_long_fails() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.fake.exits(&uid, "boom");
    world.found().await;
    world.run("a").await;
    world.run_after(seconds(301), "a").await;
    assert_eq!(world.found().await, drift("RepairTimeout"));
    assert_eq!(world.status("a").await.state(), LabState::Failed);
}

#[tokio::test]
async fn a_lab_whose_time_is_over_goes_also_while_it_is_mended() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.clock.advance(seconds(3590));
    world.fake.exits(&uid, "boom");
    world.found().await;
    assert_eq!(world.run("a").await, Action::RequeueAfter(seconds(2)));
    assert_eq!(
        world.run_after(seconds(9), "a").await,
        Action::RequeueAfter(seconds(1)),
        "its end is nearer than the poll"
    );
    world.run_after(seconds(1), "a").await;
    assert!(world.find("a").await.is_none());
}

/// DECISIONS 27: the backstop of an expiry that the controller missed.
#[tokio::test]
async fn the_sweep_takes_away_what_the_controller_forgot_to_expire() {
    let world = World::new();
    world.ready_lab("a").await;
    world.clock.advance(seconds(3600));
    assert_eq!(world.found().await, drift("Expired"));
    let lab = world.get("a").await;
    assert!(lab.metadata.is_deleting() && lab.status.conditions.is_true(conditions::EXPIRED));
    assert!(world.found().await.is_empty());
}

#[tokio::test]
async fn the_end_of_a_lab_needs_no_look_outside() {
    let world = World::new();
    world.ready_lab("a").await;
    world.fake.is_blind.store(true, std::sync::atomic::Ordering::SeqCst);
    world.clock.advance(seconds(3600));
    assert_eq!(world.found().await, drift("Expired"));
}

#[tokio::test]
async fn what_is_outside_and_no_labs_is_ended() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.fake.appears(LabIdentity { uid: "lost".into(), namespace: NAMESPACE.into(), name: "lost".into() });
    world.fake.appears(LabIdentity { uid: "unknown".into(), namespace: String::new(), name: String::new() });
    // A name that is taken again does not make it another lab's (D5).
    world.fake.appears(LabIdentity { uid: "earlier".into(), namespace: NAMESPACE.into(), name: "a".into() });
    assert_eq!(world.sweep().await, (vec![], 3));
    assert_eq!(world.fake.uids(), [uid]);
    assert!(world.message("OrphanEnded").contains("not wanted any more"));
    assert_eq!(world.sweep().await, (vec![], 0));
}

/// D7: what the sweep has not seen yet is looked for in the store before anything is ended.
#[tokio::test]
async fn d7_a_lab_that_came_up_during_the_sweep_is_no_orphan() {
    let world = World::new();
    world.ready_lab("a").await;
    world.lab("b").await;
    world.run("b").await;
    let cx = world.context("lab-reconciler");
    let ended = roa_core::Reconciler::after_sweep(&world.reconciler, &[], &cx).await.unwrap();
    assert_eq!((ended, world.fake.uids().len()), (0, 2));
    let (labs, _) = world.labs().list(&ListOptions::everywhere()).await.unwrap();
    assert_eq!(labs.len(), 2);
}

#[tokio::test]
async fn a_slow_orphan_is_ended_over_several_sweeps() {
    let world = World::new();
    world.fake.stops_slowly.store(true, std::sync::atomic::Ordering::SeqCst);
    world.fake.appears(LabIdentity { uid: "lost".into(), namespace: NAMESPACE.into(), name: "lost".into() });
    assert_eq!(world.sweep().await.1, 0);
    assert_eq!(world.sweep().await.1, 1);
}

#[tokio::test]
async fn a_correction_that_comes_too_late_changes_nothing() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    let stale = std::sync::Arc::new(world.get("a").await);
    world.fake.exits(&uid, "boom");
    let cx = world.context("lab-reconciler");
    let observed = roa_core::Reconciler::observe(&world.reconciler, &stale, &cx).await.unwrap();
    let found = roa_core::Reconciler::drift(&world.reconciler, &stale, &observed, cx.now()).unwrap();
    world.labs().delete(NAMESPACE, "a", &DeleteOptions::default()).await.unwrap();
    let action = roa_core::Reconciler::correct(&world.reconciler, stale, found, &cx).await.unwrap();
    assert_eq!((action, world.status("a").await.is_degraded()), (Action::Requeue, false));
    assert!(world.events("lab-reconciler").is_empty());
}

#[tokio::test]
async fn a_start_that_was_forgotten_is_called_to_mind() {
    let world = World::new();
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    while world.status("a").await.state() != LabState::Provisioning {
        world.call("a").await.unwrap().unwrap();
    }
    world.clock.advance(seconds(151));
    assert_eq!(world.found().await, drift("StartMissing"));
    assert!(world.found().await.is_empty(), "once is enough");
    world.run("a").await;
    assert_eq!(world.fake.begun(&uid), 1);
}

#[tokio::test]
async fn a_lab_that_says_that_it_leaves_is_asked_to() {
    let world = World::new();
    let uid = world.ready_lab("a").await.metadata.uid;
    world.write_status("a", json!({"state": "deleting"})).await.unwrap();
    assert_eq!(world.found().await, drift("HalfDeleted"));
    assert!(world.get("a").await.metadata.is_deleting());
    world.run("a").await;
    assert!(world.find("a").await.is_none());
    assert!(world.fake.exists(&uid), "whoever wrote that took away the place too");
    assert_eq!(world.sweep().await.1, 1, "what is left is ended");
}
