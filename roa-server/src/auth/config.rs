//! [`AuthConfig`]: how users are recognised. [`Authorization`]: how it is decided what they may do.

use std::path::PathBuf;

use roa_core::Violations;
use serde::{Deserialize, Serialize};

use crate::tls::TlsConfig;

/// `[server.auth]`: how users are recognised. Client certificates are another way, if `server.tls.client_ca_file` is
/// set. It names files; it holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AuthConfig {
    /// A file with the hashes of bearer tokens. Only its owner may read it.
    pub tokens_file: Option<PathBuf>,
    /// An issuer whose tokens are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcConfig>,
    /// Whether those who show nothing are let in as `system:anonymous` although there are ways to be recognised.
    pub anonymous: bool,
}

/// `[server.auth.oidc]`: an issuer whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OidcConfig {
    /// The issuer, exactly as its tokens name it in `iss`.
    #[serde(default)]
    pub issuer: String,
    /// The audience that tokens must be made for.
    #[serde(default)]
    pub audience: String,
    /// The issuer's keys, as a file with a JSON Web Key Set.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Where the issuer publishes its keys: `https`, or `http` on this machine. Without it and `jwks_file`, the issuer is
    /// asked, at `/.well-known/openid-configuration`.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Certificates in PEM of the authorities that the issuer is trusted by; those of the system if there is none.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The claim that names the user.
    #[serde(default = "username_claim")]
    pub username_claim: String,
    /// What user names begin with, so that the issuer can't name others.
    #[serde(default = "prefix")]
    pub username_prefix: String,
    /// The claim that names the groups: text or a list of texts.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// What group names begin with.
    #[serde(default = "prefix")]
    pub groups_prefix: String,
}

fn username_claim() -> String {
    "sub".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

fn prefix() -> String {
    "oidc:".to_owned()
}

/// `server.authorization`: how it is decided what users may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Authorization {
    /// Everybody who was let in may do everything.
    #[default]
    None,
    /// Roles and their bindings say it.
    Rbac,
}

impl AuthConfig {
    /// Whether there is any way to be recognised.
    #[must_use]
    pub const fn recognises_anybody(&self, tls: &TlsConfig) -> bool {
        self.tokens_file.is_some() || self.oidc.is_some() || tls.client_ca_file.is_some()
    }

    /// Everything that is wrong with it.
    #[must_use]
    pub fn validate(&self, tls: &TlsConfig, authorization: Authorization) -> Violations {
        let mut found = Violations::none();
        if authorization == Authorization::Rbac && !self.recognises_anybody(tls) {
            let reason = "nobody can be recognised, so nobody could do anything under rbac; expected tokens_file, oidc, or \
                          server.tls.client_ca_file";
            found.push("tokens_file", reason);
        }
        if let Some(oidc) = &self.oidc {
            found.merge(oidc.validate().nested("oidc"));
        }
        found
    }
}

impl OidcConfig {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = Violations::unless(
            cfg!(feature = "oidc"),
            "",
            "is set, but this build has no OIDC; expected one with the feature oidc",
        );
        for (path, value) in [
            ("issuer", &self.issuer),
            ("audience", &self.audience),
            ("username_claim", &self.username_claim),
            ("groups_claim", &self.groups_claim),
        ] {
            found.merge(Violations::unless(!value.is_empty(), path, "must not be empty"));
        }
        for (path, value) in [("username_prefix", &self.username_prefix), ("groups_prefix", &self.groups_prefix)] {
            let reason = "begins with system:, expected another prefix: those names are the server's own";
            found.merge(Violations::unless(!value.starts_with("system:"), path, reason));
        }
        match (&self.jwks_file, &self.jwks_url) {
            (Some(_), None) => {}
            (None, Some(url)) => found.merge(check_url("jwks_url", url)),
            // The issuer is asked where its keys are.
            (None, None) => found.merge(check_url("issuer", &self.issuer)),
            _ => found.push("jwks_url", "expected at most one of jwks_file and jwks_url"),
        }
        found
    }
}

/// Where keys may be fetched from.
pub(super) fn check_url(field: &str, url: &str) -> Violations {
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    let secure = url.starts_with("https://") || matches!(host, Some("localhost" | "127.0.0.1"));
    let mut found = Violations::unless(secure, field, "expected https://, or http:// on this machine");
    found.merge(Violations::unless(!url.contains('@'), field, "has credentials, expected none"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oidc() -> OidcConfig {
        serde_json::from_value(serde_json::json!({
            "issuer": "https://issuer.example.com", "audience": "roa", "jwks_url": "https://issuer.example.com/keys",
        }))
        .unwrap()
    }

    #[test]
    fn every_reason_is_given_at_once() {
        let wrong = OidcConfig {
            audience: String::new(),
            username_prefix: "system:".into(),
            jwks_url: Some("http://user@example.com/keys".into()),
            ..oidc()
        };
        let config = AuthConfig { oidc: Some(wrong), ..AuthConfig::default() };
        let found = config.validate(&TlsConfig::default(), Authorization::Rbac).to_string();
        for path in ["oidc.audience", "oidc.username_prefix", "oidc.jwks_url: expected https", "has credentials"] {
            assert!(found.contains(path), "{found}");
        }
        let both = OidcConfig { jwks_file: Some("keys".into()), ..oidc() };
        assert!(both.validate().to_string().contains("one of"));
        let neither = OidcConfig { jwks_url: None, issuer: "ftp://issuer.example.com".into(), ..oidc() };
        assert!(neither.validate().to_string().contains("issuer: expected https"));
        let neither = OidcConfig { jwks_url: None, ..oidc() };
        assert_eq!(neither.validate().is_empty(), cfg!(feature = "oidc"), "the issuer is asked");
    }

    #[test]
    fn rbac_without_anybody_to_recognise_is_refused() {
        let config = AuthConfig::default();
        assert!(!config.validate(&TlsConfig::default(), Authorization::Rbac).is_empty());
        assert!(config.validate(&TlsConfig::default(), Authorization::None).is_empty());
        let tls: TlsConfig =
            serde_json::from_value(serde_json::json!({"self_signed": true, "client_ca_file": "ca"})).unwrap();
        assert!(config.validate(&tls, Authorization::Rbac).is_empty());
    }

    #[test]
    fn an_issuer_can_name_nobody_else_by_default() {
        assert_eq!((&*oidc().username_prefix, &*oidc().groups_prefix), ("oidc:", "oidc:"));
        assert_eq!(oidc().validate().is_empty(), cfg!(feature = "oidc"));
    }
}
