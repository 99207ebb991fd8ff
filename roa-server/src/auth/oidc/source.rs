//! [`KeySource`]: where an issuer's keys come from, and how they are kept true.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roa_core::{Clock, ClockExt, Monotonic};
use serde_json::Value as Json;
use tokio::sync::{Notify, watch};

use super::fetch::Fetcher;
use super::keys::{Key, KeySet};
use crate::auth::OidcConfig;
use crate::auth::config::check_url;
use crate::files::{Reloaded, read_file};

/// How often keys are fetched again.
const REFRESH: Duration = Duration::from_secs(300);
/// How long after a fetch no other is made, whatever keys tokens name.
const COOL_DOWN: Duration = Duration::from_secs(10);
/// How long a token of a new key waits for it.
const WAIT: Duration = Duration::from_secs(5);
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where an issuer's keys come from.
#[derive(Debug)]
pub(super) enum KeySource {
    File(Arc<Reloaded<KeySet, String>>),
    Url(Published),
}

impl KeySource {
    /// Reads them if they are in a file; others are fetched as soon as [`KeySource::run`] runs.
    pub(super) fn open(config: &OidcConfig, clock: Arc<dyn Clock>) -> Result<Self, String> {
        match (&config.jwks_file, &config.jwks_url) {
            (Some(path), None) => {
                let file = path.clone();
                let keys = Reloaded::open(vec![path.clone()], move || read(&file))?;
                Ok(Self::File(Arc::new(keys)))
            }
            (None, url) => {
                let place = Place::of(&config.issuer, url.as_deref(), config.ca_file.as_deref())?;
                Ok(Self::Url(Published {
                    place,
                    clock,
                    current: watch::Sender::new(Fetched { keys: Arc::default(), at: None }),
                    wanted: Notify::new(),
                }))
            }
            _ => Err("expected at most one of jwks_file and jwks_url".to_owned()),
        }
    }

    pub(super) async fn run(&self, clock: &dyn Clock) {
        match self {
            Self::File(keys) => Arc::clone(keys).run("keys of the OIDC issuer", clock).await,
            Self::Url(published) => published.run().await,
        }
    }

    /// The key of this id; one that is new is fetched, if the last fetch is long enough ago.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Arc<Key>, &'static str> {
        match self {
            Self::File(keys) => keys.get().find(id).ok_or("names no key of its issuer"),
            Self::Url(published) => published.find(id).await.ok_or("names no key that its issuer has published"),
        }
    }
}

fn read(path: &Path) -> Result<KeySet, String> {
    let bytes = read_file(path, MAX_FILE_BYTES).map_err(|error| error.to_string())?;
    KeySet::parse(&bytes).map_err(|reason| format!("read {}: {reason}", path.display()))
}

/// Where an issuer publishes its keys.
#[derive(Debug)]
enum Place {
    /// Here.
    Keys(Fetcher),
    /// The issuer says it here.
    Configuration { issuer: String, fetcher: Fetcher },
}

impl Place {
    fn of(issuer: &str, url: Option<&str>, ca_file: Option<&Path>) -> Result<Self, String> {
        match url {
            Some(url) => Fetcher::new(url, ca_file).map(Self::Keys),
            None => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                Ok(Self::Configuration { issuer: issuer.to_owned(), fetcher: Fetcher::new(&url, ca_file)? })
            }
        }
    }

    async fn get(&self, clock: &dyn Clock) -> Result<Bytes, String> {
        match self {
            Self::Keys(fetcher) => fetcher.get(clock).await,
            Self::Configuration { issuer, fetcher } => {
                let url = keys_url(issuer, &fetcher.get(clock).await?)?;
                fetcher.elsewhere(&url)?.get(clock).await
            }
        }
    }
}

/// Where the keys are, as the configuration of an issuer says it. One that names another issuer is not believed.
fn keys_url(issuer: &str, configuration: &[u8]) -> Result<String, String> {
    let told: Json = serde_json::from_slice(configuration).map_err(|_| "the issuer's configuration is no JSON")?;
    if told["issuer"] != issuer {
        return Err(format!("the configuration is of the issuer {}, expected {issuer:?}", told["issuer"]));
    }
    let url = told["jwks_uri"].as_str().ok_or("the issuer's configuration names no jwks_uri")?;
    check_url("jwks_uri", url).into_result().map_err(|found| found.to_string())?;
    Ok(url.to_owned())
}

/// Keys that the issuer publishes under a URL.
#[derive(Debug)]
pub(super) struct Published {
    place: Place,
    clock: Arc<dyn Clock>,
    current: watch::Sender<Fetched>,
    /// Somebody shows a token of a key that is not known.
    wanted: Notify,
}

#[derive(Debug, Clone)]
struct Fetched {
    keys: Arc<KeySet>,
    /// When it was last tried to fetch them.
    at: Option<Monotonic>,
}

impl Published {
    async fn run(&self) {
        loop {
            let fetched = self.place.get(&*self.clock).await.and_then(|bytes| KeySet::parse(&bytes));
            let at = Some(self.clock.monotonic());
            self.current.send_modify(|current| {
                current.at = at;
                match fetched {
                    Ok(keys) => current.keys = Arc::new(keys),
                    Err(error) => {
                        tracing::warn!(%error, "the keys of the OIDC issuer can't be fetched; those before stay");
                    }
                }
            });
            self.clock.sleep(COOL_DOWN).await;
            tokio::select! {
                () = self.clock.sleep(REFRESH - COOL_DOWN) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    async fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        let mut current = self.current.subscribe();
        let Fetched { keys, at } = current.borrow_and_update().clone();
        let fresh = at.is_some_and(|at| self.clock.monotonic().saturating_since(at) < COOL_DOWN);
        if let found @ Some(_) = keys.find(id) {
            return found;
        }
        // Else anybody could have keys fetched at will.
        if fresh {
            return None;
        }
        self.wanted.notify_one();
        tokio::select! {
            _ = current.changed() => {}
            () = self.clock.sleep(WAIT) => {}
        }
        current.borrow().keys.find(id)
    }
}
