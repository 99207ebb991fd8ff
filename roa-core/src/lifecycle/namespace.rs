//! The rules of a namespace's life: what it is born with, and that it goes only when nothing is left in it.

use serde_json::{Map, Value as Json, json};

use super::Step;
use crate::{DynamicObject, Key, KindDescriptor, Metadata, Timestamp};

/// The finalizer that keeps a namespace as long as there is something in it. No update takes it off.
pub const NAMESPACE_FINALIZER: &str = "roa.dev/namespace";
/// The label of each namespace with its own name, so that selectors can name it.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether it is the kind of namespaces.
pub(super) fn is_namespace(kind: &KindDescriptor) -> bool {
    kind.group.is_empty() && &*kind.plural == "namespaces"
}

fn is_key_of_one(key: &Key) -> bool {
    key.group().is_empty() && key.resource() == "namespaces"
}

/// What each namespace is given when it is created.
pub(super) fn begin(object: &mut DynamicObject) {
    keep(&mut object.metadata);
    object.body.entry("spec").or_insert_with(|| Json::Object(Map::new()));
    set_phase(object, "Active");
}

/// What no update takes from it. One that is going gets no finalizer again that it has lost.
pub(super) fn keep_on_update(current: &DynamicObject, incoming: &mut DynamicObject) {
    if current.metadata.has_finalizer(NAMESPACE_FINALIZER) {
        keep(&mut incoming.metadata);
    }
    incoming.body.entry("spec").or_insert_with(|| Json::Object(Map::new()));
}

fn keep(metadata: &mut Metadata) {
    metadata.labels.insert(NAME_LABEL.to_owned(), metadata.name.clone());
    if !metadata.has_finalizer(NAMESPACE_FINALIZER) {
        metadata.finalizers.push(NAMESPACE_FINALIZER.to_owned());
    }
}

/// A namespace that is marked says so in its status.
pub(super) fn mark(key: &Key, object: &mut DynamicObject) {
    if is_key_of_one(key) {
        set_phase(object, "Terminating");
    }
}

fn set_phase(object: &mut DynamicObject, phase: &str) {
    let status = object.body.entry("status").or_insert_with(|| Json::Object(Map::new()));
    if !status.is_object() {
        *status = Json::Object(Map::new());
    }
    status["phase"] = json!(phase);
}

/// Takes [`NAMESPACE_FINALIZER`] off a namespace that is going; with the last finalizer it goes. Whoever calls it has seen
/// that nothing is left in it, after it was marked.
#[must_use]
pub fn finalize_namespace(current: &DynamicObject, now: Timestamp) -> Step {
    if !current.metadata.is_deleting() || !current.metadata.has_finalizer(NAMESPACE_FINALIZER) {
        return Step::Unchanged;
    }
    let mut next = current.clone();
    next.metadata.finalizers.retain(|finalizer| finalizer != NAMESPACE_FINALIZER);
    if next.metadata.finalizers.is_empty() {
        return Step::Remove;
    }
    next.metadata.last_modified = Some(now);
    Step::Write(Box::new(next))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::lifecycle::{DeleteOptions, FieldValidation, create, delete, update};
    use crate::{Revision, namespace_kind};

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000).unwrap()
    }

    fn key() -> Key {
        namespace_kind().key("", "school").unwrap()
    }

    /// As it is when it was read.
    fn school() -> DynamicObject {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "school"}});
        let manifest = DynamicObject::from_json(manifest).unwrap();
        let mut object =
            create(&namespace_kind(), manifest, FieldValidation::Strict, Uuid::from_u128(7), now()).unwrap();
        object.metadata.resource_version = Some(Revision::new(5).unwrap());
        object
    }

    fn marked() -> DynamicObject {
        match delete(&key(), &school(), &DeleteOptions::default(), now()).unwrap() {
            Step::Write(next) => *next,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn d9_a_namespace_is_born_active_and_named_and_no_update_frees_it() {
        let school = school();
        assert_eq!(school.body["status"]["phase"], "Active");
        assert_eq!(school.metadata.labels[NAME_LABEL], "school");
        let mut stripped = school.clone();
        stripped.metadata.finalizers.clear();
        stripped.metadata.labels.clear();
        stripped.body.remove("spec");
        let step = update(&namespace_kind(), &key(), &school, stripped, FieldValidation::Ignore, now()).unwrap();
        assert_eq!(step, Step::Unchanged);
    }

    #[test]
    fn d9_a_namespace_that_is_deleted_is_terminating_until_it_is_finalized() {
        let marked = marked();
        assert_eq!(marked.body["status"]["phase"], "Terminating");
        assert!(marked.metadata.is_deleting());
        let mut stripped = marked.clone();
        stripped.metadata.resource_version = Some(Revision::new(5).unwrap());
        stripped.metadata.finalizers.clear();
        let step = update(&namespace_kind(), &key(), &marked, stripped, FieldValidation::Ignore, now()).unwrap();
        assert_eq!(step, Step::Unchanged, "it does not go by an update");
        assert_eq!(finalize_namespace(&marked, now()), Step::Remove);
        assert_eq!(finalize_namespace(&school(), now()), Step::Unchanged, "only one that is going");
    }

    #[test]
    fn d9_a_namespace_with_other_finalizers_goes_with_the_last() {
        let mut marked = marked();
        marked.metadata.finalizers.push("example.com/other".to_owned());
        let Step::Write(next) = finalize_namespace(&marked, now()) else { panic!("it is kept") };
        assert_eq!(next.metadata.finalizers, ["example.com/other"]);
        let mut freed = (*next).clone();
        freed.metadata.finalizers.clear();
        freed.metadata.resource_version = next.metadata.resource_version;
        let step = update(&namespace_kind(), &key(), &next, freed, FieldValidation::Ignore, now()).unwrap();
        assert_eq!(step, Step::Remove);
    }
}
