//! [`apply`]: what an applied configuration makes of an object.

use serde_json::{Map, Value as Json, json};
use thiserror::Error;

use super::conflict::{Conflict, Conflicts};
use super::field_set::FieldSet;
use super::managers::{Manager, Managers, Operation, Owned};
use super::merge::{merge, remove};
use super::survey::{
    Difference, Shape, by_identity, fields_of, identity, strip, with_declared_parents, with_whole_leaves,
};
use super::{Writer, last_applied, update};
use crate::patch::MAX_DEPTH;
use crate::schema::{Node, Structural};

/// The manager that owns what was there before anybody's fields were tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Why a configuration was not applied; the object is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Others own fields with other values, and it was not to be forced: 409.
    #[error(transparent)]
    Conflicts(Conflicts),
    /// It is no configuration that can be applied: 400.
    #[error("{reason}")]
    Malformed {
        /// Why not.
        reason: String,
    },
}

impl ApplyError {
    /// The HTTP status that says so: 400 or 409.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Conflicts(_) => 409,
            Self::Malformed { .. } => 400,
        }
    }
}

/// The object that comes of `live`, which may not exist yet, when `writer` applies `applied`: with its fields, without
/// those that it applied before and no longer does, if nobody else owns them, and with `metadata.managedFields`.
///
/// `applied` must not have been defaulted: a default is not what the writer wants. The result must be, before it is
/// compared with what is stored and written. Equal to `live` if nothing changes, times included.
///
/// # Errors
/// [`ApplyError::Conflicts`] if others own fields with other values, unless `force`: then they lose them.
/// [`ApplyError::Malformed`] if `applied` has `managedFields`, or lists whose elements can't be told apart.
pub fn apply(
    schema: &Structural,
    live: Option<&Json>,
    applied: &Json,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Json, ApplyError> {
    let root = schema.root();
    let applied = proper(root, applied, writer)?;
    let nothing = json!({"metadata": {}});
    let mut managers = tracked(schema, live, writer);
    let live = live.unwrap_or(&nothing);
    let manager = Manager::new(Operation::Apply, writer);
    let before = managers.0.remove(&manager);

    let mut fields = fields_of(Some(root), &applied);
    strip(&mut fields, writer);
    let mut merged = merge(Some(root), Some(live), &applied);
    if let Some(before) = &before {
        remove(Some(root), &mut merged, &dropped(root, before, &fields, &managers));
    }
    let difference = Difference::between(root, live, &merged, writer);
    let taken = difference.taken();
    if !force {
        let allowed = last_applied::may_take(schema, live, writer);
        refuse_conflicts(&managers, &taken.difference(&allowed))?;
    }
    managers.take_from_others(&manager, &taken.union(&difference.removed));
    last_applied::refresh(&mut merged, &applied, writer);

    let api_version = writer.api_version.to_owned();
    let unchanged = before.filter(|before| before.fields == fields && same_but_managed_fields(live, &merged));
    let time = unchanged.map_or_else(|| Some(writer.time.truncate_to_seconds()), |before| before.time);
    managers.0.insert(manager, Owned { fields, api_version, time });
    managers.write_to(&mut merged);
    Ok(merged)
}

/// The configuration without what it can't say through this path: nulls of `metadata`, which clients in Go send for
/// what is not set, and fields that are not written through it.
fn proper(root: &Node, applied: &Json, writer: &Writer<'_>) -> Result<Json, ApplyError> {
    let malformed = |reason: &str| ApplyError::Malformed { reason: reason.to_owned() };
    let Json::Object(fields) = applied else { return Err(malformed("expected an object to apply")) };
    if nests_deeper_than(applied, MAX_DEPTH) {
        return Err(ApplyError::Malformed { reason: format!("the object nests more than {MAX_DEPTH} levels deep") });
    }
    let mut fields: Map<_, _> = fields
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "apiVersion" | "kind" | "metadata") || writer.can_write(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(Json::Object(metadata)) = fields.get_mut("metadata") {
        if metadata.get("managedFields").is_some_and(|managed| managed.as_array().is_none_or(|all| !all.is_empty())) {
            return Err(malformed("metadata.managedFields must be nil"));
        }
        metadata.remove("managedFields");
        metadata.retain(|_, value| !value.is_null());
        if writer.subresource == "status" {
            metadata.retain(|name, _| matches!(name.as_str(), "name" | "namespace" | "uid" | "resourceVersion"));
        }
    }
    let applied = Json::Object(fields);
    check_lists(Some(root), &applied, &mut String::new())?;
    Ok(applied)
}

fn nests_deeper_than(json: &Json, levels: usize) -> bool {
    let mut open = vec![(json, 0)];
    while let Some((json, depth)) = open.pop() {
        if depth > levels {
            return true;
        }
        match json {
            Json::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Json::Object(fields) => open.extend(fields.values().map(|field| (field, depth + 1))),
            _ => {}
        }
    }
    false
}

/// Each element of a list that is owned by element must have its keys, and no other may have the same.
fn check_lists(node: Option<&Node>, value: &Json, path: &mut String) -> Result<(), ApplyError> {
    let length = path.len();
    match Shape::of(node, value) {
        Shape::Leaf => {}
        Shape::Fields(fields) => {
            for (name, value) in fields {
                path.push('.');
                path.push_str(name);
                check_lists(node.and_then(|node| node.field(name)), value, path)?;
                path.truncate(length);
            }
        }
        Shape::Elements(items, list) => {
            if items.iter().any(|item| identity(list, item).is_none()) {
                let reason = format!("{path}: an element of the list has not all of the keys that tell it apart");
                return Err(ApplyError::Malformed { reason });
            }
            if by_identity(list, Some(value)).len() < items.len() {
                return Err(ApplyError::Malformed { reason: format!("{path}: two elements of the list are the same") });
            }
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                check_lists(list.items.as_deref(), item, path)?;
                path.truncate(length);
            }
        }
    }
    Ok(())
}

