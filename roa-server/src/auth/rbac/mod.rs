//! Roles: who may do what, as objects say it.
//!
//! # Layout
//! - [`Rule`]: what one rule allows
//! - [`rbac_kinds`]: the four kinds; `objects`: what their objects say
//! - [`Rbac`]: the authorizer; `policy`: all roles and bindings by who has them; `built_in`: what everybody may do
//! - `escalation`: who may write a role or binding; `compare`: whether they hold what it gives
//! - [`default_roles`]: those that are there from the start

mod built_in;
mod compare;
mod defaults;
mod escalation;
mod follow;
mod kinds;
mod objects;
mod policy;
mod rule;

pub use defaults::{create_default_roles, default_roles};
pub use follow::Rbac;
pub use kinds::rbac_kinds;
pub use objects::RBAC_GROUP;
pub(super) use objects::SERVICE_ACCOUNT;
pub use rule::Rule;

#[cfg(test)]
mod tests;
