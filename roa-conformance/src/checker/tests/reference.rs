//! [`Reference`]: the model behind a lock, as a store. [`Flaky`]: a store whose replies get lost.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use roa_core::{
    Batch, Capabilities, CommitError, Epoch, Health, Key, ListRequest, Page, RandomExt, Read, Result, Revision,
    SeededRandom, Store, StoreId, StoreState, Tail, TailEnd, Txn,
};
use tokio::sync::watch;
use tokio::task::yield_now;

use super::model::Model;

#[derive(Debug)]
pub(super) struct Reference {
    id: StoreId,
    capabilities: Capabilities,
    model: Arc<Mutex<Model>>,
    changed: watch::Sender<()>,
}

impl Reference {
    pub(super) fn new() -> Self {
        let id = StoreId(SeededRandom::new(1).uuid());
        let (model, changed) = (Arc::new(Mutex::new(Model::new(1_000))), watch::Sender::new(()));
        Self { id, capabilities: Capabilities::volatile(), model, changed }
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        let result = act(&mut self.model.lock().unwrap());
        self.changed.send_replace(());
        result
    }

    fn feed(&self, after: Revision) -> BoxStream<'static, Result<Vec<Arc<Batch>>, TailEnd>> {
        let (model, changed) = (Arc::clone(&self.model), self.changed.subscribe());
        let next = |(model, mut changed, after): (Arc<Mutex<Model>>, watch::Receiver<()>, Revision)| async move {
            loop {
                let batches = following(&model.lock().unwrap(), after)?;
                if let Some(last) = batches.last() {
                    let after = last.revision;
                    return Ok(Some((batches, (model, changed, after))));
                }
                changed.changed().await.map_err(|_| TailEnd::Closed)?;
            }
        };
        try_unfold((model, changed, after), next).boxed()
    }
}

fn following(model: &Model, after: Revision) -> Result<Vec<Arc<Batch>>, TailEnd> {
    if after < model.floor {
        return Err(TailEnd::Expired { floor: model.floor, head: model.head });
    }
    Ok(model.batches.iter().filter(|batch| batch.revision > after).take(16).cloned().collect())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reference")
    }
}

#[async_trait]
impl Store for Reference {
    fn id(&self) -> StoreId {
        self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        Ok(self.with(|model| model.get(key)))
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.with(|model| model.list(&request))
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        self.with(|model| model.commit(&txn))
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        let epoch = self.with(|model| match () {
            () if after < model.floor => Err(model.expired()),
            () if after > model.head => Err(model.too_large(after)),
            () => Ok(model.epoch),
        })?;
        Ok(Tail::new(self.id, epoch, (after, None), self.feed(after)))
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.with(|model| model.compact(to))
    }

    async fn fence(&self, expected: Epoch, _highest: Revision) -> Result<StoreState> {
        Ok(self.with(|model| if expected == model.epoch { model.fence() } else { model.state() }))
    }

    async fn state(&self) -> Result<StoreState> {
        Ok(self.with(|model| model.state()))
    }

    async fn health(&self) -> Health {
        Health::Healthy
    }
}

/// A correct store behind a bad network: calls take turns with others, and one commit in twelve loses its request or
/// its reply.
#[derive(Debug)]
pub(super) struct Flaky<S> {
    pub(super) store: S,
    random: SeededRandom,
}

impl<S: Store> Flaky<S> {
    pub(super) const fn new(store: S, seed: u64) -> Self {
        Self { store, random: SeededRandom::new(seed) }
    }

    async fn dawdle(&self) {
        for _ in 0..self.random.below(4) {
            yield_now().await;
        }
    }
}

impl<S: Store> fmt::Display for Flaky<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, flaky", self.store)
    }
}

#[async_trait]
impl<S: Store> Store for Flaky<S> {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.dawdle().await;
        let read = self.store.get(key).await;
        self.dawdle().await;
        read
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.dawdle().await;
        let page = self.store.list(request).await;
        self.dawdle().await;
        page
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let lost = |txn: &Txn| CommitError::Ambiguous { txn: txn.id, reason: "lost".into() };
        let fate = self.random.below(24);
        self.dawdle().await;
        if fate == 0 {
            return Err(lost(&txn));
        }
        let answer = self.store.commit(txn.clone()).await;
        self.dawdle().await;
        if fate == 1 { Err(lost(&txn)) } else { answer }
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        self.store.tail(after).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.store.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.store.fence(expected, highest).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.store.state().await
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }
}
