//! Processes that want one lease, each polled by hand: a process that is not polled is paused, or dead.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use roa_conformance::{FaultPlan, FaultStore};
use roa_core::{
    CancellationSource, Capabilities, CommitError, Entry, Epoch, Error, Expect, Health, Key, ListRequest, ManualClock,
    Monotonic, Page, Read, Result, SeededRandom, Store, StoreId, StoreState, SystemRandom, Tail, Timestamp, Txn, TxnId,
    Value,
};
use roa_store_memory::{MemoryConfig, MemoryStore};

use super::*;
use crate::ShardBy;

/// What goes wrong between one process and the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Nothing gets through.
    Down,
    /// Commits happen, but their answers are lost.
    AnswersLost,
    /// Commits happen, and are never answered.
    AnswersHeld,
    /// Commits are on their way and neither happen nor are answered, until delivered.
    CommitsHeld,
    /// Nothing is ever answered.
    Silent,
}

/// One process's way to the store.
#[derive(Debug)]
pub(super) struct Wire {
    /// Which fails as planned besides.
    store: Arc<FaultStore>,
    memory: Arc<MemoryStore>,
    fault: Mutex<Fault>,
    held: Mutex<Vec<Txn>>,
}

impl Wire {
    pub(super) fn set(&self, fault: Fault) {
        *locks::lock(&self.fault) = fault;
    }

    /// The commits that are on their way.
    pub(super) fn held(&self) -> Vec<Txn> {
        locks::lock(&self.held).clone()
    }

    /// Lets the held commits happen, and gives what the store says to each.
    pub(super) fn deliver(&self) -> Vec<Result<Revision, CommitError>> {
        let held = std::mem::take(&mut *locks::lock(&self.held));
        held.into_iter().map(|txn| now(self.memory.commit(txn))).collect()
    }

    async fn pass(&self) -> Result<()> {
        match *locks::lock(&self.fault) {
            Fault::Down => return Err(Error::unavailable("down")),
            Fault::Silent => {}
            Fault::None | Fault::AnswersLost | Fault::AnswersHeld | Fault::CommitsHeld => return Ok(()),
        }
        std::future::pending().await
    }
}

impl std::fmt::Display for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait::async_trait]
impl Store for Wire {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.pass().await?;
        self.store.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.pass().await?;
        self.store.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        self.pass().await.map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
        let (fault, id) = (*locks::lock(&self.fault), txn.id);
        if fault == Fault::CommitsHeld {
            locks::lock(&self.held).push(txn);
            return std::future::pending().await;
        }
        let answer = self.store.commit(txn).await?;
        match fault {
            Fault::AnswersLost => Err(CommitError::Ambiguous { txn: id, reason: "answer lost".into() }),
            Fault::AnswersHeld => std::future::pending().await,
            _ => Ok(answer),
        }
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
        self.pass().await?;
        self.store.state().await
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }
}

/// The answer of something that does not wait.
pub(super) fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("the memory store answers at once")
}

/// One process that wants the lease.
pub(super) struct Process {
    pub(super) lease: Lease,
    pub(super) wire: Arc<Wire>,
    pub(super) stop: CancellationSource,
    memory: Arc<MemoryStore>,
    run: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// One process that wants its part of the shards.
pub(super) struct Member {
    pub(super) territory: Territory,
    pub(super) membership: Membership,
    pub(super) nudge: Nudge,
    pub(super) process: Process,
}

impl Process {
    /// What goes wrong from now on between it and the store, besides the wire's fault.
    pub(super) fn plan(&self, plan: FaultPlan) {
        self.wire.store.plan(plan);
    }

    /// How much of the plan is still to come.
    pub(super) fn planned(&self) -> usize {
        self.wire.store.planned()
    }

    /// Lets it go on until it waits.
    pub(super) fn step(&mut self) {
        if let Some(run) = &mut self.run
            && run.now_or_never().is_some()
        {
            self.run = None;
        }
    }

    /// Ends it without a chance to give anything back.
    pub(super) fn kill(&mut self) {
        self.run = None;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.run.is_none()
    }

