//! Whose token it is, and when it holds, by its claims.

use std::time::Duration;

use roa_core::Timestamp;
use serde_json::{Map, Value as Json};

use crate::auth::{OidcConfig, User};

/// How far the issuer's clock may be from this machine's.
const SKEW: Duration = Duration::from_secs(60);
const MAX_NAME_BYTES: usize = 512;
const MAX_GROUPS: usize = 1_000;

/// The user of a token whose signature, issuer and audience were verified.
pub(super) fn user(claims: &Map<String, Json>, config: &OidcConfig, now: Timestamp) -> Result<User, &'static str> {
    let expires = time(claims, "exp")?.ok_or("has no expiry")?;
    if now >= expires.saturating_add(SKEW) {
        return Err("has expired");
    }
    if time(claims, "nbf")?.is_some_and(|begins| now.saturating_add(SKEW) < begins) {
        return Err("does not hold yet");
    }
    let own = claims.get(&config.username_claim).and_then(Json::as_str).ok_or("has no claim that names the user")?;
    if config.username_claim == "email" && claims.get("email_verified").is_some_and(|verified| *verified != true) {
        return Err("has an email that its issuer did not verify");
    }
    let name = named(&config.username_prefix, own)?;
    let groups: Result<Vec<String>, _> = groups(claims.get(&config.groups_claim))?
        .into_iter()
        .map(|group| named(&config.groups_prefix, group))
        .collect();
    Ok(User::new(name, groups?))
}

/// A time in seconds; a fraction counts for nothing.
fn time(claims: &Map<String, Json>, claim: &str) -> Result<Option<Timestamp>, &'static str> {
    let Some(value) = claims.get(claim).filter(|value| !value.is_null()) else { return Ok(None) };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float beyond all seconds becomes the last one, then no time"
    )]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
    seconds.and_then(Timestamp::from_unix_seconds).map(Some).ok_or("has a time that is none")
}

fn groups(claim: Option<&Json>) -> Result<Vec<&str>, &'static str> {
    let wrong = "has a claim of groups that is neither text nor a list of texts";
    match claim {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::String(group)) => Ok(vec![group]),
        Some(Json::Array(groups)) if groups.len() <= MAX_GROUPS => {
            groups.iter().map(|group| group.as_str().ok_or(wrong)).collect()
        }
        Some(_) => Err(wrong),
    }
}

/// A name with its prefix, if it is one that an issuer may give.
fn named(prefix: &str, name: &str) -> Result<String, &'static str> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
        return Err("has a name that is empty, too long, or not printable");
    }
    let name = format!("{prefix}{name}");
    if name.starts_with("system:") { Err("has a name that begins with system:") } else { Ok(name) }
}
