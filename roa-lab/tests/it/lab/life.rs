//! A lab that nothing goes wrong with, from its manifest to its end.

use std::sync::Arc;

use roa_core::{Action, Controller};
use roa_lab::provision::SimulatedProvisioner;
use roa_lab::{FINALIZER, LabInstance, LabState, Provisioners, Written, conditions};
use serde_json::json;

use super::world::{World, condition, environment, seconds};

#[tokio::test]
async fn a_lab_is_brought_up_used_expired_and_taken_away() {
    let world = World::new();
    world.course().await;
    let lab = world
        .create::<LabInstance>(
            "a",
            json!({"template": "course", "studentEmail": "a@b.c", "duration": "30m", "environment": {"LEVEL": "3"}}),
        )
        .await;
    let uid = lab.metadata.uid;

    assert_eq!(world.run("a").await, Action::RequeueAfter(world.policy().poll), "it is looked at again soon");
    let status = world.status("a").await;
    assert_eq!((status.state(), status.observed_generation), (LabState::Provisioning, 1));
    assert_eq!(status.provisioning_started_at, Some(world.now()));
    let allocation = status.allocation.unwrap();
    assert_eq!((allocation.node.as_str(), allocation.provisioner.as_str()), ("node-1", "fake"));
    assert_eq!((allocation.cpu.to_string(), allocation.memory.to_string()), ("1".into(), "1Gi".into()));
    let request = world.fake.last_request();
    assert_eq!((request.lab.uid.as_str(), request.attempt), (uid.as_str(), 0));
    assert_eq!(request.environment, environment(&[("LEVEL", "3")]));

    world.fake.answers(&uid);
    assert_eq!(world.run_after(seconds(2), "a").await, Action::RequeueAfter(seconds(1800)), "until its time is over");
    let ready = world.status("a").await;
    assert_eq!((ready.state(), ready.endpoint), (LabState::Ready, Some(format!("fake://{uid}"))));
    assert_eq!((ready.ready_at, ready.expires_at), (Some(world.now()), world.now().checked_add(seconds(1800))));
    for kind in [conditions::SCHEDULED, conditions::WORKER_ASSIGNED, conditions::PROVISIONED, conditions::READY] {
        assert!(ready.conditions.is_true(kind), "{kind}");
    }

    assert_eq!(world.run_after(seconds(1799), "a").await, Action::RequeueAfter(seconds(1)));
    assert_eq!(world.status("a").await.state(), LabState::Ready);
    world.clock.advance(seconds(1));
    world.call("a").await.unwrap().unwrap();
    let expired = world.get("a").await;
    assert!(expired.metadata.is_deleting() && expired.status.conditions.is_true(conditions::EXPIRED));
    world.run("a").await;
    assert!(world.find("a").await.is_none() && !world.fake.exists(&uid));
    let expected = ["Scheduled", "Ready", "Expired", "Deleted"];
    assert_eq!(world.events(world.controller.name()), expected);
}

#[tokio::test]
async fn each_state_is_written_once_and_deleted_is_the_last_before_the_lab_goes() {
    let world = World::new();
    world.ready_lab("a").await;
    world.delete("a").await;
    world.run("a").await;
    assert!(world.find("a").await.is_none());
    let expected = [LabState::Pending, LabState::Provisioning, LabState::Ready, LabState::Deleting, LabState::Deleted];
    assert_eq!(world.states_written("a").await, expected);
}

/// Lessons 33 and 34: the finalizer is there before anything is outside.
#[tokio::test]
async fn lesson_34_nothing_is_begun_before_the_finalizer_is_on() {
    let world = World::new();
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    world.call("a").await.unwrap().unwrap();
    assert!(world.get("a").await.metadata.has_finalizer(FINALIZER));
    for _ in 0..3 {
        assert!(!world.fake.exists(&uid) || world.status("a").await.allocation.is_some(), "DECISIONS 29");
        world.call("a").await.unwrap().unwrap();
    }
    assert_eq!(world.fake.begun(&uid), 1);
}

