//! Server-side apply: who owns which field, and what an applied configuration makes of an object.
//!
//! The rules are those of Kubernetes' structured-merge-diff: a mapping is owned field by field, a list as a whole unless
//! its schema says how its elements are told apart.
//!
//! # Layout
//! - Sets of fields, and how `managedFields` writes them: `element`, [`FieldSet`]
//! - Which fields an object has, and in which two differ: `survey`
//! - Objects made from others: `merge`
//! - Whose fields they are: `managers`
//! - What is asked: [`apply`], [`track_update`]

mod conflict;
mod element;
mod field_set;
mod last_applied;
mod managers;
mod merge;
mod server_side;
mod survey;
mod update;

pub use conflict::{Conflict, Conflicts};
pub use element::{Element, ElementError};
pub use field_set::FieldSet;
pub use server_side::{ApplyError, apply};
pub use update::track_update;

use roa_core::Timestamp;

/// How many managers of ordinary writes an object remembers apart; the oldest are told as one beyond that.
pub const MAX_UPDATE_MANAGERS: usize = 10;

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The name of the field manager.
    pub manager: &'a str,
    /// `group/version` that it writes in.
    pub api_version: &'a str,
    /// Through which subresource, such as `status`; empty for the object itself.
    pub subresource: &'a str,
    /// Whether the kind's `status` is written through its subresource alone.
    pub status_subresource: bool,
    /// When.
    pub time: Timestamp,
}

impl Writer<'_> {
    /// Whether a write through this path can change a field at the top of an object.
    fn can_write(&self, name: &str) -> bool {
        match (self.subresource, name) {
            ("status", name) => name == "status",
            (_, "status") => !self.status_subresource,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
