//! [`DeadlineStore`]: a store whose every answer comes within a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Capabilities, Clock, ClockExt, CommitError, Epoch, Error, Health, Key, ListRequest, Page, Read, Result, Revision,
    Store, StoreId, StoreState, Tail, Txn,
};

/// A store around a store: what does not answer in time is `Unavailable`, and a commit that does not is `Ambiguous`,
/// since it may yet happen. A change feed waits as long as it must.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use roa_core::Store;
/// # use roa_runtime::{DeadlineStore, SystemClock};
/// fn impatient(store: Arc<dyn Store>) -> DeadlineStore {
///     DeadlineStore::new(store, Arc::new(SystemClock::new()), Duration::from_secs(5))
/// }
/// ```
#[derive(Debug)]
pub struct DeadlineStore {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limit: Duration,
}

impl DeadlineStore {
    /// `inner`, with at most `limit` for each answer by `clock`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>, limit: Duration) -> Self {
        Self { inner, clock, limit }
    }

    async fn within<T>(&self, what: &str, answer: impl Future<Output = Result<T>> + Send) -> Result<T> {
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.clock.sleep(self.limit) => Err(Error::unavailable(self.too_late(what))),
        }
    }

    fn too_late(&self, what: &str) -> String {
        format!("{what}: no answer within {:?}", self.limit)
    }
}

impl fmt::Display for DeadlineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Store for DeadlineStore {
    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.within("get", self.inner.get(key)).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.within("list", self.inner.list(request)).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let id = txn.id;
        tokio::select! {
            biased;
            answer = self.inner.commit(txn) => answer,
            () = self.clock.sleep(self.limit) => {
                Err(CommitError::Ambiguous { txn: id, reason: self.too_late("commit").into() })
            }
        }
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        self.within("tail", self.inner.tail(after)).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.within("compact", self.inner.compact(to)).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.within("fence", self.inner.fence(expected, highest)).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.within("state", self.inner.state()).await
    }

    async fn health(&self) -> Health {
        tokio::select! {
            biased;
            health = self.inner.health() => health,
            () = self.clock.sleep(self.limit) => Health::Failing(self.too_late("health")),
        }
    }
}
