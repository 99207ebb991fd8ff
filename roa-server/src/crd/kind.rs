//! The kind of the definitions themselves.

use std::sync::Arc;

use roa_core::{Column, DynamicObject, KindDescriptor, Scope};
use serde_json::{Value as Json, json};

use super::check::{check, check_update};
use crate::schema::Structural;

/// The group of definitions.
pub const GROUP: &str = "apiextensions.k8s.io";
/// The kind of definitions.
pub const KIND: &str = "CustomResourceDefinition";
/// The plural of definitions.
pub const PLURAL: &str = "customresourcedefinitions";

/// The kind of CustomResourceDefinition objects: validated when written, whoever writes.
#[must_use]
pub fn definition_kind() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic(GROUP, "v1", KIND, PLURAL, Scope::Cluster);
    kind.short_names = vec!["crd".into(), "crds".into()];
    kind.categories = vec!["api-extensions".into()];
    kind.columns = vec![Column::text("CREATED AT", "metadata.creationTimestamp")];
    kind.age_column = false;
    let schema = schema();
    let compiled = Structural::compile(&schema).unwrap_or_else(|_| Structural::untyped());
    kind.schema = Some(Arc::new(schema));
    kind.validator = Arc::new(|object, old| {
        let object = object.to_json();
        let mut found = check(&object);
        if let Some(old) = old.map(DynamicObject::to_json) {
            found.merge(check_update(&object, &old));
        }
        found
    });
    kind.unknown_fields = Arc::new(move |object| compiled.prune(&mut object.to_json()));
    kind
}

fn schema() -> Json {
    let text = json!({"type": "string"});
    let flag = json!({"type": "boolean"});
    let texts = json!({"type": "array", "items": text});
    let names = json!({
        "type": "object", "required": ["kind", "plural"],
        "properties": {"plural": text, "singular": text, "kind": text, "listKind": text, "shortNames": texts, "categories": texts}
    });
    let column = json!({
        "type": "object", "required": ["name", "type", "jsonPath"],
        "properties": {
            "name": text, "type": text, "format": text, "description": text, "jsonPath": text,
            "priority": {"type": "integer", "format": "int32"}
        }
    });
    let scale = json!({
        "type": "object", "required": ["specReplicasPath", "statusReplicasPath"],
        "properties": {"specReplicasPath": text, "statusReplicasPath": text, "labelSelectorPath": text}
    });
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({
        "type": "object", "required": ["name", "served", "storage"],
        "properties": {
            "name": text, "served": flag, "storage": flag, "deprecated": flag, "deprecationWarning": text,
            "schema": {"type": "object", "properties": {"openAPIV3Schema": anything}},
            "subresources": {"type": "object", "properties": {"status": anything, "scale": scale}},
            "additionalPrinterColumns": {"type": "array", "items": column},
            "selectableFields": {"type": "array", "items": {"type": "object", "required": ["jsonPath"], "properties": {"jsonPath": text}}}
        }
    });
    let condition = json!({
        "type": "object", "required": ["type", "status"],
        "properties": {
            "type": text, "status": text, "reason": text, "message": text, "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer"}
        }
    });
    json!({
        "type": "object", "required": ["spec"],
        "description": "Declares a kind: its names, its versions, and the schema of its objects.",
        "properties": {
            "spec": {
                "type": "object", "required": ["group", "names", "scope", "versions"],
                "properties": {
                    "group": text, "scope": text, "names": names, "versions": {"type": "array", "items": version},
                    "conversion": {"type": "object", "required": ["strategy"], "properties": {"strategy": text, "webhook": anything}},
                    "preserveUnknownFields": flag
                }
            },
            "status": {
                "type": "object",
                "properties": {
                    "acceptedNames": names, "storedVersions": texts,
                    "conditions": {
                        "type": "array", "items": condition, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]
                    }
                }
            }
        }
    })
}
