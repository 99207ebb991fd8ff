//! [`View`]: the store as one process sees it, with a fault.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{
    Capabilities, Clock, ClockExt, CommitError, Epoch, Error, Health, Key, ListRequest, Op, Page, Read, Result,
    Revision, Store, StoreId, StoreState, SystemRandom, Tail, TailEnd, Txn, TxnId,
};

use super::Fault;
use crate::locks;

/// The store as one process sees it.
#[derive(Debug)]
pub(super) struct View {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    fault: Fault,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What the process did, in words.
    log: Vec<String>,
    batches: usize,
    crashed: bool,
}

/// What is to be done about an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Go,
    Refuse,
    LoseReply,
    Interfere,
    Slow(Duration),
    /// It is done, and nothing comes after it.
    Last,
}

impl View {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, fault: Fault) -> Self {
        Self { store, clock, fault, state: Arc::default() }
    }

    pub(super) fn log(&self) -> Vec<String> {
        locks::lock(&self.state).log.clone()
    }

    pub(super) fn has_crashed(&self) -> bool {
        locks::lock(&self.state).crashed
    }

    /// Whose turn it is; a process that has crashed does nothing any more.
    async fn begin(&self, what: String) -> Turn {
        let turn = {
            let mut state = locks::lock(&self.state);
            if state.crashed { None } else { self.count(&mut state, what) }
        };
        match turn {
            None => pending().await,
            Some(Turn::Slow(wait)) => {
                self.clock.sleep(wait).await;
                Turn::Go
            }
            Some(turn) => turn,
        }
    }

    fn count(&self, state: &mut State, what: String) -> Option<Turn> {
        let number = state.log.len();
        state.log.push(what);
        Some(match self.fault {
            Fault::CrashBefore(at) if at == number => {
                state.crashed = true;
                return None;
            }
            Fault::CrashAfter(at) if at == number => {
                state.crashed = true;
                Turn::Last
            }
            Fault::Refuse(at) if at == number => Turn::Refuse,
            Fault::LoseReply(at) if at == number => Turn::LoseReply,
            Fault::Conflict(at) if at == number => Turn::Interfere,
            Fault::Slow(at, wait) if at == number => Turn::Slow(wait),
            _ => Turn::Go,
        })
    }

    async fn call<T>(&self, what: String, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.begin(what).await {
            Turn::Refuse | Turn::LoseReply => Err(Error::unavailable("refused as planned")),
            Turn::Last => {
                let _done = call.await;
                pending().await
            }
            Turn::Go | Turn::Interfere | Turn::Slow(_) => call.await,
        }
    }

    /// Somebody else writes what is there once more.
    async fn interfere(&self, txn: &Txn) {
        for op in &txn.ops {
            let Op::Put { key, .. } = op else { continue };
            if let Ok(Read { entry: Some(entry), .. }) = self.store.get(key).await {
                let other = Txn::new(TxnId::random(&SystemRandom), "somebody else");
                let other = other.update(key.clone(), entry.value.clone(), entry.revision);
                // Somebody was faster still: that is a conflict as well.
                let _ = self.store.commit(other).await;
            }
        }
    }
}

fn describe(txn: &Txn) -> String {
    let ops = txn.ops.iter().map(|op| match op {
        Op::Put { key, .. } => format!("put {key}"),
        Op::Delete { key, .. } => format!("delete {key}"),
    });
    format!("commit by {}: {}", txn.writer, ops.collect::<Vec<_>>().join(", "))
}

/// A feed that is late, or ends early, as the fault says.
fn spoiled(tail: Tail, fault: Fault, clock: Arc<dyn Clock>, state: Arc<Mutex<State>>) -> Tail {
    let (store, epoch, after) = (tail.store, tail.epoch, (tail.after, tail.after_txn));
    let stream = unfold(Some(tail), move |tail| {
        let (clock, state) = (Arc::clone(&clock), Arc::clone(&state));
        async move {
            let mut tail = tail?;
            let batches = tail.next().await?;
            if let Fault::Stale(wait) = fault {
                clock.sleep(wait).await;
            }
            let seen = {
                let mut state = locks::lock(&state);
                let before = state.batches;
                state.batches += batches.as_ref().map_or(0, Vec::len);
                before..state.batches
            };
            match fault {
                Fault::DropFeed(at) if seen.contains(&at) => Some((Err(TailEnd::Lagged), None)),
                _ => Some((batches, Some(tail))),
            }
        }
    });
    Tail::new(store, epoch, after, stream.fuse().boxed())
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {:?}", self.store, self.fault)
    }
}

#[async_trait]
impl Store for View {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.call(format!("get {key}"), self.store.get(key)).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.call(format!("list {:?}", request.prefix), self.store.list(request)).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let id = txn.id;
        match self.begin(describe(&txn)).await {
            Turn::Go | Turn::Slow(_) => self.store.commit(txn).await,
            Turn::Refuse => Err(CommitError::Unavailable { reason: "refused as planned".into() }),
            Turn::LoseReply => {
                let _done = self.store.commit(txn).await;
                Err(CommitError::Ambiguous { txn: id, reason: "lost as planned".into() })
            }
            Turn::Interfere => {
                self.interfere(&txn).await;
                self.store.commit(txn).await
            }
            Turn::Last => {
                let _done = self.store.commit(txn).await;
                pending().await
            }
        }
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        let tail = self.call("tail".to_owned(), self.store.tail(after)).await?;
        Ok(spoiled(tail, self.fault, Arc::clone(&self.clock), Arc::clone(&self.state)))
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.call("compact".to_owned(), self.store.compact(to)).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.call("fence".to_owned(), self.store.fence(expected, highest)).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.call("state".to_owned(), self.store.state()).await
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }
}
