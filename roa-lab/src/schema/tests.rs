//! What the schemas say, and that they are structural.

use super::*;
use crate::{LabInstance, LabTemplate, LabWorker, LabWorkerHeartbeat, LabWorkerPool};

fn all() -> Vec<(&'static str, Value)> {
    fn of<S: Spec>() -> (&'static str, Value) {
        (S::KIND, S::schema().unwrap())
    }
    vec![of::<LabInstance>(), of::<LabTemplate>(), of::<LabWorker>(), of::<LabWorkerPool>(), of::<LabWorkerHeartbeat>()]
}

/// Everything that a structural schema may have here. Each field has a description, and a type unless it takes anything.
fn check(path: &str, schema: &Value) {
    let object = schema.as_object().unwrap_or_else(|| panic!("{path}: {schema}"));
    const ALLOWED: [&str; 14] = [
        "type",
        "description",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "format",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
    ];
    for name in object.keys() {
        assert!(ALLOWED.contains(&name.as_str()), "{path}: {name} in {schema}");
    }
    let takes_anything = object.contains_key("x-kubernetes-preserve-unknown-fields");
    assert!(object.get("type").is_some_and(Value::is_string) || takes_anything, "{path}: no type in {schema}");
    for (name, child) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
        assert!(child["description"].as_str().is_some_and(|text| text.len() > 3), "{path}.{name} is not described");
        check(&format!("{path}.{name}"), child);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(child) = object.get(name).filter(|child| child.is_object()) {
            check(&format!("{path}.{name}"), child);
        }
    }
}

#[test]
fn every_schema_is_structural_and_describes_each_field() {
    for (kind, schema) in all() {
        check(kind, &schema);
        assert_eq!(schema["properties"]["status"]["x-kubernetes-preserve-unknown-fields"], true, "{kind}");
    }
}

#[test]
fn fields_are_those_of_the_format_with_their_types() {
    let schema = LabInstance::schema().unwrap();
    let spec = &schema["properties"]["spec"]["properties"];
    assert_eq!(spec["studentEmail"], json!({"type": "string", "description": "Whose it is."}));
    assert_eq!((&spec["duration"]["type"], &spec["duration"]["nullable"]), (&json!("string"), &json!(true)));
    assert_eq!(spec["scheduledStart"]["format"], "date-time");
    assert_eq!(spec["environment"]["additionalProperties"], json!({"type": "string"}));
    assert_eq!(spec["resources"]["properties"]["cpu"]["x-kubernetes-preserve-unknown-fields"], true);
    let schema = LabWorkerPool::schema().unwrap();
    let scaling = &schema["properties"]["spec"]["properties"]["scaling"]["properties"];
    assert_eq!(scaling["policy"]["enum"], json!(["None", "CapacityBased", "LabCountBased", "Scheduled", "Hybrid"]));
    assert_eq!((&scaling["min"]["type"], &scaling["min"]["minimum"]), (&json!("integer"), &json!(0)));
    assert_eq!(scaling["cpuUp"]["type"], "number");
    let schema = LabTemplate::schema().unwrap();
    let process = &schema["properties"]["spec"]["properties"]["process"]["properties"];
    assert_eq!(process["stopGrace"]["type"], "string");
    assert_eq!(process["command"]["items"], json!({"type": "string"}));
}
