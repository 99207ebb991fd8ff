//! [`Recorder`]: a store that writes down what it is asked and what it answers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use roa_core::{
    Capabilities, CommitError, Epoch, Error, Health, Key, ListRequest, Page, Read, Result, Revision, Store, StoreId,
    StoreState, Tail, Txn,
};

use super::{ClientId, History, Journal, Operation, Step, Tick};

/// A store that passes everything on to another one, and writes down each call and its answer.
///
/// Ticks come from one counter: a call's is taken before the other store is asked, an answer's after it has answered.
/// A call whose future was dropped stays without an answer. Health is not recorded, and of a feed only its opening.
///
/// The recording holds a fixed number of operations; when it is full, further calls are refused with `Unavailable`,
/// unsent, so that the history stays complete.
#[derive(Debug, Clone)]
pub struct Recorder {
    store: Arc<dyn Store>,
    client: ClientId,
    recording: Arc<Recording>,
}

#[derive(Debug)]
struct Recording {
    ticks: AtomicU64,
    limit: usize,
    refused: AtomicU64,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    operations: Vec<Operation>,
    journal: Option<Journal>,
}

/// The place of a call in the recording.
#[derive(Debug, Clone, Copy)]
struct Call(usize);

impl Recorder {
    /// Records up to `limit` operations on a store, as client 0.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, limit: usize) -> Self {
        Self::with(store, limit, None)
    }

    /// Records up to `limit` operations on a store, as client 0, and writes commits down in a journal as well. A commit
    /// whose line can't be written is refused as unavailable, unsent.
    #[must_use]
    pub fn with_journal(store: Arc<dyn Store>, limit: usize, journal: Journal) -> Self {
        Self::with(store, limit, Some(journal))
    }

    fn with(store: Arc<dyn Store>, limit: usize, journal: Option<Journal>) -> Self {
        let (ticks, refused) = (AtomicU64::new(1), AtomicU64::new(0));
        let written = Mutex::new(Written { operations: Vec::new(), journal });
        Self { store, client: ClientId(0), recording: Arc::new(Recording { ticks, limit, refused, written }) }
    }

    /// The same recording, for the calls of another client.
    #[must_use]
    pub fn client(&self, client: ClientId) -> Self {
        Self { client, ..self.clone() }
    }

    /// Who calls through this handle.
    #[must_use]
    pub const fn client_id(&self) -> ClientId {
        self.client
    }

    /// What has been recorded until now.
    #[must_use]
    pub fn history(&self) -> History {
        let linearizable = self.store.capabilities().linearizable;
        let refused = self.recording.refused.load(Ordering::SeqCst);
        History { operations: self.recording.lock().operations.clone(), refused, linearizable }
    }

    fn begin(&self, step: Step) -> Result<Call> {
        let written = &mut *self.recording.lock();
        let place = written.operations.len();
        if place >= self.recording.limit {
            return Err(self.refuse("the recording is full"));
        }
        let operation = Operation { client: self.client, called: self.recording.tick(), returned: None, step };
        if let Some(Err(error)) = written.journal.as_mut().map(|journal| journal.called(place, &operation)) {
            return Err(self.refuse(&format!("the journal can't be written: {error}")));
        }
        written.operations.push(operation);
        Ok(Call(place))
    }

    fn refuse(&self, reason: &str) -> Error {
        self.recording.refused.fetch_add(1, Ordering::SeqCst);
        Error::unavailable(reason)
    }

    fn end(&self, call: Call, step: Step) {
        let written = &mut *self.recording.lock();
        let Some(operation) = written.operations.get_mut(call.0) else { return };
        operation.returned = Some(self.recording.tick());
        operation.step = step;
        if let Some(Err(error)) = written.journal.as_mut().map(|journal| journal.answered(call.0, operation)) {
            tracing::warn!(%error, "failed to write an answer to the journal: there it stays a commit without one");
        }
    }
}

impl Recording {
    fn tick(&self) -> Tick {
        Tick(self.ticks.fetch_add(1, Ordering::SeqCst))
    }

    /// A panic elsewhere can't have left an operation half-written.
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, recorded for {}", self.store, self.client)
    }
}

fn unanswered<T>() -> Result<T> {
    Err(Error::unavailable("never answered"))
}

#[async_trait]
impl Store for Recorder {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        let call = self.begin(Step::Get { key: key.clone(), result: unanswered() })?;
        let result = self.store.get(key).await;
        self.end(call, Step::Get { key: key.clone(), result: result.clone() });
        result
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        let call = self.begin(Step::List { request: request.clone(), result: unanswered() })?;
        let result = self.store.list(request.clone()).await;
        self.end(call, Step::List { request, result: result.clone() });
        result
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let asked = Arc::new(txn.clone());
        let call = match self.begin(Step::unanswered_commit(Arc::clone(&asked))) {
            Ok(call) => call,
            Err(full) => return Err(CommitError::Unavailable { reason: full.to_string().into() }),
        };
        let result = self.store.commit(txn).await;
        self.end(call, Step::Commit { txn: asked, result: result.clone() });
        result
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        let call = self.begin(Step::Tail { after, result: unanswered() })?;
        let result = self.store.tail(after).await;
        let opened = result.as_ref().map(|tail| tail.epoch).map_err(Clone::clone);
        self.end(call, Step::Tail { after, result: opened });
        result
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        let call = self.begin(Step::Compact { to, result: unanswered() })?;
        let result = self.store.compact(to).await;
        self.end(call, Step::Compact { to, result: result.clone() });
        result
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        let call = self.begin(Step::Fence { expected, highest, result: unanswered() })?;
        let result = self.store.fence(expected, highest).await;
        self.end(call, Step::Fence { expected, highest, result: result.clone() });
        result
    }

    async fn state(&self) -> Result<StoreState> {
        let call = self.begin(Step::State { result: unanswered() })?;
        let result = self.store.state().await;
        self.end(call, Step::State { result: result.clone() });
        result
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }
}
