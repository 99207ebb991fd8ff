//! Tokens of an issuer: JSON Web Tokens as OpenID Connect has them, verified with the keys that the issuer publishes.
//!
//! # Layout
//! - [`Oidc`]: whose token it is
//! - `keys`: a set of keys, and which of them a token was signed with
//! - `source`: keys from a file or from where the issuer publishes them; `fetch`: one GET
//! - `provider`: signatures by ring

mod claims;
mod fetch;
mod keys;
mod provider;
mod source;

use std::sync::Arc;

use jsonwebtoken::{Validation, decode, decode_header};
use roa_core::Clock;
use serde_json::{Map, Value as Json};

use self::keys::Key;
use self::source::KeySource;
use super::{AuthenticatorError, OidcConfig, Unauthenticated, User};

/// Recognises the bearers of an issuer's tokens.
#[derive(Debug)]
pub(super) struct Oidc {
    config: OidcConfig,
    keys: KeySource,
    clock: Arc<dyn Clock>,
}

impl Oidc {
    /// Reads the keys if they are in a file. Blocks.
    pub(super) fn open(config: OidcConfig, clock: Arc<dyn Clock>) -> Result<Self, AuthenticatorError> {
        provider::install();
        let failed = |reason| AuthenticatorError::Oidc { issuer: config.issuer.clone(), reason };
        let keys = KeySource::open(&config, Arc::clone(&clock)).map_err(failed)?;
        Ok(Self { config, keys, clock })
    }

    /// Keeps the keys true, until dropped.
    pub(super) async fn run(&self) {
        self.keys.run(&*self.clock).await;
    }

    /// Whose token it is, if it is one of the issuer's for this server, now.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn verify(&self, token: &str) -> Result<User, Unauthenticated> {
        let refused = |reason: String| Unauthenticated::because(format!("the token {reason}"));
        let header = decode_header(token).map_err(|error| refused(format!("is no JSON Web Token: {error}")))?;
        let key = self.keys.find(header.kid.as_deref()).await.map_err(|reason| refused(reason.to_owned()))?;
        let claims = self.signed_claims(token, &key).map_err(refused)?;
        claims::user(&claims, &self.config, self.clock.now()).map_err(|reason| refused(reason.to_owned()))
    }

    /// The claims of a token that this key signed. The algorithm is the key's, whatever the token says.
    fn signed_claims(&self, token: &str, key: &Key) -> Result<Map<String, Json>, String> {
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // By the injected clock, in `claims`.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let data = decode::<Map<String, Json>>(token, &key.key, &validation);
        data.map(|data| data.claims).map_err(|error| format!("is refused: {error}"))
    }
}

#[cfg(test)]
mod tests;
