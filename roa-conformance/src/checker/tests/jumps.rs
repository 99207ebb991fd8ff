//! Discontinuities: the revision jumps, the epoch changes, feeds end, and nothing is lost unless the store may.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use roa_core::{
    Capabilities, CommitError, Epoch, Error, Health, Key, Linearizable, ListRequest, Page, RandomExt, Read, Result,
    Revision, SeededRandom, Store, StoreId, StoreState, Tail, TailEnd, Txn, TxnId, Value,
};

use super::model::Model;
use super::on_threads;
use super::reference::Reference;
use crate::checker::workload::run_workload;
use crate::checker::{
    Anomaly, ClientId, CommitAnomaly, Failure, History, LogAnomaly, Operation, ReadAnomaly, Recording, Report,
    Selection, State, Step, Tick, WatchAnomaly, WatchEnd, WatchHistory, WatchItem, WatchSession, check, check_watches,
};

/// A store that is fenced after every so many commits, and may lose the last ones before that.
#[derive(Debug)]
struct Fenced {
    store: Reference,
    capabilities: Capabilities,
    commits: AtomicU64,
    loses: usize,
}

impl Fenced {
    const EVERY: u64 = 60;

    fn new(loses: usize, linearizable: Linearizable) -> Self {
        let store = Reference::new();
        let mut capabilities = store.capabilities().clone();
        capabilities.linearizable = linearizable;
        Self { store, capabilities, commits: AtomicU64::new(0), loses }
    }
}

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, fenced often", self.store)
    }
}

#[async_trait]
impl Store for Fenced {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.store.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.store.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        if self.commits.fetch_add(1, Ordering::SeqCst) % Self::EVERY == Self::EVERY - 1 {
            self.store.with(|model| {
                model.lose(self.loses.min(model.batches.len()));
                model.fence()
            });
        }
        self.store.commit(txn).await
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

fn run(store: Fenced, seed: u64) -> (Recording, Result<Report, Failure>) {
    let recording = on_threads(run_workload(Arc::new(store), seed, 4, 200)).unwrap();
    let found = recording.check();
    (recording, found)
}

#[test]
fn s14_a_store_that_is_fenced_while_clients_use_it_passes() {
    for seed in 0..4 {
        let (recording, found) = run(Fenced::new(0, Linearizable::Always), seed);
        let report = found.unwrap();
        assert!(!recording.resyncs.is_empty(), "the log jumped");
        assert!(report.acknowledged > 50, "{report}");
    }
}

#[test]
fn s14_a_store_that_may_lose_commits_when_it_fails_over_passes() {
    for seed in 0..4 {
        run(Fenced::new(3, Linearizable::UnlessFailover), seed).1.unwrap();
    }
}

#[test]
fn s14_a_store_that_must_not_lose_commits_does_not_pass_when_it_does() {
    let lost = |found: &Anomaly| {
        matches!(found, Anomaly::Log(LogAnomaly::LostAtJump { .. }) | Anomaly::Commit(CommitAnomaly::Lost { .. }))
    };
    let caught = (0..8).any(|seed| match run(Fenced::new(3, Linearizable::Always), seed).1 {
        Err(Failure::Anomalies { anomalies, .. }) => anomalies.iter().any(lost),
        _ => false,
    });
    assert!(caught, "commits were lost at jumps and nobody noticed");
}

/// Two commits with a jump in between, written down by hand.
struct Scene {
    model: Model,
    initial: State,
    log: Vec<Arc<roa_core::Batch>>,
    jump: StoreState,
    before: Epoch,
}

impl Scene {
    fn new() -> Self {
        let mut model = Model::new(100);
        let (initial, before) = (State::empty(model.head), model.epoch);
        let create = |name: &str, id: u64| {
            let key = Key::new("g", "things", "n", name).unwrap();
            Txn::new(TxnId(SeededRandom::new(id).uuid()), "scene").create(key, Value::opaque("v"))
        };
        model.commit(&create("a", 1)).unwrap();
        let mut log = model.batches.clone();
        let jump = model.fence();
        model.commit(&create("b", 2)).unwrap();
        log.extend(model.batches.iter().cloned());
        Self { model, initial, log, jump, before }
    }

