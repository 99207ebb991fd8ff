//! [`structural`]: from any JSON Schema to a structural one, as far as that can say the same.

use serde_json::{Map, Value as Json, json};

use super::combined;

pub(super) const OPEN: &str = "x-kubernetes-preserve-unknown-fields";

/// Keywords that say nothing about values, or that a structural schema must not have.
const DROPPED: [&str; 13] = [
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "components",
    "title",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "propertyNames",
];
/// Formats of numbers that OpenAPI knows; all others say nothing that `minimum` and `maximum` do not.
const NUMBERS: [&str; 4] = ["int32", "int64", "float", "double"];

/// The structural schema that says what `schema` says, as far as one can: references to inner schemas must have been put
/// in place already, what is left of them is taken for anything.
#[must_use]
pub fn structural(schema: Json) -> Json {
    match schema {
        Json::Object(fields) if !fields.contains_key("$ref") => Json::Object(of_fields(fields)),
        Json::Object(fields) => with_description(anything(), &fields),
        _ => anything(),
    }
}

pub(super) fn anything() -> Json {
    json!({ OPEN: true })
}

fn with_description(mut schema: Json, fields: &Map<String, Json>) -> Json {
    if let Some(description) = fields.get("description") {
        schema["description"] = description.clone();
    }
    schema
}

fn of_fields(mut fields: Map<String, Json>) -> Map<String, Json> {
    fields.retain(|name, _| !DROPPED.contains(&name.as_str()));
    inner_schemas(&mut fields);
    combined::resolve(&mut fields);
    one_type(&mut fields);
    constants(&mut fields);
    objects(&mut fields);
    lists(&mut fields);
    if !fields.get("format").and_then(Json::as_str).is_none_or(|format| is_known(&fields, format)) {
        fields.remove("format");
    }
    if fields.get("default").is_some_and(Json::is_null) {
        fields.remove("default");
    }
    if !fields.contains_key("type") && !fields.contains_key("x-kubernetes-int-or-string") {
        fields.insert(OPEN.to_owned(), true.into());
    }
    fields
}

fn is_known(fields: &Map<String, Json>, format: &str) -> bool {
    let number = fields.get("type").is_some_and(|kind| kind == "integer" || kind == "number");
    !number || NUMBERS.contains(&format)
}

fn inner_schemas(fields: &mut Map<String, Json>) {
    if let Some(Json::Object(properties)) = fields.get_mut("properties") {
        for property in properties.values_mut() {
            *property = structural(property.take());
        }
    }
    for name in ["items", "not"] {
        if let Some(inner) = fields.get_mut(name) {
            *inner = structural(inner.take());
        }
    }
    if let Some(inner @ Json::Object(_)) = fields.get_mut("additionalProperties") {
        *inner = structural(inner.take());
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for inner in fields.get_mut(name).and_then(Json::as_array_mut).into_iter().flatten() {
            // Of two, null is told by its own type: it must be seen by who combines them.
            if !combined::is_null(inner) {
                *inner = structural(inner.take());
            }
        }
    }
}

/// `type: [string, "null"]` is a nullable string.
fn one_type(fields: &mut Map<String, Json>) {
    let Some(Json::Array(types)) = fields.get("type") else { return };
    let nullable = types.iter().any(|kind| kind == "null");
    let mut others: Vec<_> = types.iter().filter(|kind| *kind != "null").cloned().collect();
    match (others.pop(), others.is_empty()) {
        (Some(only), true) => fields.insert("type".to_owned(), only),
        _ => fields.remove("type"),
    };
    if nullable {
        fields.insert("nullable".to_owned(), true.into());
    }
}

fn constants(fields: &mut Map<String, Json>) {
    if let Some(value) = fields.remove("const") {
        fields.insert("enum".to_owned(), json!([value]));
    }
    if let Some(Json::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
        let texts = !values.is_empty() && values.iter().all(Json::is_string);
        if texts {
            fields.entry("type").or_insert_with(|| "string".into());
        }
    }
}

fn objects(fields: &mut Map<String, Json>) {
    if let Some(Json::Object(patterns)) = fields.remove("patternProperties")
        && let Some((_, schema)) = patterns.into_iter().next()
    {
        fields.insert("additionalProperties".to_owned(), structural(schema));
    }
    let has_properties = fields.get("properties").and_then(Json::as_object).is_some_and(|all| !all.is_empty());
    match fields.get("additionalProperties") {
        Some(Json::Bool(false)) => {
            fields.remove("additionalProperties");
        }
        Some(Json::Object(_)) if !has_properties => {}
        Some(_) => {
            fields.remove("additionalProperties");
            fields.insert(OPEN.to_owned(), true.into());
        }
        None => {}
    }
    if has_properties {
        fields.entry("type").or_insert_with(|| "object".into());
    }
}

fn lists(fields: &mut Map<String, Json>) {
    if fields.get("type").is_none_or(|kind| kind != "array") {
        return;
    }
    let items = fields.entry("items").or_insert_with(anything);
    let scalar = items.get("type").is_some_and(|kind| kind != "object" && kind != "array");
    let nullable = items.get("nullable").is_some_and(|nullable| *nullable == true);
    if fields.remove("uniqueItems").is_some_and(|unique| unique == true) && scalar && !nullable {
        fields.insert("x-kubernetes-list-type".to_owned(), "set".into());
    }
}
