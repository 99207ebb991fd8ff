//! Manifests: resources that somebody declared in files, as YAML or JSON.
//!
//! All or nothing: [`load()`] answers with every manifest of every file, or with everything that is wrong with any of
//! them. Whether a kind exists and its spec is valid is decided later, by the store.

mod documents;
mod load;
mod parse;
mod strict;

use std::fmt;

use serde_json::Value;

pub(crate) use load::load;

/// One declared resource: an object with an `apiVersion` and a `kind`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// Where it stands: `labs.yaml#2` is the second document of the file, `labs.yaml#2[3]` the fourth item of a `List` there.
    pub(crate) source: String,
    pub(crate) value: Value,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The file, the document or the item.
    pub(crate) source: String,
    /// Counted from 1; `None` if no line is at fault.
    pub(crate) line: Option<usize>,
    /// What is wrong and what was expected.
    pub(crate) reason: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}: line {line}: {}", self.source, self.reason),
            None => write!(f, "{}: {}", self.source, self.reason),
        }
    }
}

/// All that is wrong with the files, in their order. Nothing of them is used.
#[derive(Debug, thiserror::Error)]
#[error("{} manifests are broken, none is applied", .0.len())]
pub(crate) struct Broken(pub(crate) Vec<Flaw>);
