//! JSON patch, JSON merge patch, and strategic merge patch as far as Kubernetes' own kinds need it; bounded.

mod json;
mod measure;
mod merge;
mod strategic;

pub use json::json_patch;
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;

use std::fmt;

use thiserror::Error;

/// How many operations a JSON patch may have.
pub const MAX_OPERATIONS: usize = 10_000;
/// How many bytes the operations of a JSON patch may copy together.
pub const MAX_COPIED_BYTES: usize = 3 << 20;
/// How deep an object may be nested.
pub const MAX_DEPTH: usize = 128;

/// Why a patch was not applied; the object is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// It is no patch.
    #[error("read the patch: {reason}")]
    Malformed {
        /// What was found, and what was expected.
        reason: String,
    },
    /// It has more operations, copies more or nests deeper than is allowed.
    #[error("{what}, expected at most {max}")]
    TooLarge {
        /// What is too much, with its amount.
        what: String,
        /// What would be allowed.
        max: usize,
    },
    /// An operation does not fit the object.
    #[error("{at}: {reason}")]
    Inapplicable {
        /// Which operation.
        at: Operation,
        /// Why not.
        reason: String,
    },
}

/// Which operation of a JSON patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its place in the patch, from 0.
    pub index: usize,
    /// What it does, such as `test`.
    pub name: &'static str,
    /// The JSON pointer that it names.
    pub path: String,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} ({} {:?})", self.index, self.name, self.path)
    }
}

impl PatchError {
    /// The HTTP status that says so: 400, 413 or 422.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::TooLarge { .. } => 413,
            Self::Inapplicable { .. } => 422,
        }
    }
}
