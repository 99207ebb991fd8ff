//! `[namespaces]`: whether somebody must create one before there can be an object in it.

use crate::client::{bad, good};
use crate::onlooker::Onlooker;
use crate::run::Place;

const TEMPLATE: &str = r#"
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: short, namespace: school }
spec: { provisioner: simulated }
"#;

fn place(config: &str) -> Place {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: school }\n";
    let place = Place::with_config(config).file("template.yaml", TEMPLATE).file("namespace.yaml", namespace);
    // A store that nobody serves.
    std::fs::create_dir(place.path().join("roa-data")).unwrap();
    drop(Onlooker::open(place.path().join("roa-data/roa.db").to_str().unwrap()));
    place.variable("ROA_SERVER__LISTEN", "")
}

#[test]
fn with_strict_namespaces_nothing_comes_into_one_that_nobody_created() {
    let place = place("[namespaces]\nstrict = true\n");
    bad(&place.roa(&["apply", "-f", "template.yaml"]), 1, &["school"]);
    good(&place.roa(&["apply", "-f", "namespace.yaml"]));
    good(&place.roa(&["apply", "-f", "template.yaml"]));
    assert!(good(&place.roa(&["get", "labtemplates", "-n", "school"])).contains("short"));
}

#[test]
fn else_a_namespace_comes_with_the_first_object_in_it() {
    let place = place("");
    good(&place.roa(&["apply", "-f", "template.yaml"]));
    assert!(good(&place.roa(&["get", "namespaces"])).contains("school"));
}
