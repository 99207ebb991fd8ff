//! Manifests into the store: all are checked before the first is written.

use std::fmt;

use roa_core::lifecycle::{self, FieldValidation};
use roa_core::{DynamicObject, Error, RandomExt, ResourceStore, Result, Scope};

use crate::manifest::Manifest;

/// The namespace of a manifest that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Manifests that were not applied, and why.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// Each with where it comes from.
    pub(crate) reasons: Vec<String>,
    /// How many were applied before; 0 if they were found wrong by looking at them.
    pub(crate) applied: usize,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("\n"))
    }
}

/// Checks all, then applies them in order; says how many.
pub(super) async fn apply(resources: &ResourceStore, manifests: Vec<Manifest>) -> Result<usize, Rejected> {
    let (mut objects, mut reasons) = (Vec::new(), Vec::new());
    for Manifest { source, value } in manifests {
        let checked = DynamicObject::from_json(value).map_err(Error::from).and_then(|object| check(resources, object));
        match checked {
            Ok(object) => objects.push((source, object)),
            Err(error) => reasons.push(format!("{source}: {}", explain(&error))),
        }
    }
    if !reasons.is_empty() {
        return Err(Rejected { reasons, applied: 0 });
    }
    for (applied, (source, object)) in objects.iter().enumerate() {
        let outcome = resources.apply(object.clone(), FieldValidation::Strict).await;
        outcome.map_err(|error| Rejected { reasons: vec![format!("{source}: {}", explain(&error))], applied })?;
    }
    Ok(objects.len())
}

/// What creating it would say, without creating it.
fn check(resources: &ResourceStore, mut object: DynamicObject) -> Result<DynamicObject> {
    let kind = resources.kinds().by_manifest(&object.api_version, &object.kind)?;
    if kind.scope == Scope::Namespaced && object.metadata.namespace.is_empty() {
        DEFAULT_NAMESPACE.clone_into(&mut object.metadata.namespace);
    }
    let (uid, now) = (resources.random().uuid(), resources.clock().now());
    lifecycle::create(kind, object.clone(), FieldValidation::Strict, uid, now)?;
    Ok(object)
}

fn explain(error: &Error) -> String {
    match error {
        Error::Corrupt { reason } => reason.to_string(),
        error => error.to_string(),
    }
}
