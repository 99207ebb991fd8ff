//! The rules of structured-merge-diff, and what kubectl does, as cases.

use proptest::prelude::*;
use roa_core::Timestamp;
use serde_json::{Value as Json, json};

use super::*;
use crate::schema::Structural;

fn schema() -> Structural {
    Structural::compile(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer"}, "colour": {"type": "string"},
            "nested": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
            "atomic": {"type": "array", "items": {"type": "string"}},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "protocol"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"}, "protocol": {"type": "string", "default": "TCP"}, "port": {"type": "integer"}
                }}
            }
        }},
        "status": {"type": "object", "properties": {
            "state": {"type": "string"},
            "conditions": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}
            }
        }}
    }}))
    .unwrap()
}

fn at(manager: &str, minute: i64) -> Writer<'_> {
    let time = Timestamp::from_unix_seconds(1_800_000_000 + 60 * minute).unwrap();
    Writer { manager, api_version: "g/v1", subresource: "", status_subresource: true, time }
}

fn object(spec: Json) -> Json {
    let mut object = json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "n"}});
    object["spec"] = spec;
    object
}

fn applied(live: Option<&Json>, spec: Json, manager: &str, force: bool) -> Result<Json, ApplyError> {
    apply(&schema(), live, &object(spec), &at(manager, 1), force)
}

fn updated(live: Option<&Json>, mut after: Json, writer: &Writer<'_>) -> Json {
    track_update(&schema(), live, &mut after, writer);
    after
}

/// Each manager as `Operation name/subresource`, with its fields.
fn owners(object: &Json) -> Vec<(String, Vec<String>)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Json, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let describe = |entry: &Json| {
        assert_eq!(entry["fieldsType"], "FieldsV1");
        let name = format!("{} {}/{}", text(entry, "operation"), text(entry, "manager"), text(entry, "subresource"));
        (name.trim_end_matches('/').to_owned(), FieldSet::parse(&entry["fieldsV1"]).unwrap().paths())
    };
    entries.iter().map(describe).collect()
}

fn owner(object: &Json, name: &str) -> Vec<String> {
    owners(object).into_iter().find(|(owner, _)| owner == name).map(|(_, fields)| fields).unwrap_or_default()
}

#[test]
fn what_is_applied_first_is_owned_and_nothing_else() {
    let created = applied(
        None,
        json!({"size": 1, "nested": {"a": 1}, "map": {"k": "v"}, "atomic": ["x"], "whole": {"k": "v"}}),
        "m1",
        false,
    )
    .unwrap();
    assert_eq!(
        owners(&created),
        [(
            "Apply m1".to_owned(),
            [".spec.atomic", ".spec.map.k", ".spec.nested.a", ".spec.size", ".spec.whole"].map(str::to_owned).to_vec()
        )]
    );
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!((&entry["apiVersion"], &entry["time"]), (&json!("g/v1"), &json!("2027-01-15T08:01:00Z")));
}

#[test]
fn elements_of_lists_are_owned_by_what_tells_them_apart() {
    let created = applied(None, json!({"set": ["a"], "list": [{"name": "web", "port": 80}]}), "m1", false).unwrap();
    let key = r#".spec.list[name="web",protocol="TCP"]"#;
    let expected = [key, &format!("{key}.name"), &format!("{key}.port"), ".spec.set[=\"a\"]"];
    assert_eq!(owner(&created, "Apply m1"), expected);
    let both = applied(
        Some(&created),
        json!({"set": ["b"], "list": [{"name": "dns", "protocol": "UDP", "port": 53}]}),
        "m2",
        false,
    )
    .unwrap();
    assert_eq!(both["spec"]["set"], json!(["a", "b"]));
    assert_eq!(both["spec"]["list"].as_array().unwrap().len(), 2);
    let gone = applied(Some(&both), json!({"set": [], "list": []}), "m1", false).unwrap();
    assert_eq!(gone["spec"], json!({"set": ["b"], "list": [{"name": "dns", "protocol": "UDP", "port": 53}]}));
}

