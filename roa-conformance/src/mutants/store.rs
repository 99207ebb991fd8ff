//! [`Mutant`]: a good store that does one thing wrong.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{
    Capabilities, CommitError, Epoch, Health, Key, ListRequest, Page, Read, Result, Revision, Store, StoreId,
    StoreState, Tail, Txn,
};

use super::notes::Notes;
use super::{Mutation, commit, feed, lifecycle, read};

/// A good store that does one thing wrong.
#[derive(Debug)]
pub struct Mutant {
    pub(super) inner: Arc<dyn Store>,
    pub(super) mutation: Mutation,
    pub(super) notes: Arc<Notes>,
    /// Its head when it was opened again.
    pub(super) reopened_at: Option<Revision>,
}

impl Mutant {
    /// A mutant of a new store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, mutation: Mutation) -> Self {
        Self { inner, mutation, notes: Arc::default(), reopened_at: None }
    }

    /// A mutant of a store that was opened again.
    pub(super) async fn reopened(inner: Arc<dyn Store>, mutation: Mutation) -> Result<Self> {
        let reopened_at = Some(inner.state().await?.head);
        Ok(Self { reopened_at, ..Self::new(inner, mutation) })
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mutated by {:?}", self.inner, self.mutation)
    }
}

#[async_trait]
impl Store for Mutant {
    fn id(&self) -> StoreId {
        lifecycle::id(self)
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        match self.mutation {
            Mutation::Read(mutation) => read::get(self, mutation, key).await,
            Mutation::Lifecycle(mutation) => lifecycle::get(self, mutation, key).await,
            _ => self.inner.get(key).await,
        }
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        match self.mutation {
            Mutation::Read(mutation) => read::list(self, mutation, request).await,
            Mutation::Lifecycle(mutation) => lifecycle::list(self, mutation, request).await,
            _ => self.inner.list(request).await,
        }
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        match self.mutation {
            Mutation::Commit(mutation) => commit::commit(self, mutation, txn).await,
            Mutation::Feed(mutation) => feed::commit(self, mutation, txn).await,
            _ => self.inner.commit(txn).await,
        }
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        match self.mutation {
            Mutation::Feed(mutation) => feed::tail(self, mutation, after).await,
            Mutation::Lifecycle(mutation) => lifecycle::tail(self, mutation, after).await,
            _ => self.inner.tail(after).await,
        }
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.notes.compacted.store(true, std::sync::atomic::Ordering::SeqCst);
        match self.mutation {
            Mutation::Lifecycle(mutation) => lifecycle::compact(self, mutation, to).await,
            _ => self.inner.compact(to).await,
        }
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        match self.mutation {
            Mutation::Lifecycle(mutation) => lifecycle::fence(self, mutation, expected, highest).await,
            _ => self.inner.fence(expected, highest).await,
        }
    }

    async fn state(&self) -> Result<StoreState> {
        match self.mutation {
            Mutation::Lifecycle(mutation) => lifecycle::state(self, mutation).await,
            _ => self.inner.state().await,
        }
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
