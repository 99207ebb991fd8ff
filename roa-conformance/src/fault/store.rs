//! [`FaultStore`]: a store that fails as planned.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{
    Batch, Cancellation, CancellationSource, Capabilities, Clock, ClockExt, CommitError, Epoch, Error, Health, Key,
    ListRequest, Page, RandomExt, Read, Result, Revision, Store, StoreId, StoreState, SystemRandom, Tail, TailEnd, Txn,
    TxnId,
};

use super::plan::Script;
use super::{CallFault, CommitFault, FaultPlan, FeedFault};
use crate::rewrite::{AtEnd, Edited, rewrite, with};

/// A store around a store, which passes everything on save what a [`FaultPlan`] says. What is behind it can be
/// [replaced](Self::replace), as a server behind an address can.
///
/// ```
/// # use std::sync::Arc;
/// use roa_conformance::{CommitFault, FaultPlan, FaultStore};
/// use roa_core::{CommitError, Key, Store, SystemRandom, Txn, TxnId, Value};
/// # use roa_runtime::SystemClock;
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// # let good = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random));
/// let store = FaultStore::new(good, clock);
/// store.plan(FaultPlan::new().commit(1, CommitFault::LoseReply));
///
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// let txn = Txn::new(TxnId::random(&SystemRandom), "docs").create(key.clone(), Value::opaque("hello"));
/// assert!(matches!(store.commit(txn).await, Err(CommitError::Ambiguous { .. })));
/// assert!(store.get(&key).await?.entry.is_some(), "it happened nevertheless");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultStore {
    behind: Mutex<Behind>,
    capabilities: Capabilities,
    script: Arc<Mutex<Script>>,
    clock: Arc<dyn Clock>,
}

/// What is behind the address, and the connections to it.
#[derive(Debug)]
struct Behind {
    store: Arc<dyn Store>,
    connections: CancellationSource,
}

impl FaultStore {
    /// A store around `store` with which nothing goes wrong yet. Delays are measured by `clock`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let capabilities = store.capabilities().clone();
        let behind = Mutex::new(Behind { store, connections: CancellationSource::new() });
        Self { behind, capabilities, script: Arc::default(), clock }
    }

    /// What goes wrong from now on, instead of what was planned before.
    pub fn plan(&self, plan: FaultPlan) {
        *lock(&self.script) = Script::new(plan);
    }

    /// How many planned faults are still to come.
    pub fn planned(&self) -> usize {
        lock(&self.script).left()
    }

    /// Cuts all connections: open feeds end with [`TailEnd::Failed`].
    pub fn disconnect(&self) {
        let connections = std::mem::take(&mut lock(&self.behind).connections);
        connections.cancel();
    }

    /// Puts another store behind the address, and cuts all connections.
    pub fn replace(&self, store: Arc<dyn Store>) {
        let before = std::mem::replace(&mut lock(&self.behind).store, store);
        self.disconnect();
        // Only now: its feeds are cut off, and don't see it end.
        drop(before);
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&lock(&self.behind).store)
    }

    /// The store behind, unless this call fails.
    async fn call(&self) -> Result<Arc<dyn Store>> {
        let fault = lock(&self.script).next_call();
        match fault {
            Some(CallFault::Refuse) => return Err(Error::unavailable("refused as planned")),
            Some(CallFault::Delay(delay)) => self.clock.sleep(delay).await,
            None => {}
        }
        Ok(self.store())
    }

    fn edit(&self) -> impl FnMut(Arc<Batch>) -> Vec<Edited> + Send + use<> {
        let script = Arc::clone(&self.script);
        let mut held = None;
        move |batch| {
            let fault = lock(&script).next_batch();
            let mut edited = match fault {
                Some(FeedFault::Swap) => {
                    held = Some(batch);
                    return Vec::new();
                }
                fault => inject(fault, batch),
            };
            edited.extend(held.take().map(Edited::Give));
            edited
        }
    }
}

fn inject(fault: Option<FeedFault>, batch: Arc<Batch>) -> Vec<Edited> {
    match fault {
        Some(FeedFault::Drop) => Vec::new(),
        Some(FeedFault::Repeat) => vec![Edited::Give(Arc::clone(&batch)), Edited::Give(batch)],
        Some(FeedFault::Rechain) => {
            let other = TxnId(SystemRandom.uuid());
            vec![Edited::Give(with(&batch, |batch| batch.previous_txn = other))]
        }
        Some(FeedFault::Delay(delay)) => vec![Edited::Wait(delay), Edited::Give(batch)],
        Some(FeedFault::End(end)) => vec![Edited::End(end)],
        Some(FeedFault::Vanish) => vec![Edited::Vanish],
        Some(FeedFault::Swap) | None => vec![Edited::Give(batch)],
    }
}

