//! `[server]`: the API, and what clients can take of it.

use roa_server::ApiLimits;
use roa_server::audit::AuditConfig;
use roa_server::auth::{AuthConfig, Authorization};
use roa_server::tls::TlsConfig;
use serde::{Deserialize, Serialize};

/// `[server]`: the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerConfig {
    /// An address and a port, or a Unix socket as `unix:PATH`; empty for no server.
    pub(crate) listen: String,
    pub(crate) authorization: Authorization,
    pub(crate) tls: TlsConfig,
    pub(crate) auth: AuthConfig,
    pub(crate) audit: AuditConfig,
    pub(crate) limits: ServerLimits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            authorization: Authorization::None,
            tls: TlsConfig::default(),
            auth: AuthConfig::default(),
            audit: AuditConfig::default(),
            limits: ServerLimits::default(),
        }
    }
}

/// `[server.limits]`: what clients can take of the API at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerLimits {
    pub(crate) connections: usize,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) watches: usize,
    /// Of one user, where users are recognised.
    pub(crate) requests_per_user: usize,
    pub(crate) watches_per_user: usize,
}

impl ServerLimits {
    /// Puts them where the server reads them.
    pub(crate) const fn put_in(self, limits: &mut ApiLimits) {
        limits.connections = self.connections;
        limits.reads = self.reads;
        limits.writes = self.writes;
        limits.watches = self.watches;
        limits.requests_per_user = self.requests_per_user;
        limits.watches_per_user = self.watches_per_user;
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        let limits = ApiLimits::default();
        Self {
            connections: limits.connections,
            reads: limits.reads,
            writes: limits.writes,
            watches: limits.watches,
            requests_per_user: limits.requests_per_user,
            watches_per_user: limits.watches_per_user,
        }
    }
}
