//! The Kubernetes API conventions over any store: `kubectl` and the clients of other languages work with it unmodified.
//!
//! # Layout
//! - What an object may hold: `schema`, `crd`
//! - How an object is changed: `patch`, `apply`
//! - Who may do what: [`auth`], [`audit`], [`tls`]
//! - How it is asked: `http`

mod apply;
pub mod audit;
pub mod auth;
mod crd;
mod files;
mod http;
mod patch;
mod schema;
pub mod tls;