/// C9, lesson 32: nothing is written when nothing differs, however often it is called.
#[tokio::test]
async fn c9_calls_that_find_nothing_to_do_write_nothing() {
    let world = World::new();
    world.ready_lab("a").await;
    let before = world.get("a").await.metadata.resource_version;
    for _ in 0..5 {
        world.run_after(seconds(10), "a").await;
        assert!(world.found().await.is_empty());
    }
    assert_eq!(world.get("a").await.metadata.resource_version, before);
}

#[tokio::test]
async fn a_change_of_the_duration_moves_the_end_of_a_running_lab() {
    let world = World::new();
    let ready_at = world.ready_lab("a").await.status.ready_at.unwrap();
    world.edit("a", |spec| spec.duration = Some(Written::new("2h"))).await;
    world.run("a").await;
    let status = world.status("a").await;
    assert_eq!((status.expires_at, status.observed_generation), (ready_at.checked_add(seconds(7200)), 2));
    world.edit("a", |spec| spec.duration = Some(Written::new("1m"))).await;
    world.run_after(seconds(61), "a").await;
    assert!(world.find("a").await.is_none(), "its time was over at once");
}

/// The controller was cut off between saying that the time is over and asking the lab to go.
#[tokio::test]
async fn a_lab_that_is_prolonged_in_the_last_moment_is_not_expired() {
    let world = World::new();
    world.ready_lab("a").await;
    world.clock.advance(seconds(3600));
    let now = world.now();
    let say = |lab: &mut roa_lab::Lab| lab.status.condition(conditions::EXPIRED, true, ("DurationOver", ""), now);
    world.labs().patch_status(super::world::NAMESPACE, "a", say).await.unwrap();
    world.edit("a", |spec| spec.duration = Some(Written::new("2h"))).await;
    assert_eq!(world.run("a").await, Action::RequeueAfter(seconds(3600)));
    assert!(!world.status("a").await.conditions.is_true(conditions::EXPIRED));
}

#[tokio::test]
async fn a_lab_without_a_duration_lives_as_long_as_the_policy_says_and_no_longer_than_its_template() {
    let world = World::with(|settings| settings.policy.default_duration = seconds(1200));
    world.course().await;
    let short = json!({"provisioner": "fake", "maxDuration": "10m"});
    world.create::<roa_lab::LabTemplate>("short", short).await;
    for (template, lives) in [("course", 1200), ("short", 600)] {
        let spec = json!({"template": template, "studentEmail": "a@b.c"});
        let uid = world.create::<LabInstance>(template, spec).await.metadata.uid;
        world.run(template).await;
        world.fake.answers(&uid);
        assert_eq!(world.run(template).await, Action::RequeueAfter(seconds(lives)));
    }
    world.edit("short", |spec| spec.duration = Some(Written::new("8h"))).await;
    world.run("short").await;
    let status = world.status("short").await;
    assert_eq!(status.expires_at, status.ready_at.unwrap().checked_add(seconds(600)));
    assert!(world.message("DurationTooLong").contains("its template allows 10m"));
}

#[tokio::test]
async fn simulated_labs_need_nothing_but_time() {
    let mut world = World::new();
    let simulated = Arc::new(SimulatedProvisioner::new(Arc::new(world.clock.clone()), 10));
    world.settings.provisioners = Provisioners::new().with(simulated);
    world.restart();
    let spec = json!({"template": "simulated", "studentEmail": "a@b.c"});
    let uid = world.create::<LabInstance>("a", spec).await.metadata.uid;
    world.run("a").await;
    assert_eq!(world.status("a").await.allocation.unwrap().cpu.to_string(), "1m");
    world.run_after(seconds(2), "a").await;
    assert_eq!(world.status("a").await.endpoint, Some(format!("simulated://{uid}")));
    assert_eq!(condition(&world.status("a").await, conditions::READY).1, "Ready");
    world.run_after(seconds(3600), "a").await;
    assert!(world.find("a").await.is_none());
}
