//! [`Namespace`]: the kind of namespaces, which is built in.

use serde::{Deserialize, Serialize};

use crate::{Column, Conditions, KindDescriptor, Scope, Spec};

/// The namespace that is always there: it is created with the first write into it, whatever else is configured.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What a namespace asks for: nothing. Its objects are those of other kinds.
///
/// ```
/// use roa_core::{Namespace, Object};
/// let school = Object::new("", "school", Namespace {});
/// assert_eq!(school.metadata.name, "school");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {}

/// How a namespace is.
///
/// ```
/// # use roa_core::NamespaceStatus;
/// fn is_going(status: &NamespaceStatus) -> bool {
///     status.phase == "Terminating"
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceStatus {
    /// `Active`, or `Terminating` once it was deleted.
    pub phase: String,
    /// While it is terminating: what it still waits for.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
}

impl Spec for Namespace {
    type Status = NamespaceStatus;
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Namespace";
    const PLURAL: &'static str = "namespaces";
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["ns"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &["status.phase"];
    // All that Kubernetes names: each says what a namespace that is to go still waits for.
    const ABNORMAL_CONDITIONS: &'static [&'static str] = &[
        "NamespaceDeletionDiscoveryFailure",
        "NamespaceDeletionGroupVersionParsingFailure",
        "NamespaceDeletionContentFailure",
        "NamespaceContentRemaining",
        "NamespaceFinalizersRemaining",
    ];
}

/// The kind `v1` `Namespace`. Where it is registered, objects live in namespaces that exist: see
/// [`ResourceStore::strict_namespaces`](crate::ResourceStore::strict_namespaces).
///
/// ```
/// use roa_core::{KindRegistry, namespace_kind};
/// let kinds = KindRegistry::new().with_kind(namespace_kind());
/// assert!(kinds.by_name("ns").is_ok());
/// ```
#[must_use]
pub fn namespace_kind() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic("", Namespace::VERSION, Namespace::KIND, Namespace::PLURAL, Scope::Cluster);
    kind.short_names = Namespace::SHORT_NAMES.iter().map(|&name| name.into()).collect();
    kind.selectable_fields.extend(Namespace::SELECTABLE_FIELDS.iter().map(|&field| field.into()));
    kind.abnormal_conditions = Namespace::ABNORMAL_CONDITIONS.iter().map(|&condition| condition.into()).collect();
    kind.columns = vec![Column::text("STATUS", "status.phase")];
    kind
}
