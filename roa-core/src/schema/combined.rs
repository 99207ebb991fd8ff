//! What becomes of `allOf`, `anyOf` and `oneOf`: a structural schema has types and properties outside of them alone.

use serde_json::{Map, Value as Json, json};

use super::structural::OPEN;

/// Puts what combined schemas say where a structural schema says it; what can't be said there is left open.
pub(super) fn resolve(fields: &mut Map<String, Json>) {
    for part in take(fields, "allOf") {
        absorb(fields, part);
    }
    for name in ["anyOf", "oneOf"] {
        let mut parts = take(fields, name);
        let before = parts.len();
        parts.retain(|part| !is_null(part));
        if parts.len() < before {
            fields.insert("nullable".to_owned(), true.into());
        }
        match parts.len() {
            0 => {}
            1 => parts.into_iter().for_each(|part| absorb(fields, part)),
            _ => alternatives(fields, name, &parts),
        }
    }
}

/// Whether a schema is that of null alone.
pub(super) fn is_null(schema: &Json) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null") || schema.get("enum").is_some_and(|all| *all == json!([null]))
}

fn take(fields: &mut Map<String, Json>, name: &str) -> Vec<Json> {
    match fields.remove(name) {
        Some(Json::Array(parts)) => parts,
        _ => Vec::new(),
    }
}

/// What was said already stays, but properties and what is required come together.
fn absorb(fields: &mut Map<String, Json>, part: Json) {
    let Json::Object(part) = part else { return };
    for (name, value) in part {
        match (fields.get_mut(&name), value) {
            (Some(Json::Object(known)), Json::Object(more)) if name == "properties" => known.extend(more),
            (Some(Json::Array(known)), Json::Array(more)) if name == "required" => known.extend(more),
            (Some(_), _) => {}
            (None, value) => {
                fields.insert(name, value);
            }
        }
    }
}

fn alternatives(fields: &mut Map<String, Json>, name: &str, parts: &[Json]) {
    let is = |part: &Json, kind: &str| part.get("type").is_some_and(|found| found == kind);
    if parts.iter().all(|part| is(part, "string") && part.get("enum").is_some()) {
        let values = parts.iter().filter_map(|part| part["enum"].as_array()).flatten().cloned().collect();
        fields.insert("type".to_owned(), "string".into());
        fields.insert("enum".to_owned(), Json::Array(values));
    } else if parts.iter().all(|part| is(part, "integer") || is(part, "string")) && parts.len() == 2 {
        fields.insert("x-kubernetes-int-or-string".to_owned(), true.into());
    } else if parts.iter().all(|part| is(part, "object")) {
        variants(fields, name, parts);
    } else {
        fields.remove("type");
        fields.insert(OPEN.to_owned(), true.into());
    }
}

/// Objects of several forms: all properties of all of them, and, if each has one of its own that it needs, just one.
fn variants(fields: &mut Map<String, Json>, name: &str, parts: &[Json]) {
    fields.insert("type".to_owned(), "object".into());
    let mut properties = match fields.remove("properties") {
        Some(Json::Object(properties)) => properties,
        _ => Map::new(),
    };
    for (field, schema) in parts.iter().filter_map(|part| part.get("properties")?.as_object()).flatten() {
        match properties.get_mut(field) {
            None => {
                properties.insert(field.clone(), schema.clone());
            }
            Some(known) if known == schema => {}
            Some(known) => *known = either(known, schema),
        }
    }
    if parts.iter().any(|part| part.get(OPEN).is_some() || part.get("additionalProperties").is_some()) {
        fields.insert(OPEN.to_owned(), true.into());
    }
    fields.insert("properties".to_owned(), Json::Object(properties));
    let mut own: Vec<_> = parts.iter().map(|part| part.get("required").cloned().unwrap_or_default()).collect();
    let distinct = own.iter().all(|required| required.as_array().is_some_and(|names| names.len() == 1));
    own.sort_by_key(Json::to_string);
    own.dedup();
    if name == "oneOf" && distinct && own.len() == parts.len() {
        fields.insert("oneOf".to_owned(), own.into_iter().map(|required| json!({ "required": required })).collect());
    }
}

/// A property that two forms have in different ways: one of the words of both, or anything.
fn either(left: &Json, right: &Json) -> Json {
    match (left["enum"].as_array(), right["enum"].as_array()) {
        (Some(words), Some(more)) if left["type"] == "string" && right["type"] == "string" => {
            let mut words = words.clone();
            words.extend(
                more.iter().filter(|word| !left["enum"].as_array().is_some_and(|all| all.contains(word))).cloned(),
            );
            json!({"type": "string", "enum": words})
        }
        _ => super::structural::anything(),
    }
}
