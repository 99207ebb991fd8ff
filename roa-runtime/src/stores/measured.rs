//! [`MeasuredStore`]: a store whose commits are counted by writer, and seen in traces.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use roa_core::{
    Capabilities, CommitError, Epoch, Health, Key, ListRequest, Page, Read, Result, Revision, Store, StoreId,
    StoreState, Tail, Txn,
};
use tracing::Instrument;

use crate::{RuntimeMetrics, locks};

/// How many writers are told apart; what comes after these counts as `other`.
const MAX_WRITERS: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Committed {
    writer: String,
    result: &'static str,
}

/// How commits ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitMetrics {
    commits: Family<Committed, Counter>,
    writers: Arc<Mutex<HashSet<Arc<str>>>>,
}

impl CommitMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("commits", "Commits, by writer and how they ended", self.commits.clone());
    }

    fn note(&self, writer: &Arc<str>, result: &'static str) {
        let mut writers = locks::lock(&self.writers);
        let known = writers.contains(writer) || (writers.len() < MAX_WRITERS && writers.insert(Arc::clone(writer)));
        drop(writers);
        let writer = if known { writer.to_string() } else { "other".to_owned() };
        self.commits.get_or_create(&Committed { writer, result }).inc();
    }

    pub(crate) fn count(&self, writer: &str, result: &'static str) -> u64 {
        self.commits.get_or_create(&Committed { writer: writer.to_owned(), result }).get()
    }
}

/// A store whose commits are counted by writer and outcome (`committed`, `conflict`, `fenced`, `ambiguous`, `unavailable`,
/// `invalid`), each in a span `write`, so that a trace of a reconcile shows what it wrote.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Key, Store, SystemRandom, Txn, TxnId, Value};
/// # use roa_runtime::{MeasuredStore, RuntimeMetrics, SystemClock};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let memory = MemoryStore::new(MemoryConfig::default(), Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// let metrics = RuntimeMetrics::unregistered();
/// let store = MeasuredStore::new(Arc::new(memory), &metrics);
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// store.commit(Txn::new(TxnId::random(&SystemRandom), "docs").create(key, Value::opaque("hello"))).await?;
/// assert_eq!(metrics.commit_count("docs", "committed"), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MeasuredStore {
    inner: Arc<dyn Store>,
    metrics: CommitMetrics,
}

impl MeasuredStore {
    /// `inner`, measured.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: &RuntimeMetrics) -> Self {
        Self { inner, metrics: metrics.commits().clone() }
    }
}

#[async_trait]
impl Store for MeasuredStore {
    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn state(&self) -> Result<StoreState> {
        self.inner.state().await
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.inner.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let writer = Arc::clone(&txn.writer);
        let key = txn.ops.first().map(|op| tracing::field::display(op.key().clone()));
        let span = tracing::debug_span!("write", %writer, key, writes = txn.ops.len(), txn = %txn.id);
        let outcome = self.inner.commit(txn).instrument(span).await;
        self.metrics.note(&writer, result(&outcome));
        outcome
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        self.inner.tail(after).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.inner.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.inner.fence(expected, highest).await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}

/// A word for metrics. A guard on one of the store's own records is a fence; on an object it is a conflict.
fn result(outcome: &Result<Revision, CommitError>) -> &'static str {
    match outcome {
        Ok(_) => "committed",
        Err(CommitError::GuardFailed { key, .. }) if key.is_system() => "fenced",
        Err(CommitError::Fenced { .. }) => "fenced",
        Err(CommitError::Conflict { .. } | CommitError::GuardFailed { .. }) => "conflict",
        Err(CommitError::Ambiguous { .. }) => "ambiguous",
        Err(CommitError::Unavailable { .. }) => "unavailable",
        Err(_) => "invalid",
    }
}

impl fmt::Display for MeasuredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
