//! Whether a definition's names can be had, and what its status says.

use roa_core::{ConditionStatus, Conditions, KindDescriptor, Timestamp};
use serde_json::{Value as Json, json};

use super::definition::{Definition, Names};

/// Whether a definition's names can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Nobody else has them.
    Accepted,
    /// Another kind has one.
    Taken {
        /// Which name, as a condition's reason: `PluralConflict`.
        reason: &'static str,
        /// Which name, and whose it is.
        message: String,
    },
}

/// Whether a definition's names can be had, given the kinds that there are. A kind of the same group and plural must be
/// left out if it is the definition's own.
pub fn accept<'a>(object: &Json, others: impl IntoIterator<Item = &'a KindDescriptor>) -> Acceptance {
    let Ok(Definition { spec, .. }) = Definition::parse(object) else { return Acceptance::Accepted };
    let conflict = others.into_iter().filter(|other| *other.group == *spec.group).find_map(|other| {
        let (reason, name) = conflict(&spec.names, other)?;
        let message = format!("{name:?} is already in use by {}.{}", other.plural, other.group);
        Some(Acceptance::Taken { reason, message })
    });
    conflict.unwrap_or(Acceptance::Accepted)
}

fn conflict(names: &Names, other: &KindDescriptor) -> Option<(&'static str, String)> {
    // Plural, singular and short names are asked for alike, and so are kind and the kind of lists.
    let is_resource = |name: &str| {
        *other.plural == *name || *other.singular == *name || other.short_names.iter().any(|short| **short == *name)
    };
    let is_kind = |name: &str| *other.kind == *name || *other.list_kind == *name;
    if is_resource(&names.plural) {
        return Some(("PluralConflict", names.plural.clone()));
    }
    if is_resource(&names.singular()) {
        return Some(("SingularConflict", names.singular()));
    }
    if let Some(short) = names.short_names.iter().flatten().find(|short| is_resource(short)) {
        return Some(("ShortNamesConflict", short.clone()));
    }
    if is_kind(&names.kind) {
        return Some(("KindConflict", names.kind.clone()));
    }
    is_kind(&names.list_kind()).then(|| ("ListKindConflict", names.list_kind()))
}

/// The status of a definition: accepted names, conditions `NamesAccepted` and `Established`, the versions that objects may
/// be stored in. Once established it stays so.
#[must_use]
pub fn status(object: &Json, acceptance: &Acceptance, now: Timestamp) -> Json {
    let before = object.get("status").unwrap_or(&Json::Null);
    let conditions = before.get("conditions").cloned().unwrap_or_else(|| json!([]));
    let mut conditions: Conditions = serde_json::from_value(conditions).unwrap_or_default();
    let generation = object.pointer("/metadata/generation").and_then(Json::as_u64).unwrap_or(1);
    let mut set = |kind, holds, words| {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        conditions.set(kind, status, words, generation, now);
    };
    let mut status = json!({});
    match acceptance {
        Acceptance::Accepted => {
            set("NamesAccepted", true, ("NoConflicts", "no conflicts found"));
            set("Established", true, ("InitialNamesAccepted", "the initial names have been accepted"));
            status["acceptedNames"] = object.pointer("/spec/names").cloned().unwrap_or_else(|| json!({}));
        }
        Acceptance::Taken { reason, message } => {
            set("NamesAccepted", false, (reason, message));
            let established = before.get("acceptedNames").is_some_and(|names| names.get("plural").is_some());
            if !established {
                set("Established", false, ("NotAccepted", "not all names are accepted"));
            }
            let none = || json!({"plural": "", "kind": ""});
            status["acceptedNames"] = before.get("acceptedNames").cloned().unwrap_or_else(none);
        }
    }
    status["conditions"] = serde_json::to_value(&conditions).unwrap_or_default();
    status["storedVersions"] = stored_versions(object, before);
    status
}

fn stored_versions(object: &Json, before: &Json) -> Json {
    let mut stored = before.get("storedVersions").and_then(Json::as_array).cloned().unwrap_or_default();
    let versions = object.pointer("/spec/versions").and_then(Json::as_array);
    let storage = versions.into_iter().flatten().filter(|version| version["storage"] == true);
    for name in storage.filter_map(|version| version.get("name")) {
        if !stored.contains(name) {
            stored.push(name.clone());
        }
    }
    Json::Array(stored)
}
