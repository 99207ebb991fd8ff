//! The manifest that users have.

use roa_core::{ConditionStatus, Error};
use roa_lab::LabState;
use serde_json::{Value, json};

use crate::world::{NAMESPACE, World};

fn manifest() -> Value {
    json!({ "apiVersion": "lab.neuroglia.com/v1", "kind": "LabInstance",
        "metadata": { "name": "python-basics-lab", "namespace": "student-labs" },
        "spec": { "template": "python-basics", "studentEmail": "student@example.com", "duration": "60m",
                  "environment": { "PYTHON_VERSION": "3.11" } } })
}

const NAME: &str = "python-basics-lab";

#[tokio::test]
async fn the_manifest_that_users_have_is_taken_as_it_is_and_lives_its_whole_life() {
    use LabState::{Deleted, Deleting, Pending, Provisioning, Ready};
    let world = World::new().await;
    let created = world.apply(manifest()).await.unwrap();
    assert_eq!(created.to_json()["spec"], manifest()["spec"], "nothing is added and nothing is lost");
    world.step_to(NAME, Provisioning).await;
    world.advance(3);
    world.reach(NAME, Ready).await;
    let lab = world.lab(NAME).await;
    assert_eq!(lab.status.endpoint.as_deref(), Some("http://127.0.0.1:4711"));
    assert_eq!(lab.status.ready_at, Some(world.now()));
    assert_eq!(lab.status.expires_at, Some(world.now().saturating_add(std::time::Duration::from_secs(3600))));
    assert_eq!(lab.status.worker_ref.as_deref(), Some("local"));
    for kind in ["Scheduled", "WorkerAssigned", "Provisioned", "Ready"] {
        assert_eq!(world.condition(NAME, kind).await.status, ConditionStatus::True, "{kind}");
    }
    assert_eq!(world.fake.requests()[0].environment["PYTHON_VERSION"], "3.11");
    world.advance(3599);
    world.settle(NAME).await;
    assert_eq!(world.state(NAME).await, Ready);
    world.advance(1);
    world.reach(NAME, None).await;
    let mut lived = world.states(NAME).await;
    lived.retain(|state| *state != Pending);
    assert_eq!(lived, [Provisioning, Ready, Deleting, Deleted]);
    let last = world.past(NAME).await.pop().unwrap();
    assert_eq!(last.status.state, Some(Deleted), "deleted is the last that a watch sees");
    assert_eq!(last.status.history.iter().map(|step| step.state).collect::<Vec<_>>(), lived);
    assert!(last.status.conditions.is_true("Expired"), "{:?}", last.status.conditions);
    assert_eq!((world.fake.begun(), world.fake.holds()), (1, 0));
}

async fn refused(change: impl FnOnce(&mut Value)) -> String {
    let world = World::new().await;
    let mut manifest = manifest();
    change(&mut manifest);
    match world.apply(manifest).await {
        Err(error @ Error::Invalid { .. }) => error.to_string(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_manifest_is_said_at_once() {
    let message = refused(|manifest| {
        manifest["spec"]["template"] = json!("Not A Name");
        manifest["spec"]["studentEmail"] = json!("nobody");
        manifest["spec"]["duration"] = json!("30s");
        manifest["spec"]["resources"] = json!({"cpu": "9", "memory": "0"});
        manifest["spec"]["environment"] = json!({"1=": "x"});
    })
    .await;
    for field in ["template", "studentEmail", "duration", "resources.cpu", "resources.memory", "environment"] {
        assert!(message.contains(&format!("spec.{field}")), "{field} is not in {message}");
    }
    assert!(message.contains("expected 1m to 8h"), "{message}");
}

#[tokio::test]
async fn a_manifest_with_a_field_that_nobody_knows_or_of_a_wrong_type_is_refused() {
    let message = refused(|manifest| manifest["spec"]["tempalte"] = json!("x")).await;
    assert!(message.contains("spec.tempalte"), "{message}");
    let message = refused(|manifest| manifest["spec"]["environment"] = json!(["x"])).await;
    assert!(message.contains("spec.environment"), "{message}");
    let message = refused(|manifest| {
        manifest["spec"].as_object_mut().unwrap().remove("studentEmail");
    })
    .await;
    assert!(message.contains("studentEmail"), "{message}");
}

#[tokio::test]
async fn bad_values_are_refused_each_with_what_was_expected() {
    let cases = [
        ("duration", json!("59s"), "expected 1m to 8h"),
        ("duration", json!("8h1s"), "expected 1m to 8h"),
        ("duration", json!("tomorrow"), "spec.duration"),
        ("studentEmail", json!("two@signs@example.com"), "expected one such as"),
        ("studentEmail", json!("no-domain@host"), "expected one such as"),
        ("scheduledStart", json!("at noon"), "spec.scheduledStart"),
        ("resources", json!({"cpu": "0"}), "expected more than 0 and at most 8"),
        ("resources", json!({"memory": "much"}), "spec.resources"),
        ("template", json!(""), "spec.template"),
    ];
    for (field, value, expected) in cases {
        let message = refused(|manifest| manifest["spec"][field] = value.clone()).await;
        assert!(message.contains(expected), "{field} {value}: {message}");
    }
}

#[tokio::test]
async fn an_edit_is_held_to_the_same_rules() {
    let world = World::new().await;
    world.apply(manifest()).await.unwrap();
    let mut lab = world.lab(NAME).await;
    lab.spec.student_email = "nobody".into();
    let refused = world.labs().update(&lab).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(lab.metadata.namespace, NAMESPACE);
}
