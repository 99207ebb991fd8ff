//! Continue tokens: where the next page of a list begins, in a form that clients hand back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roa_core::{Continue, Key, KeyPrefix, Revision};
use serde::{Deserialize, Serialize};

use crate::http::ApiError;

/// Bytes of a token at most: a key has 1 KiB.
const MAX_BYTES: usize = 4 << 10;
/// The version of the form.
const VERSION: &str = "roa/v1";

#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: u64,
    start: String,
}

/// The token of a place.
pub(crate) fn encode(next: &Continue) -> String {
    let token = Token { v: VERSION.to_owned(), rv: next.revision.get(), start: next.after.encoded().to_owned() };
    // Three fields of text and numbers: there is no way to fail.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// The place of a token. Nothing of it is trusted: it may name no key outside of what is listed.
///
/// # Errors
/// 400 if it is none of ours, or leads elsewhere.
pub(crate) fn decode(token: &str, prefix: &KeyPrefix) -> Result<Continue, ApiError> {
    parse(token, prefix).ok_or_else(|| ApiError::bad_request("continue key is not valid"))
}

fn parse(token: &str, prefix: &KeyPrefix) -> Option<Continue> {
    if token.len() > MAX_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?;
    let Token { v, rv, start } = serde_json::from_slice(&bytes).ok()?;
    let after = Key::decode(&start).ok().filter(|key| prefix.contains(key))?;
    let revision = Revision::new(rv).ok()?;
    (v == VERSION).then_some(Continue { revision, after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> KeyPrefix {
        KeyPrefix::namespace("g", "things", "mine").unwrap()
    }

    fn place(namespace: &str) -> Continue {
        Continue { revision: Revision::new(7).unwrap(), after: Key::new("g", "things", namespace, "a").unwrap() }
    }

    #[test]
    fn a_token_leads_back_to_its_place() {
        assert_eq!(decode(&encode(&place("mine")), &prefix()).unwrap(), place("mine"));
    }

    #[test]
    fn t11_a_token_leads_nowhere_else() {
        let forged = |start: &str| {
            URL_SAFE_NO_PAD.encode(format!("{{\"v\":\"roa/v1\",\"rv\":7,\"start\":{}}}", serde_json::json!(start)))
        };
        let other = encode(&place("theirs"));
        for bad in ["", "x", "!!!!", &other, &forged("../../etc"), &forged(""), &"a".repeat(5000)] {
            assert_eq!(decode(bad, &prefix()).unwrap_err().code, 400, "{bad:?}");
        }
    }
}
