//! What becomes of a new object.

use uuid::Uuid;

use super::{metadata, namespace};
use crate::{DynamicObject, Error, KindDescriptor, Result, Timestamp, Violations};

/// What to do about fields that the kind does not have.
///
/// ```
/// # use roa_core::{DynamicObject, ResourceStore, Result, lifecycle::FieldValidation};
/// async fn create(resources: &ResourceStore, object: DynamicObject) -> Result<DynamicObject> {
///     resources.create(object, FieldValidation::Strict).await
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Keep them.
    #[default]
    Ignore,
    /// Refuse the object.
    Strict,
}

/// The object as it is stored first: identity and times are given, `status` is dropped, `generation` is 1.
///
/// # Errors
/// [`Error::Invalid`] with every reason at once.
pub fn create(
    kind: &KindDescriptor,
    mut incoming: DynamicObject,
    fields: FieldValidation,
    uid: Uuid,
    now: Timestamp,
) -> Result<DynamicObject> {
    if kind.status_subresource {
        incoming.body.remove("status");
    }
    let mut found = check(kind, &incoming, None, fields);
    if incoming.metadata.resource_version.is_some() {
        found.push("metadata.resourceVersion", "must not be set on an object to be created");
    }
    if !found.is_empty() {
        return Err(Error::invalid(incoming.display_name(), found));
    }
    let metadata = &mut incoming.metadata;
    metadata.uid = uid.to_string();
    metadata.generation = 1;
    metadata.creation_timestamp = Some(now.truncate_to_seconds());
    metadata.last_modified = Some(now);
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    if namespace::is_namespace(kind) {
        namespace::begin(&mut incoming);
    }
    Ok(incoming)
}

/// All that is wrong with an object, whether new or changed. What stays as it was does not count: it may have been written
/// under other rules, and an object that was must still be able to go.
pub(super) fn check(
    kind: &KindDescriptor,
    object: &DynamicObject,
    old: Option<&DynamicObject>,
    fields: FieldValidation,
) -> Violations {
    let mut found = identity(kind, object);
    found.merge(metadata::check(kind, &object.metadata, old.map(|old| &old.metadata)));
    if old.is_none_or(|old| old.body != object.body) {
        found.merge((kind.validator)(object, old));
    }
    if fields == FieldValidation::Strict {
        for path in (kind.unknown_fields)(object) {
            found.push(path, format!("unknown field, {} has none of this name", kind.kind));
        }
    }
    found
}

fn identity(kind: &KindDescriptor, object: &DynamicObject) -> Violations {
    let mut found = Violations::none();
    if !kind.is_of(&object.api_version) {
        found.push("apiVersion", format!("is {:?}, expected {:?}", object.api_version, kind.api_version()));
    }
    if object.kind != *kind.kind {
        found.push("kind", format!("is {:?}, expected {:?}", object.kind, kind.kind));
    }
    found
}
