//! Which stores: `sqlite:PATH`, a path, or the URL of a Redis with `?name=NAME`.

use anyhow::bail;

use crate::config::settings::{StoreBackend, StoreConfig};
use crate::config::{REDIS_SCHEMES, SecretUrl};

/// The store at an address; what the address does not say is as configured. Without an address: the configured store.
///
/// # Errors
/// It is no address, or names a store that does not outlive a process. The address is not repeated: it may have a
/// password in it.
pub(super) fn parse(text: Option<&str>, configured: &StoreConfig) -> anyhow::Result<StoreConfig> {
    let mut store = configured.clone();
    match text {
        None => {}
        Some(url) if REDIS_SCHEMES.iter().any(|scheme| url.starts_with(scheme)) => redis(url, &mut store),
        Some(text) => {
            let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
            if path.is_empty() || path.contains("://") {
                bail!("expected sqlite:PATH, a path, redis://HOST, rediss://HOST or unix:///PATH");
            }
            (store.backend, store.sqlite.path) = (StoreBackend::Sqlite, path.into());
        }
    }
    if store.backend == StoreBackend::Memory {
        bail!("store.backend is \"memory\", which is gone when roa ends, expected another store");
    }
    Ok(store)
}

fn redis(url: &str, store: &mut StoreConfig) {
    let (url, name) = split_name(url);
    store.backend = StoreBackend::Redis;
    let redis = &mut store.redis;
    redis.url = SecretUrl::new(url);
    redis.name = name.unwrap_or_else(|| redis.name.clone());
    // They would lead to another server than the one that is named here.
    redis.sentinels = None;
    if redis.url.has_credentials() {
        (redis.username, redis.password, redis.password_file) = (None, None, None);
    }
}

/// The URL without `name`, and that name.
fn split_name(url: &str) -> (String, Option<String>) {
    let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (named, others): (Vec<_>, Vec<_>) = query.split('&').partition(|parameter| parameter.starts_with("name="));
    let name = named.first().and_then(|parameter| parameter.strip_prefix("name=")).map(str::to_owned);
    let url = if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
    (url, name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::settings::Config;

    fn at(text: &str) -> StoreConfig {
        let mut configured = Config::default().store;
        configured.redis.name = "configured".to_owned();
        configured.redis.username = Some("ann".to_owned());
        configured.redis.sentinels = Some("one:1".to_owned());
        parse(Some(text), &configured).unwrap()
    }

    #[test]
    fn a_path_is_a_database_with_or_without_its_scheme() {
        for (text, path) in [("a.db", "a.db"), ("sqlite:a.db", "a.db"), ("sqlite:///x/a.db", "/x/a.db")] {
            let store = at(text);
            assert_eq!((store.backend, store.sqlite.path.as_path()), (StoreBackend::Sqlite, Path::new(path)));
        }
    }

    #[test]
    fn a_url_names_server_and_store_and_sentinels_of_another_are_not_asked() {
        let store = at("unix:///run/redis.sock?db=1&name=school").redis;
        assert_eq!((store.url.expose(), store.name.as_str()), ("unix:///run/redis.sock?db=1", "school"));
        assert_eq!((store.sentinels, store.username.as_deref()), (None, Some("ann")));
        let store = at("redis://localhost?name=a").redis;
        assert_eq!((store.url.expose(), store.name.as_str()), ("redis://localhost", "a"));
        assert_eq!(at("rediss://localhost/2").redis.name, "configured");
    }

    #[test]
    fn r13_the_credentials_of_a_url_are_not_mixed_with_the_configured_ones() {
        assert_eq!(at("redis://:secret@localhost").redis.username, None);
    }

    #[test]
    fn t15_what_is_no_address_is_refused_and_not_repeated() {
        for wrong in ["", "sqlite:", "http://ann:canary@host", "redis+tls://:canary@host"] {
            let refused = parse(Some(wrong), &Config::default().store).unwrap_err().to_string();
            assert!(refused.starts_with("expected sqlite:PATH") && !refused.contains("canary"), "{refused}");
        }
        let mut memory = Config::default().store;
        memory.backend = StoreBackend::Memory;
        assert!(parse(None, &memory).is_err());
    }
}
