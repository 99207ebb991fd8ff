//! Placeholder.

pub mod checker;