#[test]
fn another_value_is_a_conflict_that_names_owner_and_field() {
    let created = applied(None, json!({"size": 1, "colour": "red"}), "m1", false).unwrap();
    let error = applied(Some(&created), json!({"size": 2}), "m2", false).unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (409, "Apply failed with 1 conflict: conflict with \"m1\": .spec.size")
    );
    let ApplyError::Conflicts(conflicts) = error else { panic!() };
    assert_eq!(conflicts.conflicts[0].message(), "conflict with \"m1\"");

    let changed = updated(Some(&created), object(json!({"size": 3, "colour": "red"})), &at("editor", 2));
    let error = applied(Some(&changed), json!({"size": 2, "colour": "blue"}), "m2", false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"editor\" using g/v1 at 2027-01-15T08:02:00Z:\n- .spec.size\nconflicts with \"m1\":\n- .spec.colour"
    );
}

#[test]
fn force_takes_the_field_away_from_its_owner() {
    let created = applied(None, json!({"size": 1, "colour": "red"}), "m1", false).unwrap();
    let forced = applied(Some(&created), json!({"size": 2}), "m2", true).unwrap();
    assert_eq!(forced["spec"], json!({"size": 2, "colour": "red"}));
    assert_eq!(owner(&forced, "Apply m1"), [".spec.colour"]);
    assert_eq!(owner(&forced, "Apply m2"), [".spec.size"]);
}

#[test]
fn the_same_value_is_owned_together_and_stays_until_the_last_owner_drops_it() {
    let created = applied(None, json!({"size": 1}), "m1", false).unwrap();
    let shared = applied(Some(&created), json!({"size": 1}), "m2", false).unwrap();
    assert_eq!(
        (owner(&shared, "Apply m1"), owner(&shared, "Apply m2")),
        (vec![".spec.size".into()], vec![".spec.size".into()])
    );
    let one = applied(Some(&shared), json!({}), "m1", false).unwrap();
    assert_eq!((one["spec"]["size"].clone(), owner(&one, "Apply m1")), (json!(1), vec![".spec".to_owned()]));
    let none = applied(Some(&one), json!({}), "m2", false).unwrap();
    assert_eq!(none["spec"], json!({}));
}

#[test]
fn what_somebody_updated_is_not_removed_with_the_configuration_that_had_it() {
    let created = applied(None, json!({"size": 1, "colour": "red"}), "m1", false).unwrap();
    let changed = updated(Some(&created), object(json!({"size": 5, "colour": "red"})), &at("scaler", 2));
    assert_eq!(owner(&changed, "Apply m1"), [".spec.colour"]);
    assert_eq!(owner(&changed, "Update scaler"), [".spec.size"]);
    let dropped = applied(Some(&changed), json!({"colour": "red"}), "m1", false).unwrap();
    assert_eq!(dropped["spec"], json!({"size": 5, "colour": "red"}));
}

#[test]
fn a_default_that_nobody_applied_stays_when_its_neighbours_go() {
    let mut created = applied(None, json!({"nested": {"a": 1}}), "m1", false).unwrap();
    created["spec"]["nested"]["b"] = json!(2);
    let dropped = applied(Some(&created), json!({"size": 1, "nested": {}}), "m1", false).unwrap();
    assert_eq!(dropped["spec"], json!({"size": 1, "nested": {"b": 2}}));
}

#[test]
fn a_mapping_goes_with_its_last_field_unless_somebody_else_has_one_in_it() {
    let created = applied(None, json!({"size": 1, "nested": {"a": 1}, "map": {"k": "v"}}), "m1", false).unwrap();
    let other = applied(Some(&created), json!({"map": {"l": "w"}}), "m2", false).unwrap();
    let dropped = applied(Some(&other), json!({"size": 1}), "m1", false).unwrap();
    assert_eq!(dropped["spec"], json!({"size": 1, "map": {"l": "w"}}));
}

