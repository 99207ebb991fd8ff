//! The Kubernetes API conventions over any store: `kubectl` and the clients of other languages work with it unmodified.
//!
//! # Layout
//! - A server: [`ApiServer`], [`ApiListener`], [`ApiConfig`]
//! - Which kinds it brings: [`kinds`]; which resources are served: `catalog`; parts of them that the program tells:
//!   [`Subresource`]
//! - How it is asked: `http`; what is done to objects: `objects`; how they are watched: `watch`
//! - What an object may hold: [`schema`], [`crd`]
//! - How an object is changed: [`patch`], [`apply`]
//! - Who may do what: [`auth`], [`audit`], [`tls`]

pub mod apply;
pub mod audit;
pub mod auth;
mod builtin;
mod catalog;
pub mod crd;
mod files;
mod http;
mod objects;
pub mod patch;
pub mod schema;
mod server;
mod subresource;
pub mod tls;
mod watch;

pub use builtin::kinds;
pub use server::{
    ApiConfig, ApiLimits, ApiListener, ApiMetrics, ApiParts, ApiSecurity, ApiServer, DeclaredKinds, HealthCheck,
    HealthChecks, ListenError,
};
pub use subresource::{
    Subresource, SubresourceAnswer, SubresourceError, SubresourceMedia, SubresourceParameter, SubresourceRequest,
};
