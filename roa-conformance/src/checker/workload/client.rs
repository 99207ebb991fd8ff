//! [`Client`]: one step after the other, each of a kind that finds another defect.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use roa_core::{
    At, CommitError, Entry, Epoch, Error, Expect, Key, ListRequest, Op, Page, RandomExt, Result, Revision,
    SeededRandom, Store, Txn, TxnId, Value,
};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::Workload;
use super::keys::{Keys, index};
use super::pace::Pace;
use crate::checker::{Recorder, State};

/// What a client may do, and out of a hundred steps how many are of that kind.
const STEPS: [(Kind, u64); 15] = [
    (Kind::Write, 26),
    (Kind::Remove, 8),
    (Kind::WriteStale, 8),
    (Kind::WriteSeveral, 10),
    (Kind::WriteGuarded, 10),
    (Kind::WriteAndLeave, 2),
    (Kind::WriteInEpoch, 2),
    (Kind::Get, 14),
    (Kind::List, 9),
    (Kind::ListPages, 4),
    (Kind::ListPast, 3),
    (Kind::ListFuture, 1),
    (Kind::ListNotOlder, 1),
    (Kind::State, 1),
    (Kind::Compact, 1),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Write,
    Remove,
    WriteStale,
    WriteSeveral,
    WriteGuarded,
    WriteAndLeave,
    WriteInEpoch,
    Get,
    List,
    ListPages,
    ListPast,
    ListFuture,
    ListNotOlder,
    State,
    Compact,
}

/// The store did not answer in time, or can't be reached: the client can't go on.
#[derive(Debug, Clone, Copy)]
struct Unreachable;

/// One client: it believes what it was last told of each key, as real clients do, and is often wrong.
#[derive(Debug)]
pub(super) struct Client {
    recorder: Recorder,
    /// The recorded store itself, to wait for it without recording that.
    store: Arc<dyn Store>,
    keys: Keys,
    random: SeededRandom,
    writer: Arc<str>,
    /// Where each key was last seen; absent if it is not in here.
    seen: HashMap<Key, Revision>,
    first: Revision,
    newest: Revision,
    epoch: Option<Epoch>,
    collected: watch::Receiver<Revision>,
    compactions: bool,
    call_timeout: Duration,
    outage: Duration,
}

impl Client {
    pub(super) fn new(
        workload: &Workload,
        recorder: Recorder,
        store: Arc<dyn Store>,
        keys: Keys,
        initial: &State,
        collected: watch::Receiver<Revision>,
    ) -> Self {
        let client = recorder.client_id();
        let seen = initial.entries().map(|entry| (entry.key.clone(), entry.revision)).collect();
        Self {
            recorder,
            store,
            keys,
            random: workload.random(client),
            writer: client.to_string().into(),
            seen,
            first: initial.revision,
            newest: initial.revision,
            epoch: None,
            collected,
            compactions: workload.compactions,
            call_timeout: workload.call_timeout,
            outage: workload.outage,
        }
    }

    /// Takes so many steps; ends early when the store is gone for good.
    pub(super) async fn run(mut self, steps: usize) {
        for _ in 0..steps {
            let kind = self.choose();
            if self.step(kind).await.is_err() && !self.wait_for_store().await {
                return;
            }
            // A store that answers at once would let one client run to its end before the others begin.
            yield_now().await;
        }
    }

    fn choose(&self) -> Kind {
        let total = STEPS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(total);
        let chosen = STEPS.iter().find(|(_, weight)| {
            let found = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            found
        });
        chosen.map_or(Kind::Get, |(kind, _)| *kind)
    }

