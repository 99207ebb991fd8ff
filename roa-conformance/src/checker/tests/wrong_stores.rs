//! Stores that are wrong while clients use them: the workload brings each defect to light.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::{
    Batch, Capabilities, CommitError, Epoch, Error, Health, Key, ListRequest, Page, Random, RandomExt, Read, Result,
    Revision, SeededRandom, Store, StoreId, StoreState, Tail, TailEnd, Txn,
};
use tokio::time::Instant;

use super::on_threads;
use super::reference::Reference;
use crate::checker::workload::run_workload;
use crate::checker::{Anomaly, CommitAnomaly, Failure, LogAnomaly, ReadAnomaly, WatchAnomaly};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    StaleGet,
    TornList,
    UnsortedList,
    LosesAcknowledged,
    AppliesTwice,
    RefusesApplied,
    IgnoresGuards,
    IgnoresExpectations,
    WrongConflict,
    FeedSkips,
    FeedRepeats,
    FeedSplits,
    FeedEndsSilently,
    ServesForgotten,
}

/// A reference store that now and then has a defect.
#[derive(Debug)]
struct Wrong {
    store: Reference,
    defect: Defect,
    random: Arc<SeededRandom>,
    reads: Mutex<HashMap<Key, Read>>,
}

impl Wrong {
    fn now(&self, defect: Defect) -> bool {
        self.defect == defect && self.random.below(10) == 0
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {:?}", self.store, self.defect)
    }
}

