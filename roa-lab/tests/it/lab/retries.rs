//! Labs that can't be brought up, at first or at all.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use roa_core::{Action, Reconciler, Violations};
use roa_lab::provision::ProvisionError;
use roa_lab::{LabState, Written, conditions};

use super::world::{World, condition, seconds};

async fn brought_up(world: &World) -> String {
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    world.run("a").await;
    uid
}

/// How long the lab waits for its next attempt.
async fn wait(world: &World) -> u64 {
    let due = world.status("a").await.next_attempt_at.expect("another attempt follows");
    due.duration_since(world.now()).as_secs()
}

#[tokio::test]
async fn a_failed_attempt_is_followed_by_others_after_a_back_off_that_doubles() {
    let world = World::new();
    let uid = brought_up(&world).await;
    for (retries, least) in [(1, 30), (2, 60), (3, 120)] {
        world.fake.exits(&uid, "no such module");
        world.run("a").await;
        let status = world.status("a").await;
        assert_eq!((status.state(), status.retries), (LabState::Provisioning, retries));
        let expected = format!("no such module; retry {retries} of 3 at 2027-01-01T08:");
        assert!(status.message.starts_with(&expected), "{}", status.message);
        let (provisioned, reason, message) = condition(&status, conditions::PROVISIONED);
        assert_eq!((provisioned, reason.as_str(), message.as_str()), (false, "Exited", "no such module"));
        let wait = wait(&world).await;
        assert!((least..=least * 12 / 10).contains(&wait), "{wait} s after failure {retries}");
        let begun = world.fake.begun(&uid);
        assert_eq!(
            world.run_after(seconds(wait - 1), "a").await,
            Action::RequeueAfter(world.status("a").await.next_attempt_at.unwrap().duration_since(world.now()))
        );
        assert_eq!(world.fake.begun(&uid), begun, "not before its time");
        world.run_after(seconds(3), "a").await;
        assert_eq!(world.fake.begun(&uid), begun + 1);
        assert_eq!(world.fake.last_request().attempt, retries);
    }
    world.fake.exits(&uid, "no such module");
    world.run("a").await;
    let failed = world.status("a").await;
    assert_eq!((failed.state(), failed.retries), (LabState::Failed, 3));
    assert_eq!((failed.message.as_str(), failed.next_attempt_at), ("no such module", None));
    assert_eq!(world.run_after(seconds(200), "a").await, Action::Done);
    assert_eq!(world.fake.begun(&uid), 4);
}

#[tokio::test]
async fn a_lab_that_fails_twice_and_then_works_is_ready_with_two_retries() {
    let world = World::new();
    let uid = brought_up(&world).await;
    for _ in 0..2 {
        world.fake.exits(&uid, "boom");
        world.run("a").await;
        world.run_after(seconds(wait(&world).await + 1), "a").await;
    }
    world.fake.answers(&uid);
    world.run("a").await;
    let status = world.status("a").await;
    assert_eq!((status.state(), status.retries, world.fake.begun(&uid)), (LabState::Ready, 2, 3));
    assert_eq!(world.events("lab-controller"), ["Scheduled", "Exited", "Exited", "Ready"]);
}

#[tokio::test]
async fn what_no_retry_can_mend_fails_at_once() {
    let world = World::new();
    world.fake.refuses(Some(|lab| ProvisionError::Invalid {
        lab: lab.clone(),
        violations: Violations::one("process.command", "is empty"),
    }));
    let uid = brought_up(&world).await;
    let status = world.status("a").await;
    assert_eq!((status.state(), status.retries, world.fake.begun(&uid)), (LabState::Failed, 0, 0));
    assert!(status.message.contains("process.command: is empty"), "{}", status.message);
    assert!(!condition(&status, conditions::READY).0);
}

#[tokio::test]
async fn a_start_that_fails_is_a_failed_attempt_and_one_that_takes_too_long_is_none() {
    let world = World::new();
    world.fake.refuses(Some(|_| ProvisionError::Deadline { action: "start a lab", limit: seconds(30) }));
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    for _ in 0..3 {
        world.call("a").await.unwrap().unwrap();
    }
    let late = world.call("a").await.unwrap().unwrap_err();
    assert!(late.is_retryable() && late.reason() == "DeadlineExceeded", "{late}");
    assert_eq!(world.status("a").await.retries, 0);
    world.fake.refuses(Some(|_| ProvisionError::Io {
        action: "run",
        path: PathBuf::from("python3"),
        error: io::Error::from(io::ErrorKind::NotFound),
    }));
    world.run("a").await;
    let status = world.status("a").await;
    assert_eq!((status.retries, world.fake.begun(&uid)), (1, 0));
    assert!(status.message.contains("run python3: "), "{}", status.message);
}