    async fn step(&mut self, kind: Kind) -> Result<(), Unreachable> {
        match kind {
            Kind::Write => self.write(1).await,
            Kind::WriteSeveral => self.write(3).await,
            Kind::Remove => self.remove().await,
            Kind::WriteStale => self.write_stale().await,
            Kind::WriteGuarded => self.write_guarded().await,
            Kind::WriteAndLeave => self.write_and_leave(),
            Kind::WriteInEpoch => self.write_in_epoch().await,
            Kind::Get => self.get(self.keys.any(&self.random)).await,
            Kind::List => self.list(At::Latest).await,
            Kind::ListPages => self.list_pages().await,
            Kind::ListPast => self.list(At::Exact(self.past())).await,
            Kind::ListFuture => self.list(At::Exact(self.future())).await,
            Kind::ListNotOlder => self.list(At::NotOlderThan(self.past())).await,
            Kind::State => self.state().await,
            Kind::Compact => self.compact().await,
        }
    }

    fn txn(&self) -> Txn {
        Txn::new(TxnId::random(&self.random), Arc::clone(&self.writer))
    }

    fn value(&self) -> Value {
        let length = index(&self.random, 48);
        Value::opaque(format!("{:0length$x}", self.random.below(u64::MAX)))
    }

    fn expectation(&self, key: &Key) -> Expect {
        self.seen.get(key).map_or(Expect::Absent, |revision| Expect::At(*revision))
    }

    fn put(&self, key: Key) -> Op {
        let expect = self.expectation(&key);
        Op::Put { key, value: self.value(), expect }
    }

    /// A put, or a removal of what is believed to be there.
    fn put_or_remove(&self, key: Key) -> Op {
        match self.seen.get(&key) {
            Some(expect) if self.random.below(4) == 0 => Op::Delete { key, expect: *expect },
            _ => self.put(key),
        }
    }

    fn past(&self) -> Revision {
        let offset = self.random.below(self.newest.get() - self.first.get() + 1).min(200);
        Revision::new(self.newest.get() - offset).unwrap_or(self.newest)
    }

    fn future(&self) -> Revision {
        Revision::new(self.newest.get() + 1_000_000).unwrap_or(self.newest)
    }

    async fn write(&mut self, count: usize) -> Result<(), Unreachable> {
        let keys = self.keys.several(&self.random, count);
        let txn = keys.into_iter().fold(self.txn(), |txn, key| txn.op(self.put_or_remove(key)));
        self.commit(txn).await
    }

    async fn remove(&mut self) -> Result<(), Unreachable> {
        let key = self.keys.any(&self.random);
        match self.seen.get(&key) {
            Some(expect) => self.commit(self.txn().delete(key, *expect)).await,
            None => self.get(key).await,
        }
    }

    /// A write that expects what was true once, or never.
    async fn write_stale(&mut self) -> Result<(), Unreachable> {
        let key = self.keys.any(&self.random);
        let txn = match self.seen.contains_key(&key) && self.random.below(2) == 0 {
            true => self.txn().create(key, self.value()),
            false => self.txn().update(key, self.value(), self.past()),
        };
        self.commit(txn).await
    }

    async fn write_guarded(&mut self) -> Result<(), Unreachable> {
        let mut keys = self.keys.several(&self.random, 3);
        let Some(written) = keys.pop() else { return Ok(()) };
        let mut txn = self.txn().op(self.put_or_remove(written));
        for key in keys {
            let expect = if self.random.below(8) == 0 { Expect::At(self.past()) } else { self.expectation(&key) };
            txn = txn.guard(key, expect);
        }
        self.commit(txn).await
    }

    /// A write whose caller does not wait for the answer: all of it happens, or nothing.
    fn write_and_leave(&mut self) -> Result<(), Unreachable> {
        let txn = self.txn().op(self.put(self.keys.any(&self.random)));
        match self.recorder.commit(txn).now_or_never() {
            Some(Err(CommitError::Unavailable { .. })) => Err(Unreachable),
            _ => Ok(()),
        }
    }

    /// A write that names this epoch, or another one.
    async fn write_in_epoch(&mut self) -> Result<(), Unreachable> {
        let Some(epoch) = self.epoch else { return self.state().await };
        let counter = epoch.counter + self.random.below(2);
        let txn = self.txn().op(self.put(self.keys.any(&self.random)));
        self.commit(txn.expect_epoch(Epoch { counter, ..epoch })).await
    }