/// A feed that ends when its connection is cut.
fn connected(tail: Tail, connection: Cancellation) -> Tail {
    let (store, epoch, after) = (tail.store, tail.epoch, (tail.after, tail.after_txn));
    let stream = unfold(Some((tail, connection)), |feed| async {
        let (mut tail, connection) = feed?;
        tokio::select! {
            biased;
            () = connection.cancelled() => {
                let error = Error::unavailable("connection cut as planned");
                Some((Err(TailEnd::Failed(Arc::new(error))), None))
            }
            item = tail.next() => item.map(|item| (item, Some((tail, connection)))),
        }
    });
    Tail::new(store, epoch, after, stream.fuse().boxed())
}

/// What is guarded is whole whatever panicked beside it: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ambiguous(txn: TxnId) -> CommitError {
    CommitError::Ambiguous { txn, reason: "lost as planned".into() }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with faults", self.store())
    }
}

#[async_trait]
impl Store for FaultStore {
    fn id(&self) -> StoreId {
        self.store().id()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.call().await?.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.call().await?.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let (fault, id, store) = (lock(&self.script).next_commit(), txn.id, self.store());
        match fault {
            Some(CommitFault::Refuse) => Err(CommitError::Unavailable { reason: "refused as planned".into() }),
            Some(CommitFault::LoseRequest) => Err(ambiguous(id)),
            Some(CommitFault::LoseReply) => {
                store.commit(txn).await.ok();
                Err(ambiguous(id))
            }
            Some(CommitFault::Delay(delay)) => {
                self.clock.sleep(delay).await;
                store.commit(txn).await
            }
            None => store.commit(txn).await,
        }
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        let store = self.call().await?;
        let connection = lock(&self.behind).connections.token();
        let tail = store.tail(after).await?;
        let edited = rewrite(tail, Box::new(self.edit()), AtEnd::Pass, Arc::clone(&self.clock));
        Ok(connected(edited, connection))
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.call().await?.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.call().await?.fence(expected, highest).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.call().await?.state().await
    }

