//! [`Served`]: a kind under one group and version, as clients see it.

use std::sync::Arc;

use roa_core::{KindDescriptor, Scope};

use crate::builtin;

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
    /// The groups of kinds that it belongs to, such as `all`.
    pub(crate) categories: Vec<Arc<str>>,
}

/// How stored objects differ from those of a served version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Conversion {
    /// Not at all.
    None,
    /// Events of `events.k8s.io/v1`: the same objects with other names of fields.
    Events,
}

/// What can be done with most kinds.
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// What can be done with what is there for its list alone.
const LIST_ONLY: &[&str] = &["list"];

impl Served {
    /// All places where a kind is served.
    pub(crate) fn of_kind(kind: &Arc<KindDescriptor>) -> Vec<Self> {
        let own = Self {
            group: Arc::clone(&kind.group),
            version: Arc::clone(&kind.version),
            conversion: Conversion::None,
            has_status: builtin::has_status(kind),
            verbs: if builtin::is_placeholder(kind) { LIST_ONLY } else { VERBS },
            categories: Vec::new(),
            kind: Arc::clone(kind),
        };
        let mut places = vec![own];
        if builtin::is_event(kind) {
            places.push(Self {
                group: builtin::EVENTS_GROUP.into(),
                version: "v1".into(),
                conversion: Conversion::Events,
                has_status: false,
                verbs: VERBS,
                categories: Vec::new(),
                kind: Arc::clone(kind),
            });
        }
        places
    }

    /// `group/version`, or just the version for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The kind of its lists.
    pub(crate) fn list_kind(&self) -> String {
        format!("{}List", self.kind.kind)
    }

    /// Its name for one object.
    pub(crate) fn singular(&self) -> String {
        self.kind.kind.to_lowercase()
    }

    /// Whether its objects live in namespaces.
    pub(crate) fn is_namespaced(&self) -> bool {
        self.kind.scope == Scope::Namespaced
    }

    /// Whether it is one of the server's own kinds, whose objects need not name their kind.
    pub(crate) fn is_builtin(&self) -> bool {
        builtin::is_builtin(&self.kind)
    }

    /// Whether its objects have `scale`.
    pub(crate) fn has_scale(&self) -> bool {
        self.kind.scale_path.is_some()
    }
}
