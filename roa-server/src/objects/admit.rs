//! What a client sent, on its way to what is stored: identity, fields that nobody knows, defaults, rules, managers.

use roa_core::DynamicObject;
use serde_json::{Value as Json, json};

use super::{Objects, Part, Target, WriteOptions};
use crate::apply::{Writer, track_update};
use crate::builtin;
use crate::catalog::{Conversion, Served};
use crate::crd;
use crate::http::{ApiError, FieldChecks, Parsed};

/// An object that may be written, and what to warn its writer of.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) object: DynamicObject,
    pub(super) warnings: Vec<String>,
}

impl Objects {
    /// The object in `parsed`, with its defaults, as it is stored.
    ///
    /// # Errors
    /// 400 for what is no object of the kind and place that the path names, or has unknown fields and must not.
    pub(super) fn admit(&self, target: &Target, parsed: Parsed, checks: FieldChecks) -> Result<Admitted, ApiError> {
        let Parsed { mut tree, duplicates } = parsed;
        let warnings = read(target, &mut tree, &duplicates, checks)?;
        let object = to_stored(target, default(target, tree))?;
        Ok(Admitted { object, warnings })
    }

    /// The object as it is to be written in place of `before`: only what this path may change is changed, its kind's
    /// schema allows it, the user may write it, and it says whose its fields are.
    ///
    /// # Errors
    /// 422 with every reason, 403.
    pub(super) fn complete(
        &self,
        target: &Target,
        before: Option<&DynamicObject>,
        after: &DynamicObject,
        options: &WriteOptions,
    ) -> Result<DynamicObject, ApiError> {
        let before_tree = before.map(DynamicObject::to_json);
        let mut tree = restrict(target, before_tree.as_ref(), after.to_json());
        self.check_schema(target, before_tree.as_ref(), &tree)?;
        let api_version = target.served.api_version();
        track_update(
            &target.served.schema,
            before_tree.as_ref(),
            &mut tree,
            &self.writer(target, options, &api_version),
        );
        let object = parse(tree)?;
        self.check_write(before, &object)?;
        Ok(object)
    }

    /// Whether the kind's schema allows an object.
    ///
    /// # Errors
    /// 422 with every reason.
    pub(super) fn check_schema(&self, target: &Target, before: Option<&Json>, tree: &Json) -> Result<(), ApiError> {
        if target.served.described.is_none() {
            return Ok(());
        }
        let found = target.served.schema.validate(tree, before);
        if found.is_empty() {
            return Ok(());
        }
        let name = tree.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
        Err(ApiError::invalid(&target.served.group, &target.served.kind.kind, name, &found))
    }

    /// Whether the user may write this object, besides being allowed to write such objects.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_write(&self, before: Option<&DynamicObject>, after: &DynamicObject) -> Result<(), ApiError> {
        let authorizer = &self.shared.security.authorizer;
        authorizer.check_write(self.user(), before, after).map_err(|forbidden| ApiError::refused(&forbidden))
    }

    /// Who writes, as the record of fields has it.
    pub(super) fn writer<'a>(&self, target: &Target, options: &'a WriteOptions, api_version: &'a str) -> Writer<'a> {
        Writer {
            manager: &options.manager,
            api_version,
            subresource: match target.part {
                Part::Main => "",
                Part::Status => "status",
                Part::Scale => "scale",
                Part::Told(name) => name,
            },
            status_subresource: target.served.has_status,
            time: self.now(),
        }
    }
}

/// Makes a tree that a client sent one that the path names: identity, place, only fields that the kind has.
///
/// # Errors
/// As [`Objects::admit`].
pub(super) fn read(
    target: &Target,
    tree: &mut Json,
    duplicates: &[String],
    checks: FieldChecks,
) -> Result<Vec<String>, ApiError> {
    identify(target, tree)?;
    locate(target, tree)?;
    if is_definition(&target.served) {
        crd::default(tree);
    }
    check_fields(&target.served, tree, duplicates, checks)
}

/// The tree with its kind's defaults.
pub(super) fn default(target: &Target, mut tree: Json) -> Json {
    target.served.schema.default(&mut tree);
    tree
}

/// The object of a tree of the version that was asked for, in the version that is stored.
///
/// # Errors
/// 400 for what is no object.
pub(super) fn to_stored(target: &Target, tree: Json) -> Result<DynamicObject, ApiError> {
    let object = parse(tree)?;
    Ok(match &target.served.conversion {
        Conversion::None => object,
        Conversion::Version(_) => DynamicObject { api_version: target.served.kind.api_version(), ..object },
        Conversion::Events => builtin::event_to_stored(object),
    })
}

