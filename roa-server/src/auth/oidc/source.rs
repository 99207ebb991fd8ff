//! [`KeySource`]: where an issuer's keys come from, and how they are kept true.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Clock, ClockExt, Monotonic};
use tokio::sync::{Notify, watch};

use super::fetch::Fetcher;
use super::keys::{Key, KeySet};
use crate::auth::OidcConfig;
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
            (None, Some(url)) => {
                let fetcher = Fetcher::new(url, config.ca_file.as_deref())?;
                Ok(Self::Url(Published {
                    fetcher,
                    clock,
                    current: watch::Sender::new(Fetched { keys: Arc::default(), at: None }),
                    wanted: Notify::new(),
                }))
            }
            _ => Err("expected one of jwks_file and jwks_url".to_owned()),
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

/// Keys that the issuer publishes under a URL.
#[derive(Debug)]
pub(super) struct Published {
    fetcher: Fetcher,
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
            let fetched = self.fetcher.get(&*self.clock).await.and_then(|bytes| KeySet::parse(&bytes));
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