#[test]
fn k8s_a_write_without_a_change_moves_no_time() {
    let created = applied(None, json!({"size": 1}), "m1", false).unwrap();
    let again = apply(&schema(), Some(&created), &object(json!({"size": 1})), &at("m1", 9), false).unwrap();
    assert_eq!(again, created);
    let updated_once = updated(
        Some(&created),
        {
            let mut o = created.clone();
            o["spec"]["colour"] = json!("red");
            o
        },
        &at("editor", 2),
    );
    assert_eq!(updated(Some(&updated_once), updated_once.clone(), &at("editor", 9)), updated_once);
    assert_eq!(updated(Some(&updated_once), updated_once.clone(), &at("other", 9)), updated_once);
}

#[test]
fn an_update_owns_what_it_changed_with_the_mappings_that_it_made() {
    let created = updated(None, object(json!({"size": 1, "map": {"k": "v"}, "set": ["a"]})), &at("kubectl-create", 1));
    let expected = [".spec", ".spec.map", ".spec.map.k", ".spec.set", ".spec.set[=\"a\"]", ".spec.size"];
    assert_eq!(owners(&created), [("Update kubectl-create".to_owned(), expected.map(str::to_owned).to_vec())]);
    let mut labelled = created.clone();
    labelled["metadata"]["labels"] = json!({"example.com/a": "b"});
    labelled["metadata"]["finalizers"] = json!(["example.com/f"]);
    labelled["metadata"]["resourceVersion"] = json!("7");
    labelled["metadata"]["generation"] = json!(7);
    let labelled = updated(Some(&created), labelled, &at("kubectl-label", 2));
    let expected = [
        ".metadata.finalizers",
        ".metadata.finalizers[=\"example.com/f\"]",
        ".metadata.labels",
        ".metadata.labels.example.com/a",
    ];
    assert_eq!(owner(&labelled, "Update kubectl-label"), expected);
    assert_eq!(owner(&labelled, "Update kubectl-create").len(), 6);
}

#[test]
fn status_is_owned_through_its_subresource() {
    let created = updated(None, object(json!({"size": 1})), &at("kubectl", 1));
    let mut after = created.clone();
    after["status"] = json!({"state": "ready", "conditions": [{"type": "Ready", "status": "True"}]});
    let status = Writer { subresource: "status", ..at("controller", 2) };
    let ready = updated(Some(&created), after, &status);
    let key = r#".status.conditions[type="Ready"]"#;
    let expected =
        [".status", ".status.conditions", key, &format!("{key}.status"), &format!("{key}.type"), ".status.state"];
    assert_eq!(owner(&ready, "Update controller/status"), expected);
    assert_eq!(owner(&ready, "Update kubectl"), [".spec", ".spec.size"]);

    let config = json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"size": 9}, "status": {"state": "failed"}});
    let error = apply(&schema(), Some(&ready), &config, &Writer { manager: "other", ..status }, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"controller\" with subresource \"status\" using g/v1 at 2027-01-15T08:02:00Z: .status.state"
    );
    let forced = apply(&schema(), Some(&ready), &config, &Writer { manager: "other", ..status }, true).unwrap();
    assert_eq!(
        (&forced["status"]["state"], &forced["spec"], &forced["metadata"]["labels"]),
        (&json!("failed"), &json!({"size": 1}), &Json::Null)
    );
    let main = apply(&schema(), Some(&ready), &config, &at("kubectl", 3), true).unwrap();
    assert_eq!((&main["status"]["state"], &main["spec"]["size"]), (&json!("ready"), &json!(9)));
    assert_eq!(owner(&main, "Apply kubectl"), [".metadata.labels.x", ".spec.size"]);
}

