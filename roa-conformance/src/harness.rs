//! [`Harness`]: what a case is given.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{Clock, Revision, Store};
use roa_runtime::{HubConfig, SystemClock, WatchHub};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::failure::{CaseFailure, Outcome};
use crate::watching::Hub;
use crate::{FreshOptions, Settings, StoreFactory};

/// What a case is given: the factory of the stores to test, and how much to do.
#[derive(Debug, Clone)]
pub(crate) struct Harness {
    pub(crate) factory: Arc<dyn StoreFactory>,
    pub(crate) settings: Settings,
    clock: Arc<dyn Clock>,
}

impl Harness {
    pub(crate) fn new(factory: Arc<dyn StoreFactory>, mut settings: Settings) -> Self {
        settings.scale *= factory.scale();
        Self { factory, settings, clock: Arc::new(SystemClock::new()) }
    }

    /// A client of a new store.
    pub(crate) async fn store(&self) -> Outcome<Client> {
        self.store_with(FreshOptions::default()).await
    }

    /// A client of a new store with these options.
    pub(crate) async fn store_with(&self, options: FreshOptions) -> Outcome<Client> {
        let store = self.within("make a new store", self.factory.fresh(options)).await??;
        Ok(self.client(store))
    }

    /// A client of a store.
    pub(crate) fn client(&self, store: Arc<dyn Store>) -> Client {
        Client::new(store, self.settings.patience)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// A hub over a client's store that tells its progress often and reads snapshots in small pages.
    pub(crate) async fn hub(&self, client: &Client) -> Outcome<Hub> {
        self.hub_with(client, HubConfig::default()).await
    }

    /// The same, with other bounds.
    pub(crate) async fn hub_with(&self, client: &Client, bounds: HubConfig) -> Outcome<Hub> {
        let config = HubConfig {
            page_size: 7,
            progress_interval: Duration::from_millis(50),
            retry_base: Duration::from_millis(1),
            retry_max: Duration::from_millis(50),
            ..bounds
        };
        let started = WatchHub::start(Arc::clone(&client.store), self.clock(), config);
        let hub = self.within("start a hub", started).await?.map_err(|error| failed("start a hub", error))?;
        Ok(Hub::new(hub, self.clock(), self.settings.patience))
    }

    /// The size of a heavy case.
    pub(crate) fn times(&self, full: usize, least: usize) -> usize {
        self.settings.times(full, least)
    }

    /// What a future gives, if it does so in time.
    pub(crate) async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> Outcome<T> {
        within(self.settings.patience, what, future).await
    }
}

/// What a future gives, if it does so in time.
pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> Outcome<T> {
    let given = tokio::time::timeout(limit, future).await;
    given.map_err(|_| CaseFailure::TimedOut { what: what.to_owned(), limit })
}

/// The failure of a call that must succeed.
pub(crate) fn failed(doing: &str, error: roa_core::Error) -> CaseFailure {
    CaseFailure::Store { doing: doing.to_owned(), error: Arc::new(error) }
}

/// What all tasks give, in no order; the first failure ends them all.
pub(crate) async fn all<T: 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut given = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        given.push(ended.unwrap_or_else(|panic| Err(CaseFailure::Panicked(panic.to_string())))?);
    }
    Ok(given)
}

/// The revision `by` after another.
pub(crate) fn later(revision: Revision, by: usize) -> Outcome<Revision> {
    shifted(revision.get().saturating_add(by as u64))
}

/// The revision `by` before another.
pub(crate) fn earlier(revision: Revision, by: usize) -> Outcome<Revision> {
    shifted(revision.get().saturating_sub(by as u64))
}

fn shifted(number: u64) -> Outcome<Revision> {
    Revision::new(number).map_err(|error| CaseFailure::Panicked(error.to_string()))
}
