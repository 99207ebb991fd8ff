//! What `kubectl apply` left in an annotation, for objects that it now applies on the server.

use serde_json::Value as Json;

use super::Writer;
use super::field_set::FieldSet;
use super::survey::{Difference, fields_of, strip};
use crate::schema::Structural;

/// The annotation in which client-side apply keeps what it applied.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager under which kubectl applies on the server.
const KUBECTL: &str = "kubectl";

/// Fields that kubectl applied on the client with the values that they still have: it may change those on the server
/// whoever owns them, since it was itself that set them.
pub(super) fn may_take(schema: &Structural, live: &Json, writer: &Writer<'_>) -> FieldSet {
    let Some(mut last) =
        annotation(live).filter(|_| writer.manager == KUBECTL).and_then(|text| serde_json::from_str(text).ok())
    else {
        return FieldSet::default();
    };
    schema.default(&mut last);
    let mut set = fields_of(Some(schema.root()), &last);
    strip(&mut set, writer);
    let difference = Difference::between(schema.root(), &last, live, writer);
    set.difference(&difference.modified).difference(&difference.removed)
}

/// Keeps the annotation true for those who go back to client-side apply.
pub(super) fn refresh(merged: &mut Json, applied: &Json, writer: &Writer<'_>) {
    if writer.manager != KUBECTL || annotation(merged).is_none() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Json::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    if let Some(annotations) = merged.pointer_mut("/metadata/annotations").and_then(Json::as_object_mut) {
        annotations.insert(ANNOTATION.to_owned(), Json::from(format!("{applied}\n")));
    }
}

fn annotation(object: &Json) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}
