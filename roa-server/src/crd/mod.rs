//! Kinds that are declared at run time, by CustomResourceDefinition objects.
//!
//! # Layout
//! - What a definition says: `definition`; what is wrong with it: `check`
//! - What comes of it: [`DeclaredKind`], [`status`]; objects in another version: [`convert`]
//! - The kind of the definitions themselves: [`definition_kind`]; the definition of a kind written in Rust: [`to_crd`]

mod check;
mod declared;
mod definition;
mod export;
mod kind;
mod schema;
mod status;

pub use check::{check, check_update};
pub use declared::{DeclaredKind, convert};
pub use definition::default;
pub use export::to_crd;
pub use kind::{GROUP, KIND, PLURAL, definition_kind};
pub use status::{Acceptance, accept, status};

/// How many versions a kind may have.
pub const MAX_VERSIONS: usize = 32;
/// How many columns a version may have.
pub const MAX_COLUMNS: usize = 64;
/// How many fields of a version may be selected by, besides name and namespace.
pub const MAX_SELECTABLE_FIELDS: usize = 8;

#[cfg(test)]
mod tests;
