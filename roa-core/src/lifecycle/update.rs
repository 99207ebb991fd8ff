//! What becomes of a changed object: through the main path, and through the status path.

use serde_json::{Map, Value as Json};

use super::create::check;
use super::{FieldValidation, Step, metadata, namespace};
use crate::{
    DynamicObject, Error, Expected, Key, KindDescriptor, Metadata, Result, Timestamp, TransitionFacts, Violations,
};

/// The main path: everything but `status` and what the store gives. Generation rises with each change outside
/// `metadata`; an object that is going goes with its last finalizer.
///
/// # Errors
/// [`Error::Conflict`] if the object has changed or is another one, [`Error::Invalid`] with every reason at once.
pub fn update(
    kind: &KindDescriptor,
    key: &Key,
    current: &DynamicObject,
    mut incoming: DynamicObject,
    fields: FieldValidation,
    now: Timestamp,
) -> Result<Step> {
    check_precondition(key, &current.metadata, &incoming.metadata)?;
    keep_what_the_store_gives(&current.metadata, &mut incoming.metadata);
    match current.status() {
        _ if !kind.status_subresource => None,
        Some(status) => incoming.body.insert("status".to_owned(), status.clone()),
        None => incoming.body.remove("status"),
    };
    if namespace::is_namespace(kind) {
        namespace::keep_on_update(current, &mut incoming);
    }
    if incoming.metadata.is_deleting() && incoming.metadata.finalizers.is_empty() {
        return Ok(Step::Remove);
    }
    let mut found = check(kind, &incoming, Some(current), fields);
    found.merge(metadata::check_new_finalizers(&current.metadata, &incoming.metadata));
    if !found.is_empty() {
        return Err(Error::invalid(incoming.display_name(), found));
    }
    if incoming.body != current.body {
        incoming.metadata.generation = current.metadata.generation + 1;
    }
    Ok(finish(current, incoming, now))
}

/// The status path: changes `status`, and who manages which fields, as far as the kind's state machine allows.
///
/// # Errors
/// [`Error::Conflict`] if the object has changed or is another one, [`Error::Transition`], [`Error::Invalid`].
pub fn update_status(
    kind: &KindDescriptor,
    key: &Key,
    current: &DynamicObject,
    incoming: &DynamicObject,
    now: Timestamp,
) -> Result<Step> {
    check_precondition(key, &current.metadata, &incoming.metadata)?;
    let managed_fields = incoming.metadata.managed_fields.clone();
    let next = DynamicObject {
        api_version: current.api_version.clone(),
        kind: current.kind.clone(),
        metadata: Metadata { managed_fields, ..current.metadata.clone() },
        other_metadata: current.other_metadata.clone(),
        body: with_status(current, incoming.status()),
    };
    let found = check_status(kind, current, &next);
    if !found.is_empty() {
        return Err(Error::invalid(next.display_name(), found));
    }
    check_transition(kind, key, current, &next)?;
    Ok(finish(current, next, now))
}

/// The body with another status.
fn with_status(object: &DynamicObject, status: Option<&Json>) -> Map<String, Json> {
    let others = object.body.iter().filter(|(name, _)| *name != "status");
    others
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain(status.map(|status| ("status".to_owned(), status.clone())))
        .collect()
}

fn check_precondition(key: &Key, current: &Metadata, incoming: &Metadata) -> Result<()> {
    let conflict = |expected| Error::Conflict { key: key.clone(), expected, current: current.resource_version };
    if !incoming.uid.is_empty() && incoming.uid != current.uid {
        return Err(conflict(Expected::OtherUid));
    }
    match incoming.resource_version {
        Some(expected) if current.resource_version == Some(expected) => Ok(()),
        Some(expected) => Err(conflict(Expected::Revision(expected))),
        None => {
            let message = "missing, expected the one of the object that was read";
            Err(Error::invalid(key.to_string(), Violations::one("metadata.resourceVersion", message)))
        }
    }
}

fn keep_what_the_store_gives(current: &Metadata, incoming: &mut Metadata) {
    incoming.name.clone_from(&current.name);
    incoming.namespace.clone_from(&current.namespace);
    incoming.generate_name.clone_from(&current.generate_name);
    incoming.uid.clone_from(&current.uid);
    incoming.generation = current.generation;
    incoming.creation_timestamp = current.creation_timestamp;
    incoming.deletion_timestamp = current.deletion_timestamp;
    incoming.deletion_grace_period_seconds = current.deletion_grace_period_seconds;
    incoming.last_modified = current.last_modified;
}

/// What is wrong with a new status. What was wrong with the rest before is not this write's to mend.
fn check_status(kind: &KindDescriptor, current: &DynamicObject, next: &DynamicObject) -> Violations {
    if next.body == current.body {
        return Violations::none();
    }
    let mut found = (kind.validator)(next, Some(current));
    if !found.is_empty() {
        let before = (kind.validator)(current, Some(current));
        let is_of_status = |path: &str| path.split(['.', '[']).next() == Some("status");
        found.retain(|it| is_of_status(&it.path) || before.iter().all(|old| old != it));
    }
    found
}

fn check_transition(kind: &KindDescriptor, key: &Key, current: &DynamicObject, next: &DynamicObject) -> Result<()> {
    let Some(machine) = kind.state_machine else { return Ok(()) };
    let facts = TransitionFacts {
        spec_changed: current.metadata.generation > current.observed_generation(),
        deleting: current.metadata.is_deleting(),
    };
    let field = &*kind.state_field;
    let to = match (next.state_in(field), current.state_in(field)) {
        (Some(to), _) => to,
        (None, None) => return Ok(()),
        (None, Some(from)) => {
            let message = format!("missing, was {from:?}: a state once given is never taken away");
            return Err(Error::invalid(key.to_string(), Violations::one(format!("status.{field}"), message)));
        }
    };
    let from = current.state_in(field).unwrap_or(machine.initial);
    machine.check(Some(from), to, facts).map_err(|source| Error::Transition { key: key.clone(), source })
}

fn finish(current: &DynamicObject, mut next: DynamicObject, now: Timestamp) -> Step {
    if same(current, &next) {
        return Step::Unchanged;
    }
    next.metadata.last_modified = Some(now);
    Step::Write(Box::new(next))
}

/// Whether two objects differ in nothing that counts: not in `resourceVersion`, `lastModified`, nor when a field's
/// manager last wrote.
fn same(left: &DynamicObject, right: &DynamicObject) -> bool {
    left.body == right.body
        && left.api_version == right.api_version
        && left.other_metadata == right.other_metadata
        && comparable(&left.metadata) == comparable(&right.metadata)
}

fn comparable(metadata: &Metadata) -> Metadata {
    let mut metadata = Metadata { resource_version: None, last_modified: None, ..metadata.clone() };
    for manager in metadata.managed_fields.iter_mut().filter_map(Json::as_object_mut) {
        manager.remove("time");
    }
    metadata
}