fn parse(tree: Json) -> Result<DynamicObject, ApiError> {
    DynamicObject::from_json(tree).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn is_definition(served: &Served) -> bool {
    &*served.group == crd::GROUP && &*served.kind.plural == crd::PLURAL
}

/// What a write through a path leaves as it was: the status, or everything but the status.
fn restrict(target: &Target, before: Option<&Json>, mut after: Json) -> Json {
    let status = |tree: &Json| tree.get("status").cloned();
    match (target.part, before) {
        (Part::Status, Some(before)) => {
            let mut kept = before.clone();
            put(&mut kept, "status", status(&after));
            for field in ["resourceVersion", "uid"] {
                let sent = after.pointer_mut(&format!("/metadata/{field}")).map(Json::take);
                if let Some(metadata) = kept.get_mut("metadata") {
                    put(metadata, field, sent);
                }
            }
            kept
        }
        (_, before) if target.served.has_status => {
            put(&mut after, "status", before.and_then(status));
            after
        }
        _ => after,
    }
}

fn put(tree: &mut Json, field: &str, value: Option<Json>) {
    let Json::Object(fields) = tree else { return };
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
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
fn locate(target: &Target, tree: &mut Json) -> Result<(), ApiError> {
    let Json::Object(fields) = tree else { return Ok(()) };
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    let Json::Object(metadata) = metadata else {
        return Err(ApiError::bad_request("metadata: expected a mapping"));
    };
    if !target.served.is_namespaced() {
        // As in Kubernetes: it says nothing, and must decide nothing.
        metadata.remove("namespace");
    }
    for (field, expected) in [("namespace", &target.namespace), ("name", &target.name)] {
        let Some(expected) = expected else { continue };
        let found = metadata.get(field).and_then(Json::as_str).unwrap_or_default();
        if found.is_empty() {
            metadata.insert(field.to_owned(), json!(expected));
        } else if found != expected {
            return Err(ApiError::bad_request(if field == "name" {
                format!("the name of the object ({found}) does not match the name on the URL ({expected})")
            } else {
                "the namespace of the provided object does not match the namespace sent on the request".to_owned()
            }));
        }
    }
    Ok(())
}

/// Drops fields that the kind does not have; refuses or names them, as the client wishes.
fn check_fields(
    served: &Served,
    tree: &mut Json,
    duplicates: &[String],
    checks: FieldChecks,
) -> Result<Vec<String>, ApiError> {
    let unknown = drop_unknown(served, tree);
    let found = duplicates.iter().map(|path| format!("duplicate field {path:?}"));
    let found: Vec<_> = found.chain(unknown.iter().map(|path| format!("unknown field {path:?}"))).collect();
    if checks == FieldChecks::Strict && !found.is_empty() {
        let (kind, version) = (&served.kind.kind, &served.version);
        return Err(ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {}",
            found.join(", ")
        )));
    }
    Ok(if checks == FieldChecks::Warn { found } else { Vec::new() })
}

/// Drops fields that the kind does not have; gives their paths.
pub(super) fn drop_unknown(served: &Served, tree: &mut Json) -> Vec<String> {
    if served.described.is_some() {
        return served.schema.prune(tree);
    }
    let unknown = parse(tree.clone()).map(|object| (served.kind.unknown_fields)(&object)).unwrap_or_default();
    unknown.iter().for_each(|path| remove(tree, path));
    unknown
}

/// Removes what a path such as `spec.sizes[0].color` names.
fn remove(tree: &mut Json, path: &str) {
    let segments: Vec<_> = path.split(['.', '[', ']']).filter(|segment| !segment.is_empty()).collect();
    let Some((last, way)) = segments.split_last() else { return };
    let mut at = tree;
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
    use roa_core::{KindDescriptor, Scope};
    use std::sync::Arc;

    fn thing() -> KindDescriptor {
        KindDescriptor::dynamic("g.example.com", "v1", "Thing", "things", Scope::Namespaced)
    }

    #[test]
    fn unknown_fields_are_dropped_told_or_refused() {
        let mut kind = thing();
        kind.unknown_fields = Arc::new(|_| vec!["spec.sizes[1].color".to_owned(), "spec.x".to_owned()]);
        let served = Served::of_kind(&Arc::new(kind)).remove(0);
        let tree = json!({
            "apiVersion": "g.example.com/v1", "kind": "Thing", "metadata": { "name": "a" },
            "spec": { "x": 1, "y": 2, "sizes": [{}, { "color": 1, "size": 2 }] },
        });
        let refused = check_fields(&served, &mut tree.clone(), &[], FieldChecks::Strict).unwrap_err().to_json();
        let expected = "strict decoding error: unknown field \"spec.sizes[1].color\", unknown field \"spec.x\"";
        assert!(refused["message"].as_str().unwrap().contains(expected), "{refused}");
        let mut pruned = tree;
        let warnings = check_fields(&served, &mut pruned, &["spec.y".to_owned()], FieldChecks::Warn).unwrap();
        assert_eq!(warnings.first().unwrap(), "duplicate field \"spec.y\"");
        assert_eq!(pruned["spec"], json!({ "y": 2, "sizes": [{}, { "size": 2 }] }));
    }

    #[test]
    fn a_path_changes_only_its_part() {
        let served = Arc::new(Served::of_kind(&Arc::new(thing())).remove(0));
        let target = |part| Target { served: Arc::clone(&served), namespace: None, name: None, part };
        let before = json!({ "metadata": { "name": "a", "resourceVersion": "7" }, "spec": 1, "status": 1 });
        let after =
            json!({ "metadata": { "name": "a", "resourceVersion": "8", "labels": {} }, "spec": 2, "status": 2 });
        let status = restrict(&target(Part::Status), Some(&before), after.clone());
        let expected = json!({ "metadata": { "name": "a", "resourceVersion": "8" }, "spec": 1, "status": 2 });
        assert_eq!(status, expected);
        let main = restrict(&target(Part::Main), Some(&before), after.clone());
        assert_eq!((&main["spec"], &main["status"]), (&json!(2), &json!(1)));
        assert_eq!(restrict(&target(Part::Main), None, after).get("status"), None);
    }
}