#[test]
fn k8s_clients_may_write_managed_fields_themselves() {
    let created = updated(None, object(json!({"size": 1})), &at("kubectl-client-side-apply", 1));
    let with = |managed: Json| {
        let mut after = created.clone();
        after["metadata"]["managedFields"] = managed;
        updated(Some(&created), after, &at("kubectl", 2))
    };
    assert_eq!(with(Json::Null), created);
    let mut without = created.clone();
    without["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(updated(Some(&created), without, &at("kubectl", 2)), created);
    for cleared in [json!([]), json!([{}])] {
        assert_eq!(owners(&with(cleared)), []);
    }
    let entry = json!([{"manager": "mine", "operation": "Apply", "apiVersion": "g/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:size": {}}}, "time": "2027-01-01T00:00:00Z"}]);
    assert_eq!(with(entry.clone())["metadata"]["managedFields"], entry);
    for unreadable in [
        json!([1]),
        json!([{"operation": "Steal"}]),
        json!([{"operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"x": 1}}]),
        json!("x"),
    ] {
        assert_eq!(owners(&with(unreadable)), owners(&created));
    }
}

#[test]
fn a_configuration_with_managed_fields_is_refused() {
    let created = applied(None, json!({"size": 1}), "m1", false).unwrap();
    let error = apply(&schema(), Some(&created), &created, &at("m1", 1), true).unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (400, "metadata.managedFields must be nil"));
    for spec in [
        json!({"list": [{"port": 1}]}),
        json!({"set": ["a", "a"]}),
        json!({"list": [{"name": "a"}, {"name": "a", "protocol": "TCP"}]}),
    ] {
        assert_eq!(applied(None, spec.clone(), "m1", false).unwrap_err().status(), 400, "{spec}");
    }
}

#[test]
fn an_object_that_was_never_tracked_is_owned_by_those_before() {
    let live = object(json!({"size": 1, "colour": "red"}));
    let error = applied(Some(&live), json!({"size": 2}), "m1", false).unwrap_err();
    assert!(error.to_string().contains("conflict with \"before-first-apply\" using g/v1"), "{error}");
    let same = applied(Some(&live), json!({"size": 1}), "m1", false).unwrap();
    assert_eq!(owner(&same, "Apply m1"), [".spec.size"]);
}

/// What kubectl sends when it applies on the server what it applied on the client before: three patches.
#[test]
fn k8s_kubectl_moves_from_client_side_apply_to_the_server() {
    let last = object(json!({"size": 1, "colour": "red"}));
    let mut first = last.clone();
    first["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()});
    let live = updated(None, first, &at("kubectl-client-side-apply", 1));

    let moved = apply(&schema(), Some(&live), &object(json!({"size": 2})), &at("kubectl", 2), false).unwrap();
    assert_eq!(moved["spec"], json!({"size": 2, "colour": "red"}));
    let annotation =
        moved["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Json>(annotation).unwrap(), object(json!({"size": 2})));

    let keep = json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "annotations": moved["metadata"]["annotations"]}});
    let kept = apply(&schema(), Some(&moved), &keep, &at("kubectl-last-applied", 3), true).unwrap();
    let path = ".metadata.annotations.kubectl.kubernetes.io/last-applied-configuration";
    assert_eq!(owner(&kept, "Apply kubectl-last-applied"), [path]);

    let mut replaced = kept.clone();
    let managed = replaced["metadata"]["managedFields"].as_array_mut().unwrap();
    managed.retain(|entry| entry["operation"] == "Apply");
    let done = updated(Some(&kept), replaced.clone(), &at("kubectl", 4));
    assert_eq!(done, replaced);
    let again = apply(&schema(), Some(&done), &object(json!({"size": 3})), &at("kubectl", 5), false).unwrap();
    assert_eq!(again["spec"]["size"], json!(3));
}

#[test]
fn an_object_keeps_its_name_when_all_that_was_applied_to_its_metadata_is_dropped() {
    let schema = Structural::compile(&json!({"type": "object", "properties": {
        "metadata": {"type": "object"}, "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}
    }}))
    .unwrap();
    let config =
        |metadata: Json| json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": metadata, "spec": {"size": 1}});
    let first = config(json!({"name": "a", "annotations": {"x": "y"}}));
    let created = apply(&schema, None, &first, &at("m1", 1), false).unwrap();
    let bare = apply(&schema, Some(&created), &config(json!({"name": "a"})), &at("m1", 2), false).unwrap();
    assert_eq!(bare["metadata"]["name"], "a", "{bare}");
    assert_eq!(bare["metadata"].get("annotations"), None);
    assert_eq!(bare["spec"], json!({"size": 1}));
}

