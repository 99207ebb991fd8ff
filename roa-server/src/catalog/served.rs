//! [`Served`]: a kind under one group and version, as clients see it.

use std::sync::Arc;

use roa_core::{Column, FieldPath, KindDescriptor, KindVersion, Scope};
use serde_json::Value as Json;

use crate::builtin;
use crate::schema::Structural;
use crate::subresource::Subresource;

/// A kind under one group and version.
#[derive(Debug)]
pub(crate) struct Served {
    /// The kind as it is stored.
    pub(crate) kind: Arc<KindDescriptor>,
    /// Under which group it is asked for here.
    pub(crate) group: Arc<str>,
    /// Under which version.
    pub(crate) version: Arc<str>,
    /// What makes a stored object one of this version, and the other way.
    pub(crate) conversion: Conversion,
    /// Whether `status` is a subresource.
    pub(crate) has_status: bool,
    /// What can be done with it.
    pub(crate) verbs: &'static [&'static str],
    /// What a table shows besides name and age, and where that stands.
    pub(crate) columns: Vec<(Column, Option<FieldPath>)>,
    /// Fields that field selectors may name.
    pub(crate) selectable_fields: Vec<Arc<str>>,
    /// What to warn of whoever uses this version.
    pub(crate) deprecation: Option<Arc<str>>,
    /// Parts of its objects that the program tells.
    pub(crate) subresources: Vec<Arc<dyn Subresource>>,
    /// The schema as its author wrote it, if there is one.
    pub(crate) described: Option<Arc<Json>>,
    /// The same, compiled.
    pub(crate) schema: Structural,
}

/// How stored objects differ from those of a served version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Conversion {
    /// Not at all.
    None,
    /// In the name of the version.
    Version(Arc<str>),
    /// Events of `events.k8s.io/v1`: the same objects with other names of fields.
    Events,
}

/// What can be done with most kinds.
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// What can be done with namespaces: each that goes takes all that is in it along, so they go one by one, as in Kubernetes.
const ONE_BY_ONE: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
/// What can be done with what is there for its list alone.
const LIST_ONLY: &[&str] = &["list"];
/// What can be done with questions.
const CREATE_ONLY: &[&str] = &["create"];

impl Served {
    /// All places where a kind is served.
    pub(crate) fn of_kind(kind: &Arc<KindDescriptor>) -> Vec<Self> {
        let own = KindVersion {
            version: Arc::clone(&kind.version),
            schema: kind.schema.clone(),
            columns: kind.columns.clone(),
            selectable_fields: kind.selectable_fields.clone(),
            deprecation: kind.deprecation.clone(),
        };
        let mut places = Vec::new();
        if kind.served {
            places.push(Self::new(kind, &kind.group, &own, Conversion::None));
        }
        for other in &kind.other_versions {
            places.push(Self::new(kind, &kind.group, other, Conversion::Version(Arc::clone(&other.version))));
        }
        if builtin::is_event(kind) {
            let version = KindVersion { schema: None, ..own };
            places.push(Self::new(kind, &builtin::EVENTS_GROUP.into(), &version, Conversion::Events));
        }
        places
    }

    fn new(kind: &Arc<KindDescriptor>, group: &Arc<str>, version: &KindVersion, conversion: Conversion) -> Self {
        let compiled = version.schema.as_deref().map(Structural::compile);
        let schema = compiled.and_then(|compiled| {
            compiled.inspect_err(|error| tracing::error!(kind = %kind.kind, %error, "a schema is not used")).ok()
        });
        let verbs = match () {
            () if builtin::is_placeholder(kind) => LIST_ONLY,
            () if builtin::is_review(kind) => CREATE_ONLY,
            () if kind.group.is_empty() && *kind.plural == *"namespaces" => ONE_BY_ONE,
            () => VERBS,
        };
        let columns = version.columns.iter().map(|column| (column.clone(), column.path.parse().ok()));
        Self {
            group: Arc::clone(group),
            version: Arc::clone(&version.version),
            has_status: kind.status_subresource && builtin::has_status(kind),
            verbs,
            columns: columns.collect(),
            selectable_fields: version.selectable_fields.clone(),
            deprecation: version.deprecation.clone(),
            subresources: Vec::new(),
            described: version.schema.clone(),
            schema: schema.unwrap_or_else(Structural::untyped),
            conversion,
            kind: Arc::clone(kind),
        }
    }

    /// The same with those of `told` that its objects have.
    pub(crate) fn with(mut self, told: &[Arc<dyn Subresource>]) -> Self {
        if self.verbs.contains(&"get") {
            self.subresources = told.iter().filter(|one| one.is_of(&self.kind)).cloned().collect();
        }
        self
    }

    /// `group/version`, or just the version for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether its objects live in namespaces.
    pub(crate) fn is_namespaced(&self) -> bool {
        self.kind.scope == Scope::Namespaced
    }

    /// Whether it is one of Kubernetes' own kinds, whose objects need not name their kind.
    pub(crate) fn is_builtin(&self) -> bool {
        builtin::is_builtin(&self.kind)
    }

    /// Whether its objects are events.
    pub(crate) fn is_event(&self) -> bool {
        builtin::is_event(&self.kind)
    }

    /// Whether its objects have `scale`.
    pub(crate) fn has_scale(&self) -> bool {
        self.kind.scale_path.is_some()
    }
}
