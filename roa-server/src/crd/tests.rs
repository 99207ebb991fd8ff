//! Definitions as people write them, and those that are wrong.

use proptest::prelude::*;
use roa_core::lifecycle::{FieldValidation, Step, create, update};
use roa_core::{DynamicObject, FieldPath, KindDescriptor, Scope, Timestamp};
use serde_json::{Value as Json, json};

use super::*;

fn definition() -> Json {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "backups.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "backups", "kind": "Backup", "shortNames": ["bk"], "categories": ["all"]},
            "versions": [
                {
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                        "spec": {"type": "object", "required": ["source"], "properties": {
                            "source": {"type": "string", "minLength": 1},
                            "replicas": {"type": "integer", "minimum": 0, "default": 1},
                            "mode": {"type": "string", "enum": ["full", "diff"]}
                        }},
                        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "state": {"type": "string"}}}
                    }}},
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                    "additionalPrinterColumns": [
                        {"name": "Source", "type": "string", "jsonPath": ".spec.source"},
                        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1, "description": "how many"},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
                    ],
                    "selectableFields": [{"jsonPath": ".spec.source"}]
                },
                {
                    "name": "v1beta1", "served": true, "storage": false, "deprecated": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
                },
                {
                    "name": "v1alpha1", "served": false, "storage": false,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
                }
            ]
        }
    })
}

