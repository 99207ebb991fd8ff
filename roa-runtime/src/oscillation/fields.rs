//! Which fields of an object two of its versions differ in.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde_json::{Map, Value as Json};

/// How many differing fields of one change are looked at.
const MAX_FIELDS: usize = 256;

/// Fields that differ with each write, whoever writes.
const IGNORED: [&str; 4] = ["observedGeneration", "lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime"];

/// Parts of `metadata` that people and programs set.
const METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// A field whose value changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    /// Such as `spec.replicas` or `status.conditions[Ready].status`.
    pub(super) path: String,
    /// What it was, and what it is: only whether values are the same matters.
    pub(super) from: u64,
    pub(super) to: u64,
}

/// The fields in which two versions of an object differ.
pub(super) fn changed(before: &Json, after: &Json) -> Vec<Changed> {
    let mut found = Vec::new();
    compare(&mut found, "", before, after);
    found
}

fn compare(found: &mut Vec<Changed>, path: &str, before: &Json, after: &Json) {
    if before == after || found.len() >= MAX_FIELDS {
        return;
    }
    match (Fields::of(before), Fields::of(after)) {
        (Some(before), Some(after)) => {
            let names = before.names().chain(after.names().filter(|name| before.get(name).is_none()));
            for name in names.filter(|name| counts(path, name)) {
                let [before, after] = [&before, &after].map(|side| side.get(name).unwrap_or(&Json::Null));
                compare(found, &below(path, name), before, after);
            }
        }
        _ => found.push(Changed { path: path.to_owned(), from: fingerprint(before), to: fingerprint(after) }),
    }
}

/// Whether a field is looked at: not what the store gives.
fn counts(path: &str, name: &str) -> bool {
    if path == "metadata" { METADATA.contains(&name) } else { !IGNORED.contains(&name) }
}

/// What has names: a mapping; or a list of mappings with a `type`, by type.
enum Fields<'a> {
    Mapping(&'a Map<String, Json>),
    ByType(BTreeMap<String, &'a Json>),
}

impl<'a> Fields<'a> {
    fn of(value: &'a Json) -> Option<Self> {
        let typed = |item: &'a Json| Some((format!("[{}]", item.get("type")?.as_str()?), item));
        match value {
            Json::Object(fields) => Some(Self::Mapping(fields)),
            Json::Array(items) if !items.is_empty() => items.iter().map(typed).collect::<Option<_>>().map(Self::ByType),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        match self {
            Self::Mapping(fields) => fields.get(name),
            Self::ByType(fields) => fields.get(name).copied(),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let (mapping, by_type) = match self {
            Self::Mapping(fields) => (Some(fields.keys()), None),
            Self::ByType(fields) => (None, Some(fields.keys())),
        };
        mapping.into_iter().flatten().chain(by_type.into_iter().flatten()).map(String::as_str)
    }
}

fn below(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path if name.starts_with('[') => format!("{path}{name}"),
        path => format!("{path}.{name}"),
    }
}

fn fingerprint(value: &Json) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(before: &Json, after: &Json) -> Vec<String> {
        changed(before, after).into_iter().map(|changed| changed.path).collect()
    }

    #[test]
    fn differing_fields_are_named_by_their_paths() {
        let before =
            json!({"metadata": {"labels": {"a": "1"}, "resourceVersion": "1"}, "spec": {"size": 1, "same": [1]}});
        let after = json!({"metadata": {"labels": {"a": "2"}, "resourceVersion": "2"}, "spec": {"size": 2, "same": [1], "new": {"x": 1}}});
        assert_eq!(paths(&before, &after), ["metadata.labels.a", "spec.size", "spec.new"]);
    }

    #[test]
    fn conditions_are_told_apart_by_type_and_their_times_do_not_count() {
        let condition =
            |kind: &str, status: &str, time: u32| json!({"type": kind, "status": status, "lastTransitionTime": time});
        let before = json!({"status": {"conditions": [condition("Ready", "True", 1), condition("Idle", "True", 1)]}});
        let after = json!({"status": {"conditions": [condition("Idle", "True", 2), condition("Ready", "False", 2)]}});
        assert_eq!(paths(&before, &after), ["status.conditions[Ready].status"]);
    }

    #[test]
    fn a_field_that_goes_back_has_the_same_fingerprints_the_other_way_round() {
        let (a, b) = (json!({"spec": {"size": 1}}), json!({"spec": {"size": 2}}));
        let (there, back) = (&changed(&a, &b)[0], &changed(&b, &a)[0]);
        assert_eq!((there.from, there.to), (back.to, back.from));
        let many = |add: u32| Json::Object((0..1_000_u32).map(|name| (name.to_string(), json!(name + add))).collect());
        assert_eq!(changed(&json!({"spec": many(0)}), &json!({"spec": many(1)})).len(), MAX_FIELDS);
    }
}
