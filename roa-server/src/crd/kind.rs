//! The kind of the definitions themselves.

use std::sync::Arc;

use super::check::{check, check_update};
use super::schema::schema;
use crate::schema::Structural;
use roa_core::{Column, DynamicObject, KindDescriptor, Scope};

/// The group of definitions.
pub const GROUP: &str = "apiextensions.k8s.io";
/// The kind of definitions.
pub const KIND: &str = "CustomResourceDefinition";
/// The plural of definitions.
pub const PLURAL: &str = "customresourcedefinitions";

/// The kind of CustomResourceDefinition objects: validated when written, whoever writes.
#[must_use]
pub fn definition_kind() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic(GROUP, "v1", KIND, PLURAL, Scope::Cluster);
    kind.short_names = vec!["crd".into(), "crds".into()];
    kind.categories = vec!["api-extensions".into()];
    kind.columns = vec![Column::text("CREATED AT", "metadata.creationTimestamp")];
    kind.age_column = false;
    let schema = schema();
    let compiled = Structural::compile(&schema).unwrap_or_else(|_| Structural::untyped());
    kind.schema = Some(Arc::new(schema));
    kind.validator = Arc::new(|object, old| {
        let object = object.to_json();
        let mut found = check(&object);
        if let Some(old) = old.map(DynamicObject::to_json) {
            found.merge(check_update(&object, &old));
        }
        found
    });
    kind.unknown_fields = Arc::new(move |object| compiled.prune(&mut object.to_json()));
    kind
}
