//! [`Target`]: what a request for objects is about.

use std::sync::Arc;

use roa_core::{FieldSelector, Key, KeyPrefix};

use crate::builtin;
use crate::catalog::{Catalog, Conversion, Served};
use crate::http::{ApiError, ResourcePath};

/// What a request for objects is about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) served: Arc<Served>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) part: Part,
}

/// Which part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but its status.
    Main,
    /// Its status.
    Status,
    /// How many there are to be.
    Scale,
    /// What the program tells of it, by the subresource's name.
    Told(&'static str),
}

impl Target {
    /// What a path is about.
    ///
    /// # Errors
    /// 404 if no such resource is served there.
    pub(crate) fn find(catalog: &Catalog, path: &ResourcePath) -> Result<Self, ApiError> {
        let served = catalog.find(&path.group, &path.version, &path.plural).ok_or_else(ApiError::no_such_path)?;
        let part = match path.subresource.as_deref() {
            None => Part::Main,
            Some("status") if served.has_status => Part::Status,
            Some("scale") if served.has_scale() => Part::Scale,
            Some(name) => {
                let told = served.subresources.iter().map(|told| told.name()).find(|told| *told == name);
                Part::Told(told.ok_or_else(ApiError::no_such_path)?)
            }
        };
        if path.namespace.is_some() && !served.is_namespaced() {
            return Err(ApiError::no_such_path());
        }
        if path.namespace.is_none() && served.is_namespaced() && path.name.is_some() {
            return Err(ApiError::no_such_path());
        }
        let (namespace, name) = (path.namespace.clone(), path.name.clone());
        Ok(Self { served: Arc::clone(served), namespace, name, part })
    }

    /// The key of the object that is named.
    ///
    /// # Errors
    /// 400 if name and namespace make no key.
    pub(crate) fn key(&self) -> Result<Key, ApiError> {
        let (namespace, name) =
            (self.namespace.as_deref().unwrap_or_default(), self.name.as_deref().unwrap_or_default());
        let key = self.served.kind.key(namespace, name);
        key.map_err(|_| ApiError::bad_request("name and namespace are too long, or contain what no name does"))
    }

    /// Where the objects of the collection stand.
    ///
    /// # Errors
    /// 400 if the namespace makes no key.
    pub(crate) fn prefix(&self) -> Result<KeyPrefix, ApiError> {
        let prefix = self.served.kind.prefix(self.namespace.as_deref());
        prefix.map_err(|_| ApiError::bad_request("the namespace is too long, or contains what no name does"))
    }

    /// A field selector in the names under which fields are stored.
    ///
    /// # Errors
    /// 400 for a field that objects of this kind can't be selected by.
    pub(crate) fn stored_fields(&self, asked: &FieldSelector) -> Result<FieldSelector, ApiError> {
        let stored = match self.served.conversion {
            Conversion::None | Conversion::Version(_) => asked.clone(),
            Conversion::Events => {
                asked.requirements().fold(FieldSelector::everything(), |selector, (path, value, equal)| {
                    let path = builtin::event_path(path);
                    if equal { selector.eq(path, value) } else { selector.not_eq(path, value) }
                })
            }
        };
        let declared = &self.served.selectable_fields;
        let unknown = stored.requirements().find(|(path, ..)| !declared.iter().any(|known| &**known == *path));
        if let Some((path, ..)) = unknown {
            return Err(ApiError::bad_request(format!("field label not supported: {path}")));
        }
        Ok(stored)
    }

    /// The resource's group and plural, and the object's name: what errors are about.
    pub(crate) fn subject(&self) -> (&str, &str, &str) {
        (&self.served.group, &self.served.kind.plural, self.name.as_deref().unwrap_or_default())
    }
}
