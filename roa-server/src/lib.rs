//! The Kubernetes API conventions over any store: `kubectl` and the clients of other languages work with it unmodified.
//!
//! # Layout
//! - What an object may hold: `schema`, `crd`
//! - How an object is changed: `patch`, `apply`
//! - Who may do what: `auth`, `audit`, `tls`
//! - How it is asked: `http`

pub mod apply;
mod audit;
mod auth;
pub mod crd;
mod http;
pub mod patch;
pub mod schema;
mod tls;
