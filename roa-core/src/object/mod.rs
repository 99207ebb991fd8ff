//! An object as it is read and written.
//!
//! - [`Object`]: as a Rust value; [`DynamicObject`]: of any kind; [`RawObject`]: as the bytes that are stored.
//! - [`Metadata`]: what all have.

mod dynamic;
mod labels;
mod metadata;
mod raw;
mod typed;

pub use dynamic::{DecodeError, DynamicObject, StoredObject};
pub use metadata::{Metadata, OwnerReference};
pub use raw::RawObject;
pub use typed::{Object, Resource};

pub(crate) use typed::{unknown_fields, validate};
