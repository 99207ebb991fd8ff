//! Whether a schema is structural: what Kubernetes asks of the schemas of custom resources.

use roa_core::{ViolationReason as Reason, Violations};
use serde_json::{Map, Value as Json};

use super::{MAX_SCHEMA_DEPTH, Structural};

const FORBIDDEN: [&str; 7] =
    ["$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id", "$schema"];
/// What may stand in a schema itself, and not in those that it combines.
const OUTSIDE_ALONE: [&str; 10] = [
    "type",
    "description",
    "title",
    "default",
    "nullable",
    "additionalProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

/// All that makes a schema not structural, with paths below it. That it can be compiled is checked elsewhere.
#[must_use]
pub fn check(schema: &Json) -> Violations {
    let mut found = Violations::none();
    if schema.get("type").and_then(Json::as_str) != Some("object") {
        found.push("type", "Invalid value: must be object at the root");
    }
    if let Some(restricted) = schema.pointer("/properties/metadata").and_then(Json::as_object) {
        let known = |name: &str| matches!(name, "name" | "generateName");
        let properties = restricted.get("properties").and_then(Json::as_object).into_iter().flat_map(Map::keys);
        for name in properties.filter(|name| !known(name)) {
            let path = format!("properties[metadata].properties[{name}]");
            found.push_as(Reason::Forbidden, path, "Forbidden: may only restrict name and generateName");
        }
    }
    walk(schema, "", 0, &mut found);
    found
}

fn walk(schema: &Json, path: &str, depth: usize, found: &mut Violations) {
    let Json::Object(fields) = schema else { return };
    if depth > MAX_SCHEMA_DEPTH {
        return;
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for name in FORBIDDEN.into_iter().filter(|name| fields.contains_key(*name)) {
        found.push_as(Reason::Forbidden, below(name), format!("Forbidden: {name} is not supported"));
    }
    own_rules(fields, &below, found);
    list_rules(fields, &below, found);
    default_rules(schema, fields, &below, found);
    for name in ["allOf", "anyOf", "oneOf"] {
        for (at, combined) in fields.get(name).and_then(Json::as_array).into_iter().flatten().enumerate() {
            value_rules(combined, fields, &format!("{}[{at}]", below(name)), depth + 1, found);
        }
    }
    if let Some(not) = fields.get("not") {
        value_rules(not, fields, &below("not"), depth + 1, found);
    }
    for (name, property) in fields.get("properties").and_then(Json::as_object).into_iter().flatten() {
        walk(property, &format!("{}[{name}]", below("properties")), depth + 1, found);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get(name) {
            walk(inner, &below(name), depth + 1, found);
        }
    }
}

fn own_rules(fields: &Map<String, Json>, below: &dyn Fn(&str) -> String, found: &mut Violations) {
    let is = |name: &str| fields.get(name).and_then(Json::as_bool) == Some(true);
    let typed = fields.get("type").and_then(Json::as_str).unwrap_or_default();
    let untyped_is_fine = is("x-kubernetes-int-or-string") || is("x-kubernetes-preserve-unknown-fields");
    if typed.is_empty() && !untyped_is_fine {
        found.push_as(Reason::Required, below("type"), "Required value: must not be empty for specified object fields");
    }
    if is("x-kubernetes-int-or-string") && !typed.is_empty() {
        found.push_as(
            Reason::Forbidden,
            below("type"),
            "Forbidden: must be empty if x-kubernetes-int-or-string is true",
        );
    }
    if is("uniqueItems") {
        let message = "Forbidden: can't be true, since it costs too much; use x-kubernetes-list-type: set";
        found.push_as(Reason::Forbidden, below("uniqueItems"), message);
    }
    if fields.get("additionalProperties") == Some(&Json::Bool(false)) {
        let message = "Forbidden: additionalProperties can't be false";
        found.push_as(Reason::Forbidden, below("additionalProperties"), message);
    }
    let has_properties = fields.get("properties").and_then(Json::as_object).is_some_and(|all| !all.is_empty());
    if has_properties && fields.get("additionalProperties").is_some_and(|all| *all != Json::Bool(false)) {
        let message = "Forbidden: additionalProperties and properties are mutual exclusive";
        found.push_as(Reason::Forbidden, below("additionalProperties"), message);
    }
    if typed == "array" && !fields.contains_key("items") {
        found.push_as(Reason::Required, below("items"), "Required value: must be specified");
    }
}

fn list_rules(fields: &Map<String, Json>, below: &dyn Fn(&str) -> String, found: &mut Violations) {
    let Some(kind) = fields.get("x-kubernetes-list-type").and_then(Json::as_str) else { return };
    if fields.get("type").and_then(Json::as_str) != Some("array") {
        found.push(below("type"), "Invalid value: must be array if x-kubernetes-list-type is specified");
    }
    if kind != "map" {
        return;
    }
    let keys: Vec<_> = fields
        .get("x-kubernetes-list-map-keys")
        .and_then(Json::as_array)
        .map(|keys| keys.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    if keys.is_empty() {
        let message = "Required value: must not be empty if x-kubernetes-list-type is map";
        found.push_as(Reason::Required, below("x-kubernetes-list-map-keys"), message);
    }
    let items = fields.get("items").unwrap_or(&Json::Null);
    let required =
        |key: &str| items.get("required").and_then(Json::as_array).is_some_and(|all| all.contains(&key.into()));
    for key in keys {
        let Some(property) = items.get("properties").and_then(|all| all.get(key)) else {
            let message = format!("Invalid value: {key:?}: must be the name of a property of the items");
            found.push(below("x-kubernetes-list-map-keys"), message);
            continue;
        };
        if property.get("default").is_none() && !required(key) {
            let message = "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            found.push_as(Reason::Required, format!("{}.properties[{key}].default", below("items")), message);
        }
    }
}

/// A default must be what the schema allows, and whole.
fn default_rules(schema: &Json, fields: &Map<String, Json>, below: &dyn Fn(&str) -> String, found: &mut Violations) {
    let Some(default) = fields.get("default") else { return };
    let wrapped = serde_json::json!({"type": "object", "properties": {"value": schema}});
    let Ok(compiled) = Structural::without_rules(&wrapped) else { return };
    let mut object = serde_json::json!({ "value": default });
    for path in compiled.prune(&mut object) {
        let path = path.strip_prefix("value").unwrap_or(&path);
        found
            .push(format!("{}{path}", below("default")), "Invalid value: must not have fields that the schema has not");
    }
    compiled.default(&mut object);
    for violation in compiled.validate(&object, None).iter() {
        let path = violation.path.strip_prefix("value").unwrap_or(&violation.path);
        found.push_as(violation.reason, format!("{}{path}", below("default")), violation.message.clone());
    }
}

/// Schemas that are combined may only say more of values.
fn value_rules(schema: &Json, outer: &Map<String, Json>, path: &str, depth: usize, found: &mut Violations) {
    let Json::Object(fields) = schema else { return };
    if depth > MAX_SCHEMA_DEPTH {
        return;
    }
    let int_or_string = outer.get("x-kubernetes-int-or-string").and_then(Json::as_bool) == Some(true);
    for name in OUTSIDE_ALONE.into_iter().filter(|name| fields.contains_key(*name)) {
        if !(int_or_string && name == "type") {
            found.push_as(Reason::Forbidden, format!("{path}.{name}"), "Forbidden: must be empty to be structural");
        }
    }
    let below = |name: &str| format!("{path}.{name}");
    for (name, property) in fields.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let path = format!("{}[{name}]", below("properties"));
        match outer.get("properties").and_then(|all| all.get(name)?.as_object()) {
            Some(outer) => value_rules(property, outer, &path, depth + 1, found),
            None => found.push_as(Reason::Required, path, "Required value: must also be in the schema outside"),
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (at, combined) in fields.get(name).and_then(Json::as_array).into_iter().flatten().enumerate() {
            value_rules(combined, outer, &format!("{}[{at}]", below(name)), depth + 1, found);
        }
    }
    let nothing = Map::new();
    if let Some(inner) = fields.get("items") {
        let outer = outer.get("items").and_then(Json::as_object).unwrap_or(&nothing);
        value_rules(inner, outer, &below("items"), depth + 1, found);
    }
    if let Some(inner) = fields.get("not") {
        value_rules(inner, outer, &below("not"), depth + 1, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_structural_schema_is_taken() {
        let schema = json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}},
            "spec": {"type": "object", "required": ["port"], "properties": {
                "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                "free": {"x-kubernetes-preserve-unknown-fields": true},
                "list": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
                }
            }, "oneOf": [{"required": ["mode"]}, {"properties": {"list": {"minItems": 1}}}]}
        }});
        assert_eq!(check(&schema).to_string(), "");
    }

    #[test]
    fn what_is_not_structural_is_named() {
        let cases = [
            (json!({"type": "string"}), "type: Invalid value: must be object at the root"),
            (json!({"type": "object", "properties": {"a": {}}}), "properties[a].type: Required value"),
            (
                json!({"type": "object", "properties": {"a": {"$ref": "#/x", "type": "string"}}}),
                "properties[a].$ref: Forbidden",
            ),
            (json!({"type": "object", "properties": {"a": {"type": "array"}}}), "properties[a].items: Required value"),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}}),
                "additionalProperties: Forbidden",
            ),
            (json!({"type": "object", "additionalProperties": false}), "additionalProperties: Forbidden"),
            (
                json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}}}),
                "properties[a].uniqueItems: Forbidden",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}}),
                "properties[a].default: Invalid value: \"string\"",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "object", "default": {"b": 1}}}}),
                "properties[a].default.b: Invalid value",
            ),
            (json!({"type": "object", "anyOf": [{"type": "object"}]}), "anyOf[0].type: Forbidden"),
            (
                json!({"type": "object", "anyOf": [{"properties": {"a": {"minimum": 1}}}]}),
                "anyOf[0].properties[a]: Required value",
            ),
            (
                json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
                "properties[metadata].properties[labels]: Forbidden",
            ),
            (
                json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n", "m"], "items": {"type": "object", "properties": {"n": {"type": "string"}}}}}}),
                "properties[l].items.properties[n].default: Required value",
            ),
            (
                json!({"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map"}}}),
                "x-kubernetes-list-map-keys: Required value",
            ),
        ];
        for (schema, expected) in cases {
            let message = check(&schema).to_string();
            assert!(message.contains(expected), "{expected:?} is missing in {message:?} for {schema}");
        }
    }
}