fn changed(pointer: &str, value: Json) -> Json {
    let mut object = definition();
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

#[test]
fn a_definition_becomes_a_kind() {
    assert_eq!(check(&definition()).to_string(), "");
    let DeclaredKind { descriptor: kind, schemas } = DeclaredKind::of(&definition()).unwrap();
    assert_eq!(
        (&*kind.group, &*kind.version, &*kind.kind, kind.scope),
        ("example.com", "v1", "Backup", Scope::Namespaced)
    );
    assert_eq!((&*kind.singular, &*kind.list_kind), ("backup", "BackupList"));
    assert!(kind.is_called("bk") && kind.is_called("backup") && !kind.is_called("b"));
    assert_eq!(kind.scale_path.as_deref(), Some("spec.replicas"));
    assert!(kind.status_subresource && !kind.age_column);
    let columns: Vec<_> = kind.columns.iter().map(|c| (c.name.as_str(), c.format.type_name(), c.priority)).collect();
    assert_eq!(columns, [("Source", "string", 0), ("Replicas", "integer", 1), ("Age", "date", 0)]);
    assert!(kind.columns.iter().all(|column| column.path.parse::<FieldPath>().is_ok()));
    assert!(kind.selectable_fields.iter().any(|field| **field == *"spec.source"));
    assert!(kind.is_served_in("v1") && kind.is_served_in("v1beta1") && !kind.is_served_in("v1alpha1"));
    assert_eq!(kind.other_versions[0].deprecation.as_deref(), Some("example.com/v1beta1 Backup is deprecated"));
    assert_eq!(schemas.keys().map(|name| &**name).collect::<Vec<_>>(), ["v1", "v1alpha1", "v1beta1"]);
}

#[test]
fn objects_of_a_declared_kind_follow_its_schema_whoever_writes_them() {
    let kind = DeclaredKind::of(&definition()).unwrap().descriptor;
    let now = Timestamp::from_unix_seconds(1_800_000_000).unwrap();
    let object = |spec: Json| {
        let mut object =
            json!({"apiVersion": "example.com/v1", "kind": "Backup", "metadata": {"name": "a", "namespace": "n"}});
        object["spec"] = spec;
        DynamicObject::from_json(object).unwrap()
    };
    let write = |spec: Json| create(&kind, object(spec), FieldValidation::Strict, uuid(), now);
    let stored = write(json!({"source": "db"})).unwrap();
    let error = write(json!({"source": "", "mode": "half", "colour": 1})).unwrap_err().to_string();
    for expected in
        ["spec.mode: Unsupported value: \"half\"", "spec.source: Invalid value: \"\"", "spec.colour: unknown field"]
    {
        assert!(error.contains(expected), "{expected:?} is missing in: {error}");
    }
    let mut stored = stored;
    stored.metadata.resource_version = Some(roa_core::Revision::new(5).unwrap());
    let mut next = stored.clone();
    next.body["spec"]["replicas"] = json!(-1);
    let key = kind.key("n", "a").unwrap();
    assert!(update(&kind, &key, &stored, next.clone(), FieldValidation::Ignore, now).is_err());
    next.body["spec"]["replicas"] = json!(2);
    assert!(matches!(update(&kind, &key, &stored, next, FieldValidation::Ignore, now), Ok(Step::Write(_))));
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_u128(7)
}

#[test]
fn a_kind_without_the_status_subresource_keeps_the_status_that_is_written() {
    let mut object = definition();
    object["spec"]["versions"][0].as_object_mut().unwrap().remove("subresources");
    let kind = DeclaredKind::of(&object).unwrap().descriptor;
    assert!(!kind.status_subresource && kind.scale_path.is_none());
    let backup = json!({"apiVersion": "example.com/v1", "kind": "Backup", "metadata": {"name": "a", "namespace": "n"}, "spec": {"source": "x"}, "status": {"state": "new"}});
    let now = Timestamp::from_unix_seconds(1).unwrap();
    let stored =
        create(&kind, DynamicObject::from_json(backup).unwrap(), FieldValidation::Strict, uuid(), now).unwrap();
    assert_eq!(stored.state(), Some("new"));
}

#[test]
fn a_wrong_definition_is_refused_with_every_reason() {
    let version = |pointer: &str| format!("/spec/versions/0{pointer}");
    let cases = [
        (
            "/metadata/name".to_owned(),
            json!("wrong"),
            "metadata.name: Invalid value: \"wrong\": must be spec.names.plural",
        ),
        ("/spec/group".to_owned(), json!("example"), "spec.group: Invalid value: \"example\": should be a domain"),
        ("/spec/scope".to_owned(), json!("Galaxy"), "spec.scope: Unsupported value: \"Galaxy\""),
        ("/spec/names/plural".to_owned(), json!("Back_ups"), "spec.names.plural: Invalid value"),
        ("/spec/names/kind".to_owned(), json!(""), "spec.names.kind: Required value"),
        ("/spec/versions".to_owned(), json!([]), "spec.versions: Invalid value: 0: must have exactly one version"),
        (version("/storage"), json!(false), "spec.versions: Invalid value: 0: must have exactly one version"),
        (version("/name"), json!("v1beta1"), "spec.versions[1].name: Duplicate value"),
        (version("/name"), json!("1"), "spec.versions[0].name: Invalid value"),
        (version("/schema"), json!({}), "spec.versions[0].schema.openAPIV3Schema: Required value"),
        (
            version("/schema/openAPIV3Schema/type"),
            json!("string"),
            "openAPIV3Schema.type: Invalid value: must be object at the root",
        ),
        (
            version("/schema/openAPIV3Schema/properties/spec"),
            json!({}),
            "openAPIV3Schema.properties[spec].type: Required value",
        ),
        (
            version("/schema/openAPIV3Schema/properties/spec"),
            json!({"type": "string", "pattern": "("}),
            "openAPIV3Schema.properties[spec].pattern: no regular",
        ),
        (
            version("/subresources/scale/specReplicasPath"),
            json!(".status.x"),
            "scale.specReplicasPath: Invalid value: \".status.x\"",
        ),
        (
            version("/subresources/scale/statusReplicasPath"),
            json!("status.x"),
            "scale.statusReplicasPath: Invalid value: \"status.x\": must begin",
        ),
        (
            version("/additionalPrinterColumns/0/type"),
            json!("text"),
            "additionalPrinterColumns[0].type: Unsupported value",
        ),
        (
            version("/additionalPrinterColumns/0/jsonPath"),
            json!(".a["),
            "additionalPrinterColumns[0].jsonPath: Invalid value",
        ),
        (
            version("/selectableFields/0/jsonPath"),
            json!(".spec.nothing"),
            "selectableFields[0].jsonPath: Invalid value",
        ),
        ("/spec/versions/0/served".to_owned(), json!("yes"), "spec.versions[0].served: Invalid value: invalid type"),
    ];
    for (pointer, value, expected) in cases {
        let found = check(&changed(&pointer, value)).to_string();
        assert!(found.contains(expected), "{expected:?} is missing in: {found}");
    }
    let mut webhook = definition();
    webhook["spec"]["conversion"] = json!({"strategy": "Webhook"});
    assert!(check(&webhook).to_string().contains("spec.conversion.strategy: Unsupported value: \"Webhook\""));
}

#[test]
fn names_and_scope_stay_and_a_version_in_which_objects_are_stored_too() {
    let mut old = definition();
    old["status"] = status(&old, &Acceptance::Accepted, Timestamp::from_unix_seconds(1).unwrap());
    assert!(check_update(&old, &old).is_empty());
    assert!(
        check_update(&changed("/spec/scope", json!("Cluster")), &old).to_string().contains("spec.scope: Invalid value")
    );
    let found = check_update(&changed("/spec/versions/0/name", json!("v2")), &old).to_string();
    assert!(found.contains("status.storedVersions[0]: Invalid value: \"v1\""), "{found}");
}

#[test]
fn names_that_another_kind_has_are_not_accepted() {
    let now = Timestamp::from_unix_seconds(1).unwrap();
    let other = KindDescriptor::dynamic("example.com", "v1", "Other", "others", Scope::Namespaced);
    assert_eq!(accept(&definition(), [&other]), Acceptance::Accepted);
    let mut same_short = other.clone();
    same_short.short_names = vec!["bk".into()];
    let taken = accept(&definition(), [&other, &same_short]);
    assert_eq!(
        taken,
        Acceptance::Taken {
            reason: "ShortNamesConflict",
            message: "\"bk\" is already in use by others.example.com".into()
        }
    );
    let elsewhere = KindDescriptor::dynamic("example.org", "v1", "Backup", "backups", Scope::Namespaced);
    assert_eq!(accept(&definition(), [&elsewhere]), Acceptance::Accepted);
    for kind in [
        KindDescriptor::dynamic("example.com", "v1", "Backup", "x", Scope::Cluster),
        KindDescriptor::dynamic("example.com", "v1", "X", "backups", Scope::Cluster),
    ] {
        assert_ne!(accept(&definition(), [&kind]), Acceptance::Accepted);
    }

    let refused = status(&definition(), &taken, now);
    assert_eq!(refused["conditions"][0]["status"], "False");
    assert_eq!(refused["conditions"][0]["reason"], "ShortNamesConflict");
    assert_eq!(
        (&refused["conditions"][1]["type"], &refused["conditions"][1]["status"]),
        (&json!("Established"), &json!("False"))
    );
    let mut object = definition();
    object["status"] = status(&object, &Acceptance::Accepted, now);
    assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(object["status"]["acceptedNames"]["plural"], "backups");
    let later = status(&object, &taken, Timestamp::from_unix_seconds(9).unwrap());
    assert_eq!(
        (&later["conditions"][0]["status"], &later["conditions"][1]["status"]),
        (&json!("False"), &json!("True"))
    );
    assert_eq!(later["conditions"][1]["lastTransitionTime"], "1970-01-01T00:00:01Z");
}

#[test]
fn the_definition_of_a_kind_declares_that_kind() {
    let kind = DeclaredKind::of(&definition()).unwrap().descriptor;
    let exported = to_crd(&kind);
    assert_eq!(check(&exported).to_string(), "");
    let again = DeclaredKind::of(&exported).unwrap().descriptor;
    assert_eq!(to_crd(&again), exported);
    let mut plain = KindDescriptor::dynamic("example.com", "v1", "Plain", "plains", Scope::Cluster);
    plain.columns =
        vec![roa_core::Column::text("STATE", "status.state"), roa_core::Column::text("NOTE", "spec.note").wide()];
    let exported = to_crd(&plain);
    assert_eq!(check(&exported).to_string(), "");
    let columns = &exported["spec"]["versions"][0]["additionalPrinterColumns"];
    assert_eq!(columns[0], json!({"name": "STATE", "type": "string", "jsonPath": ".status.state"}));
    assert_eq!((&columns[1]["priority"], &columns[2]["name"]), (&json!(1), &json!("Age")));
}

#[test]
fn definitions_are_objects_of_a_kind_themselves() {
    let kind = definition_kind();
    let now = Timestamp::from_unix_seconds(1).unwrap();
    let write =
        |json: Json| create(&kind, DynamicObject::from_json(json).unwrap(), FieldValidation::Strict, uuid(), now);
    let mut object = definition();
    default(&mut object);
    assert_eq!(object["spec"]["names"]["listKind"], "BackupList");
    assert!(write(object.clone()).is_ok());
    object["spec"]["colour"] = json!(1);
    assert!(write(object).unwrap_err().to_string().contains("spec.colour: unknown field"));
    assert!(write(changed("/metadata/name", json!("wrong"))).is_err());
    assert_eq!(crate::schema::check(kind.schema.as_deref().unwrap()).to_string(), "");
}

#[test]
fn an_object_is_the_same_in_each_version_but_for_its_api_version() {
    let mut object = json!({"apiVersion": "example.com/v1", "kind": "Backup", "spec": {"a": 1}});
    convert(&mut object, "example.com/v1beta1");
    assert_eq!(object, json!({"apiVersion": "example.com/v1beta1", "kind": "Backup", "spec": {"a": 1}}));
}

proptest! {
    #[test]
    fn no_definition_makes_it_panic(pointer in "/(metadata/name|spec/group|spec/names/(plural|kind|shortNames)|spec/versions/0/(name|schema|subresources|additionalPrinterColumns|selectableFields))", text in ".{0,10}") {
        for value in [json!(text), json!([text]), json!({ &text: text }), json!(null), json!([{ "jsonPath": text, "name": text, "type": text }]), json!({"openAPIV3Schema": { &text: text }})] {
            let object = changed(&pointer, value);
            let found = check(&object);
            prop_assert_eq!(DeclaredKind::of(&object).is_ok(), found.is_empty());
        }
    }
}
