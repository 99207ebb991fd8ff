//! The rules of metadata: names, labels, annotations, finalizers, owners.

use std::collections::HashSet;

use crate::{KindDescriptor, Metadata, NameRule, OwnerReference, Scope, Violations, names};

/// The finalizer of an object whose dependents go first.
pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents stay without an owner.
pub const ORPHAN_FINALIZER: &str = "orphan";

/// What is wrong with what is new: all of it if there was nothing before. No update changes name and namespace.
pub(super) fn check(kind: &KindDescriptor, metadata: &Metadata, old: Option<&Metadata>) -> Violations {
    let mut found = Violations::none();
    if old.is_none() {
        check_name(kind, metadata, &mut found);
        check_namespace(kind, metadata, &mut found);
    }
    let nothing = Metadata::default();
    let old = old.unwrap_or(&nothing);
    for (key, value) in metadata.labels.iter().filter(|(key, value)| old.labels.get(*key) != Some(*value)) {
        note(&mut found, "labels", names::qualified_name(key).map_err(|reason| format!("key {reason}")));
        note(&mut found, &format!("labels[{key}]"), names::label_value(value));
    }
    for key in metadata.annotations.keys().filter(|key| !old.annotations.contains_key(*key)) {
        note(&mut found, "annotations", names::qualified_name(key).map_err(|reason| format!("key {reason}")));
    }
    if metadata.annotations != old.annotations {
        note(&mut found, "annotations", names::annotations_size(&metadata.annotations));
    }
    for finalizer in metadata.finalizers.iter().filter(|finalizer| !old.has_finalizer(finalizer)) {
        note(&mut found, "finalizers", names::finalizer(finalizer));
    }
    if metadata.owner_references != old.owner_references {
        check_owners(&metadata.owner_references, &mut found);
    }
    found.nested("metadata")
}

/// No finalizer may be added to an object that is going (D3).
pub(super) fn check_new_finalizers(current: &Metadata, next: &Metadata) -> Violations {
    let mut found = Violations::none();
    if current.is_deleting() {
        for added in next.finalizers.iter().filter(|name| !current.has_finalizer(name)) {
            found.push("metadata.finalizers", format!("{added:?} can't be added to an object that is being deleted"));
        }
    }
    found
}

fn check_name(kind: &KindDescriptor, metadata: &Metadata, found: &mut Violations) {
    let outcome = match kind.names {
        NameRule::Subdomain => names::dns_subdomain(&metadata.name),
        NameRule::PathSegment => names::segment_name(&metadata.name),
    };
    note(found, "name", outcome);
}

fn check_namespace(kind: &KindDescriptor, metadata: &Metadata, found: &mut Violations) {
    match (kind.scope, metadata.namespace.as_str()) {
        (Scope::Cluster, "") => {}
        (Scope::Cluster, namespace) => {
            found.push("namespace", format!("{namespace:?} given, expected none: {} is of cluster scope", kind.kind));
        }
        (Scope::Namespaced, namespace) => note(found, "namespace", names::dns_label(namespace)),
    }
}

fn check_owners(owners: &[OwnerReference], found: &mut Violations) {
    let mut uids = HashSet::new();
    for (position, owner) in owners.iter().enumerate() {
        let path = format!("ownerReferences[{position}]");
        let fields =
            [("apiVersion", &owner.api_version), ("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)];
        for (field, _) in fields.iter().filter(|(_, value)| value.is_empty()) {
            found.push(format!("{path}.{field}"), "is empty");
        }
        if !owner.uid.is_empty() && !uids.insert(owner.uid.as_str()) {
            found.push(format!("{path}.uid"), format!("{:?} is there twice", owner.uid));
        }
    }
    if owners.iter().filter(|owner| owner.controller == Some(true)).count() > 1 {
        found.push("ownerReferences", "more than one is the controller, expected at most one");
    }
}

fn note(found: &mut Violations, path: &str, outcome: Result<(), String>) {
    if let Err(reason) = outcome {
        found.push(path, reason);
    }
}
