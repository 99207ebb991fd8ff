//! What the sweep finds, and how it corrects it: also where the controller does nothing.

use std::time::Duration;

use roa_core::{ConditionStatus, Reconciler};
use roa_lab::provision::Observation;
use roa_lab::{LabReconciler, LabState};

use crate::world::{Fate, NAMESPACE, World, exited};

/// A world with one lab, which is ready.
async fn ready() -> World {
    let world = World::new().await;
    world.create("a").await;
    world.reach("a", LabState::Ready).await;
    world
}

async fn stuck() -> World {
    let world = World::new().await;
    world.fake.always(Fate::Hangs);
    world.create("a").await;
    world.settle("a").await;
    world
}

#[tokio::test]
async fn what_is_not_up_in_time_is_failed_by_the_sweep() {
    let world = stuck().await;
    world.advance(300);
    assert_eq!((world.sweep().await, world.state("a").await), (0, LabState::Provisioning));
    world.advance(1);
    assert_eq!((world.sweep().await, world.state("a").await), (1, LabState::Failed));
    let status = world.lab("a").await.status;
    assert!(status.message.starts_with("Provisioning timeout"), "{}", status.message);
    assert_eq!(status.state_since, Some(world.now()));
    assert_eq!(world.events.reasons(), ["ProvisioningTimeout"]);
}

#[tokio::test]
async fn lesson_55_no_other_write_of_the_status_postpones_a_time_out() {
    let world = stuck().await;
    for minute in 0..5 {
        world.advance(60);
        assert_eq!(world.sweep().await, 0);
        world.labs().patch_status(NAMESPACE, "a", |lab| lab.status.message = format!("minute {minute}")).await.unwrap();
        world
            .labs()
            .patch(NAMESPACE, "a", |lab| lab.metadata.labels = [("n".into(), minute.to_string())].into())
            .await
            .unwrap();
    }
    world.advance(1);
    assert_eq!((world.sweep().await, world.state("a").await), (1, LabState::Failed));
}

#[tokio::test]
async fn the_wait_before_a_retry_is_no_part_of_the_time_out_but_each_attempt_has_one() {
    let world = World::new().await;
    world.fake.script(&[Fate::Exits, Fate::Hangs]);
    world.create("a").await;
    world.settle("a").await;
    world.advance(290);
    let wait = world.settle("a").await.unwrap();
    assert!(wait >= Duration::from_secs(30), "{wait:?}");
    world.clock.advance(wait);
    assert_eq!(world.sweep().await, 0, "the attempt that comes now has all its time");
    world.settle("a").await;
    world.advance(299);
    assert_eq!(world.sweep().await, 0);
    world.advance(2);
    assert_eq!((world.sweep().await, world.state("a").await), (1, LabState::Failed));
}

#[tokio::test]
async fn a_lab_whose_time_is_over_goes_by_the_sweep_when_the_controller_is_silent() {
    let world = ready().await;
    world.advance(3600);
    assert_eq!(world.sweep().await, 0, "the controller has a moment to do it itself");
    world.advance(6);
    assert_eq!(world.sweep().await, 1);
    let lab = world.lab("a").await;
    assert!(lab.metadata.is_deleting());
    assert_eq!(world.events.reasons(), ["Overdue"]);
    assert_eq!(world.sweep().await, 0, "what is going is left alone");
    world.reach("a", None).await;
    assert_eq!(world.fake.holds(), 0);
}

#[tokio::test]
async fn a_failed_lab_stays_for_its_grace_and_no_longer() {
    let world = World::new().await;
    world.fake.always(Fate::Invalid);
    world.create("a").await;
    world.reach("a", LabState::Failed).await;
    world.advance(300);
    assert_eq!(world.sweep().await, 0);
    world.advance(1);
    assert_eq!(world.sweep().await, 1);
    assert_eq!(world.events.reasons(), ["Invalid", "FailedForLong"]);
    world.reach("a", None).await;
}

