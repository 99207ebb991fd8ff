//! Labs that wait: for their template, their time, somebody who can bring them up.

use roa_core::{Action, Timestamp};
use roa_lab::{LabInstance, LabState, LabTemplate, Provisioners, Written};
use serde_json::json;

use super::world::{World, seconds, waits_for};

#[tokio::test]
async fn a_missing_template_is_waited_for_and_the_lab_goes_on_when_it_appears() {
    let world = World::new();
    let uid = world.lab("a").await.metadata.uid;
    assert_eq!(world.run("a").await, Action::RequeueAfter(world.policy().poll));
    let (reason, message) = waits_for(&world.status("a").await);
    assert_eq!(reason, "TemplateNotFound");
    assert!(message.contains("\"course\"") && message.contains("\"student-labs\""), "{message}");
    world.run_after(seconds(100_000), "a").await;
    assert_eq!((world.status("a").await.state(), world.fake.begun(&uid)), (LabState::Pending, 0));
    assert!(world.found().await.is_empty(), "to wait is no fault");

    world.course().await;
    world.run_after(seconds(2), "a").await;
    assert_eq!((world.status("a").await.state(), world.fake.begun(&uid)), (LabState::Provisioning, 1));
}

#[tokio::test]
async fn a_template_of_the_namespace_takes_precedence_over_a_built_in_one() {
    let world = World::new();
    let spec = json!({"template": "simulated", "studentEmail": "a@b.c"});
    world.create::<LabInstance>("a", spec).await;
    world.run("a").await;
    assert_eq!(
        waits_for(&world.status("a").await).0,
        "ProvisionerNotFound",
        "the built-in one's is not registered here"
    );
    world.create::<LabTemplate>("simulated", json!({"provisioner": "fake", "resources": {"cpu": "250m"}})).await;
    world.run("a").await;
    let allocation = world.status("a").await.allocation.unwrap();
    assert_eq!((allocation.provisioner.as_str(), allocation.cpu.to_string().as_str()), ("fake", "250m"));
}

#[tokio::test]
async fn a_provisioner_that_is_not_registered_is_named_with_those_that_are() {
    let mut world = World::new();
    world.create::<LabTemplate>("course", json!({"provisioner": "docker"})).await;
    world.lab("a").await;
    world.run("a").await;
    let (reason, message) = waits_for(&world.status("a").await);
    assert_eq!(reason, "ProvisionerNotFound");
    assert!(message.contains("\"docker\", expected fake"), "{message}");
    world.settings.provisioners = Provisioners::new();
    world.restart();
    world.run("a").await;
    assert!(waits_for(&world.status("a").await).1.contains("nobody is registered"));
}

#[tokio::test]
async fn lesson_19_a_scheduled_lab_is_brought_up_shortly_before_and_its_time_counts_from_then() {
    let world = World::new();
    world.course().await;
    // 10:00 in UTC, two hours after the begin of the test, written as people elsewhere do.
    let spec = json!({"template": "course", "studentEmail": "a@b.c", "scheduledStart": "2027-01-01T12:00:00+02:00"});
    let uid = world.create::<LabInstance>("a", spec).await.metadata.uid;
    assert_eq!(world.run("a").await, Action::RequeueAfter(seconds(7200 - 300)));
    let (reason, message) = waits_for(&world.status("a").await);
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("ScheduledLater", "it is brought up from 2027-01-01T09:55:00Z on")
    );
    world.run_after(seconds(7200 - 301), "a").await;
    assert_eq!(world.fake.begun(&uid), 0);
    world.run_after(seconds(1), "a").await;
    assert_eq!(world.fake.begun(&uid), 1);
    world.fake.answers(&uid);
    world.run("a").await;
    let end: Timestamp = "2027-01-01T11:00:00Z".parse().unwrap();
    assert_eq!(world.status("a").await.expires_at, Some(end));
}

#[tokio::test]
async fn a_scheduled_lab_can_be_called_for_earlier() {
    let world = World::new();
    world.course().await;
    let spec = json!({"template": "course", "studentEmail": "a@b.c", "scheduledStart": "2027-01-02T00:00:00Z"});
    let uid = world.create::<LabInstance>("a", spec).await.metadata.uid;
    world.run("a").await;
    world.edit("a", |spec| spec.scheduled_start = None).await;
    world.run("a").await;
    assert_eq!((world.fake.begun(&uid), world.status("a").await.observed_generation), (1, 2));
}

#[tokio::test]
async fn a_lab_that_is_wanted_for_longer_than_its_template_allows_waits_and_says_so() {
    let world = World::new();
    world.create::<LabTemplate>("course", json!({"provisioner": "fake", "maxDuration": "30m"})).await;
    let spec = json!({"template": "course", "studentEmail": "a@b.c", "duration": "60m"});
    let uid = world.create::<LabInstance>("a", spec).await.metadata.uid;
    world.run("a").await;
    let (reason, message) = waits_for(&world.status("a").await);
    assert_eq!(reason, "DurationTooLong");
    assert!(message.contains("wanted for 1h") && message.contains("allows 30m"), "{message}");
    world.edit("a", |spec| spec.duration = Some(Written::new("30m"))).await;
    world.run("a").await;
    assert_eq!(world.fake.begun(&uid), 1);
}
