//! Roles: who may do what, as objects say it.
//!
//! # Layout
//! - `rule`: what one rule allows

mod rule;

pub use rule::Rule;
