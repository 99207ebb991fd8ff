//! Labs that are asked to go, in each of their states.

use std::sync::atomic::Ordering;

use roa_core::Action;
use roa_lab::LabState;

use super::world::{World, seconds};

/// A lab that is in `state`.
async fn lab_in(state: LabState) -> (World, String) {
    let world = World::new();
    if state == LabState::Ready {
        let uid = world.ready_lab("a").await.metadata.uid;
        return (world, uid);
    }
    if state != LabState::Pending {
        world.course().await;
    }
    let uid = world.lab("a").await.metadata.uid;
    world.run("a").await;
    if state == LabState::Failed {
        world.clock.advance(seconds(301));
        world.found().await;
    }
    assert_eq!(world.status("a").await.state(), state);
    (world, uid)
}

#[tokio::test]
async fn a_lab_goes_from_each_state_and_nothing_stays_outside() {
    for state in [LabState::Pending, LabState::Provisioning, LabState::Ready, LabState::Failed] {
        let (world, uid) = lab_in(state).await;
        world.delete("a").await;
        assert_eq!(world.run("a").await, Action::Done);
        assert!(world.find("a").await.is_none() && !world.fake.exists(&uid), "from {state}");
        assert_eq!(world.events("lab-controller").last().unwrap(), "Deleted");
        assert_eq!(world.sweep().await, (vec![], 0));
    }
}

#[tokio::test]
async fn a_lab_that_nobody_has_looked_at_yet_goes_at_once() {
    let world = World::new();
    world.lab("a").await;
    world.delete("a").await;
    assert!(world.find("a").await.is_none());
}

#[tokio::test]
async fn the_record_stays_until_all_is_gone() {
    let (world, uid) = lab_in(LabState::Ready).await;
    world.fake.stops_slowly.store(true, Ordering::SeqCst);
    world.delete("a").await;
    let poll = Action::RequeueAfter(world.policy().poll);
    for expected in [poll, poll] {
        assert_eq!(world.call("a").await.unwrap().unwrap(), expected);
        assert!(world.fake.exists(&uid) && world.status("a").await.state() == LabState::Deleting);
    }
    assert_eq!(world.call("a").await.unwrap().unwrap(), Action::Done);
    assert!(world.find("a").await.is_none());
}

#[tokio::test]
async fn in_state_deleted_nothing_more_is_done() {
    let (world, uid) = lab_in(LabState::Ready).await;
    world.delete("a").await;
    for state in ["deleting", "deleted"] {
        world.write_status("a", serde_json::json!({"state": state})).await.unwrap();
    }
    assert_eq!(world.call("a").await.unwrap().unwrap(), Action::Done);
    assert!(world.find("a").await.is_none() && world.fake.exists(&uid));
}

/// DECISIONS 29: only the lab's own node touches it.
#[tokio::test]
async fn another_node_touches_nothing_and_waits() {
    let (mut world, uid) = lab_in(LabState::Ready).await;
    world.settings.node = "node-2".into();
    world.restart();
    world.fake.exits(&uid, "boom");
    assert!(world.found().await.is_empty(), "it can't be seen from here");
    world.delete("a").await;
    assert_eq!(world.run("a").await, Action::RequeueAfter(world.policy().poll));
    let status = world.status("a").await;
    assert_eq!(
        (status.state(), status.message.as_str()),
        (LabState::Deleting, "waits for node \"node-1\", where it is")
    );
    world.clock.advance(seconds(301));
    assert_eq!(world.found().await, [("a".to_owned(), "DeletionStuck")]);
    assert!(world.found().await.is_empty(), "people were told");

    world.settings.node = "node-1".into();
    world.restart();
    world.run("a").await;
    assert!(world.find("a").await.is_none() && !world.fake.exists(&uid));
}

#[tokio::test]
async fn another_node_leaves_labs_that_are_brought_up_alone() {
    let (mut world, uid) = lab_in(LabState::Provisioning).await;
    world.settings.node = "node-2".into();
    world.restart();
    world.fake.answers(&uid);
    assert_eq!(world.run("a").await, Action::Done);
    assert_eq!(world.status("a").await.state(), LabState::Provisioning);
}

#[tokio::test]
async fn a_lab_whose_provisioner_is_missing_is_kept_until_it_is_back() {
    let (mut world, uid) = lab_in(LabState::Ready).await;
    let provisioners = std::mem::take(&mut world.settings.provisioners);
    world.restart();
    world.delete("a").await;
    world.call("a").await.unwrap().unwrap();
    let error = world.call("a").await.unwrap().unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("\"fake\", which is not registered"), "{error}");
    world.settings.provisioners = provisioners;
    world.restart();
    world.run("a").await;
    assert!(world.find("a").await.is_none() && !world.fake.exists(&uid));
}

#[tokio::test]
async fn a_lab_whose_state_says_that_it_leaves_is_asked_to() {
    let (world, uid) = lab_in(LabState::Ready).await;
    let leaving = |lab: &mut roa_lab::Lab| lab.status.state = Some(LabState::Deleting);
    world.labs().patch_status(super::world::NAMESPACE, "a", leaving).await.unwrap();
    world.run("a").await;
    assert!(world.find("a").await.is_none() && !world.fake.exists(&uid));
}
