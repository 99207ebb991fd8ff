//! The sample domain of ROA: short-lived lab environments for students, declared as resources.
//!
//! # Layout
//! - How a lab comes to exist outside of the store: [`provision`]

pub mod provision;