    /// Both commits, acknowledged, one after the other.
    fn history(&self) -> History {
        let operation = |(number, batch): (usize, &Arc<roa_core::Batch>)| {
            let entry = batch.changes[0].current().unwrap();
            let txn = Txn::new(batch.txn, "scene").create(entry.key.clone(), entry.value.clone());
            let step = Step::Commit { txn: Arc::new(txn), result: Ok(batch.revision) };
            let called = 10 * number as u64;
            Operation { client: ClientId(0), called: Tick(called), returned: Some(Tick(called + 5)), step }
        };
        History::new(self.log.iter().enumerate().map(operation).collect())
    }

    fn check_with(&self, called: u64, step: Step) -> Result<Report, Vec<Anomaly>> {
        let mut history = self.history();
        let (called, returned) = (Tick(called), Some(Tick(called + 1)));
        history.operations.push(Operation { client: ClientId(1), called, returned, step });
        check(&history, &self.log, &self.initial)
    }

    fn check_watch(&self, sessions: Vec<WatchSession>) -> Result<Report, Vec<Anomaly>> {
        let watch = WatchHistory { sessions, ..WatchHistory::new(ClientId(2), Selection::Everything) };
        check_watches(&[watch], &self.log, &self.initial)
    }

    fn state(&self, head: Revision, floor: Revision, epoch: Epoch) -> Step {
        Step::State { result: Ok(StoreState { head, floor, epoch }) }
    }
}

#[test]
fn s14_a_declared_jump_is_no_gap() {
    let scene = Scene::new();
    check(&scene.history(), &scene.log, &scene.initial).unwrap();
}

#[test]
fn s14_after_a_jump_the_chain_begins_anew() {
    let mut scene = Scene::new();
    let before = scene.log[0].txn;
    super::edit(&mut scene.log[1], |batch| batch.previous_txn = before);
    let found = check(&scene.history(), &scene.log, &scene.initial).unwrap_err();
    assert!(matches!(found[..], [Anomaly::Log(LogAnomaly::Chain { .. })]), "{found:?}");
}

#[test]
fn s14_a_leap_that_is_too_short_is_a_gap() {
    let mut scene = Scene::new();
    super::edit(&mut scene.log[1], |batch| batch.revision = super::revision(200));
    let found = check(&scene.history(), &scene.log, &scene.initial).unwrap_err();
    assert!(matches!(found[0], Anomaly::Log(LogAnomaly::NotDense { .. })), "{found:?}");
}

#[test]
fn s14_reads_may_be_as_of_the_head_after_the_jump_but_not_within_it() {
    let scene = Scene::new();
    let first = scene.log[0].revision;
    let read = |revision| Step::Get {
        key: scene.log[0].changes[0].key().clone(),
        result: Ok(Read { entry: scene.log[0].changes[0].current().cloned(), revision }),
    };
    scene.check_with(7, read(first)).unwrap();
    scene.check_with(7, read(scene.jump.head)).unwrap();
    let found = scene.check_with(7, read(super::moved(first, 1))).unwrap_err();
    assert!(matches!(found[..], [Anomaly::Read(ReadAnomaly::NoSuchRevision { .. })]), "{found:?}");
}

#[test]
fn s14_each_stretch_has_its_epoch() {
    let scene = Scene::new();
    let (first, after) = (scene.log[0].revision, scene.jump);
    let mut operations = scene.history().operations;
    let add =
        |called, step| Operation { client: ClientId(1), called: Tick(called), returned: Some(Tick(called)), step };
    operations.push(add(6, scene.state(first, scene.initial.revision, scene.before)));
    operations.push(add(7, scene.state(after.head, after.floor, after.epoch)));
    check(&History::new(operations.clone()), &scene.log, &scene.initial).unwrap();
    operations.push(add(20, scene.state(scene.model.head, after.floor, scene.before)));
    let found = check(&History::new(operations), &scene.log, &scene.initial).unwrap_err();
    assert!(matches!(found[..], [Anomaly::Read(ReadAnomaly::EpochChanged { .. })]), "{found:?}");
}

/// The jump was the last thing that happened: no batch tells of it.
#[test]
fn s14_a_jump_at_the_end_is_known_from_the_state() {
    let mut scene = Scene::new();
    scene.log.pop();
    let jump = scene.jump;
    let fence = Step::Fence { expected: scene.before, highest: scene.initial.revision, result: Ok(jump) };
    scene.check_with(20, fence).unwrap();
    let short = StoreState { head: super::moved(scene.log[0].revision, 1), ..jump };
    let found = scene.check_with(20, Step::State { result: Ok(short) }).unwrap_err();
    assert!(matches!(found[0], Anomaly::Read(ReadAnomaly::NoSuchRevision { .. })), "{found:?}");
}

#[test]
fn s14_a_watch_ends_at_a_jump() {
    let scene = Scene::new();
    let items =
        |range: std::ops::Range<usize>| scene.log[range].iter().map(|batch| WatchItem::Batch(Arc::clone(batch)));
    let mut whole = WatchSession::new(scene.initial.revision);
    whole.items = items(0..2).collect();
    let found = scene.check_watch(vec![whole.clone()]).unwrap_err();
    assert!(matches!(found[..], [Anomaly::Watch(WatchAnomaly::CrossedJump { .. })]), "{found:?}");

    let expired = WatchEnd::Ended(TailEnd::Expired { floor: scene.jump.floor, head: scene.jump.head });
    let first = WatchSession { items: items(0..1).collect(), end: expired, ..whole };
    let second = WatchSession { items: items(1..2).collect(), ..WatchSession::new(scene.jump.head) };
    scene.check_watch(vec![first, second]).unwrap();
}

#[test]
fn w7_a_start_before_the_jump_is_refused_as_expired() {
    let scene = Scene::new();
    let (floor, head) = (scene.jump.floor, scene.model.head);
    let end = WatchEnd::Refused(Error::Expired { floor, head });
    scene.check_watch(vec![WatchSession { end, ..WatchSession::new(scene.log[0].revision) }]).unwrap();
}

/// S14: an acknowledged commit that the log lacks may be missing only before a jump of a store that may lose it.
#[test]
fn s14_commits_are_lost_only_before_a_jump() {
    let scene = Scene::new();
    let lost = |called: u64, revision: Revision, linearizable: Linearizable| {
        let txn = Txn::new(TxnId::none(), "scene").create(Key::system("r", "lost").unwrap(), Value::opaque(""));
        let step = Step::Commit { txn: Arc::new(txn), result: Ok(revision) };
        let (called, returned) = (Tick(called), Some(Tick(called)));
        let mut history = History { linearizable, ..scene.history() };
        history.operations.push(Operation { client: ClientId(1), called, returned, step });
        check(&history, &scene.log, &scene.initial)
    };
    let before = super::moved(scene.log[0].revision, 1);
    assert_eq!(lost(7, before, Linearizable::UnlessFailover).unwrap().lost_at_jumps, 1);
    for (called, revision, linearizable) in [
        (7, before, Linearizable::Always),
        (8, scene.jump.head, Linearizable::UnlessFailover),
        (40, super::moved(scene.model.head, 1), Linearizable::UnlessFailover),
    ] {
        let found = lost(called, revision, linearizable).unwrap_err();
        assert!(matches!(found[..], [Anomaly::Commit(CommitAnomaly::Lost { .. })]), "{found:?}");
    }
}
