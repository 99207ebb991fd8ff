//! [`Metadata`]: what every object has, field by field as Kubernetes has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Revision, Timestamp};

/// What every object has besides `spec` and `status`.
///
/// Names, labels and the rest are the client's; `uid`, `resourceVersion`, `generation` and the times are the store's,
/// and what a client puts there is ignored or compared, never taken over.
///
/// ```
/// use roa_core::Metadata;
/// let mut metadata = Metadata::named("school", "one");
/// metadata.finalizers.push("lab.example.com/cleanup".into());
/// assert!(metadata.has_finalizer("lab.example.com/cleanup") && !metadata.is_deleting());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Metadata {
    /// The object's name, unique in its kind and namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A name of its own is made from this one if `name` is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// The namespace; empty for a kind of cluster scope.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The object's identity: random, never used again, also not for another object of the same name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The revision that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<Revision>,
    /// Rises by one with each change of anything outside `metadata` and `status`.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: u64,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Timestamp>,
    /// When it was asked to go; it goes when its last finalizer does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
    /// How long it may take to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<u64>,
    /// What selectors look at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Anything else, for people and programs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who must clean up before it goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Whose part it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// Who applied which fields; kept as it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_fields: Vec<serde_json::Value>,
    /// When it was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
}

/// The names of [`Metadata`]'s fields in JSON.
pub(crate) const FIELDS: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "lastModified",
];

/// Whose part an object is: when the owner goes, it goes.
///
/// ```
/// use roa_core::{Metadata, OwnerReference};
/// let owner = OwnerReference { kind: "Lab".into(), name: "one".into(), controller: Some(true), ..OwnerReference::default() };
/// let mut part = Metadata::named("school", "one-disk");
/// part.owner_references.push(owner);
/// assert_eq!(part.controller().map(|owner| owner.name.as_str()), Some("one"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    /// The owner's group and version.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's identity: what counts.
    pub uid: String,
    /// Whether the owner is the one that manages it; at most one of an object's owners is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether a foreground deletion of the owner waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Metadata {
    /// Metadata of an object to be created; the namespace is empty for cluster scope.
    pub fn named(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), ..Self::default() }
    }

    /// Whether it was asked to go.
    #[must_use]
    pub const fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Whether a finalizer is on it.
    #[must_use]
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }

    /// The owner that manages it.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_fields_is_whole() {
        let now = Timestamp::from_unix_seconds(1).unwrap();
        let full = Metadata {
            name: "n".into(),
            generate_name: "g".into(),
            namespace: "s".into(),
            uid: "u".into(),
            resource_version: Some(Revision::new(1).unwrap()),
            generation: 1,
            creation_timestamp: Some(now),
            deletion_timestamp: Some(now),
            deletion_grace_period_seconds: Some(1),
            labels: [("a".into(), "b".into())].into(),
            annotations: [("a".into(), "b".into())].into(),
            finalizers: vec!["f".into()],
            owner_references: vec![OwnerReference::default()],
            managed_fields: vec![serde_json::Value::Null],
            last_modified: Some(now),
        };
        let json = serde_json::to_value(&full).unwrap();
        let mut names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut fields = FIELDS.to_vec();
        names.sort_unstable();
        fields.sort_unstable();
        assert_eq!(names, fields);
        assert_eq!(serde_json::from_value::<Metadata>(json).unwrap(), full);
    }
}
