//! Labs that went with the node that had them: another brings them up, and that is nobody's failure.

use std::sync::Arc;

use roa_lab::provision::SimulatedProvisioner;
use roa_lab::{LabState, LabTemplate, Provisioners};
use serde_json::json;

use super::world::{World, seconds};

/// More owners than a lab has retries.
const OWNERS: usize = 8;

fn simulated(world: &World) -> Provisioners {
    Provisioners::new().with(Arc::new(SimulatedProvisioner::new(Arc::new(world.clock.clone()), 10)))
}

/// Another process takes over, and what the one before had in its memory is gone with it.
fn taken_over(world: &mut World, number: usize) -> String {
    world.settings.node = format!("node-{number}");
    world.settings.provisioners = simulated(world);
    world.restart();
    world.settings.node.clone()
}

async fn begun() -> World {
    let mut world = World::new();
    taken_over(&mut world, 0);
    world.create::<LabTemplate>("course", json!({"provisioner": "simulated"})).await;
    world.lab("a").await;
    world.run("a").await;
    world
}

#[tokio::test]
async fn a_lab_that_is_brought_up_goes_on_with_each_new_owner_at_once_and_uses_no_retry() {
    let mut world = begun().await;
    for number in 1..OWNERS {
        let node = taken_over(&mut world, number);
        world.run("a").await;
        let status = world.status("a").await;
        assert_eq!((status.state(), status.retries), (LabState::Provisioning, 0), "{}", status.message);
        assert!(status.provisioning_started_at.is_some(), "owner {number}: {}", status.message);
        assert_eq!(status.allocation.unwrap().node, node, "it is accounted for where it is");
    }
    world.run_after(seconds(10), "a").await;
    assert_eq!(world.status("a").await.state(), LabState::Ready);
}

#[tokio::test]
async fn a_lab_that_was_ready_is_brought_up_by_each_new_owner_and_is_not_given_up() {
    let mut world = begun().await;
    world.run_after(seconds(10), "a").await;
    for number in 1..OWNERS {
        let node = taken_over(&mut world, number);
        assert_eq!(world.found().await.len(), 1);
        world.run("a").await;
        world.run_after(seconds(10), "a").await;
        let status = world.status("a").await;
        assert_eq!((status.state(), status.is_degraded(), status.restarts), (LabState::Ready, false, 0));
        assert_eq!(status.allocation.unwrap().node, node);
    }
}

/// What vanishes again where it was brought up is a failure like others.
#[tokio::test]
async fn a_lab_that_vanishes_under_its_owner_uses_a_retry() {
    let mut world = begun().await;
    world.settings.provisioners = simulated(&world);
    world.restart();
    world.run("a").await;
    let status = world.status("a").await;
    assert_eq!((status.retries, status.next_attempt_at.is_some()), (1, true));
}
