//! What is wrong with a CustomResourceDefinition.

use std::collections::HashSet;

use roa_core::{FieldPath, ViolationReason as Reason, Violations, names};
use serde_json::Value as Json;

use super::definition::{Definition, Names, PrinterColumn, Scale, Spec, Version};
use super::{MAX_COLUMNS, MAX_SELECTABLE_FIELDS, MAX_VERSIONS};
use crate::schema::{self, Structural};

/// All that is wrong with a definition.
#[must_use]
pub fn check(object: &Json) -> Violations {
    let mut found = Violations::none();
    let definition = match Definition::parse(object) {
        Ok(definition) => definition,
        Err((path, reason)) => {
            let message = format!("Invalid value: {reason}");
            return Violations::one(path, message);
        }
    };
    let Definition { metadata, spec } = &definition;
    let expected = format!("{}.{}", spec.names.plural, spec.group);
    if metadata.name != expected {
        let message = format!("Invalid value: {:?}: must be spec.names.plural+\".\"+spec.group", metadata.name);
        found.push("metadata.name", message);
    }
    let mut inner = check_spec(spec);
    inner.merge(check_names(&spec.names).nested("names"));
    inner.merge(check_versions(spec));
    found.merge(inner.nested("spec"));
    found
}

/// All that a changed definition must not change, besides what [`check`] finds.
#[must_use]
pub fn check_update(object: &Json, old: &Json) -> Violations {
    let mut found = Violations::none();
    for (pointer, path) in [
        ("/spec/group", "spec.group"),
        ("/spec/scope", "spec.scope"),
        ("/spec/names/kind", "spec.names.kind"),
        ("/spec/names/plural", "spec.names.plural"),
    ] {
        if let (Some(now), Some(before)) = (object.pointer(pointer), old.pointer(pointer))
            && now != before
        {
            found.push(path, format!("Invalid value: {now}: field is immutable"));
        }
    }
    let versions: HashSet<_> = texts(object.pointer("/spec/versions"), |version| version.get("name")).collect();
    for (at, stored) in texts(old.pointer("/status/storedVersions"), Some).enumerate() {
        if !versions.contains(stored) {
            let message = format!("Invalid value: {stored:?}: must appear in spec.versions: objects are stored in it");
            found.push(format!("status.storedVersions[{at}]"), message);
        }
    }
    found
}

fn texts<'a>(list: Option<&'a Json>, of: impl Fn(&'a Json) -> Option<&'a Json>) -> impl Iterator<Item = &'a str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(of).filter_map(Json::as_str)
}

fn check_spec(spec: &Spec) -> Violations {
    let mut found = Violations::none();
    note(&mut found, "group", &spec.group, names::dns_subdomain);
    if !spec.group.contains('.') {
        found.push("group", format!("Invalid value: {:?}: should be a domain with at least one dot", spec.group));
    }
    if !matches!(spec.scope.as_str(), "Namespaced" | "Cluster") {
        let message = format!("Unsupported value: {:?}: supported values: \"Cluster\", \"Namespaced\"", spec.scope);
        found.push_as(Reason::NotSupported, "scope", message);
    }
    if let Some(conversion) = spec.conversion.as_ref().filter(|conversion| conversion.strategy != "None") {
        let message = format!("Unsupported value: {:?}: supported values: \"None\"", conversion.strategy);
        found.push_as(Reason::NotSupported, "conversion.strategy", message);
    }
    if spec.preserve_unknown_fields == Some(true) {
        let message = "Invalid value: true: must be false, use x-kubernetes-preserve-unknown-fields in the schema";
        found.push("preserveUnknownFields", message);
    }
    found
}

fn check_names(all: &Names) -> Violations {
    let mut found = Violations::none();
    note(&mut found, "plural", &all.plural, names::dns_label);
    note(&mut found, "singular", &all.singular(), names::dns_label);
    note(&mut found, "kind", &all.kind, |kind| names::dns_label(&kind.to_ascii_lowercase()));
    note(&mut found, "listKind", &all.list_kind(), |kind| names::dns_label(&kind.to_ascii_lowercase()));
    for (field, more) in [("shortNames", &all.short_names), ("categories", &all.categories)] {
        for (at, name) in more.iter().flatten().enumerate() {
            note(&mut found, &format!("{field}[{at}]"), name, names::dns_label);
        }
    }
    if all.kind == all.list_kind() {
        found.push("listKind", format!("Invalid value: {:?}: kind and listKind may not be the same", all.kind));
    }
    found
}

fn note(found: &mut Violations, path: &str, name: &str, rule: impl Fn(&str) -> Result<(), String>) {
    match rule(name) {
        Err(_) if name.is_empty() => found.push_as(Reason::Required, path, "Required value"),
        Err(reason) => found.push(path, format!("Invalid value: {reason}")),
        Ok(()) => {}
    }
}

