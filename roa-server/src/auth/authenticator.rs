//! [`Authenticator`]: recognises who asks.

use std::path::PathBuf;
use std::sync::Arc;

use roa_core::Clock;
use rustls_pki_types::CertificateDer;
use thiserror::Error;

use super::metrics::AuthMetrics;
use super::tokens::{TokenFileError, TokenList};
use super::{AuthConfig, User, certificate};
use crate::files::Reloaded;
use crate::tls::TlsConfig;

/// No token is longer.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// What a request shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The header `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The certificates of the client, its own first, which TLS has verified: rustls' `peer_certificates()`.
    pub certificates: Option<&'a [CertificateDer<'a>]>,
}

/// Nobody who is known: 401. Why, only the server's log should say.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("recognise a user: {reason}")]
pub struct Unauthenticated {
    reason: String,
}

impl Unauthenticated {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Why users can't be recognised as configured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuthenticatorError {
    /// The token file can't be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The issuer's keys can't be used.
    #[error("use the keys of the issuer {issuer}: {reason}")]
    Oidc {
        /// Which issuer.
        issuer: String,
        /// Why not.
        reason: String,
    },
}

/// Recognises who asks: by a client certificate, a static token, a token of an issuer; in this order.
///
/// Where none of these is configured, everybody is `system:anonymous`: [`ListenPolicy`](super::ListenPolicy) sees to it
/// that only this machine is served then.
#[derive(Debug)]
pub struct Authenticator {
    tokens: Option<Arc<Reloaded<TokenList, TokenFileError>>>,
    #[cfg(feature = "oidc")]
    oidc: Option<Arc<super::oidc::Oidc>>,
    certificates: bool,
    /// Whether those who show nothing are let in.
    anonymous: bool,
    clock: Arc<dyn Clock>,
    metrics: AuthMetrics,
}

impl Authenticator {
    /// Recognises users as configured; `clock` is the machine's, for expiries. Blocks.
    ///
    /// # Errors
    /// [`AuthenticatorError`], which names the file and what was expected.
    pub fn open(
        config: &AuthConfig,
        tls: &TlsConfig,
        clock: Arc<dyn Clock>,
        metrics: AuthMetrics,
    ) -> Result<Self, AuthenticatorError> {
        let tokens = config.tokens_file.clone().map(open_tokens).transpose()?;
        Ok(Self {
            tokens,
            #[cfg(feature = "oidc")]
            oidc: config
                .oidc
                .clone()
                .map(|oidc| super::oidc::Oidc::open(oidc, Arc::clone(&clock)))
                .transpose()?
                .map(Arc::new),
            certificates: tls.client_ca_file.is_some(),
            anonymous: config.anonymous || !config.recognises_anybody(tls),
            clock,
            metrics,
        })
    }

    /// Whether there is a way to be recognised.
    #[must_use]
    pub fn recognises_anybody(&self) -> bool {
        self.takes_tokens() || self.certificates
    }

    /// Whether those who show nothing are let in.
    #[must_use]
    pub const fn lets_anybody_in(&self) -> bool {
        self.anonymous
    }

    /// Who shows these credentials. Credentials that are wrong are never taken for none.
    ///
    /// # Errors
    /// [`Unauthenticated`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<User, Unauthenticated> {
        let (method, found) = self.recognise(credentials).await;
        self.metrics.authenticated(method, found.is_ok());
        found
    }

    async fn recognise(&self, credentials: &Credentials<'_>) -> (&'static str, Result<User, Unauthenticated>) {
        if let Some(certificate) = credentials.certificates.and_then(<[_]>::first).filter(|_| self.certificates) {
            return ("certificate", certificate::user(certificate, self.clock.now()).map_err(Unauthenticated::because));
        }
        match credentials.authorization {
            // Where nobody can be recognised, what is shown counts for nothing.
            Some(_) if !self.takes_tokens() && self.anonymous => ("none", Ok(User::anonymous())),
            Some(header) => match bearer(header) {
                Ok(token) => self.bearer(token).await,
                Err(error) => ("token", Err(error)),
            },
            None if self.anonymous => ("none", Ok(User::anonymous())),
            None => ("none", Err(Unauthenticated::because("the request shows nothing"))),
        }
    }

    fn takes_tokens(&self) -> bool {
        #[cfg(feature = "oidc")]
        if self.oidc.is_some() {
            return true;
        }
        self.tokens.is_some()
    }

    async fn bearer(&self, token: &str) -> (&'static str, Result<User, Unauthenticated>) {
        if let Some(user) = self.tokens.as_ref().and_then(|list| list.get().find(token, self.clock.now()).cloned()) {
            return ("token", Ok(user));
        }
        #[cfg(feature = "oidc")]
        if let Some(oidc) = &self.oidc {
            return ("oidc", oidc.verify(token).await);
        }
        // What can wait here is behind the feature.
        std::future::ready(("token", Err(Unauthenticated::because("the token is unknown or has expired")))).await
    }

    /// Loads files and keys again whenever they change, until dropped.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn run(&self) {
        let tokens = async {
            if let Some(tokens) = &self.tokens {
                Arc::clone(tokens).run("tokens", &*self.clock).await;
            }
        };
        #[cfg(feature = "oidc")]
        let keys = async {
            if let Some(oidc) = &self.oidc {
                oidc.run().await;
            }
        };
        #[cfg(not(feature = "oidc"))]
        let keys = async {};
        futures_util::join!(tokens, keys);
        std::future::pending::<()>().await;
    }

    /// How often the token file was loaded again, and how often that failed.
    #[must_use]
    pub fn token_reloads(&self) -> (u64, u64) {
        self.tokens.as_ref().map_or((0, 0), |tokens| tokens.counts())
    }

    /// Loads the token file again if it changed, and says whether it did. Blocks.
    ///
    /// # Errors
    /// [`TokenFileError`]; then the tokens that were loaded before stay.
    pub fn refresh_tokens(&self) -> Result<bool, TokenFileError> {
        self.tokens.as_ref().map_or(Ok(false), |tokens| tokens.refresh())
    }
}

