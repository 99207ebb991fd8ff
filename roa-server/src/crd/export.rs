//! The definition of a kind that no definition declares.

use roa_core::{Column, KindDescriptor, KindVersion, Scope};
use serde_json::{Value as Json, json};

use super::MAX_SELECTABLE_FIELDS;
use super::kind::{GROUP, KIND};

/// The CustomResourceDefinition that would declare a kind, for clients that look for one. It has no `uid` and no times:
/// they are the caller's to set.
#[must_use]
pub fn to_crd(kind: &KindDescriptor) -> Json {
    let scope = match kind.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut names = json!({
        "plural": *kind.plural, "singular": *kind.singular, "kind": *kind.kind, "listKind": *kind.list_kind
    });
    for (field, values) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
        if !values.is_empty() {
            names[field] = values.iter().map(|value| Json::from(&**value)).collect();
        }
    }
    let stored = KindVersion {
        version: kind.version.clone(),
        schema: kind.schema.clone(),
        columns: kind.columns.clone(),
        selectable_fields: kind.selectable_fields.clone(),
        deprecation: kind.deprecation.clone(),
    };
    let mut versions = vec![version(kind, &stored, true)];
    versions.extend(kind.other_versions.iter().map(|other| version(kind, other, false)));
    let condition = |name: &str, reason: &str, message: &str| json!({"type": name, "status": "True", "reason": reason, "message": message, "lastTransitionTime": "1970-01-01T00:00:00Z"});
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": KIND,
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group)},
        "spec": {
            "group": *kind.group, "names": names, "scope": scope, "versions": versions, "conversion": {"strategy": "None"}
        },
        "status": {
            "acceptedNames": names,
            "conditions": [
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            ],
            "storedVersions": [*kind.version]
        }
    })
}

fn version(kind: &KindDescriptor, of: &KindVersion, storage: bool) -> Json {
    let anything = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut version = json!({
        "name": *of.version, "served": !storage || kind.served, "storage": storage,
        "schema": {"openAPIV3Schema": of.schema.as_deref().cloned().unwrap_or_else(anything)}
    });
    let mut subresources = json!({});
    if kind.status_subresource {
        subresources["status"] = json!({});
    }
    if let Some(spec) = &kind.scale_path {
        let status = kind.scale_status_path.as_deref().unwrap_or(".status.replicas");
        subresources["scale"] = json!({"specReplicasPath": dotted(spec), "statusReplicasPath": dotted(status)});
        if let Some(selector) = &kind.scale_selector_path {
            subresources["scale"]["labelSelectorPath"] = dotted(selector).into();
        }
    }
    if subresources != json!({}) {
        version["subresources"] = subresources;
    }
    if !of.columns.is_empty() {
        let mut columns: Vec<_> = of.columns.iter().map(column).collect();
        if kind.age_column {
            columns.push(json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}));
        }
        version["additionalPrinterColumns"] = columns.into();
    }
    let selectable = of.selectable_fields.iter().filter(|field| !field.starts_with("metadata."));
    // Other fields are selected by here alone: API servers want a simple type in the schema.
    let selectable = selectable.filter(|field| is_simple(of.schema.as_deref(), field));
    let selectable: Vec<_> =
        selectable.take(MAX_SELECTABLE_FIELDS).map(|field| json!({"jsonPath": dotted(field)})).collect();
    if !selectable.is_empty() {
        version["selectableFields"] = selectable.into();
    }
    if let Some(warning) = &of.deprecation {
        version["deprecated"] = true.into();
        version["deprecationWarning"] = (**warning).into();
    }
    version
}

/// Whether the schema says that a field is a text, a whole number or a flag.
fn is_simple(schema: Option<&Json>, field: &str) -> bool {
    let mut names = field.trim_start_matches('.').split('.');
    let leaf = schema.and_then(|schema| names.try_fold(schema, |schema, name| schema.get("properties")?.get(name)));
    matches!(leaf.and_then(|leaf| leaf.get("type")?.as_str()), Some("string" | "integer" | "boolean"))
}

fn column(column: &Column) -> Json {
    let mut json = json!({"name": column.name, "type": column.format.type_name(), "jsonPath": dotted(&column.path)});
    if column.priority != 0 {
        json["priority"] = column.priority.into();
    }
    if !column.description.is_empty() {
        json["description"] = column.description.as_str().into();
    }
    json
}

fn dotted(path: &str) -> String {
    if path.starts_with('.') { path.to_owned() } else { format!(".{path}") }
}
