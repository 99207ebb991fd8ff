//! The kinds of this crate.

use roa_core::{KindDescriptor, KindRegistry, Spec};

use crate::{LabInstance, LabTemplate, LabWorker, LabWorkerHeartbeat, LabWorkerPool};

/// The group of all kinds here.
pub const GROUP: &str = "lab.neuroglia.com";
/// Their version.
pub const VERSION: &str = "v1";

/// The registry with the kinds of this crate added.
#[must_use]
pub fn kinds(registry: KindRegistry) -> KindRegistry {
    let mut pool = listed_with_all::<LabWorkerPool>();
    pool.scale_path = Some("spec.replicas".into());
    pool.scale_status_path = Some("status.replicas".into());
    registry
        .with_kind(listed_with_all::<LabInstance>())
        .with_kind(listed_with_all::<LabTemplate>())
        .with_kind(listed_with_all::<LabWorker>())
        .with::<LabWorkerHeartbeat>()
        .with_kind(pool)
}

/// A kind that `get all` shows.
fn listed_with_all<S: Spec>() -> KindDescriptor {
    let mut kind = KindDescriptor::of::<S>();
    kind.categories = vec!["all".into()];
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_the_names_that_people_use() {
        let registry = kinds(KindRegistry::new());
        for name in ["lab", "labs", "labinstances", "LabInstance"] {
            assert_eq!(&*registry.by_name(name).unwrap().plural, "labinstances");
        }
        let lab = registry.by_manifest("lab.neuroglia.com/v1", "LabInstance").unwrap();
        let columns: Vec<_> = lab.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(columns, ["STATE", "TEMPLATE", "STUDENT", "ENDPOINT", "EXPIRES"]);
        assert!(lab.state_machine.is_some());
        assert_eq!(&*registry.by_name("labtemplates").unwrap().kind, "LabTemplate");
        for (name, kind) in
            [("workers", "LabWorker"), ("lw", "LabWorker"), ("pool", "LabWorkerPool"), ("lwp", "LabWorkerPool")]
        {
            assert_eq!(&*registry.by_name(name).unwrap().kind, kind);
        }
        let pool = registry.by_name("pools").unwrap();
        assert_eq!(pool.scale_path.as_deref(), Some("spec.replicas"));
        assert_eq!(&*registry.by_name("worker").unwrap().state_field, "phase");
    }
}