#[async_trait]
impl Store for Wrong {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        let earlier = self.reads.lock().unwrap().get(key).cloned();
        if let Some(stale) = earlier.filter(|_| self.now(Defect::StaleGet)) {
            return Ok(stale);
        }
        let read = self.store.get(key).await?;
        self.reads.lock().unwrap().insert(key.clone(), read.clone());
        Ok(read)
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        if self.now(Defect::ServesForgotten) {
            let page = self.store.list(ListRequest::new(request.prefix.clone())).await;
            return page.map(|page| Page { revision: Revision::new(page.revision.get() - 1).unwrap(), ..page });
        }
        let mut page = self.store.list(request).await?;
        if self.now(Defect::TornList) && page.next.is_none() {
            page.entries.pop();
        }
        if self.now(Defect::UnsortedList) && page.next.is_none() {
            page.entries.reverse();
        }
        Ok(page)
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        if self.now(Defect::LosesAcknowledged) && self.store.with(|model| model.clone().commit(&txn)).is_ok() {
            return Ok(self.store.with(|model| model.head.next().unwrap()));
        }
        let mut asked = txn.clone();
        if self.now(Defect::IgnoresGuards) {
            asked.guards.clear();
        }
        let deletes = txn.ops.iter().any(|op| matches!(op, roa_core::Op::Delete { .. }));
        if self.now(Defect::IgnoresExpectations) && !deletes {
            return Ok(self.store.with(|model| model.apply(&txn)));
        }
        let answer = self.store.commit(asked).await;
        match answer {
            Ok(_) if self.now(Defect::AppliesTwice) && !deletes => _ = self.store.with(|model| model.apply(&txn)),
            Ok(_) if self.now(Defect::RefusesApplied) => {
                return Err(CommitError::Unavailable { reason: "pretended".into() });
            }
            Err(CommitError::Conflict { key, .. }) if self.now(Defect::WrongConflict) => {
                return Err(CommitError::Conflict { key, current: Revision::new(2).ok() });
            }
            _ => {}
        }
        answer
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        let tail = self.store.tail(after).await?;
        let (store, epoch) = (tail.store, tail.epoch);
        let (defect, random) = (self.defect, Arc::clone(&self.random));
        let spoiled = tail.flat_map(move |item| stream::iter(spoil(item, defect, &*random)));
        let ended = spoiled.take_while(|item| std::future::ready(!matches!(item, Err(TailEnd::Closed))));
        Ok(Tail::new(store, epoch, (after, None), ended.boxed()))
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

type Item = Result<Vec<Arc<Batch>>, TailEnd>;

fn spoil(item: Item, defect: Defect, random: &dyn Random) -> Vec<Item> {
    let Ok(mut batches) = item else { return vec![item] };
    let chosen = random.below(10) == 0;
    match defect {
        Defect::FeedSkips if chosen && batches.len() > 1 => _ = batches.remove(0),
        Defect::FeedRepeats if chosen => batches.push(Arc::clone(&batches[0])),
        Defect::FeedSplits if chosen => batches = batches.iter().flat_map(halves).collect(),
        Defect::FeedEndsSilently if chosen => return vec![Ok(batches), Err(TailEnd::Closed)],
        _ => {}
    }
    vec![Ok(batches)]
}

/// The parts of a batch, as if each change was a revision's only one.
fn halves(batch: &Arc<Batch>) -> Vec<Arc<Batch>> {
    let part = |change: &roa_core::Change| Arc::new(Batch { changes: change.clone().into(), ..Batch::clone(batch) });
    batch.changes.iter().map(part).collect()
}

#[track_caller]
fn brings_to_light(defect: Defect, expected: impl Fn(&Anomaly) -> bool) {
    for seed in 0..8 {
        let (random, reads) = (Arc::new(SeededRandom::new(seed)), Mutex::default());
        let store = Wrong { store: Reference::new(), defect, random, reads };
        let recording = on_threads(run_workload(Arc::new(store), seed, 4, 150)).unwrap();
        if let Err(Failure::Anomalies { anomalies, .. }) = recording.check()
            && anomalies.iter().any(&expected)
        {
            return;
        }
    }
    panic!("the workload did not bring {defect:?} to light");
}

#[test]
fn s7_stale_gets_come_to_light() {
    brings_to_light(Defect::StaleGet, |found| matches!(found, Anomaly::Read(ReadAnomaly::Stale { .. })));
}

#[test]
fn s7_torn_lists_come_to_light() {
    brings_to_light(Defect::TornList, |found| matches!(found, Anomaly::Read(ReadAnomaly::WrongEntry { .. })));
}

#[test]
fn s7_unsorted_lists_come_to_light() {
    brings_to_light(Defect::UnsortedList, |found| matches!(found, Anomaly::Read(ReadAnomaly::Unsorted { .. })));
}

#[test]
fn s6_lost_commits_come_to_light() {
    brings_to_light(Defect::LosesAcknowledged, |found| matches!(found, Anomaly::Commit(CommitAnomaly::Lost { .. })));
}

#[test]
fn s5_commits_that_happen_twice_come_to_light() {
    brings_to_light(Defect::AppliesTwice, |found| matches!(found, Anomaly::Commit(CommitAnomaly::AppliedTwice { .. })));
}

#[test]
fn s5_commits_that_happen_although_refused_come_to_light() {
    brings_to_light(Defect::RefusesApplied, |found| {
        matches!(found, Anomaly::Commit(CommitAnomaly::AppliedAfterRefusal { .. }))
    });
}

#[test]
fn s4_ignored_guards_come_to_light() {
    brings_to_light(Defect::IgnoresGuards, |found| matches!(found, Anomaly::Commit(CommitAnomaly::GuardBroken { .. })));
}

#[test]
fn s3_ignored_expectations_come_to_light() {
    brings_to_light(Defect::IgnoresExpectations, |found| {
        matches!(found, Anomaly::Commit(CommitAnomaly::ExpectationBroken { .. }))
    });
}

#[test]
fn s3_wrong_conflicts_come_to_light() {
    brings_to_light(Defect::WrongConflict, |found| {
        matches!(found, Anomaly::Commit(CommitAnomaly::UnjustifiedRefusal { .. }))
    });
}

#[test]
fn w4_feeds_that_skip_come_to_light() {
    brings_to_light(Defect::FeedSkips, |found| {
        matches!(found, Anomaly::Watch(WatchAnomaly::Missed { .. }) | Anomaly::Log(LogAnomaly::NotDense { .. }))
    });
}

#[test]
fn w2_feeds_that_repeat_come_to_light() {
    brings_to_light(Defect::FeedRepeats, |found| {
        matches!(found, Anomaly::Watch(WatchAnomaly::Duplicate { .. }) | Anomaly::Log(LogAnomaly::NotDense { .. }))
    });
}

#[test]
fn w3_feeds_that_split_come_to_light() {
    brings_to_light(Defect::FeedSplits, |found| {
        matches!(found, Anomaly::Watch(WatchAnomaly::Split { .. }) | Anomaly::Commit(CommitAnomaly::WrongEffect { .. }))
    });
}

#[test]
fn w9_feeds_that_end_silently_come_to_light() {
    brings_to_light(Defect::FeedEndsSilently, |found| matches!(found, Anomaly::Watch(WatchAnomaly::SilentEnd { .. })));
}

#[test]
fn s8_lists_of_another_revision_come_to_light() {
    brings_to_light(Defect::ServesForgotten, |found| matches!(found, Anomaly::Read(ReadAnomaly::OtherRevision { .. })));
}

/// A correct store that can't be reached for a while, soon after the begin.
#[derive(Debug)]
pub(super) struct Outage {
    store: Reference,
    calls: AtomicU64,
    length: Duration,
    ends: Mutex<Option<Instant>>,
}

impl Outage {
    const BEGINS_AFTER: u64 = 60;

    pub(super) fn new(store: Reference, length: Duration) -> Self {
        Self { store, calls: AtomicU64::new(0), length, ends: Mutex::new(None) }
    }

    fn reach(&self) -> Result<&Reference, Error> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < Self::BEGINS_AFTER {
            return Ok(&self.store);
        }
        let ends = *self.ends.lock().unwrap().get_or_insert_with(|| Instant::now() + self.length);
        if Instant::now() < ends { Err(Error::unavailable("outage")) } else { Ok(&self.store) }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with an outage", self.store)
    }
}

#[async_trait]
impl Store for Outage {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.reach()?.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.reach()?.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let store = self.reach().map_err(|_| CommitError::Unavailable { reason: "outage".into() })?;
        store.commit(txn).await
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        self.reach()?.tail(after).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.reach()?.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.reach()?.fence(expected, highest).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.reach()?.state().await
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }
}
