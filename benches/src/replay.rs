//! [`ReplayStore`]: a store that gives a prepared log, so that only the hub is measured.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::{
    Batch, Capabilities, CommitError, Epoch, Error, Health, Key, ListRequest, Page, Read, Result, Revision, Store,
    StoreId, StoreState, Tail, Txn,
};
use tokio::sync::watch;

/// How many batches its feed gives at a time.
const CHUNK: usize = 1;

/// A store whose change feed gives prepared batches once it is released, and that can do nothing else.
#[derive(Debug)]
pub struct ReplayStore {
    batches: Arc<Vec<Arc<Batch>>>,
    state: StoreState,
    capabilities: Capabilities,
    released: watch::Sender<bool>,
}

impl ReplayStore {
    /// A store whose head is `head`, and whose feed will give `batches`.
    #[must_use]
    pub fn new(batches: Arc<Vec<Arc<Batch>>>, head: Revision) -> Self {
        let state = StoreState { head, floor: head, epoch: Epoch { counter: 1, nonce: 1 } };
        Self { batches, state, capabilities: Capabilities::volatile(), released: watch::channel(false).0 }
    }

    /// Lets the feed give its batches.
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}

impl fmt::Display for ReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("replay")
    }
}

#[async_trait]
impl Store for ReplayStore {
    fn id(&self) -> StoreId {
        StoreId(uuid::Uuid::nil())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, _key: &Key) -> Result<Read> {
        Ok(Read { entry: None, revision: self.state.head })
    }

    async fn list(&self, _request: ListRequest) -> Result<Page> {
        Ok(Page { entries: Vec::new(), revision: self.state.head, next: None })
    }

    async fn commit(&self, _txn: Txn) -> Result<Revision, CommitError> {
        Err(CommitError::Unavailable { reason: "a replay takes no writes".into() })
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        let mut released = self.released.subscribe();
        let batches = Arc::clone(&self.batches);
        let feed = stream::once(async move {
            let _ = released.wait_for(|released| *released).await;
        });
        let chunks = (0..self.batches.len()).step_by(CHUNK);
        let feed = feed.flat_map(move |()| {
            let batches = Arc::clone(&batches);
            stream::iter(chunks.clone()).map(move |from| Ok(batches[from..batches.len().min(from + CHUNK)].to_vec()))
        });
        let feed = feed.chain(stream::pending());
        Ok(Tail::new(self.id(), self.state.epoch, (after, None), feed.boxed()))
    }

    async fn compact(&self, _to: Revision) -> Result<Revision> {
        Ok(self.state.floor)
    }

    async fn fence(&self, _expected: Epoch, _highest: Revision) -> Result<StoreState> {
        Err(Error::unavailable("a replay can't be fenced"))
    }

    async fn state(&self) -> Result<StoreState> {
        Ok(self.state)
    }

    async fn health(&self) -> Health {
        Health::Healthy
    }
}