    async fn health(&self) -> Health {
        self.store().health().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use futures_util::FutureExt;
    use roa_core::{ManualClock, Timestamp, Value};
    use roa_store_memory::{MemoryConfig, MemoryStore};

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap())
    }

    fn store(clock: &ManualClock) -> FaultStore {
        FaultStore::new(memory(clock), Arc::new(clock.clone()))
    }

    fn memory(clock: &ManualClock) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new(MemoryConfig::default(), Arc::new(clock.clone()), Arc::new(SystemRandom)))
    }

    fn key(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    fn txn(name: &str) -> Txn {
        Txn::new(TxnId::random(&SystemRandom), "test").create(key(name), Value::opaque("v"))
    }

    async fn write(store: &FaultStore, count: u64) -> Revision {
        let begin = store.state().await.unwrap().head;
        for number in 0..count {
            store.commit(txn(&number.to_string())).await.unwrap();
        }
        begin
    }

    /// How far after `begin` the revisions are that a feed has now, and whether it ended.
    fn read(tail: &mut Tail, begin: Revision) -> (Vec<u64>, Option<Option<TailEnd>>) {
        let mut seen = Vec::new();
        loop {
            match tail.next().now_or_never() {
                None => return (seen, None),
                Some(None) => return (seen, Some(None)),
                Some(Some(Err(end))) => return (seen, Some(Some(end))),
                Some(Some(Ok(batches))) => {
                    seen.extend(batches.iter().map(|batch| batch.revision.get() - begin.get()));
                }
            }
        }
    }

    #[tokio::test]
    async fn s5_a_refused_commit_did_not_happen_and_a_lost_one_may_have() {
        let store = store(&clock());
        let faults = [CommitFault::Refuse, CommitFault::LoseRequest, CommitFault::LoseReply];
        store.plan((1..).zip(faults).fold(FaultPlan::new(), |plan, (nth, fault)| plan.commit(nth, fault)));
        let mut seen = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let answer = store.commit(txn(name)).await.map_err(|error| error.reason());
            seen.push((answer.err(), store.get(&key(name)).await.unwrap().entry.is_some()));
        }
        let expected =
            [(Some("Unavailable"), false), (Some("Ambiguous"), false), (Some("Ambiguous"), true), (None, true)];
        assert_eq!((seen.as_slice(), store.planned()), (expected.as_slice(), 0));
    }

    #[tokio::test]
    async fn what_is_late_comes_when_its_time_has_come() {
        let clock = clock();
        let store = store(&clock);
        let minute = Duration::from_secs(60);
        let plan = FaultPlan::new().commit(1, CommitFault::Delay(minute)).call(2, CallFault::Delay(minute));
        store.plan(plan.call(3, CallFault::Refuse));
        assert!(store.state().await.is_ok());
        let mut late = store.commit(txn("a"));
        assert!((&mut late).now_or_never().is_none());
        let mut state = store.state();
        assert!((&mut state).now_or_never().is_none());
        clock.advance(minute);
        assert!(late.await.is_ok() && state.await.is_ok());
        assert_eq!(store.state().await.unwrap_err().reason(), "Unavailable");
    }

    #[tokio::test]
    async fn w18_each_fault_of_a_feed_is_as_it_says() {
        let cases: [(FeedFault, &[u64]); 4] = [
            (FeedFault::Drop, &[1, 3, 4]),
            (FeedFault::Repeat, &[1, 2, 2, 3, 4]),
            (FeedFault::Swap, &[1, 3, 2, 4]),
            (FeedFault::Rechain, &[1, 2, 3, 4]),
        ];
        for (fault, expected) in cases {
            let store = store(&clock());
            let begin = write(&store, 4).await;
            store.plan(FaultPlan::new().batch(2, fault.clone()));
            let seen = read(&mut store.tail(begin).await.unwrap(), begin);
            assert_eq!((seen.0.as_slice(), seen.1.is_none()), (expected, true), "{fault:?}");
            let again = read(&mut store.tail(begin).await.unwrap(), begin);
            assert_eq!(again.0, [1, 2, 3, 4], "{fault:?} happens once");
        }
    }

    #[tokio::test]
    async fn w18_a_rechained_batch_names_another_predecessor() {
        let store = store(&clock());
        let begin = write(&store, 2).await;
        store.plan(FaultPlan::new().batch(2, FeedFault::Rechain));
        let mut tail = store.tail(begin).await.unwrap();
        let mut checker = roa_core::TailChecker::of(&tail);
        let batches = tail.next().await.unwrap().unwrap();
        assert!(checker.check(&batches[0]).is_ok() && checker.check(&batches[1]).is_err());
    }

    #[tokio::test]
    async fn w9_a_feed_ends_early_with_a_reason_or_without() {
        let store = store(&clock());
        let begin = write(&store, 3).await;
        for (fault, has_reason) in [(FeedFault::End(TailEnd::Lagged), true), (FeedFault::Vanish, false)] {
            store.plan(FaultPlan::new().batch(3, fault));
            let (seen, end) = read(&mut store.tail(begin).await.unwrap(), begin);
            assert_eq!((seen, end.map(|end| end.is_some())), (vec![1, 2], Some(has_reason)));
        }
    }

    #[tokio::test]
    async fn a_late_batch_holds_up_what_follows_and_not_what_went_before() {
        let clock = clock();
        let store = store(&clock);
        let begin = write(&store, 3).await;
        store.plan(FaultPlan::new().batch(2, FeedFault::Delay(Duration::from_secs(5))));
        let mut tail = store.tail(begin).await.unwrap();
        assert_eq!(read(&mut tail, begin).0, [1]);
        clock.advance(Duration::from_secs(5));
        assert_eq!(read(&mut tail, begin).0, [2, 3]);
    }

    #[tokio::test]
    async fn s13_another_store_can_be_put_behind_the_address() {
        let clock = clock();
        let store = store(&clock);
        let begin = write(&store, 1).await;
        let (first, mut tail) = (store.id(), store.tail(begin).await.unwrap());
        store.replace(memory(&clock));
        assert!(matches!(read(&mut tail, begin), (seen, Some(Some(TailEnd::Failed(_)))) if seen.is_empty()));
        assert_ne!(store.id(), first);
        assert!(store.get(&key("0")).await.unwrap().entry.is_none());
        assert!(read(&mut store.tail(store.state().await.unwrap().head).await.unwrap(), begin).1.is_none());
    }
}