#[tokio::test]
async fn a_stuck_lab_is_failed_by_the_sweep_and_deleted_after_the_grace_period() {
    let world = World::new();
    let uid = brought_up(&world).await;
    world.run_after(seconds(300), "a").await;
    assert!(world.found().await.is_empty());
    world.run_after(seconds(1), "a").await;
    assert_eq!(world.status("a").await.state(), LabState::Provisioning, "it is the sweep that says so");
    assert_eq!(world.found().await, [("a".to_owned(), "ProvisioningTimeout")]);
    let status = world.status("a").await;
    assert_eq!((status.state(), status.retries), (LabState::Failed, 0));
    assert_eq!(status.message, "Provisioning timeout: not ready after 5m");
    assert_eq!(world.events("lab-reconciler"), ["ProvisioningTimeout"]);

    world.run_after(seconds(300), "a").await;
    assert!(world.found().await.is_empty());
    world.clock.advance(seconds(1));
    assert_eq!(world.found().await, [("a".to_owned(), "CleanupDue")]);
    world.run("a").await;
    assert!(world.find("a").await.is_none() && !world.fake.exists(&uid));
}

/// Lesson 55: the time-out of an attempt is not postponed by what is written meanwhile.
#[tokio::test]
async fn lesson_55_polls_and_edits_postpone_no_time_out() {
    let world = World::new();
    brought_up(&world).await;
    let since = world.status("a").await.state_since;
    for minute in 0..5 {
        world.clock.advance(seconds(60));
        world.edit("a", |spec| drop(spec.environment.insert("MINUTE".into(), minute.to_string()))).await;
        world.run("a").await;
    }
    assert_eq!(world.status("a").await.state_since, since);
    world.clock.advance(seconds(1));
    assert_eq!(world.found().await, [("a".to_owned(), "ProvisioningTimeout")]);
}

#[tokio::test]
async fn a_change_of_the_spec_begins_a_failed_lab_anew() {
    let world = World::new();
    let uid = brought_up(&world).await;
    world.clock.advance(seconds(301));
    world.found().await;
    assert_eq!(world.run("a").await, Action::Done, "without a change it stays as it is");

    world.edit("a", |spec| drop(spec.environment.insert("FIXED".into(), "1".into()))).await;
    world.run("a").await;
    let status = world.status("a").await;
    assert_eq!((status.state(), status.retries, status.observed_generation), (LabState::Provisioning, 0, 2));
    assert_eq!(world.fake.begun(&uid), 2, "what was there was ended first");
    assert_eq!(world.fake.last_request().environment["FIXED"], "1");
    let expected =
        [LabState::Pending, LabState::Provisioning, LabState::Failed, LabState::Pending, LabState::Provisioning];
    assert_eq!(world.history("a").await, expected);
    world.fake.answers(&uid);
    world.run("a").await;
    assert_eq!(world.status("a").await.state(), LabState::Ready);
}

/// A change that came while the old spec was tried was not tried: it is a new try of its own.
#[tokio::test]
async fn a_change_during_the_last_attempt_is_not_lost() {
    let world = World::new();
    let uid = brought_up(&world).await;
    world.edit("a", |spec| spec.duration = Some(Written::new("2h"))).await;
    world.run("a").await;
    world.clock.advance(seconds(301));
    world.found().await;
    world.run("a").await;
    let status = world.status("a").await;
    assert_eq!((status.state(), status.observed_generation, world.fake.begun(&uid)), (LabState::Provisioning, 2, 2));
}

#[tokio::test]
async fn what_failed_is_ended_before_it_is_tried_anew_with_all_its_retries() {
    let world = World::new();
    let uid = brought_up(&world).await;
    for _ in 0..3 {
        world.fake.exits(&uid, "boom");
        world.run("a").await;
        world.run_after(seconds(wait(&world).await + 1), "a").await;
        assert_eq!(world.status("a").await.next_attempt_at, None, "it is under way");
    }
    world.clock.advance(seconds(301));
    world.found().await;
    assert_eq!((world.status("a").await.state(), world.status("a").await.retries), (LabState::Failed, 3));

    world.fake.stops_slowly.store(true, Ordering::SeqCst);
    world.edit("a", |spec| spec.track = Some("gpu".into())).await;
    assert_eq!(world.call("a").await.unwrap().unwrap(), Action::RequeueAfter(world.policy().poll));
    assert!(world.fake.exists(&uid) && world.status("a").await.state() == LabState::Failed);
    world.call("a").await.unwrap().unwrap();
    let status = world.status("a").await;
    assert_eq!((status.state(), status.retries, status.allocation), (LabState::Pending, 0, None));
    assert!(!world.fake.exists(&uid));
}

/// The clean-up deletes what it looked at, not what became of it.
#[tokio::test]
async fn a_failed_lab_that_was_changed_in_the_last_moment_is_not_cleaned_up() {
    let world = World::new();
    brought_up(&world).await;
    world.clock.advance(seconds(301));
    world.found().await;
    world.clock.advance(seconds(301));
    let (lab, cx) = (Arc::new(world.get("a").await), world.context("lab-reconciler"));
    let due = world.reconciler.drift(&lab, &roa_lab::Seen::default(), cx.now()).unwrap();
    assert_eq!(due.reason, "CleanupDue");
    world.edit("a", |spec| spec.track = Some("gpu".into())).await;
    assert_eq!(world.reconciler.correct(lab, due, &cx).await.unwrap(), Action::Requeue);
    world.run("a").await;
    assert_eq!(world.status("a").await.state(), LabState::Provisioning);
}