/// The managers of an object; if it has none, one that owns all of it.
fn tracked(schema: &Structural, live: Option<&Json>, writer: &Writer<'_>) -> Managers {
    let mut managers = live.map(Managers::of).unwrap_or_default();
    for owned in managers.0.values_mut() {
        owned.fields = with_whole_leaves(Some(schema.root()), &owned.fields);
    }
    if let (Some(live), true) = (live, managers.0.is_empty()) {
        let before = Writer { manager: BEFORE_FIRST_APPLY, subresource: "", ..*writer };
        update::record(schema, &mut managers, None, live, &before);
    }
    managers
}

/// Fields that the manager applied before, no longer does, and nobody else owns.
fn dropped(root: &Node, before: &Owned, fields: &FieldSet, others: &Managers) -> FieldSet {
    // An object has metadata, whether or not anybody owns a part of it.
    let always = FieldSet::of_field("metadata");
    let owned = others.0.values().fold(fields.union(&always), |all, owned| all.union(&owned.fields));
    let named = |set: &FieldSet| with_declared_parents(Some(root), set);
    named(&before.fields).difference(&named(&owned))
}

fn refuse_conflicts(managers: &Managers, taken: &FieldSet) -> Result<(), ApplyError> {
    let conflicts: Vec<_> = managers
        .0
        .iter()
        .flat_map(|(manager, owned)| {
            let owner = manager.describe(owned);
            let fields = owned.fields.intersection(taken).paths();
            fields.into_iter().map(move |field| Conflict { owner: owner.clone(), field })
        })
        .collect();
    if conflicts.is_empty() { Ok(()) } else { Err(ApplyError::Conflicts(Conflicts { conflicts })) }
}

fn same_but_managed_fields(left: &Json, right: &Json) -> bool {
    let bare = |object: &Json| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
            metadata.remove("managedFields");
        }
        object
    };
    bare(left) == bare(right)
}