fn open_tokens(path: PathBuf) -> Result<Arc<Reloaded<TokenList, TokenFileError>>, TokenFileError> {
    Ok(Arc::new(Reloaded::open(vec![path.clone()], move || TokenList::read(&path))?))
}

/// The token of a header `Authorization: Bearer TOKEN`.
fn bearer(header: &[u8]) -> Result<&str, Unauthenticated> {
    let wrong = || Unauthenticated::because("its header Authorization is no Bearer and a token");
    if header.len() > MAX_TOKEN_BYTES {
        return Err(wrong());
    }
    let (scheme, token) =
        std::str::from_utf8(header).ok().and_then(|header| header.split_once(' ')).ok_or_else(wrong)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use futures_util::FutureExt;
    use roa_core::{ManualClock, Timestamp};
    use secrecy::ExposeSecret;

    use super::*;
    use crate::auth::NewToken;

    fn open(auth: &AuthConfig) -> Authenticator {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap()));
        Authenticator::open(auth, &TlsConfig::default(), clock, AuthMetrics::default()).unwrap()
    }

    fn write(path: &Path, text: &str) {
        let new = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        fs::rename(&new, path).unwrap();
    }

    fn ask(authenticator: &Authenticator, header: Option<&str>) -> Result<String, String> {
        let credentials = Credentials { authorization: header.map(str::as_bytes), certificates: None };
        let found = authenticator.authenticate(&credentials).now_or_never().unwrap();
        found.map(|user| user.name).map_err(|error| error.to_string())
    }

    #[test]
    fn t1_who_shows_nothing_or_something_wrong_is_let_in_only_where_nobody_is_recognised() {
        let open_to_all = open(&AuthConfig::default());
        assert_eq!(ask(&open_to_all, None).unwrap(), "system:anonymous");
        assert_eq!(ask(&open_to_all, Some("Bearer whatever")).unwrap(), "system:anonymous");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let token = NewToken::generate("alice", &[]).unwrap();
        write(&path, &token.line);
        let mut config = AuthConfig { tokens_file: Some(path), ..AuthConfig::default() };
        for anonymous in [false, true] {
            config.anonymous = anonymous;
            let tokens = open(&config);
            assert_eq!(ask(&tokens, None).is_ok(), anonymous);
            let token = token.token.expose_secret();
            for good in [format!("Bearer {token}"), format!("bearer  {token} ")] {
                assert_eq!(ask(&tokens, Some(&good)).unwrap(), "alice");
            }
            for wrong in ["", "Bearer", "Bearer ", "Bearer x", &format!("Basic {token}"), token] {
                assert!(ask(&tokens, Some(wrong)).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn tokens_are_as_the_file_says_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let [old, new] = ["old", "new"].map(|name| NewToken::generate(name, &[]).unwrap());
        write(&path, &old.line);
        let tokens = open(&AuthConfig { tokens_file: Some(path.clone()), ..AuthConfig::default() });
        let header = |token: &NewToken| format!("Bearer {}", token.token.expose_secret());
        assert!(ask(&tokens, Some(&header(&old))).is_ok() && ask(&tokens, Some(&header(&new))).is_err());
        write(&path, "no tokens at all");
        assert!(tokens.refresh_tokens().is_err() && ask(&tokens, Some(&header(&old))).is_ok(), "what was loaded stays");
        write(&path, &new.line);
        assert!(tokens.refresh_tokens().unwrap() && tokens.token_reloads() == (1, 1));
        assert!(ask(&tokens, Some(&header(&old))).is_err() && ask(&tokens, Some(&header(&new))).is_ok());
    }

    #[test]
    fn t14_a_refusal_does_not_repeat_what_was_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        write(&path, "");
        let tokens = open(&AuthConfig { tokens_file: Some(path), ..AuthConfig::default() });
        for header in ["Bearer canary-1234", "canary-1234"] {
            assert!(!ask(&tokens, Some(header)).unwrap_err().contains("canary"));
        }
        assert!(!format!("{tokens:?}").contains("canary"));
    }
}
