//! [`Namespaces`]: a namespace is there before anything is created in it.

use roa_core::lifecycle::FieldValidation;
use roa_core::{DynamicObject, Error, KindDescriptor, Metadata, ResourceStore};
use serde_json::json;

use crate::http::ApiError;

/// The label that names a namespace to selectors.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// How a missing namespace is dealt with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Namespaces {
    /// Whether a namespace must exist before something is created in it; else it is made.
    pub(crate) strict: bool,
}

impl Namespaces {
    /// Sees to it that something can be created in a namespace.
    ///
    /// # Errors
    /// 404 if it is missing and must not be, 403 if it is going.
    pub(crate) async fn ensure(&self, resources: &ResourceStore, namespace: &str) -> Result<(), ApiError> {
        let Some(kind) = resources.kinds().by_plural("", "namespaces").cloned() else { return Ok(()) };
        let of = |error| ApiError::of(error, "Namespace");
        let key = kind.key("", namespace).map_err(of)?;
        match resources.entry(&key).await.map_err(of)? {
            (Some(entry), _) => {
                let object = entry.object().map_err(|error| of(error.clone().into()))?;
                if object.metadata.is_deleting() {
                    let why = "unable to create new content because it is being terminated";
                    let refused = ApiError::forbidden("", "namespaces", namespace, why);
                    return Err(refused.cause(
                        "NamespaceTerminating",
                        "the namespace is being terminated",
                        "metadata.namespace",
                    ));
                }
                Ok(())
            }
            (None, _) if self.strict => Err(ApiError::not_found("", "namespaces", namespace)),
            (None, _) => match resources.create(blank(&kind, namespace), FieldValidation::Ignore).await {
                Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
                Err(error) => Err(of(error)),
            },
        }
    }

    /// What a namespace has besides what its creator wrote.
    pub(crate) fn complete(object: &mut DynamicObject) {
        object.metadata.labels.insert(NAME_LABEL.to_owned(), object.metadata.name.clone());
    }
}

fn blank(kind: &KindDescriptor, name: &str) -> DynamicObject {
    let mut object = DynamicObject {
        api_version: kind.api_version(),
        kind: kind.kind.to_string(),
        metadata: Metadata::named("", name),
        ..DynamicObject::default()
    };
    object.body.insert("spec".to_owned(), json!({}));
    Namespaces::complete(&mut object);
    object
}
