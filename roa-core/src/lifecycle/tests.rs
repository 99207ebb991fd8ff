use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    Error, Expected, Key, KindDescriptor, Result, Revision, Scope, StateMachine, Timestamp, Transition, Violations,
    When,
};

static MACHINE: StateMachine = StateMachine {
    name: "Thing",
    initial: "pending",
    states: &["pending", "ready", "failed", "deleting"],
    transitions: &[
        Transition { from: "pending", to: "ready", when: When::Always },
        Transition { from: "pending", to: "failed", when: When::Always },
        Transition { from: "failed", to: "pending", when: When::SpecChanged },
        Transition { from: "ready", to: "deleting", when: When::Deleting },
    ],
    terminal: &[],
};

fn kind() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic("g.example.com", "v1", "Thing", "things", Scope::Namespaced);
    kind.state_machine = Some(&MACHINE);
    kind.validator = std::sync::Arc::new(|object, _| {
        let size = object.spec().and_then(|spec| spec["size"].as_u64()).unwrap_or(0);
        Violations::unless(size < 100, "spec.size", "must be below 100")
    });
    kind.unknown_fields = std::sync::Arc::new(|object| {
        object.body.keys().filter(|name| *name != "spec" && *name != "status").cloned().collect()
    });
    kind
}

fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_500).unwrap()
}

fn key() -> Key {
    kind().key("n", "a").unwrap()
}

fn fresh(json: serde_json::Value) -> Result<DynamicObject> {
    create(&kind(), DynamicObject::from_json(json)?, FieldValidation::Ignore, Uuid::from_u128(7), now())
}

