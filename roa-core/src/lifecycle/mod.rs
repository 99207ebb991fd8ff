//! The rules of an object's life as pure functions: no backend and no server can get them wrong, since none has its own.
//!
//! Each function takes what is stored and what is asked for, and says what to write: a [`Step`], or why not.

mod create;
mod delete;
mod metadata;
mod namespace;
mod update;

pub use create::{FieldValidation, create};
pub use delete::{DeleteOptions, Preconditions, Propagation, delete};
pub use metadata::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
pub use namespace::{NAME_LABEL, NAMESPACE_FINALIZER, finalize_namespace};
pub use update::{update, update_status};

use crate::DynamicObject;

/// What a request comes to.
///
/// ```
/// # use roa_core::lifecycle::Step;
/// fn is_written(step: &Step) -> bool {
///     !matches!(step, Step::Unchanged)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing differs: no write, no new `resourceVersion`.
    Unchanged,
    /// The object becomes this.
    Write(Box<DynamicObject>),
    /// The object goes now.
    Remove,
}

#[cfg(test)]
mod tests;