#[test]
fn a_kind_without_a_schema_is_owned_field_by_field_with_whole_lists() {
    let schema = Structural::untyped();
    let config = |data: Json| json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": "a"}, "data": data});
    let created = apply(&schema, None, &config(json!({"a": {"b": 1}, "list": [1, 2]})), &at("m1", 1), false).unwrap();
    assert_eq!(owner(&created, "Apply m1"), [".data", ".data.a", ".data.a.b", ".data.list"]);
    let more = apply(&schema, Some(&created), &config(json!({"a": {"c": 1}})), &at("m2", 2), false).unwrap();
    let gone = apply(&schema, Some(&more), &config(json!({"list": [1]})), &at("m1", 3), false).unwrap();
    assert_eq!(gone["data"], json!({"a": {"c": 1}, "list": [1]}));
}

#[test]
fn a_list_that_is_owned_as_a_whole_since_its_schema_changed_has_the_owners_of_its_elements() {
    let created =
        applied(None, json!({"set": ["a", "b"], "list": [{"name": "web", "port": 80}]}), "m1", false).unwrap();
    let changed =
        Structural::compile(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "set": {"type": "array", "items": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
        }}}}))
        .unwrap();
    let error = apply(&changed, Some(&created), &object(json!({"set": ["c"]})), &at("m2", 2), false).unwrap_err();
    assert_eq!(error.to_string(), "Apply failed with 1 conflict: conflict with \"m1\": .spec.set");
    let gone = apply(&changed, Some(&created), &object(json!({"set": ["c"]})), &at("m1", 2), false).unwrap();
    assert_eq!((&gone["spec"], owner(&gone, "Apply m1")), (&json!({"set": ["c"]}), vec![".spec.set".to_owned()]));
}

#[test]
fn the_number_of_managers_is_bounded() {
    let mut live = updated(None, object(json!({"size": 0})), &at("creator", 0));
    for number in 1..40 {
        let mut after = live.clone();
        after["metadata"]["labels"][format!("l{number}")] = json!("x");
        live = updated(Some(&live), after, &at(&format!("m{number}"), number));
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), MAX_UPDATE_MANAGERS + 1);
    assert!(owner(&live, "Update ancient-changes").contains(&".metadata.labels.l1".to_owned()));
    assert_eq!(owner(&live, "Update m39"), [".metadata.labels.l39"]);
}

fn spec() -> impl Strategy<Value = Json> {
    let text = || "[ab]";
    let some = |name: &'static str, value: BoxedStrategy<Json>| {
        prop::option::of(value.prop_map(move |value| (name.to_owned(), value)))
    };
    (
        some("size", (0..3).prop_map(Json::from).boxed()),
        some("colour", text().prop_map(Json::from).boxed()),
        some("map", prop::collection::btree_map(text(), text(), 0..3).prop_map(|map| json!(map)).boxed()),
        some("set", prop::collection::btree_set(text(), 0..3).prop_map(|set| json!(set)).boxed()),
        some("atomic", prop::collection::vec(text(), 0..3).prop_map(|list| json!(list)).boxed()),
        some(
            "list",
            prop::collection::btree_map(text(), 0..3, 0..3)
                .prop_map(|list| list.into_iter().map(|(name, port)| json!({"name": name, "port": port})).collect())
                .boxed(),
        ),
    )
        .prop_map(|(a, b, c, d, e, f)| Json::Object([a, b, c, d, e, f].into_iter().flatten().collect()))
}

