//! The schema of the definitions themselves, from the whole down to its parts.

use serde_json::{Value as Json, json};

/// What a definition may hold; [`check`](super::check::check) knows what else must hold of it.
pub(super) fn schema() -> Json {
    json!({
        "type": "object", "required": ["spec"],
        "description": "Declares a kind: its names, its versions, and the schema of its objects.",
        "properties": {"spec": spec(), "status": status()}
    })
}

fn spec() -> Json {
    json!({
        "type": "object", "required": ["group", "names", "scope", "versions"],
        "properties": {
            "group": text(), "scope": text(), "names": names(), "versions": list_of(&version()),
            "conversion": {
                "type": "object", "required": ["strategy"],
                "properties": {"strategy": text(), "webhook": anything()}
            },
            "preserveUnknownFields": flag()
        }
    })
}

fn status() -> Json {
    json!({
        "type": "object",
        "properties": {
            "acceptedNames": names(), "storedVersions": list_of(&text()),
            "conditions": {
                "type": "array", "items": condition(),
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]
            }
        }
    })
}

fn names() -> Json {
    json!({
        "type": "object", "required": ["kind", "plural"],
        "properties": {
            "plural": text(), "singular": text(), "kind": text(), "listKind": text(),
            "shortNames": list_of(&text()), "categories": list_of(&text())
        }
    })
}

fn version() -> Json {
    json!({
        "type": "object", "required": ["name", "served", "storage"],
        "properties": {
            "name": text(), "served": flag(), "storage": flag(), "deprecated": flag(), "deprecationWarning": text(),
            "schema": {"type": "object", "properties": {"openAPIV3Schema": anything()}},
            "subresources": {"type": "object", "properties": {"status": anything(), "scale": scale()}},
            "additionalPrinterColumns": list_of(&column()),
            "selectableFields": list_of(&json!({
                "type": "object", "required": ["jsonPath"], "properties": {"jsonPath": text()}
            }))
        }
    })
}

fn scale() -> Json {
    json!({
        "type": "object", "required": ["specReplicasPath", "statusReplicasPath"],
        "properties": {"specReplicasPath": text(), "statusReplicasPath": text(), "labelSelectorPath": text()}
    })
}

fn column() -> Json {
    json!({
        "type": "object", "required": ["name", "type", "jsonPath"],
        "properties": {
            "name": text(), "type": text(), "format": text(), "description": text(), "jsonPath": text(),
            "priority": {"type": "integer", "format": "int32"}
        }
    })
}

fn condition() -> Json {
    json!({
        "type": "object", "required": ["type", "status"],
        "properties": {
            "type": text(), "status": text(), "reason": text(), "message": text(),
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer"}
        }
    })
}

fn text() -> Json {
    json!({"type": "string"})
}

fn flag() -> Json {
    json!({"type": "boolean"})
}

fn list_of(items: &Json) -> Json {
    json!({"type": "array", "items": items})
}

fn anything() -> Json {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
