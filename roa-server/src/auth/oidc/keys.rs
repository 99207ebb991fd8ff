//! [`KeySet`]: the keys of an issuer.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value as Json;

/// No issuer has more keys at a time.
const MAX_KEYS: usize = 64;

/// A key that signs tokens, with the one algorithm that it is taken for.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The keys of an issuer that can verify tokens here: RSA with RS256, P-256 with ES256.
#[derive(Default)]
pub(super) struct KeySet(Vec<Arc<Key>>);

impl KeySet {
    /// The keys of a JSON Web Key Set. Keys of other sorts are left out; a secret one is never a public key.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Json>,
        }
        let set: Set =
            serde_json::from_slice(bytes).map_err(|error| format!("expected a JSON Web Key Set: {error}"))?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("{} keys, expected at most {MAX_KEYS}", set.keys.len()));
        }
        let keys: Vec<_> = set.keys.into_iter().filter_map(usable).map(Arc::new).collect();
        if keys.is_empty() { Err("no key, expected one for RS256 or ES256".to_owned()) } else { Ok(Self(keys)) }
    }

    /// The key of this id; of a token that names none, the only one that there is.
    pub(super) fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        match (id, &self.0[..]) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => None,
        }
    }
}

fn usable(key: Json) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let for_it = matches!(
        (algorithm, &jwk.common.key_algorithm),
        (_, None) | (Algorithm::RS256, Some(KeyAlgorithm::RS256)) | (Algorithm::ES256, Some(KeyAlgorithm::ES256))
    );
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| for_it && signs)?;
    Some(Key { id: jwk.common.key_id, algorithm, key })
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}
