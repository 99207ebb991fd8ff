//! How many labs get a place, and how many are brought up at once.

use std::sync::Arc;

use roa_core::{CacheReader, Caches, Key, ListOptions, Revision};
use roa_lab::{Capacity, Lab, LabController, LabInstance, LabState, Quantity, conditions};
use serde_json::json;

use super::world::{World, condition, seconds, waits_for};

fn small(cpu: u32, max_labs: usize) -> Capacity {
    Capacity { cpu: Quantity::whole(cpu), memory: Quantity::mebi(64 << 10), labs: max_labs }
}

async fn with_labs(capacity: Capacity, names: &[&str]) -> World {
    let world = World::with(|settings| settings.capacity = capacity);
    world.course().await;
    for name in names {
        world.lab(name).await;
        world.run(name).await;
    }
    world
}

#[tokio::test]
async fn what_does_not_fit_waits_with_the_reason_until_there_is_room() {
    let world = with_labs(small(2, 10), &["a", "b", "c"]).await;
    assert_eq!(waits_for(&world.status("c").await), ("Unschedulable".into(), "0/1 workers: 1 insufficient cpu".into()));
    world.run_after(seconds(10), "c").await;
    assert_eq!(world.status("c").await.state(), LabState::Pending);
    world.delete("a").await;
    world.run("a").await;
    world.run_after(seconds(2), "c").await;
    let status = world.status("c").await;
    assert_eq!(status.state(), LabState::Provisioning);
    let (scheduled, reason, message) = condition(&status, conditions::SCHEDULED);
    assert_eq!(
        (scheduled, reason.as_str(), message.as_str()),
        (true, "Scheduled", "1 cpu and 1Gi memory on worker local")
    );
    assert_eq!(status.worker_ref.as_deref(), Some("local"));
}

#[tokio::test]
async fn every_kind_of_too_little_is_told() {
    let world = with_labs(small(1, 1), &["a"]).await;
    let spec = json!({"template": "course", "studentEmail": "a@b.c", "resources": {"cpu": 8, "memory": "64Gi"}});
    world.create::<LabInstance>("b", spec).await;
    world.run("b").await;
    let expected = "0/1 workers: 1 insufficient cpu, 1 insufficient memory, 1 too many labs";
    assert_eq!(waits_for(&world.status("b").await).1, expected);
}

#[tokio::test]
async fn a_failed_lab_keeps_its_place_until_it_is_cleaned_up() {
    let world = with_labs(small(1, 10), &["a", "b"]).await;
    world.clock.advance(seconds(301));
    assert_eq!(world.found().await, [("a".to_owned(), "ProvisioningTimeout")]);
    world.run("b").await;
    assert_eq!(world.status("b").await.state(), LabState::Pending, "what failed may still run");
    world.clock.advance(seconds(301));
    assert_eq!(world.found().await, [("a".to_owned(), "CleanupDue")]);
    world.run("a").await;
    world.run("b").await;
    assert_eq!(world.status("b").await.state(), LabState::Provisioning);
}

#[tokio::test]
async fn no_more_labs_are_brought_up_at_once_than_the_policy_says() {
    let world = World::with(|settings| settings.policy.max_provisionings = 2);
    world.course().await;
    let mut uids = Vec::new();
    for name in ["a", "b", "c"] {
        uids.push(world.lab(name).await.metadata.uid);
        world.run(name).await;
    }
    let (reason, message) = waits_for(&world.status("c").await);
    assert_eq!(reason, "ProvisioningLimit");
    assert!(message.starts_with("2 labs are being brought up"), "{message}");
    world.fake.answers(&uids[0]);
    world.run("a").await;
    world.run("c").await;
    assert_eq!(world.status("c").await.state(), LabState::Provisioning);
}

#[tokio::test]
async fn a_lab_that_waits_for_its_next_attempt_leaves_its_turn_to_others() {
    let world = World::with(|settings| settings.policy.max_provisionings = 1);
    world.course().await;
    let first = world.lab("a").await.metadata.uid;
    let second = world.lab("b").await.metadata.uid;
    world.run("a").await;
    world.fake.exits(&first, "boom");
    world.run("a").await;
    world.run("b").await;
    assert_eq!(world.status("b").await.state(), LabState::Provisioning);
    world.run_after(seconds(60), "a").await;
    assert_eq!(world.fake.begun(&first), 1, "the other one has the turn");
    world.fake.answers(&second);
    world.run("b").await;
    world.run("a").await;
    assert_eq!(world.fake.begun(&first), 2);
}

/// A cache that shows what was there when it was made, and never anything newer.
struct Stale {
    labs: Vec<Arc<Lab>>,
    revision: Revision,
}

impl CacheReader<Lab> for Stale {
    fn get(&self, _key: &Key) -> Option<Arc<Lab>> {
        None
    }

    fn list(&self, _namespace: Option<&str>) -> Vec<Arc<Lab>> {
        self.labs.clone()
    }

    fn revision(&self) -> Option<Revision> {
        Some(self.revision)
    }
}

/// Lesson 57, C10: many labs at once and a cache that is behind give no place away twice.
#[tokio::test]
async fn lesson_57_no_place_is_given_away_twice_while_the_cache_is_behind() {
    const LABS: usize = 12;
    let world = World::with(|settings| settings.capacity = small(5, 100));
    world.course().await;
    for number in 0..LABS {
        let name = format!("lab-{number}");
        world.lab(&name).await;
        world.call(&name).await.unwrap().unwrap(); // the finalizer
        world.call(&name).await.unwrap().unwrap(); // accepted
    }
    let (labs, revision) = world.labs().list(&ListOptions::everywhere()).await.unwrap();
    let labs: Vec<Arc<Lab>> = labs.into_iter().map(Arc::new).collect();
    let stale: Arc<dyn CacheReader<Lab>> = Arc::new(Stale { labs: labs.clone(), revision });
    let controller = Arc::new(LabController::new(world.settings.clone()));
    let cx = world.context("lab-controller").with_caches(Caches::default().with(stale));

    let mut calls = tokio::task::JoinSet::new();
    for lab in labs {
        let (controller, cx) = (Arc::clone(&controller), cx.clone());
        calls.spawn(async move { roa_core::Controller::reconcile(&*controller, lab, &cx).await });
    }
    for outcome in calls.join_all().await {
        outcome.unwrap();
    }
    let (labs, _) = world.labs().list(&ListOptions::everywhere()).await.unwrap();
    let placed = labs.iter().filter(|lab| lab.status.state() == LabState::Provisioning).count();
    assert_eq!((placed, labs.len()), (5, LABS));
}
