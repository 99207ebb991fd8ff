//! [`ListenPolicy`]: where the API may be open to whom.

use std::net::SocketAddr;
use std::path::Path;

use thiserror::Error;

use super::{AuthConfig, Authorization};
use crate::tls::TlsConfig;

/// Where the API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener<'a> {
    /// On an address.
    Tcp(SocketAddr),
    /// On a Unix socket: who may reach it, its directory says.
    Unix(&'a Path),
}

/// Why the API may not listen there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Nobody would be recognised.
    #[error(
        "listen on {0}: whoever reaches it could do everything; expected server.auth.tokens_file, server.auth.oidc or \
         server.tls.client_ca_file, or an address such as 127.0.0.1 or a Unix socket"
    )]
    Open(SocketAddr),
    /// Those who show nothing could do everything.
    #[error(
        "listen on {0}: with server.auth.anonymous whoever reaches it could do everything; expected \
         server.authorization = \"rbac\" beside it, or anonymous = false"
    )]
    Anonymous(SocketAddr),
    /// Tokens and objects would be readable on the way.
    #[error(
        "listen on {0}: tokens and objects could be read on the way; expected server.tls.cert_file and key_file, or \
         server.tls.self_signed = true"
    )]
    Plaintext(SocketAddr),
}

/// Where the API may be open to whom: to everybody on this machine alone; elsewhere to those whom it recognises, over
/// TLS.
#[derive(Debug, Clone, Copy)]
pub struct ListenPolicy<'a> {
    /// How users are recognised.
    pub auth: &'a AuthConfig,
    /// How it is decided what they may do.
    pub authorization: Authorization,
    /// Whether and how connections are encrypted.
    pub tls: &'a TlsConfig,
}

impl ListenPolicy<'_> {
    /// Whether the API may listen there; gives what its operator should know.
    ///
    /// # Errors
    /// [`ListenError`], which says what to configure.
    pub fn check(&self, listener: Listener<'_>) -> Result<Vec<&'static str>, ListenError> {
        let Listener::Tcp(address) = listener else { return Ok(Vec::new()) };
        let recognises = self.auth.recognises_anybody(self.tls);
        // An address of IPv4 within one of IPv6 is the same place.
        if address.ip().to_canonical().is_loopback() {
            let deaf = recognises && !self.tls.is_enabled();
            let warning = "kubectl and other clients of client-go send no tokens without TLS: they will be answered 401; \
                           server.tls.self_signed = true helps";
            return Ok(if deaf { vec![warning] } else { Vec::new() });
        }
        if !recognises {
            return Err(ListenError::Open(address));
        }
        if self.auth.anonymous && self.authorization == Authorization::None {
            return Err(ListenError::Anonymous(address));
        }
        if self.tls.is_enabled() { Ok(Vec::new()) } else { Err(ListenError::Plaintext(address)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, auth: &AuthConfig, authorization: Authorization, self_signed: bool) -> String {
        let tls = TlsConfig { self_signed, ..TlsConfig::default() };
        let policy = ListenPolicy { auth, authorization, tls: &tls };
        match policy.check(Listener::Tcp(address.parse().unwrap())) {
            Ok(warnings) => format!("{}", warnings.len()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn t1_without_authentication_only_this_machine_is_served() {
        let nobody = AuthConfig::default();
        for address in ["127.0.0.1:1", "127.8.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(address, &nobody, Authorization::None, false), "0");
        }
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.5:1", "[::ffff:10.0.0.5]:1"] {
            assert!(check(address, &nobody, Authorization::None, true).contains("tokens_file"), "{address}");
        }
        let tls = TlsConfig::default();
        let policy = ListenPolicy { auth: &nobody, authorization: Authorization::None, tls: &tls };
        assert_eq!(policy.check(Listener::Unix(Path::new("socket"))), Ok(Vec::new()));
    }

    #[test]
    fn t3_other_machines_are_served_over_tls_only() {
        let tokens = AuthConfig { tokens_file: Some("tokens".into()), ..AuthConfig::default() };
        assert!(check("10.0.0.5:1", &tokens, Authorization::Rbac, false).contains("self_signed"));
        assert_eq!(check("10.0.0.5:1", &tokens, Authorization::Rbac, true), "0");
        assert_eq!(check("127.0.0.1:1", &tokens, Authorization::Rbac, false), "1", "kubectl sends no token");
    }

    #[test]
    fn t1_the_anonymous_are_let_in_from_elsewhere_only_under_rbac() {
        let tokens = AuthConfig { tokens_file: Some("t".into()), anonymous: true, ..AuthConfig::default() };
        assert!(check("10.0.0.5:1", &tokens, Authorization::None, true).contains("anonymous"));
        assert_eq!(check("10.0.0.5:1", &tokens, Authorization::Rbac, true), "0");
    }
}
