//! [`Secret`]: a value that never shows.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is shown in a secret's place.
const REDACTED: &str = "<redacted>";

/// A value that is read from the configuration and never printed, logged or serialised again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The value itself: to be used, not to be kept or shown.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A URL whose user and password never show. The rest does.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretUrl(String);

impl SecretUrl {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL itself: to be used, not to be kept or shown.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it says who logs in.
    pub(crate) fn has_credentials(&self) -> bool {
        self.to_string() != self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (before, place) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("@", place));
        let shown = if before.is_empty() { "" } else { REDACTED };
        // A Unix socket has its user and password behind the path.
        match place.split_once('?') {
            Some((path, query)) if query.contains("pass") || query.contains("user") => {
                write!(f, "{scheme}://{shown}{before}{path}?{REDACTED}")
            }
            _ => write!(f, "{scheme}://{shown}{before}{place}"),
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t15_a_url_shows_where_but_not_who() {
        let url = SecretUrl::new("redis://ann:can@ry@host:1/2");
        for shown in [url.to_string(), format!("{url:?}"), serde_json::to_string(&url).unwrap()] {
            assert!(shown.contains("redis://<redacted>@host:1/2") && !shown.contains("ann"), "{shown}");
        }
        let socket = SecretUrl::new("unix:///run/redis.sock");
        assert_eq!((socket.to_string(), socket.has_credentials()), ("unix:///run/redis.sock".to_owned(), false));
        let socket = SecretUrl::new("unix:///run/redis.sock?user=ann&pass=can@ry&db=1");
        assert!(socket.has_credentials() && !format!("{socket} {socket:?}").contains("can"), "{socket}");
        let socket = SecretUrl::new("unix:///run/redis.sock?user=ann&pass=canary&db=1");
        assert_eq!(socket.to_string(), "unix:///run/redis.sock?<redacted>");
    }
}
