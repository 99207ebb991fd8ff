//! OpenAPI v3: a document for each group and version, as far as clients read it: schemas, and which parameters a path takes.
//! Of these, OpenAPI v2 is made: one document for all.

mod protobuf;
mod v2;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

pub(crate) use self::protobuf::{MEDIA as PROTOBUF_V2, PROPER_MEDIA as PROPER_PROTOBUF_V2};

use super::{AllServed, Served};
use crate::subresource::{Subresource, SubresourceMedia, SubresourceParameter};

/// Digits of a document's hash: it changes when the document does, so that clients may keep what they have.
const HASH_DIGITS: usize = 32;

/// OpenAPI v3.
pub(super) struct V3 {
    /// Where the documents stand.
    pub(super) index: Bytes,
    /// By group and version.
    pub(super) documents: BTreeMap<(String, String), Bytes>,
}

impl V3 {
    /// Of all that is served.
    pub(super) fn of(served: &AllServed) -> Self {
        let documents: BTreeMap<_, Bytes> = served
            .iter()
            .map(|(place, resources)| (place.clone(), document(&place.0, &place.1, resources.values()).into()))
            .collect();
        Self { index: index(&documents).into(), documents }
    }
}

/// Where the documents stand.
fn index(documents: &BTreeMap<(String, String), Bytes>) -> String {
    let mut paths = Map::new();
    for ((group, version), document) in documents {
        let place = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let digest = ring::digest::digest(&ring::digest::SHA256, document);
        let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let url = format!("/openapi/v3/{place}?hash={}", hash.get(..HASH_DIGITS).unwrap_or_default());
        paths.insert(place, json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths }).to_string()
}

/// OpenAPI v2, in both of its forms.
pub(super) struct V2 {
    pub(super) json: Bytes,
    pub(super) protobuf: Bytes,
}

impl V2 {
    /// Of the documents of v3.
    pub(super) fn of<'a>(documents: impl Iterator<Item = &'a Bytes>) -> Self {
        let documents: Vec<Json> =
            documents.map(|document| serde_json::from_slice(document).unwrap_or_default()).collect();
        let document = v2::document(documents.iter());
        Self { json: document.to_string().into(), protobuf: protobuf::encode(&document).into() }
    }
}

/// The document of a group and version.
fn document<'a>(group: &str, version: &str, resources: impl Iterator<Item = &'a Arc<Served>>) -> String {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for served in resources {
        let name = schema_name(served);
        schemas.insert(name.clone(), schema(served));
        schemas.insert(format!("{name}List"), list_schema(served, &name));
        add_paths(&mut paths, served, &name);
    }
    schemas.insert(METADATA.to_owned(), metadata_schema());
    json!({
        "openapi": "3.0.0", "info": { "title": "ROA", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths, "components": { "schemas": schemas },
        "x-roa-group-version": { "group": group, "version": version },
    })
    .to_string()
}

const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// `com.example.lab.v1.Lab`, as Kubernetes names the schemas of custom resources.
fn schema_name(served: &Served) -> String {
    let group = if served.group.is_empty() { "io.k8s.api.core" } else { &*served.group };
    let reversed =
        if served.group.is_empty() { group.to_owned() } else { group.split('.').rev().collect::<Vec<_>>().join(".") };
    format!("{reversed}.{}.{}", served.version, served.kind.kind)
}

fn group_version_kind(served: &Served, kind: &str) -> Json {
    json!({ "group": served.group, "version": served.version, "kind": kind })
}

fn schema(served: &Served) -> Json {
    let mut schema = served.described.as_deref().cloned().unwrap_or_else(|| permissive(served));
    let properties = schema.as_object_mut().map(|schema| schema.entry("properties").or_insert_with(|| json!({})));
    if let Some(Json::Object(properties)) = properties {
        for (name, described) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            properties.insert(name.to_owned(), json!({ "type": "string", "description": described }));
        }
        properties.insert("metadata".to_owned(), metadata_reference("Standard object's metadata."));
    }
    schema["x-kubernetes-group-version-kind"] = json!([group_version_kind(served, &served.kind.kind)]);
    schema
}

const API_VERSION: &str = "The version of the schema that this representation of an object follows.";
const KIND: &str = "The kind of object that this represents.";

fn metadata_reference(description: &str) -> Json {
    json!({
        "description": description, "default": {},
        "allOf": [{ "$ref": format!("#/components/schemas/{METADATA}") }],
    })
}

/// The schema of a kind that has none: whatever its objects hold is taken.
fn permissive(served: &Served) -> Json {
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let mut schema = json!({
        "type": "object", "description": format!("{} of {}", served.kind.kind, served.api_version()),
        "properties": { "spec": anything, "status": anything },
    });
    // Events hold their fields themselves; other kinds of Kubernetes' own that have no schema here, nothing else.
    if !served.is_builtin() || served.is_event() {
        schema["x-kubernetes-preserve-unknown-fields"] = json!(true);
    }
    schema
}

