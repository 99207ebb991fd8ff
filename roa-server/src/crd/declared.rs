//! [`DeclaredKind`]: what comes of a definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use roa_core::{Column, ColumnFormat, KindDescriptor, KindVersion, Scope, Violations};
use serde_json::Value as Json;

use super::check::check;
use super::definition::{Definition, Spec, Version};
use crate::schema::Structural;

/// A kind that a CustomResourceDefinition declares.
#[derive(Debug, Clone)]
pub struct DeclaredKind {
    /// The kind, in the version that its objects are stored in.
    pub descriptor: KindDescriptor,
    /// The compiled schema of each version that it has, served or not.
    pub schemas: BTreeMap<Arc<str>, Arc<Structural>>,
}

impl DeclaredKind {
    /// The kind of a definition.
    ///
    /// # Errors
    /// All that is wrong with the definition, as [`check`] finds it.
    pub fn of(object: &Json) -> Result<Self, Violations> {
        check(object).into_result()?;
        let definition = Definition::parse(object).map_err(|(path, reason)| Violations::one(path, reason))?;
        let spec = definition.spec;
        let mut schemas = BTreeMap::new();
        for version in &spec.versions {
            let schema = version.schema().map_or_else(|| Ok(Structural::untyped()), Structural::compile)?;
            schemas.insert(Arc::from(version.name.as_str()), Arc::new(schema));
        }
        let stored = spec.versions.iter().find(|version| version.storage);
        let stored = stored.ok_or_else(|| Violations::one("spec.versions", "none is the storage version"))?;
        let descriptor = describe(&spec, stored, schemas.get(stored.name.as_str()));
        Ok(Self { descriptor, schemas })
    }
}

fn describe(spec: &Spec, stored: &Version, schema: Option<&Arc<Structural>>) -> KindDescriptor {
    let scope = if spec.scope == "Cluster" { Scope::Cluster } else { Scope::Namespaced };
    let names = &spec.names;
    let mut kind = KindDescriptor::dynamic(&spec.group, &stored.name, &names.kind, &names.plural, scope);
    let all = |texts: &Option<Vec<String>>| texts.iter().flatten().map(|text| text.as_str().into()).collect();
    kind.singular = names.singular().into();
    kind.list_kind = names.list_kind().into();
    kind.short_names = all(&names.short_names);
    kind.categories = all(&names.categories);
    let others = spec.versions.iter().filter(|version| !version.storage && version.served);
    kind.other_versions = others.map(|version| other_version(spec, version, &kind.selectable_fields)).collect();
    let KindVersion { schema: json, columns, selectable_fields, deprecation, .. } =
        other_version(spec, stored, &kind.selectable_fields);
    kind.schema = json;
    kind.age_column = columns.is_empty();
    kind.columns = columns;
    kind.selectable_fields = selectable_fields;
    kind.deprecation = deprecation;
    kind.served = stored.served;
    kind.status_subresource = stored.has_status();
    if let Some(scale) = stored.scale() {
        let undotted = |path: &str| Arc::from(path.trim_start_matches('.'));
        kind.scale_path = Some(undotted(&scale.spec_replicas_path));
        kind.scale_status_path = Some(undotted(&scale.status_replicas_path));
        kind.scale_selector_path = scale.label_selector_path.as_deref().map(undotted);
    }
    if let Some(schema) = schema.map(Arc::clone) {
        let same = Arc::clone(&schema);
        kind.validator = Arc::new(move |object, old| {
            let old = old.map(roa_core::DynamicObject::to_json);
            schema.validate(&object.to_json(), old.as_ref())
        });
        kind.unknown_fields = Arc::new(move |object| same.prune(&mut object.to_json()));
    }
    kind
}

fn other_version(spec: &Spec, version: &Version, selectable: &[Arc<str>]) -> KindVersion {
    let columns = version.additional_printer_columns.iter().flatten().map(|column| Column {
        name: column.name.clone(),
        path: column.json_path.clone(),
        format: column_format(&column.kind).unwrap_or(ColumnFormat::Text),
        priority: column.priority.unwrap_or(0),
        description: column.description.clone().unwrap_or_default(),
    });
    let declared = version.selectable_fields.iter().flatten();
    let declared = declared.map(|field| Arc::from(field.json_path.trim_start_matches('.')));
    KindVersion {
        version: version.name.as_str().into(),
        schema: version.schema().cloned().map(Arc::new),
        columns: columns.collect(),
        selectable_fields: selectable.iter().cloned().chain(declared).collect(),
        deprecation: version.deprecation(&spec.group, &spec.names.kind).map(Into::into),
    }
}

pub(super) fn column_format(kind: &str) -> Option<ColumnFormat> {
    Some(match kind {
        "string" => ColumnFormat::Text,
        "date" => ColumnFormat::Date,
        "integer" => ColumnFormat::Integer,
        "number" => ColumnFormat::Number,
        "boolean" => ColumnFormat::Boolean,
        _ => return None,
    })
}

/// Makes an object one of another version of its kind. Without conversion that is all that differs: its `apiVersion`, and
/// that of those who own its fields is left as it is.
pub fn convert(object: &mut Json, api_version: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), Json::from(api_version));
    }
}
