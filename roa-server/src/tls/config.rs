//! [`TlsConfig`]: where the certificate comes from.

use std::path::PathBuf;

use roa_core::Violations;
use serde::{Deserialize, Serialize};

/// `[server.tls]`: where the certificate comes from. It names files; it holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The certificate in PEM, followed by those of the authorities between it and a root.
    pub cert_file: Option<PathBuf>,
    /// The certificate's key in PEM. Only its owner may read the file.
    pub key_file: Option<PathBuf>,
    /// Certificates in PEM of the authorities whose client certificates are taken. Clients need not have one.
    pub client_ca_file: Option<PathBuf>,
    /// Whether a certificate is made where none is configured, and kept in the data directory.
    pub self_signed: bool,
}

impl TlsConfig {
    /// Whether connections are encrypted.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.self_signed || self.cert_file.is_some()
    }

    /// Everything that is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = Violations::none();
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => found.push("key_file", "missing, expected the key of cert_file"),
            (None, Some(_)) => found.push("cert_file", "missing, expected the certificate of key_file"),
            _ => {}
        }
        if self.self_signed && self.cert_file.is_some() {
            found.push("self_signed", "is true beside cert_file, expected one of the two");
        }
        if self.client_ca_file.is_some() && !self.is_enabled() {
            found.push("client_ca_file", "is set without TLS, expected cert_file and key_file, or self_signed = true");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_given_at_once() {
        let path = || Some(PathBuf::from("x"));
        let config = TlsConfig { cert_file: path(), self_signed: true, ..TlsConfig::default() };
        assert_eq!(config.validate().iter().count(), 2);
        let config = TlsConfig { client_ca_file: path(), key_file: path(), ..TlsConfig::default() };
        assert_eq!(config.validate().iter().count(), 2);
        assert!(TlsConfig { self_signed: true, client_ca_file: path(), ..TlsConfig::default() }.validate().is_empty());
        assert!(TlsConfig::default().validate().is_empty() && !TlsConfig::default().is_enabled());
    }
}
