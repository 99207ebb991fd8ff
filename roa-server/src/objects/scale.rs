//! `scale`: how many there are to be, the same for every kind that has a number for it.

use std::sync::Arc;

use roa_core::{DynamicObject, FieldPath, KindDescriptor};
use serde_json::{Value as Json, json};

use crate::http::ApiError;

/// The `Scale` of an object.
pub(crate) fn of(kind: &KindDescriptor, object: &DynamicObject) -> Json {
    let tree = object.to_json();
    let at = |path: &Option<Arc<str>>| {
        path.as_deref().and_then(|path| path.parse().ok()).and_then(|path: FieldPath| path.first(&tree).cloned())
    };
    let wanted = at(&kind.scale_path).and_then(|value| value.as_i64());
    let found = at(&kind.scale_status_path).and_then(|value| value.as_i64());
    let mut status = json!({ "replicas": found.unwrap_or(0) });
    if let Some(Json::String(selector)) = at(&kind.scale_selector_path) {
        status["selector"] = json!(selector);
    }
    let metadata = &object.metadata;
    let mut identity = json!({ "name": metadata.name, "uid": metadata.uid });
    if !metadata.namespace.is_empty() {
        identity["namespace"] = json!(metadata.namespace);
    }
    if let Some(version) = metadata.resource_version {
        identity["resourceVersion"] = json!(version.to_string());
    }
    if let Some(created) = metadata.creation_timestamp {
        identity["creationTimestamp"] = json!(created);
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": identity,
        "spec": { "replicas": wanted.unwrap_or(0) }, "status": status,
    })
}

/// The object with the number that a `Scale` asks for.
///
/// # Errors
/// 422 if that is no number of things.
pub(crate) fn put(kind: &KindDescriptor, mut object: DynamicObject, scale: &Json) -> Result<DynamicObject, ApiError> {
    let path: Option<FieldPath> = kind.scale_path.as_deref().and_then(|path| path.parse().ok());
    let wanted = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| json!(0));
    if wanted.as_i64().is_none_or(|replicas| !(0..=i64::from(i32::MAX)).contains(&replicas)) {
        let found = roa_core::Violations::one("spec.replicas", "expected a whole number of at least 0");
        return Err(ApiError::invalid("autoscaling", "Scale", &object.metadata.name, &found));
    }
    let mut tree = Json::Object(std::mem::take(&mut object.body));
    set(&mut tree, path.as_ref().and_then(FieldPath::fields).unwrap_or_default(), wanted);
    if let Json::Object(body) = tree {
        object.body = body;
    }
    if let Some(version) = scale.pointer("/metadata/resourceVersion").and_then(Json::as_str) {
        object.metadata.resource_version = version.parse().ok().and_then(|number| roa_core::Revision::new(number).ok());
    }
    Ok(object)
}

/// Sets the field at a path, and makes the mappings on the way.
fn set(tree: &mut Json, path: Vec<&str>, value: Json) {
    let mut at = tree;
    for name in path {
        if !at.is_object() {
            *at = json!({});
        }
        let Json::Object(map) = at else { return };
        at = map.entry(name.to_owned()).or_insert(Json::Null);
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::Scope;

    fn pool() -> (KindDescriptor, DynamicObject) {
        let mut kind = KindDescriptor::dynamic("g.example.com", "v1", "Pool", "pools", Scope::Namespaced);
        kind.scale_path = Some(".spec.workers.replicas".into());
        kind.scale_status_path = Some(".status.replicas".into());
        let object = DynamicObject::from_json(json!({
            "apiVersion": "g.example.com/v1", "kind": "Pool", "metadata": { "name": "a", "resourceVersion": "7" },
            "spec": { "other": 1 }, "status": { "replicas": 2 },
        }));
        (kind, object.unwrap())
    }

    #[test]
    fn a_scale_goes_there_and_back() {
        let (kind, object) = pool();
        assert_eq!(of(&kind, &object)["status"]["replicas"], 2);
        let scaled = put(&kind, object, &json!({ "spec": { "replicas": 5 } })).unwrap();
        assert_eq!(scaled.body["spec"], json!({ "other": 1, "workers": { "replicas": 5 } }));
        assert_eq!(of(&kind, &scaled)["spec"]["replicas"], 5);
    }

    #[test]
    fn what_is_no_number_of_things_is_refused() {
        for bad in [json!(-1), json!("3"), json!(1.5), json!(4_000_000_000_u64)] {
            let (kind, object) = pool();
            assert_eq!(put(&kind, object, &json!({ "spec": { "replicas": bad } })).unwrap_err().code, 422);
        }
    }
}