#[tokio::test]
async fn a_lab_that_is_gone_outside_is_told_and_begun_again() {
    for seen in [None, Some(exited())] {
        let world = ready().await;
        match &seen {
            None => world.fake.kill_all(),
            Some(seen) => world.fake.all_are(seen),
        }
        world.settle("a").await;
        assert_eq!(world.fake.begun(), 1, "the controller tells, the sweep corrects");
        assert_eq!(world.condition("a", "Ready").await.status, ConditionStatus::False);
        assert_eq!(world.sweep().await, 1);
        assert_eq!(world.events.reasons(), ["ProcessGone"]);
        assert_eq!(world.condition("a", "Degraded").await.status, ConditionStatus::True);
        assert_eq!((world.fake.begun(), world.lab("a").await.status.retries), (2, 1));
        world.settle("a").await;
        assert_eq!(world.condition("a", "Ready").await.status, ConditionStatus::True);
        assert_eq!(world.condition("a", "Degraded").await.status, ConditionStatus::False);
        assert_eq!((world.state("a").await, world.sweep().await), (LabState::Ready, 0));
    }
}

#[tokio::test]
async fn a_lab_that_does_not_answer_is_stopped_before_it_is_begun_again() {
    let world = ready().await;
    world.fake.all_are(&Observation::Unhealthy { endpoint: "http://x".into(), reason: "refused".into() });
    assert_eq!(world.sweep().await, 1);
    assert_eq!((world.fake.stops(), world.fake.begun()), (1, 2));
    assert_eq!(world.condition("a", "Degraded").await.reason, "EndpointDead");
    world.settle("a").await;
    assert_eq!(world.condition("a", "Ready").await.status, ConditionStatus::True);
}

#[tokio::test]
async fn what_dies_again_and_again_is_given_up() {
    let world = ready().await;
    for repair in 1..=3 {
        world.fake.kill_all();
        assert_eq!(world.sweep().await, 1);
        world.settle("a").await;
        assert_eq!((world.state("a").await, world.lab("a").await.status.retries), (LabState::Ready, repair));
    }
    world.fake.kill_all();
    assert_eq!(world.sweep().await, 1);
    assert_eq!((world.state("a").await, world.fake.begun()), (LabState::Failed, 4));
}

#[tokio::test]
async fn what_has_no_lab_is_stopped_after_the_sweep() {
    let world = ready().await;
    world.fake.put("nobodys");
    assert_eq!((world.sweep().await, world.fake.holds()), (1, 1));
    assert_eq!(world.lab("a").await.status.state(), LabState::Ready);
}

#[tokio::test]
async fn a_lab_that_is_only_missing_from_the_list_is_not_stopped() {
    let world = ready().await;
    world.fake.put("nobodys");
    assert_eq!(world.sweep_over(&[]).await, 1, "only what the store itself does not have");
    assert_eq!((world.fake.holds(), world.fake.begun()), (1, 1));
    world.settle("a").await;
    assert_eq!(world.condition("a", "Ready").await.status, ConditionStatus::True);
}

#[tokio::test]
async fn a_lab_of_another_with_the_same_name_is_an_orphan() {
    let world = ready().await;
    world.labs().patch(NAMESPACE, "a", |lab| lab.metadata.finalizers.clear()).await.unwrap();
    world.delete("a").await;
    assert_eq!(world.fake.holds(), 1);
    world.create("a").await;
    assert_eq!((world.sweep().await, world.fake.holds()), (1, 0), "the uid decides, not the name");
}

#[tokio::test]
async fn a_lab_that_somebody_marked_as_going_without_asking_goes() {
    let world = ready().await;
    world.labs().patch_status(NAMESPACE, "a", |lab| lab.status.state = Some(LabState::Deleting)).await.unwrap();
    assert_eq!(world.settle("a").await, None);
    assert_eq!(world.sweep().await, 1);
    world.reach("a", None).await;
    assert_eq!(world.fake.holds(), 0);
}

#[tokio::test]
async fn the_sweep_of_another_node_repairs_nothing_here() {
    let world = ready().await;
    let mut settings = world.settings.clone();
    settings.node = "elsewhere".into();
    let other = LabReconciler::new(settings);
    world.fake.kill_all();
    let cx = roa_core::Context::new("lab-reconciler", world.resources.clone());
    let lab = world.lab("a").await;
    let seen = other.observe(&lab, &cx).await.unwrap();
    assert_eq!((seen.clone(), other.drift(&lab, &seen, world.now())), (None, None));
}

#[tokio::test]
async fn a_healthy_lab_is_left_alone() {
    let world = ready().await;
    let before = world.head().await;
    for _ in 0..5 {
        world.advance(10);
        assert_eq!(world.sweep().await, 0);
        world.settle("a").await;
    }
    assert_eq!((world.head().await, world.events.reasons()), (before, Vec::new()));
}
