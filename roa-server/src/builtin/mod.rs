//! The kinds that the server itself brings: those that Kubernetes' clients expect to find.

mod events;
mod reviews;

use roa_core::{Column, KindDescriptor, KindRegistry, Scope, namespace_kind};

use crate::auth::{RBAC_GROUP, rbac_kinds};
use crate::crd::definition_kind;

pub(crate) use events::{
    EVENTS_GROUP, from_stored as event_from_stored, is_event, stored_path as event_path, to_stored as event_to_stored,
};
pub(crate) use reviews::{answer as answer_review, is_review};

/// The group of leases.
const COORDINATION: &str = "coordination.k8s.io";

/// The registry with the kinds of the server added; one that is there already stays.
///
/// ```
/// use roa_core::KindRegistry;
/// let kinds = roa_server::kinds(KindRegistry::new());
/// assert!(kinds.by_name("leases").is_ok() && kinds.by_name("crd").is_ok());
/// ```
#[must_use]
pub fn kinds(registry: KindRegistry) -> KindRegistry {
    let own = [namespace_kind(), service(), lease(), roa_runtime::event_kind(), definition_kind()];
    own.into_iter().chain(rbac_kinds()).chain(reviews::kinds()).fold(registry, |registry, kind| {
        if registry.by_plural(&kind.group, &kind.plural).is_some() { registry } else { registry.with_kind(kind) }
    })
}

/// Nothing ever stands in it: `kubectl cluster-info` wants its list.
fn service() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic("", "v1", "Service", "services", Scope::Namespaced);
    kind.short_names = vec!["svc".into()];
    kind
}

fn lease() -> KindDescriptor {
    let mut kind = KindDescriptor::dynamic(COORDINATION, "v1", "Lease", "leases", Scope::Namespaced);
    kind.columns = vec![Column::text("HOLDER", "spec.holderIdentity")];
    kind.status_subresource = false;
    kind
}

/// Whether a kind is there for its empty list alone.
pub(crate) fn is_placeholder(kind: &KindDescriptor) -> bool {
    kind.group.is_empty() && &*kind.plural == "services"
}

/// Whether a kind is one of Kubernetes' own: clients leave `kind` and `apiVersion` out of those.
pub(crate) fn is_builtin(kind: &KindDescriptor) -> bool {
    kind.group.is_empty() || kind.group.ends_with(".k8s.io")
}

/// Whether a kind can have `status` as a subresource.
pub(crate) fn has_status(kind: &KindDescriptor) -> bool {
    !(is_event(kind) || is_placeholder(kind) || is_review(kind) || &*kind.group == RBAC_GROUP)
}
