//! TLS for the API: certificates from files that may change, or one that is made at the first start.
//!
//! # Layout
//! - [`TlsConfig`]: the table `server.tls`
//! - [`ServerTls`]: what connections are accepted with
//! - `pem`: certificates and keys from files
//! - `self_signed`: a certificate of the own making

mod config;
mod pem;
mod self_signed;
mod server;

pub use crate::files::FileError;
pub use config::TlsConfig;
pub use server::{ServerTls, TlsError};

#[cfg(test)]
mod tests;