fn thing() -> serde_json::Value {
    json!({"apiVersion": "g.example.com/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "n"}, "spec": {"size": 1}})
}

fn stored() -> DynamicObject {
    let mut object = fresh(thing()).unwrap();
    object.metadata.resource_version = Some(Revision::new(5).unwrap());
    object
}

fn deleting(finalizers: &[&str]) -> DynamicObject {
    let mut object = stored();
    object.metadata.finalizers = finalizers.iter().map(|&name| name.to_owned()).collect();
    written(delete(&key(), &object, &DeleteOptions::default(), now()))
}

fn written(step: Result<Step>) -> DynamicObject {
    match step.unwrap() {
        Step::Write(next) => *next,
        other => panic!("expected a write, got {other:?}"),
    }
}

fn main_path(current: &DynamicObject, incoming: DynamicObject) -> Result<Step> {
    update(&kind(), &key(), current, incoming, FieldValidation::Ignore, now())
}

fn status_path(current: &DynamicObject, status: serde_json::Value) -> Result<Step> {
    let mut incoming = current.clone();
    incoming.body.insert("status".into(), status);
    update_status(&kind(), &key(), current, &incoming, now())
}

#[test]
fn a_new_object_is_given_identity_times_and_generation_1_and_loses_its_status() {
    let mut json = thing();
    json["status"] = json!({"state": "ready"});
    json["metadata"]["uid"] = json!("mine");
    json["metadata"]["generation"] = json!(9);
    json["metadata"]["deletionTimestamp"] = json!("2027-01-01T00:00:00Z");
    let object = fresh(json).unwrap();
    assert_eq!(object.metadata.uid, Uuid::from_u128(7).to_string());
    assert_eq!((object.metadata.generation, object.status(), object.metadata.is_deleting()), (1, None, false));
    assert_eq!(object.metadata.creation_timestamp, Some(now().truncate_to_seconds()));
}

#[test]
fn a_bad_object_is_refused_with_every_reason_at_once() {
    let json = json!({
        "apiVersion": "g.example.com/v2", "kind": "Thing", "spec": {"size": 100}, "extra": 1,
        "metadata": {
            "name": "A_b", "labels": {"-bad": "x y"}, "finalizers": ["plain"], "resourceVersion": "3",
            "annotations": {"a": "v".repeat(300 << 10)},
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": ""}]
        }
    });
    let object = DynamicObject::from_json(json).unwrap();
    let error = create(&kind(), object, FieldValidation::Strict, Uuid::nil(), now()).unwrap_err().to_string();
    for expected in [
        "apiVersion: is \"g.example.com/v2\"",
        "metadata.name: \"A_b\" is not allowed",
        "metadata.namespace: is empty",
        "metadata.labels: key \"-bad\"",
        "metadata.labels[-bad]: \"x y\"",
        "metadata.annotations: 307201 bytes",
        "metadata.finalizers: \"plain\" has no domain",
        "metadata.ownerReferences[0].uid: is empty",
        "metadata.resourceVersion: must not be set",
        "spec.size: must be below 100",
        "extra: unknown field",
    ] {
        assert!(error.contains(expected), "{expected:?} is missing in: {error}");
    }
}

#[test]
fn lesson_6_any_change_outside_metadata_and_status_raises_the_generation() {
    let current = stored();
    let mut incoming = current.clone();
    incoming.body["spec"]["size"] = json!(2);
    assert_eq!(written(main_path(&current, incoming)).metadata.generation, 2);
    let mut labelled = current.clone();
    labelled.metadata.labels.insert("a".into(), "b".into());
    assert_eq!(written(main_path(&current, labelled)).metadata.generation, 1);
    assert_eq!(written(status_path(&current, json!({"state": "ready"}))).metadata.generation, 1);
}

#[test]
fn lesson_18_each_path_changes_its_own_part_only() {
    let mut current = stored();
    current.body.insert("status".into(), json!({"state": "ready"}));
    let mut incoming = current.clone();
    incoming.body["status"] = json!({"state": "failed"});
    incoming.body["spec"]["size"] = json!(3);
    let main = written(main_path(&current, incoming.clone()));
    assert_eq!((&main.body["status"], &main.body["spec"]), (&current.body["status"], &json!({"size": 3})));
    incoming.body["status"] = json!({"state": "ready", "message": "m"});
    incoming.metadata.labels.insert("a".into(), "b".into());
    let status = written(update_status(&kind(), &key(), &current, &incoming, now()));
    assert_eq!((&status.body["spec"], status.metadata.labels.len()), (&json!({"size": 1}), 0));
    assert_eq!(status.body["status"]["message"], "m");
}

#[test]
fn s11_an_update_that_changes_nothing_writes_nothing() {
    let mut current = stored();
    current.metadata.managed_fields = vec![json!({"manager": "m", "time": "2027-01-01T00:00:00Z"})];
    let mut incoming = current.clone();
    incoming.metadata.managed_fields = vec![json!({"manager": "m", "time": "2028-01-01T00:00:00Z"})];
    incoming.metadata.last_modified = None;
    incoming.metadata.generation = 77;
    assert_eq!(main_path(&current, incoming).unwrap(), Step::Unchanged);
}

#[test]
fn lesson_7_what_the_store_gives_is_kept_whatever_a_client_sends() {
    let current = deleting(&["example.com/x"]);
    let mut incoming = current.clone();
    incoming.metadata.deletion_timestamp = None;
    incoming.metadata.creation_timestamp = None;
    incoming.metadata.labels.insert("a".into(), "b".into());
    let next = written(main_path(&current, incoming));
    assert_eq!(next.metadata.deletion_timestamp, current.metadata.deletion_timestamp);
    assert_eq!(next.metadata.creation_timestamp, current.metadata.creation_timestamp);
}

#[test]
fn a_stale_update_one_of_another_object_and_one_without_a_version_are_refused() {
    let current = stored();
    let mut stale = current.clone();
    stale.metadata.resource_version = Some(Revision::new(4).unwrap());
    assert!(matches!(main_path(&current, stale), Err(Error::Conflict { expected: Expected::Revision(_), .. })));
    let mut other = current.clone();
    other.metadata.uid = "other".into();
    assert!(matches!(main_path(&current, other), Err(Error::Conflict { expected: Expected::OtherUid, .. })));
    let mut blind = current.clone();
    blind.metadata.resource_version = None;
    assert!(matches!(main_path(&current, blind), Err(Error::Invalid { .. })));
}

#[test]
fn transitions_are_checked_on_the_stored_object_whoever_writes() {
    let mut current = stored();
    assert!(status_path(&current, json!({"state": "ready"})).is_ok(), "no state yet means the first state");
    assert!(matches!(status_path(&current, json!({"state": "deleting"})), Err(Error::Transition { .. })));
    current.body.insert("status".into(), json!({"state": "failed", "observedGeneration": 1}));
    assert!(matches!(status_path(&current, json!({"state": "pending"})), Err(Error::Transition { .. })));
    assert!(matches!(status_path(&current, json!({})), Err(Error::Invalid { .. })));
    current.metadata.generation = 2;
    // The writer claims in the same write that it has seen generation 2: the stored object counts.
    assert!(status_path(&current, json!({"state": "pending", "observedGeneration": 2})).is_ok());
}

#[test]
fn d1_an_object_with_finalizers_is_marked_and_goes_with_the_last_of_them() {
    let marked = deleting(&["example.com/x", "example.com/y"]);
    assert_eq!((marked.metadata.generation, marked.metadata.is_deleting()), (2, true));
    let mut one_left = marked.clone();
    one_left.metadata.finalizers.pop();
    let next = written(main_path(&marked, one_left));
    let mut none_left = next.clone();
    none_left.metadata.finalizers.clear();
    assert_eq!(main_path(&next, none_left).unwrap(), Step::Remove);
    assert_eq!(delete(&key(), &stored(), &DeleteOptions::default(), now()).unwrap(), Step::Remove);
}

#[test]
fn d2_a_deletion_only_moves_earlier() {
    let with_grace = |seconds| DeleteOptions { grace_period_seconds: Some(seconds), ..DeleteOptions::default() };
    let mut object = stored();
    object.metadata.finalizers = vec!["example.com/x".into()];
    let marked = written(delete(&key(), &object, &with_grace(60), now()));
    let due = now().truncate_to_seconds().saturating_add(Duration::from_secs(60));
    assert_eq!(marked.metadata.deletion_timestamp, Some(due));
    assert_eq!(delete(&key(), &marked, &with_grace(90), now()).unwrap(), Step::Unchanged);
    let sooner = written(delete(&key(), &marked, &with_grace(10), now()));
    assert!(sooner.metadata.deletion_timestamp < Some(due));
    assert_eq!(
        sooner.metadata.generation, marked.metadata.generation,
        "the generation rises with the first delete only"
    );
}

#[test]
fn d3_no_finalizer_is_added_to_what_is_going() {
    let marked = deleting(&["example.com/x"]);
    let mut more = marked.clone();
    more.metadata.finalizers.push("example.com/late".into());
    assert!(matches!(main_path(&marked, more), Err(Error::Invalid { .. })));
    let foreground = DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
    assert_eq!(delete(&key(), &marked, &foreground, now()).unwrap(), Step::Unchanged);
    let first = written(delete(&key(), &stored(), &foreground, now()));
    assert_eq!(first.metadata.finalizers, [FOREGROUND_FINALIZER]);
    let orphan = DeleteOptions { propagation: Propagation::Orphan, ..DeleteOptions::default() };
    assert_eq!(written(delete(&key(), &stored(), &orphan, now())).metadata.finalizers, [ORPHAN_FINALIZER]);
}

#[test]
fn d4_preconditions_are_compared() {
    let other = DeleteOptions::uid("other");
    assert!(matches!(
        delete(&key(), &stored(), &other, now()),
        Err(Error::Conflict { expected: Expected::OtherUid, .. })
    ));
    let mine = DeleteOptions::uid(stored().metadata.uid);
    assert_eq!(delete(&key(), &stored(), &mine, now()).unwrap(), Step::Remove);
    let stale = Preconditions { uid: None, resource_version: Some(Revision::new(1).unwrap()) };
    let stale = DeleteOptions { preconditions: stale, ..DeleteOptions::default() };
    assert!(matches!(
        delete(&key(), &stored(), &stale, now()),
        Err(Error::Conflict { expected: Expected::Revision(_), .. })
    ));
}

#[test]
fn the_status_path_takes_over_who_owns_its_fields_and_nothing_else_of_metadata() {
    let current = stored();
    let mut incoming = current.clone();
    incoming.body.insert("status".into(), json!({"state": "ready"}));
    incoming.metadata.managed_fields = vec![json!({"manager": "m"})];
    incoming.metadata.labels.insert("a".into(), "b".into());
    let next = written(update_status(&kind(), &key(), &current, &incoming, now()));
    assert_eq!((next.metadata.managed_fields.len(), next.metadata.labels.len()), (1, 0));
}

#[test]
fn what_is_not_changed_may_break_rules_that_came_later() {
    let mut current = stored();
    current.body["spec"]["size"] = json!(100);
    current.metadata.labels.insert("-bad".into(), "x y".into());
    current.metadata.annotations.insert("-bad".into(), "x".into());
    current.metadata.finalizers = vec!["plain".into(), "example.com/x".into()];
    let mut marked = written(delete(&key(), &current, &DeleteOptions::default(), now()));
    marked.metadata.resource_version = current.metadata.resource_version;
    assert!(status_path(&marked, json!({"state": "pending", "message": "going"})).is_ok());
    let mut one_left = marked.clone();
    one_left.metadata.finalizers.remove(0);
    let next = written(main_path(&marked, one_left));
    let mut none_left = next.clone();
    none_left.metadata.finalizers.clear();
    assert_eq!(main_path(&next, none_left).unwrap(), Step::Remove);
    let refused = |change: fn(&mut DynamicObject)| {
        let mut incoming = marked.clone();
        change(&mut incoming);
        main_path(&marked, incoming).unwrap_err().to_string()
    };
    assert!(refused(|it| it.body["spec"]["size"] = json!(101)).contains("spec.size: must be below 100"));
    assert!(refused(|it| drop(it.metadata.labels.insert("-bad".into(), "y z".into()))).contains("labels[-bad]"));
    assert!(refused(|it| drop(it.metadata.annotations.insert("-worse".into(), "x".into()))).contains("-worse"));
}

#[test]
fn a_status_that_is_wrong_is_refused_though_the_spec_is_wrong_as_well() {
    let mut kind = kind();
    let spec = kind.validator.clone();
    kind.validator = std::sync::Arc::new(move |object, old| {
        let mut found = spec(object, old);
        let short = object.status().is_none_or(|status| status["message"].as_str().is_none_or(|it| it.len() < 9));
        found.merge(Violations::unless(short, "status.message", "is too long"));
        found
    });
    let mut current = stored();
    current.body["spec"]["size"] = json!(100);
    let write = |message| {
        let mut incoming = current.clone();
        incoming.body.insert("status".into(), json!({"message": message}));
        update_status(&kind, &key(), &current, &incoming, now())
    };
    assert!(write("short").is_ok());
    let refused = write("long enough").unwrap_err().to_string();
    assert!(refused.contains("status.message") && !refused.contains("spec.size"), "{refused}");
}
