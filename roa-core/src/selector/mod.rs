//! Selectors: [`LabelSelector`] by labels, [`FieldSelector`] by fields.

mod field;
mod label;

pub use field::FieldSelector;
pub use label::LabelSelector;

use thiserror::Error;

/// How long a selector may be, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// How many requirements a selector may have.
const MAX_REQUIREMENTS: usize = 64;
/// How many values its requirements may have together.
const MAX_VALUES: usize = 256;

/// Text that is no selector.
///
/// ```
/// use roa_core::{LabelSelector, SelectorError};
/// assert!(matches!("course in".parse::<LabelSelector>(), Err(SelectorError::Malformed { .. })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// It does not read as one.
    #[error("parse selector {selector:?}: {reason} at byte {at}")]
    Malformed {
        /// The begin of the selector.
        selector: String,
        /// What is wrong.
        reason: String,
        /// Where.
        at: usize,
    },
    /// It is larger than is taken.
    #[error("parse selector: {what}, expected at most {max}")]
    TooLarge {
        /// How large it is.
        what: String,
        /// How large it may be.
        max: usize,
    },
}

fn check_length(text: &str) -> Result<(), SelectorError> {
    if text.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(SelectorError::TooLarge { what: format!("{} bytes", text.len()), max: MAX_BYTES })
}

fn malformed(selector: &str, at: usize, reason: impl Into<String>) -> SelectorError {
    SelectorError::Malformed { selector: selector.chars().take(80).collect(), reason: reason.into(), at }
}
