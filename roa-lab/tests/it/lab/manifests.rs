//! The manifests that users have, and those that come with this crate.

use std::fs;
use std::path::Path;

use roa_lab::{LabState, LabTemplate};
use serde_json::{Value, json};

use super::world::World;

/// As it stands in the format's description, byte for byte.
const PYTHON_BASICS: &str = r#"{ "apiVersion": "lab.neuroglia.com/v1", "kind": "LabInstance",
  "metadata": { "name": "python-basics-lab", "namespace": "student-labs" },
  "spec": { "template": "python-basics", "studentEmail": "student@example.com", "duration": "60m",
            "environment": { "PYTHON_VERSION": "3.11" } } }
"#;

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[tokio::test]
async fn the_manifest_of_the_format_works_unchanged() {
    assert_eq!(include_str!("../../../manifests/python-basics-lab.json"), PYTHON_BASICS);
    let world = World::new();
    let applied = world.apply(serde_json::from_str(PYTHON_BASICS).unwrap()).await.unwrap();
    let written: Value = serde_json::from_str(PYTHON_BASICS).unwrap();
    assert_eq!(applied.spec(), Some(&written["spec"]), "nothing is rewritten");
    let again = world.apply(written).await.unwrap();
    assert_eq!(again.metadata.resource_version, applied.metadata.resource_version, "the same again writes nothing");

    world.create::<LabTemplate>("python-basics", json!({"provisioner": "fake"})).await;
    world.run("python-basics-lab").await;
    assert_eq!(world.status("python-basics-lab").await.state(), LabState::Provisioning);
    let stored = world.labs().get("student-labs", "python-basics-lab").await.unwrap();
    assert_eq!(serde_json::to_value(&stored.spec).unwrap(), applied.spec().unwrap().clone());
}

#[tokio::test]
async fn every_manifest_of_this_crate_is_accepted_by_the_strict_door() {
    let world = World::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let texts: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    assert!(texts.len() >= 8);
    let manifests = texts.iter().flat_map(|text| text.split("\n---\n"));
    for text in manifests {
        world.apply(yaml(text)).await.unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_manifest_is_told_all_at_once_and_nothing_is_written() {
    let world = World::new();
    let manifest = json!({
        "apiVersion": "lab.neuroglia.com/v1", "kind": "LabInstance",
        "metadata": {"name": "a", "namespace": "student-labs"},
        "spec": {"studentEmail": "nobody", "duration": "9h", "resources": {"cpu": "nan", "memory": "0Gi"}, "colour": "red"}
    });
    let refused = world.apply(manifest).await.unwrap_err().to_string();
    let expected = [
        "spec.template: is missing",
        "spec.studentEmail: \"nobody\" is no address",
        "spec.duration: is 9h",
        "spec.resources.cpu: parse quantity \"nan\"",
        "spec.resources.memory: parse quantity \"0Gi\"",
        "spec.colour: unknown field",
    ];
    for expected in expected {
        assert!(refused.contains(expected), "{refused} should contain {expected}");
    }
    assert!(world.find("a").await.is_none());
}