proptest! {
    #[test]
    fn a_forced_apply_gives_the_writer_what_it_wants_and_again_nothing_changes(first in spec(), second in spec(), third in spec()) {
        let one = applied(None, first, "m1", false).unwrap();
        let two = updated(Some(&one), { let mut o = one.clone(); o["spec"] = second; o }, &at("editor", 2));
        let forced = applied(Some(&two), third.clone(), "m2", true).unwrap();
        for (name, value) in third.as_object().unwrap() {
            let got = &forced["spec"][name];
            match value {
                Json::Array(wanted) if name != "atomic" => {
                    prop_assert!(wanted.iter().all(|item| got.as_array().unwrap().contains(item)), "{forced}");
                }
                Json::Object(wanted) => prop_assert!(wanted.iter().all(|(name, value)| got[name] == *value)),
                value => prop_assert_eq!(got, value),
            }
        }
        prop_assert_eq!(&applied(Some(&forced), third.clone(), "m2", false).unwrap(), &forced);
        // Nobody else owns what the writer wanted otherwise: dropping it all leaves nothing of the writer's.
        let dropped = apply(&schema(), Some(&forced), &json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a"}}), &at("m2", 5), false).unwrap();
        prop_assert_eq!(owner(&dropped, "Apply m2"), Vec::<String>::new());
    }

    #[test]
    fn a_writer_who_applies_alone_gets_exactly_what_it_applies(configurations in prop::collection::vec(spec(), 1..6)) {
        let mut live: Option<Json> = None;
        for configuration in configurations {
            let next = applied(live.as_ref(), configuration.clone(), "m1", false).unwrap();
            prop_assert_eq!(&next["spec"], &configuration);
            live = Some(next);
        }
    }

    #[test]
    fn every_changed_field_has_one_owner_among_those_who_update(specs in prop::collection::vec((spec(), 0..3), 1..8)) {
        let mut live: Option<Json> = None;
        for (minute, (spec, manager)) in (0..).zip(specs) {
            let mut after = live.clone().unwrap_or_else(|| object(json!({})));
            after["spec"] = spec;
            live = Some(updated(live.as_ref(), after, &at(&format!("m{manager}"), minute)));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (_, fields) in owners(&live.unwrap()) {
            for field in fields {
                prop_assert!(seen.insert(field.clone()), "{field}");
            }
        }
    }

    #[test]
    fn no_objects_make_it_panic(live in anything(), wanted in anything(), managed in anything(), force in any::<bool>()) {
        let whole = |spec: Json, managed: Json| {
            let mut object = object(spec);
            object["status"] = object["spec"].clone();
            object["metadata"]["managedFields"] = managed;
            object
        };
        let stored = whole(live.clone(), json!([{
            "manager": "m", "operation": "Apply", "fieldsType": "FieldsV1", "apiVersion": "g/v1", "fieldsV1": { "f:spec": managed.clone() }
        }]));
        for subresource in ["", "status"] {
            let writer = Writer { subresource, ..at("m1", 1) };
            let tracked = updated(Some(&stored), whole(wanted.clone(), managed.clone()), &writer);
            // What was tracked can be read again, and says the same when nothing is written.
            prop_assert_eq!(&updated(Some(&tracked), tracked.clone(), &writer), &tracked);
            if let Ok(next) = apply(&schema(), Some(&stored), &whole(wanted.clone(), json!(null)), &writer, force) {
                prop_assert_eq!(apply(&schema(), Some(&next), &whole(wanted.clone(), json!([])), &writer, true), Ok(next));
            }
        }
        let _outcome = apply(&schema(), Some(&live), &wanted, &at("m1", 1), force);
    }
}

/// Values that fit the schema here and there, and mostly not.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0..3).prop_map(Json::from),
        "[ab]".prop_map(Json::from),
        Just(json!({"name": "a", "port": 1}))
    ];
    let names = "size|colour|nested|atomic|whole|set|map|list|a|b|name|protocol|conditions|type|f:size|f:set|v:\"a\"|k:\\{\"name\":\"a\"\\}|\\.";
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(names, inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}
