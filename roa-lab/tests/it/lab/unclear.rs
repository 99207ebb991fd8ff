//! A store around a store whose answers can get lost.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use roa_core::{
    Capabilities, CommitError, Epoch, Error, Health, Key, ListRequest, Page, Read, Result, Revision, Store, StoreId,
    StoreState, Tail, Txn,
};
use roa_store_memory::MemoryStore;

/// What becomes of a commit whose answer nobody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It was done.
    Answer,
    /// It was not.
    Request,
}

/// Loses what it is told to, and then answers nothing until it is told to again: whoever waits can't find out.
#[derive(Debug)]
pub struct Unclear {
    inner: MemoryStore,
    next: Mutex<Option<Lost>>,
    is_down: AtomicBool,
}

impl Unclear {
    pub fn over(inner: MemoryStore) -> Arc<Self> {
        Arc::new(Self { inner, next: Mutex::default(), is_down: AtomicBool::new(false) })
    }

    /// The next commit gets no answer, nor does anything after it.
    pub fn lose(&self, what: Lost) {
        *self.next.lock().unwrap() = Some(what);
    }

    /// Answers again. Gives whether it was down.
    pub fn recover(&self) -> bool {
        self.is_down.swap(false, Ordering::SeqCst)
    }

    fn up(&self) -> Result<&MemoryStore> {
        if self.is_down.load(Ordering::SeqCst) { Err(Error::unavailable("down")) } else { Ok(&self.inner) }
    }
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Store for Unclear {
    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.up()?.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.up()?.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let Ok(inner) = self.up() else { return Err(CommitError::Unavailable { reason: "down".into() }) };
        let lost = self.next.lock().unwrap().take();
        let Some(lost) = lost else { return inner.commit(txn).await };
        let unclear = CommitError::Ambiguous { txn: txn.id, reason: "the answer is lost".into() };
        if lost == Lost::Answer {
            inner.commit(txn).await?;
        }
        self.is_down.store(true, Ordering::SeqCst);
        Err(unclear)
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        self.up()?.tail(after).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.up()?.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.up()?.fence(expected, highest).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.up()?.state().await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
