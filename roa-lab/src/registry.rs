//! Which kinds the domain has.

use roa_core::KindRegistry;

use crate::{LabInstance, LabTemplate};

/// The group of the domain's kinds.
pub const GROUP: &str = "lab.neuroglia.com";
/// Their version.
pub const VERSION: &str = "v1";

/// Adds the domain's kinds.
#[must_use]
pub fn kinds(registry: KindRegistry) -> KindRegistry {
    registry.with::<LabInstance>().with::<LabTemplate>()
}
