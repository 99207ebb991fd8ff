//! OpenAPI v2: one document for all groups and versions, made of those of v3. Older clients take no other.

use serde_json::{Map, Value as Json, json};

/// Keywords of a schema that v2 has too, and whose values are no schemas.
const KEPT: &[&str] = &[
    "default",
    "description",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
];
/// What bodies and answers may be.
const TYPES: &[&str] = &["application/json", "application/yaml"];
/// What patches may be. Clients must not find a strategic merge patch here: there is none.
const PATCH_TYPES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

/// The document of these documents of v3.
pub(super) fn document<'a>(documents: impl Iterator<Item = &'a Json>) -> Json {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for document in documents {
        for (path, operations) in entries(&document["paths"]) {
            paths.insert(path.clone(), path_item(path, operations));
        }
        for (name, described) in entries(&document["components"]["schemas"]) {
            definitions.insert(name.clone(), schema(described));
        }
    }
    json!({
        "swagger": "2.0", "info": { "title": "ROA", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths, "definitions": definitions,
    })
}

fn entries(of: &Json) -> impl Iterator<Item = (&String, &Json)> {
    of.as_object().into_iter().flatten()
}

fn path_item(path: &str, operations: &Json) -> Json {
    let mut item: Map<_, _> = entries(operations).map(|(method, of)| (method.clone(), operation(method, of))).collect();
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name| json!({ "name": name, "in": "path", "required": true, "type": "string" });
    item.insert("parameters".to_owned(), names.map(parameter).collect());
    Json::Object(item)
}

fn operation(method: &str, of: &Json) -> Json {
    let mut parameters: Vec<_> = of["parameters"].as_array().into_iter().flatten().map(parameter).collect();
    let body = of.pointer("/requestBody/content").and_then(content);
    if let Some((_, described)) = body {
        let described = if method == "patch" { json!({ "type": "object" }) } else { schema(described) };
        parameters.push(json!({ "name": "body", "in": "body", "required": true, "schema": described }));
    }
    let answer = of.pointer("/responses/200/content").and_then(content);
    let (produced, answered) = answer.map_or((None, json!({})), |(media, described)| (Some(media), schema(described)));
    let mut operation = json!({
        "consumes": if method == "patch" { PATCH_TYPES } else { TYPES },
        "produces": [produced.map_or("application/json", String::as_str)],
        "parameters": parameters, "responses": { "200": { "description": "OK", "schema": answered } },
    });
    for (name, value) in entries(of).filter(|(name, _)| *name == "description" || name.starts_with("x-")) {
        operation[name] = value.clone();
    }
    operation
}

/// A type of a body, and its schema.
fn content(of: &Json) -> Option<(&String, &Json)> {
    let (media, described) = of.as_object()?.iter().next()?;
    Some((media, described.get("schema")?))
}

fn parameter(of: &Json) -> Json {
    let mut parameter = of.clone();
    if let Some(Json::Object(described)) = parameter.get_mut("schema").map(Json::take) {
        described.into_iter().for_each(|(name, value)| parameter[name] = value);
    }
    if let Some(fields) = parameter.as_object_mut() {
        fields.remove("schema");
    }
    parameter
}

/// A schema as v2 has it. Of what v2 can't say, less is said: clients check objects by it and must refuse none that the
/// server takes. A client that reads protobuf refuses the whole document if one schema is not to its taste.
fn schema(of: &Json) -> Json {
    let mut told = Map::new();
    for (name, value) in entries(of).filter(|(name, _)| KEPT.contains(&name.as_str()) || name.starts_with("x-")) {
        told.insert(name.clone(), value.clone());
    }
    if let Some(reference) = reference(of) {
        told.retain(|name, _| name == "description");
        told.insert("$ref".to_owned(), json!(reference));
        return Json::Object(told);
    }
    let is = |name: &str| of[name] == true;
    let open = is("x-kubernetes-preserve-unknown-fields");
    if is("nullable") || is("x-kubernetes-int-or-string") {
        told.remove("type");
        return Json::Object(told);
    }
    match of["type"].as_str() {
        Some("object") if !open => {
            if let Some(Json::Object(properties)) = of.get("properties") {
                let properties = properties.iter().map(|(name, of)| (name.clone(), schema(of)));
                told.insert("properties".to_owned(), Json::Object(properties.collect()));
            }
            if let Some(values @ Json::Object(_)) = of.get("additionalProperties") {
                told.insert("additionalProperties".to_owned(), schema(values));
            }
        }
        Some("array") if of["items"].is_object() && !open => {
            told.insert("items".to_owned(), schema(&of["items"]));
        }
        Some("array") => _ = told.remove("type"),
        Some("object") => told.retain(|name, _| name != "required"),
        _ => {}
    }
    Json::Object(told)
}

/// Where a schema stands that is only referred to, alone or within an `allOf` of its own.
fn reference(of: &Json) -> Option<String> {
    let inner = of.get("allOf").and_then(Json::as_array).filter(|all| all.len() == 1).and_then(|all| all.first());
    let reference = of.get("$ref").or_else(|| inner?.get("$ref"))?.as_str()?;
    Some(format!("#/definitions/{}", reference.rsplit('/').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v2_cannot_say_is_left_open() {
        let told = schema(&json!({
            "type": "object", "required": ["a"], "description": "D", "x-kubernetes-validations": [{ "rule": "true" }],
            "properties": {
                "a": { "type": "string", "nullable": true }, "b": { "x-kubernetes-int-or-string": true, "anyOf": [] },
                "c": { "type": "array" }, "d": { "type": "array", "items": { "type": "integer", "format": "int64" } },
                "e": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "x": {} } },
                "f": { "type": "object", "additionalProperties": { "type": "string" } },
                "g": { "description": "G", "default": {}, "allOf": [{ "$ref": "#/components/schemas/io.x.G" }] },
            },
        }));
        let expected = json!({
            "type": "object", "required": ["a"], "description": "D", "x-kubernetes-validations": [{ "rule": "true" }],
            "properties": {
                "a": {}, "b": { "x-kubernetes-int-or-string": true }, "c": {},
                "d": { "type": "array", "items": { "type": "integer", "format": "int64" } },
                "e": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                "f": { "type": "object", "additionalProperties": { "type": "string" } },
                "g": { "description": "G", "$ref": "#/definitions/io.x.G" },
            },
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn an_operation_has_its_parameters_and_its_body_beside_each_other() {
        let v3 = json!({
            "paths": { "/apis/g/v1/things/{name}": { "patch": {
                "parameters": [{ "name": "dryRun", "in": "query", "schema": { "type": "string" } }],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/T" } } } },
                "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/T" } } } } },
                "x-kubernetes-action": "patch",
            } } },
            "components": { "schemas": { "T": { "type": "object" } } },
        });
        let told = document([&v3].into_iter());
        let item = &told["paths"]["/apis/g/v1/things/{name}"];
        assert_eq!(item["parameters"][0]["name"], "name");
        let patch = &item["patch"];
        assert_eq!(patch["parameters"][0], json!({ "name": "dryRun", "in": "query", "type": "string" }));
        assert_eq!((&patch["parameters"][1]["in"], &patch["x-kubernetes-action"]), (&json!("body"), &json!("patch")));
        assert_eq!(patch["responses"]["200"]["schema"]["$ref"], "#/definitions/T");
        assert!(!patch["consumes"].to_string().contains("strategic"));
    }
}