    async fn commit(&mut self, txn: Txn) -> Result<(), Unreachable> {
        let ops = txn.ops.clone();
        let answer = timeout(self.call_timeout, self.recorder.commit(txn)).await;
        match answer.map_err(|_| Unreachable)? {
            Ok(revision) => self.learn_commit(&ops, revision),
            Err(CommitError::Conflict { key, current } | CommitError::GuardFailed { key, current }) => {
                self.learn(key, current);
            }
            Err(CommitError::Unavailable { .. }) => return Err(Unreachable),
            Err(CommitError::Fenced { .. }) => self.epoch = None,
            Err(_) => {
                for op in &ops {
                    self.get(op.key().clone()).await?;
                }
            }
        }
        Ok(())
    }

    fn learn_commit(&mut self, ops: &[Op], revision: Revision) {
        for op in ops {
            self.learn(op.key().clone(), matches!(op, Op::Put { .. }).then_some(revision));
        }
        self.newest = self.newest.max(revision);
    }

    fn learn(&mut self, key: Key, current: Option<Revision>) {
        match current {
            Some(revision) => {
                self.newest = self.newest.max(revision);
                self.seen.insert(key, revision);
            }
            None => _ = self.seen.remove(&key),
        }
    }

    async fn get(&mut self, key: Key) -> Result<(), Unreachable> {
        let answer = timeout(self.call_timeout, self.recorder.get(&key)).await;
        if let Some(read) = usable(answer)? {
            self.newest = self.newest.max(read.revision);
            self.learn(key, read.entry.map(|entry| entry.revision));
        }
        Ok(())
    }

    async fn list(&mut self, at: At) -> Result<(), Unreachable> {
        let request = ListRequest::new(self.keys.any_prefix(&self.random)).at(at);
        let page = self.page(request).await?;
        if let Some(page) = page.filter(|_| at == At::Latest) {
            self.learn_entries(&page.entries);
            self.newest = self.newest.max(page.revision);
        }
        Ok(())
    }

    async fn list_pages(&mut self) -> Result<(), Unreachable> {
        let limit = NonZeroUsize::MIN.saturating_add(index(&self.random, 4));
        let request = ListRequest::new(self.keys.any_prefix(&self.random)).limit(limit);
        let mut page = self.page(request.clone()).await?;
        while let Some(next) = page.and_then(|page| page.next) {
            page = self.page(request.clone().resume(next)).await?;
        }
        Ok(())
    }

    async fn page(&mut self, request: ListRequest) -> Result<Option<Page>, Unreachable> {
        usable(timeout(self.call_timeout, self.recorder.list(request)).await)
    }

    fn learn_entries(&mut self, entries: &[Arc<Entry>]) {
        for entry in entries {
            self.learn(entry.key.clone(), Some(entry.revision));
        }
    }

    async fn state(&mut self) -> Result<(), Unreachable> {
        let state = usable(timeout(self.call_timeout, self.recorder.state()).await)?;
        self.epoch = state.map(|state| state.epoch);
        Ok(())
    }

    /// Compacts up to what has been collected, or a little before it.
    async fn compact(&mut self) -> Result<(), Unreachable> {
        if !self.compactions {
            return self.state().await;
        }
        let collected = *self.collected.borrow();
        let offset = self.random.below(200).min(collected.get() - self.first.get());
        let to = Revision::new(collected.get() - offset).unwrap_or(collected);
        usable(timeout(self.call_timeout, self.recorder.compact(to)).await)?;
        Ok(())
    }

    async fn wait_for_store(&self) -> bool {
        let mut pace = Pace::new(self.outage);
        while pace.wait().await {
            if let Ok(Ok(_)) = timeout(self.call_timeout, self.store.state()).await {
                return true;
            }
        }
        false
    }
}

/// The answer, if it is one; other errors than that the store can't be reached are the checker's business.
fn usable<T>(answer: Result<Result<T>, tokio::time::error::Elapsed>) -> Result<Option<T>, Unreachable> {
    match answer {
        Ok(Err(Error::Unavailable { .. })) | Err(_) => Err(Unreachable),
        Ok(answer) => Ok(answer.ok()),
    }
}