fn check_versions(spec: &Spec) -> Violations {
    let mut found = Violations::none();
    if spec.versions.len() > MAX_VERSIONS {
        let message = format!("Too many: {}: must have at most {MAX_VERSIONS} items", spec.versions.len());
        found.push_as(Reason::TooMany, "versions", message);
        return found;
    }
    let stored = spec.versions.iter().filter(|version| version.storage).count();
    if stored != 1 {
        let message = format!("Invalid value: {stored}: must have exactly one version marked as storage version");
        found.push("versions", message);
    }
    let mut seen = HashSet::new();
    for (at, version) in spec.versions.iter().enumerate() {
        let path = format!("versions[{at}]");
        if !seen.insert(&version.name) {
            let message = format!("Duplicate value: {:?}", version.name);
            found.push_as(Reason::Duplicate, format!("{path}.name"), message);
        }
        found.merge(check_version(version).nested(&path));
    }
    found
}

fn check_version(version: &Version) -> Violations {
    let mut found = Violations::none();
    let starts_with_letter = version.name.starts_with(|c: char| c.is_ascii_lowercase());
    note(&mut found, "name", &version.name, |name| match names::dns_label(name) {
        Ok(()) if !starts_with_letter => Err(format!("{name:?} must begin with a letter")),
        outcome => outcome,
    });
    match version.schema() {
        None => found.push_as(Reason::Required, "schema.openAPIV3Schema", "Required value: schemas are required"),
        Some(json) => {
            let mut inner = schema::check(json);
            if let Err(more) = Structural::compile(json) {
                inner.merge(more);
            }
            found.merge(inner.nested("schema.openAPIV3Schema"));
            check_selectable(version, json, &mut found);
        }
    }
    if let Some(scale) = version.scale() {
        found.merge(check_scale(scale).nested("subresources.scale"));
    }
    let columns = version.additional_printer_columns.as_deref().unwrap_or_default();
    if columns.len() > MAX_COLUMNS {
        let message = format!("Too many: {}: must have at most {MAX_COLUMNS} items", columns.len());
        found.push_as(Reason::TooMany, "additionalPrinterColumns", message);
    }
    for (at, column) in columns.iter().take(MAX_COLUMNS).enumerate() {
        found.merge(check_column(column).nested(&format!("additionalPrinterColumns[{at}]")));
    }
    found
}

fn check_column(column: &PrinterColumn) -> Violations {
    let mut found = Violations::none();
    if column.name.is_empty() {
        found.push_as(Reason::Required, "name", "Required value");
    }
    if super::declared::column_format(&column.kind).is_none() {
        let message = format!(
            "Unsupported value: {:?}: supported values: \"boolean\", \"date\", \"integer\", \"number\", \"string\"",
            column.kind
        );
        found.push_as(Reason::NotSupported, "type", message);
    }
    check_path(&mut found, "jsonPath", &column.json_path);
    found
}

fn check_scale(scale: &Scale) -> Violations {
    let mut found = Violations::none();
    let mut below = |field: &str, text: &str, roots: &[&str]| {
        let Some(path) = check_path(&mut found, field, text) else { return };
        if !path.fields().is_some_and(|fields| fields.len() > 1 && roots.contains(&fields[0])) {
            let message = format!("Invalid value: {text:?}: should be a path of fields under .{}", roots.join(" or ."));
            found.push(field, message);
        }
    };
    below("specReplicasPath", &scale.spec_replicas_path, &["spec"]);
    below("statusReplicasPath", &scale.status_replicas_path, &["status"]);
    if let Some(selector) = &scale.label_selector_path {
        below("labelSelectorPath", selector, &["spec", "status"]);
    }
    found
}

fn check_selectable(version: &Version, schema: &Json, found: &mut Violations) {
    let fields = version.selectable_fields.as_deref().unwrap_or_default();
    if fields.len() > MAX_SELECTABLE_FIELDS {
        let message = format!("Too many: {}: must have at most {MAX_SELECTABLE_FIELDS} items", fields.len());
        found.push_as(Reason::TooMany, "selectableFields", message);
    }
    for (at, field) in fields.iter().take(MAX_SELECTABLE_FIELDS).enumerate() {
        let path = format!("selectableFields[{at}].jsonPath");
        let Some(parsed) = check_path(found, &path, &field.json_path) else { continue };
        let leaf = parsed.fields().and_then(|names| {
            names.into_iter().try_fold(schema, |schema, name| schema.get("properties").and_then(|all| all.get(name)))
        });
        let kind = leaf.and_then(|leaf| leaf.get("type")).and_then(Json::as_str).unwrap_or_default();
        if !matches!(kind, "string" | "integer" | "boolean") {
            let message = format!(
                "Invalid value: {:?}: must point to a field of type string, boolean or integer in the schema",
                field.json_path
            );
            found.push(path, message);
        }
    }
}

fn check_path(found: &mut Violations, field: &str, text: &str) -> Option<FieldPath> {
    if text.is_empty() {
        found.push_as(Reason::Required, field, "Required value");
        return None;
    }
    match text.parse::<FieldPath>() {
        Ok(path) if text.starts_with('.') => Some(path),
        Ok(_) => {
            found.push(field, format!("Invalid value: {text:?}: must begin with '.'"));
            None
        }
        Err(error) => {
            found.push(field, format!("Invalid value: {error}"));
            None
        }
    }
}
