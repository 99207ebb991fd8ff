//! What a client sent, on its way to what is stored: identity, fields that nobody knows.

use roa_core::{DynamicObject, KindDescriptor};
use serde_json::{Value as Json, json};

use super::{Objects, Target};
use crate::builtin::{self, Namespaces};
use crate::catalog::Conversion;
use crate::http::{ApiError, FieldChecks, Parsed};

/// An object that may be written, and what to warn its writer of.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) object: DynamicObject,
    pub(super) warnings: Vec<String>,
}

impl Objects {
    /// The object in `parsed` as it is stored.
    ///
    /// # Errors
    /// 400 for what is no object of the kind and place that the path names, or has unknown fields and must not.
    pub(super) fn admit(&self, target: &Target, parsed: Parsed, checks: FieldChecks) -> Result<Admitted, ApiError> {
        let Parsed { mut tree, duplicates } = parsed;
        identify(target, &mut tree)?;
        let object = DynamicObject::from_json(tree).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let mut object = match target.served.conversion {
            Conversion::None => object,
            Conversion::Events => builtin::event_to_stored(object),
        };
        locate(target, &mut object)?;
        if &*target.served.kind.plural == "namespaces" && target.served.group.is_empty() {
            Namespaces::complete(&mut object);
        }
        let warnings = check_fields(&target.served.kind, &mut object, &duplicates, checks)?;
        Ok(Admitted { object, warnings })
    }
}

/// Fills in and compares `apiVersion` and `kind`. Clients leave them out of Kubernetes' own kinds.
fn identify(target: &Target, tree: &mut Json) -> Result<(), ApiError> {
    let Json::Object(fields) = tree else {
        return Err(ApiError::bad_request("the body is no object: expected a mapping"));
    };
    let served = &target.served;
    let expected = [("apiVersion", served.api_version()), ("kind", served.kind.kind.to_string())];
    for (field, expected) in expected {
        let found = fields.get(field).and_then(Json::as_str).unwrap_or_default();
        if found.is_empty() && served.is_builtin() {
            fields.insert(field.to_owned(), json!(expected));
        } else if found.is_empty() {
            return Err(ApiError::bad_request(format!("Object '{field}' is missing, expected {expected:?}")));
        } else if found != expected {
            let what = if field == "kind" { "kind" } else { "API version" };
            let message = format!("the {what} in the data ({found}) does not match the expected {what} ({expected})");
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(())
}

/// Fills in and compares namespace and name.
fn locate(target: &Target, object: &mut DynamicObject) -> Result<(), ApiError> {
    let metadata = &mut object.metadata;
    if let Some(namespace) = &target.namespace {
        if metadata.namespace.is_empty() {
            metadata.namespace.clone_from(namespace);
        } else if metadata.namespace != *namespace {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::bad_request(message));
        }
    }
    if let Some(name) = &target.name {
        if metadata.name.is_empty() {
            metadata.name.clone_from(name);
        } else if metadata.name != *name {
            let message =
                format!("the name of the object ({}) does not match the name on the URL ({name})", metadata.name);
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(())
}

/// Drops fields that the kind does not have; refuses or names them, as the client wishes.
fn check_fields(
    kind: &KindDescriptor,
    object: &mut DynamicObject,
    duplicates: &[String],
    checks: FieldChecks,
) -> Result<Vec<String>, ApiError> {
    let unknown = (kind.unknown_fields)(object);
    let found = duplicates.iter().map(|path| format!("duplicate field {path:?}"));
    let found: Vec<_> = found.chain(unknown.iter().map(|path| format!("unknown field {path:?}"))).collect();
    if checks == FieldChecks::Strict && !found.is_empty() {
        let (kind, version) = (&kind.kind, &kind.version);
        return Err(ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {}",
            found.join(", ")
        )));
    }
    for path in &unknown {
        remove(object, path);
    }
    Ok(if checks == FieldChecks::Warn { found } else { Vec::new() })
}

/// Removes what a path such as `spec.sizes[0].color` names.
fn remove(object: &mut DynamicObject, path: &str) {
    let segments: Vec<_> = path.split(['.', '[', ']']).filter(|segment| !segment.is_empty()).collect();
    let Some((last, way)) = segments.split_last() else { return };
    let Some((first, way)) = way.split_first() else {
        object.body.remove(*last);
        return;
    };
    let Some(mut at) = object.body.get_mut(*first) else { return };
    for segment in way {
        let next = match at {
            Json::Array(items) => segment.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            other => other.get_mut(*segment),
        };
        let Some(next) = next else { return };
        at = next;
    }
    if let Json::Object(fields) = at {
        fields.remove(*last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::Scope;
    use std::sync::Arc;

    #[test]
    fn unknown_fields_are_dropped_told_or_refused() {
        let mut kind = KindDescriptor::dynamic("g.example.com", "v1", "Thing", "things", Scope::Namespaced);
        kind.unknown_fields = Arc::new(|_| vec!["spec.sizes[1].color".to_owned(), "spec.x".to_owned()]);
        let object = DynamicObject::from_json(json!({
            "apiVersion": "g.example.com/v1", "kind": "Thing", "metadata": { "name": "a" },
            "spec": { "x": 1, "y": 2, "sizes": [{}, { "color": 1, "size": 2 }] },
        }))
        .unwrap();
        let refused = check_fields(&kind, &mut object.clone(), &[], FieldChecks::Strict).unwrap_err();
        assert!(
            refused.to_json()["message"]
                .as_str()
                .unwrap()
                .contains("strict decoding error: unknown field \"spec.sizes[1].color\", unknown field \"spec.x\"")
        );
        let mut pruned = object;
        let warnings = check_fields(&kind, &mut pruned, &["spec.y".to_owned()], FieldChecks::Warn).unwrap();
        assert_eq!(warnings.first().unwrap(), "duplicate field \"spec.y\"");
        assert_eq!(pruned.body["spec"], json!({ "y": 2, "sizes": [{}, { "size": 2 }] }));
    }
}