    /// Its writes are refused unless it owns the lease as `ownership` says.
    pub(super) fn write(&self, ownership: &Ownership, name: &str) -> Result<Revision, CommitError> {
        let id = TxnId::random(&SystemRandom);
        let txn = Txn::new(id, "test").create(Key::new("test", "things", "", name).unwrap(), Value::opaque(""));
        let txn = txn.guard(ownership.key.clone(), Expect::At(ownership.revision)).expect_epoch(ownership.epoch);
        now(self.memory.commit(txn))
    }
}

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) store: Arc<MemoryStore>,
    pub(super) config: LeaseConfig,
    seed: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(LeaseConfig::default())
    }

    pub(super) fn with(config: LeaseConfig) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap());
        let random = Arc::new(SeededRandom::new(0));
        let store = Arc::new(MemoryStore::new(MemoryConfig::default(), Arc::new(clock.clone()), random));
        Self { clock, store, config, seed: 0 }
    }

    /// Starts a process that wants the lease.
    pub(super) fn start(&mut self, holder: &str) -> Process {
        let (wire, random, clock) = self.connect();
        let coordinator = Coordinator::new(Arc::<Wire>::clone(&wire), clock, random, holder, self.config.clone());
        let mut coordinator = coordinator.unwrap();
        let (lease, stop) = (coordinator.lease("manager").unwrap(), CancellationSource::new());
        let run = Some(Box::pin(coordinator.run(stop.token())) as Pin<Box<dyn Future<Output = ()>>>);
        Process { lease, wire, run, stop, memory: Arc::clone(&self.store) }
    }

    fn connect(&mut self) -> (Arc<Wire>, Arc<SeededRandom>, Arc<ManualClock>) {
        self.seed += 1;
        let clock = Arc::new(self.clock.clone());
        let store =
            Arc::new(FaultStore::new(Arc::<MemoryStore>::clone(&self.store), Arc::<ManualClock>::clone(&clock)));
        let memory = Arc::clone(&self.store);
        let wire = Wire { store, memory, fault: Mutex::new(Fault::None), held: Mutex::default() };
        (Arc::new(wire), Arc::new(SeededRandom::new(self.seed)), clock)
    }

    /// Starts a process that wants its part of the shards, and with it the lease `side`.
    pub(super) fn start_member(&mut self, holder: &str) -> Member {
        self.start_member_by(holder, ShardBy::Object)
    }

    pub(super) fn start_member_by(&mut self, holder: &str, by: ShardBy) -> Member {
        let (wire, random, clock) = self.connect();
        let coordinator = Coordinator::new(Arc::<Wire>::clone(&wire), clock, random, holder, self.config.clone());
        let mut coordinator = coordinator.unwrap();
        let territory = now(coordinator.divide("things", Layout::Sharded(by))).unwrap();
        let lease = coordinator.lease("side").unwrap();
        let (membership, nudge, stop) = (coordinator.membership(), coordinator.nudge(), CancellationSource::new());
        let run = Some(Box::pin(coordinator.run(stop.token())) as Pin<Box<dyn Future<Output = ()>>>);
        Member {
            territory,
            membership,
            nudge,
            process: Process { lease, wire, run, stop, memory: Arc::clone(&self.store) },
        }
    }

    /// Passes time, in small steps, with these processes going on. Never do two of them lead.
    pub(super) fn pass<const N: usize>(&self, time: Duration, mut processes: [&mut Process; N]) {
        let end = self.clock.monotonic() + time;
        loop {
            processes.iter_mut().for_each(|process| process.step());
            let leaders = processes.iter().filter(|process| process.lease.is_held()).count();
            assert!(leaders <= 1, "{leaders} leaders at once");
            if !self.advance_towards(end) {
                return;
            }
        }
    }

    /// Passes time until something holds; says how long that took.
    pub(super) fn pass_until<const N: usize>(
        &self,
        mut processes: [&mut Process; N],
        holds: impl Fn(&[&mut Process; N]) -> bool,
    ) -> Duration {
        let begin = self.clock.monotonic();
        loop {
            processes.iter_mut().for_each(|process| process.step());
            if holds(&processes) {
                return self.clock.monotonic().saturating_since(begin);
            }
            assert!(self.advance_towards(begin + Duration::from_secs(600)), "it did not happen in ten minutes");
        }
    }

    fn advance_towards(&self, end: Monotonic) -> bool {
        let left = end.saturating_since(self.clock.monotonic());
        self.clock.advance(left.min(self.config.retry_period / 20));
        !left.is_zero()
    }

    pub(super) fn entry(&self, key: &Key) -> Option<Arc<Entry>> {
        now(self.store.get(key)).unwrap().entry
    }

    pub(super) fn ownership(&self) -> Stored<OwnershipRecord> {
        decode(&self.entry(&ownership_key("manager").unwrap()).unwrap()).unwrap()
    }

    pub(super) fn heartbeat(&self, holder: &str) -> Option<Stored<HeartbeatRecord>> {
        Some(decode(&*self.entry(&heartbeat_key(holder).unwrap())?).unwrap())
    }
}
