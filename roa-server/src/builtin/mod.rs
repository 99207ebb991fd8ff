//! The kinds that the server itself brings: those that Kubernetes' clients expect to find.

mod events;
mod namespaces;

use roa_core::{Column, KindDescriptor, KindRegistry, Scope};

pub(crate) use events::{
    EVENTS_GROUP, from_stored as event_from_stored, is_event, stored_path as event_path, to_stored as event_to_stored,
};
pub(crate) use namespaces::Namespaces;

/// The group of leases.
const COORDINATION: &str = "coordination.k8s.io";

/// The registry with the kinds of the server added; one that is there already stays.
#[must_use]
pub fn kinds(registry: KindRegistry) -> KindRegistry {
    let own = [roa_core::namespace_kind(), service(), lease(), roa_runtime::event_kind()];
    own.into_iter().fold(registry, |registry, kind| {
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

/// Whether a kind has `status` as a subresource.
pub(crate) fn has_status(kind: &KindDescriptor) -> bool {
    !(is_event(kind) || is_placeholder(kind) || &*kind.group == COORDINATION)
        && &*kind.group != "rbac.authorization.k8s.io"
}
