//! [`On`]: what a request is on, as roles and the audit log know it.

use super::{Query, Route};
use crate::audit::AuditedObject;
use crate::auth::{Attributes, ResourceTarget};

/// What a request is on.
#[derive(Debug)]
pub(crate) enum On {
    Path(String),
    Resource(AuditedObject),
}

impl On {
    pub(super) fn of(route: &Route, path: &str, query: &Query, verb: &str) -> Self {
        let Route::Resource(resource) = route else { return Self::Path(path.to_owned()) };
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let mut name = text(&resource.name);
        if name.is_empty() && matches!(verb, "list" | "watch") {
            // A list or watch of one object by its name is allowed to who may see that object. Of anything else a selector
            // says nothing.
            let fields = query.fields().unwrap_or_default();
            let only = fields.requirements().find(|(path, _, equal)| *path == "metadata.name" && *equal);
            name = only.map(|(_, name, _)| name.to_owned()).unwrap_or_default();
        }
        Self::Resource(AuditedObject {
            group: resource.group.clone(),
            version: resource.version.clone(),
            resource: resource.plural.clone(),
            subresource: text(&resource.subresource),
            namespace: if resource.group.is_empty() && resource.plural == "namespaces" {
                text(&resource.name)
            } else {
                text(&resource.namespace)
            },
            name,
            ..AuditedObject::default()
        })
    }

    /// What is to be allowed.
    pub(crate) fn attributes(&self, verb: &'static str) -> Attributes<'_> {
        match self {
            Self::Path(path) => Attributes::path(verb, path),
            Self::Resource(AuditedObject { group, resource, subresource, namespace, name, .. }) => {
                Attributes::resource(verb, ResourceTarget { group, resource, subresource, namespace, name })
            }
        }
    }

    /// For the audit log.
    pub(super) fn audited(&self) -> AuditedObject {
        match self {
            Self::Path(path) => AuditedObject { resource: path.clone(), ..AuditedObject::default() },
            Self::Resource(object) => object.clone(),
        }
    }
}