fn list_schema(served: &Served, name: &str) -> Json {
    let items = json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } });
    json!({
        "type": "object", "required": ["items"], "description": format!("A list of {}.", served.kind.plural),
        "properties": {
            "apiVersion": { "type": "string" }, "kind": { "type": "string" }, "items": items,
            "metadata": { "type": "object" },
        },
        "x-kubernetes-group-version-kind": [group_version_kind(served, &served.kind.list_kind)],
    })
}

fn metadata_schema() -> Json {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let time = json!({ "type": "string", "format": "date-time" });
    let number = json!({ "type": "integer", "format": "int64" });
    let list = |items: Json| json!({ "type": "array", "items": items });
    let free = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "type": "object", "description": "ObjectMeta is metadata that all persisted resources must have.",
        "properties": {
            "name": text, "generateName": text, "namespace": text, "uid": text, "resourceVersion": text,
            "selfLink": text, "generation": number, "creationTimestamp": time, "deletionTimestamp": time,
            "deletionGracePeriodSeconds": number, "labels": texts, "annotations": texts, "finalizers": list(text.clone()),
            "ownerReferences": list(free.clone()), "managedFields": list(free), "lastModified": time,
        },
    })
}

fn add_paths(paths: &mut Map<String, Json>, served: &Served, schema: &str) {
    let root = if served.group.is_empty() {
        format!("/api/{}", served.version)
    } else {
        format!("/apis/{}/{}", served.group, served.version)
    };
    let plural = &served.kind.plural;
    if served.is_namespaced() {
        paths.insert(format!("{root}/{plural}"), json!({ "get": operation(served, "list", schema) }));
    }
    let collection = if served.is_namespaced() {
        format!("{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{root}/{plural}")
    };
    let mut on_collection = Map::new();
    let mut on_object = Map::new();
    for verb in served.verbs {
        match *verb {
            "list" => on_collection.insert("get".to_owned(), operation(served, "list", schema)),
            "create" => on_collection.insert("post".to_owned(), operation(served, "post", schema)),
            "deletecollection" => {
                on_collection.insert("delete".to_owned(), operation(served, "deletecollection", schema))
            }
            "get" => on_object.insert("get".to_owned(), operation(served, "get", schema)),
            "update" => on_object.insert("put".to_owned(), operation(served, "put", schema)),
            "patch" => on_object.insert("patch".to_owned(), operation(served, "patch", schema)),
            "delete" => on_object.insert("delete".to_owned(), operation(served, "delete", schema)),
            _ => None,
        };
    }
    let object = format!("{collection}/{{name}}");
    if served.has_status {
        paths.insert(format!("{object}/status"), Json::Object(on_object.clone()));
    }
    for told in &served.subresources {
        paths.insert(format!("{object}/{}", told.name()), json!({ "get": reading(served, &**told) }));
    }
    paths.insert(collection, Json::Object(on_collection));
    paths.insert(object, Json::Object(on_object));
}

/// How a part is read that the program tells.
fn reading(served: &Served, told: &dyn Subresource) -> Json {
    let parameter = |one: &SubresourceParameter| {
        let schema = json!({ "type": one.kind, "uniqueItems": true });
        json!({ "name": one.name, "in": "query", "description": one.description, "schema": schema })
    };
    let content = match told.media() {
        SubresourceMedia::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
        SubresourceMedia::Json => json!({ "application/json": { "schema": { "type": "object" } } }),
    };
    json!({
        "description": told.description(), "parameters": told.parameters().iter().map(parameter).collect::<Vec<_>>(),
        "responses": { "200": { "description": "OK", "content": content } },
        "x-kubernetes-action": "connect",
        "x-kubernetes-group-version-kind": group_version_kind(served, &served.kind.kind),
    })
}

/// Clients look for the extensions, and for the parameters that say what a server can do.
fn operation(served: &Served, action: &str, schema: &str) -> Json {
    let parameter =
        |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } });
    let writes = !matches!(action, "get" | "list");
    let names: &[&str] = match action {
        "post" | "put" => &["dryRun", "fieldManager", "fieldValidation"],
        "patch" => &["dryRun", "fieldManager", "fieldValidation", "force"],
        "delete" | "deletecollection" => &["dryRun", "propagationPolicy", "gracePeriodSeconds"],
        "list" => &["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "watch"],
        _ => &["pretty"],
    };
    let reference =
        json!({ "$ref": format!("#/components/schemas/{schema}{}", if action == "list" { "List" } else { "" }) });
    let content = json!({ "application/json": { "schema": reference } });
    let mut operation = json!({
        "parameters": names.iter().map(|name| parameter(name)).collect::<Vec<_>>(),
        "responses": { "200": { "description": "OK", "content": content } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(served, &served.kind.kind),
    });
    if writes && !action.starts_with("delete") {
        operation["requestBody"] = json!({ "content": content });
    }
    operation
}
