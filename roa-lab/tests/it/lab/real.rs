//! The controller with real processes: begun once, adopted after a restart, begun anew by a change of the spec alone.

use std::sync::Arc;

use roa_lab::provision::{LabIdentity, Provisioner};
use roa_lab::{Lab, LabInstance, LabState, LabTemplate, Provisioners};
use serde_json::json;

use super::unclear::Lost;
use super::world::{NAMESPACE, World, seconds};
use crate::support::{Place, eventually, processes_of, shims_of, stopped};

/// A world whose labs run in `place`.
fn world(place: &Place) -> World {
    World::with(|settings| {
        settings.provisioners = Provisioners::new().with(Arc::new(place.provisioner()));
        settings.policy.max_retries = 1;
    })
}

async fn create(world: &World, template: serde_json::Value) -> LabIdentity {
    world.create::<LabTemplate>("real", template).await;
    let spec = json!({"template": "real", "studentEmail": "a@example.com"});
    let lab: Lab = world.create::<LabInstance>("a", spec).await;
    LabIdentity { uid: lab.metadata.uid, namespace: NAMESPACE.into(), name: "a".into() }
}

fn site() -> serde_json::Value {
    let command = ["{roa}", "static-site", "--dir", "{dir}", "--port", "{port}"];
    let readiness = json!({"httpGet": "/", "period": "10ms"});
    json!({"provisioner": "process",
           "process": {"command": command, "files": {"index.html": "hi"}, "readiness": readiness}})
}

fn broken() -> serde_json::Value {
    json!({"provisioner": "process", "process": {"command": ["sh", "-c", "exit 3"]}})
}

/// Calls until the lab is in that state, while time passes for it.
async fn until(world: &World, state: LabState) {
    eventually(&format!("the lab is {state}"), async || {
        world.run_after(seconds(1), "a").await;
        (world.status("a").await.state() == state).then_some(())
    })
    .await;
}

/// Calls until a place is written down, and nothing is begun.
async fn placed(world: &World) {
    while world.status("a").await.allocation.is_none() {
        world.call("a").await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn lesson_50_a_start_whose_record_got_no_answer_is_not_made_twice() {
    for lost in [Lost::Answer, Lost::Request] {
        let place = Place::new();
        let world = world(&place);
        let lab = create(&world, site()).await;
        placed(&world).await;
        world.unclear.lose(lost);
        let failed = world.call("a").await.unwrap();
        assert!(failed.is_err() && world.unclear.recover(), "{lost:?}: {failed:?}");
        let first = place.child(&lab).await;
        assert_eq!(world.status("a").await.provisioning_started_at.is_some(), lost == Lost::Answer);

        until(&world, LabState::Ready).await;
        assert_eq!((processes_of(&lab), shims_of(&lab).len()), (vec![first], 1), "{lost:?}");
        let status = world.status("a").await;
        assert_eq!((status.retries, status.restarts), (0, 0));
        stopped(&place.provisioner(), &lab).await;
    }
}

#[tokio::test]
async fn a_lab_is_adopted_by_whoever_comes_after_a_restart_at_each_step_of_its_way() {
    let place = Place::new();
    let mut world = world(&place);
    let lab = create(&world, site()).await;
    placed(&world).await;
    world.call("a").await.unwrap().unwrap();
    let first = place.child(&lab).await;
    eventually("it is ready", async || {
        // Another process each time: another provisioner too.
        world.settings.provisioners = Provisioners::new().with(Arc::new(place.provisioner()));
        world.restart();
        world.call("a").await.unwrap().unwrap();
        assert!(processes_of(&lab).len() <= 1);
        (world.status("a").await.state() == LabState::Ready).then_some(())
    })
    .await;
    assert!(world.found().await.is_empty(), "the sweep finds it as it should be");
    assert_eq!((processes_of(&lab), shims_of(&lab).len()), (vec![first], 1));

    world.delete("a").await;
    eventually("it is gone", async || {
        world.restart();
        world.run("a").await;
        world.find("a").await.is_none().then_some(())
    })
    .await;
    assert!(processes_of(&lab).is_empty() && shims_of(&lab).is_empty() && !place.lab_dir(&lab).exists());
}

#[tokio::test]
async fn what_failed_is_begun_anew_by_a_change_of_its_spec_and_by_nothing_else() {
    let place = Place::new();
    let mut world = world(&place);
    let lab = create(&world, broken()).await;
    until(&world, LabState::Failed).await;
    assert_eq!(world.status("a").await.message, "exited with code 3");
    let run = |place: &Place| (place.json(&lab, "lab.json"), place.json(&lab, "state.json"));
    let last = run(&place);
    for _ in 0..3 {
        world.restart();
        world.run_after(seconds(20), "a").await;
        world.found().await;
    }
    world.call("a").await.unwrap().unwrap();
    assert_eq!((world.status("a").await.state(), run(&place)), (LabState::Failed, last), "nothing was begun");
    assert!(processes_of(&lab).is_empty());

    world.create::<LabTemplate>("mended", site()).await;
    world.edit("a", |spec| spec.template = "mended".into()).await;
    until(&world, LabState::Ready).await;
    assert_eq!((processes_of(&lab), world.status("a").await.retries), (vec![place.child(&lab).await], 0));
    assert_eq!(place.provisioner().list().await.unwrap().len(), 1);
    stopped(&place.provisioner(), &lab).await;
}
