//! [`Workload`]: what runs, and how it is recorded.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{At, Error, Random, Result, Revision, SeededRandom, Store, StoreState};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::Client;
use super::collector::{Collected, Collector, lost};
use super::keys::Keys;
use super::pace::Pace;
#[cfg(doc)]
use super::read_log;
use super::watcher::Follower;
use crate::checker::{ClientId, Failure, Journal, Recorder, Recording, State, WatchHistory};
#[cfg(doc)]
use crate::checker::{History, check};

/// Runs clients on a store, each with so many operations, beside as many watchers.
///
/// # Errors
/// [`Failure::Store`] if the store can't be read at the begin or at the end.
///
/// # Cancel safety
/// Dropping the future ends all clients and watchers; commits that were under way may happen or not.
pub async fn run_workload(
    store: Arc<dyn Store>,
    seed: u64,
    clients: u32,
    operations: usize,
) -> Result<Recording, Failure> {
    Workload::new(seed, clients, operations).run(store).await
}

/// What to run. [`Workload::new`] gives all but the first three fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Workload {
    /// What all choices come from.
    pub seed: u64,
    /// How many clients run at once.
    pub clients: u32,
    /// How many steps each client takes; some take two or three operations.
    pub operations: usize,
    /// How many watchers run at once, besides the one from which the log is taken.
    pub watchers: u32,
    /// How many keys the clients share: the fewer, the more they collide.
    pub keys: u32,
    /// Whether clients compact the store now and then.
    pub compactions: bool,
    /// How long a call may take until it is given up.
    pub call_timeout: Duration,
    /// How long watchers may take to deliver the last commit (W11).
    pub settle: Duration,
    /// How long the store may be unavailable at a stretch.
    pub outage: Duration,
}

impl Workload {
    /// Clients with so many steps each, on 12 keys, with as many watchers.
    #[must_use]
    pub const fn new(seed: u64, clients: u32, operations: usize) -> Self {
        Self {
            seed,
            clients,
            operations,
            watchers: clients,
            keys: 12,
            compactions: true,
            call_timeout: Duration::from_secs(5),
            settle: Duration::from_secs(10),
            outage: Duration::from_secs(10),
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// As [`run_workload`].
    ///
    /// # Cancel safety
    /// As [`run_workload`].
    pub async fn run(&self, store: Arc<dyn Store>) -> Result<Recording, Failure> {
        let recorder = Recorder::new(Arc::clone(&store), self.operation_limit());
        self.run_recorded(store, recorder).await
    }

    /// Runs it, and writes down all commits while they happen: for a process that is to be killed.
    ///
    /// Whoever survives reads the state before the run, the lines with [`History::from_journal`], and afterwards
    /// [`read_log`]; then [`check`](check()). The store must not be compacted meanwhile.
    ///
    /// # Errors
    /// As [`run_workload`].
    ///
    /// # Cancel safety
    /// As [`run_workload`].
    pub async fn run_journaled(&self, store: Arc<dyn Store>, journal: Journal) -> Result<Recording, Failure> {
        let recorder = Recorder::with_journal(Arc::clone(&store), self.operation_limit(), journal);
        self.run_recorded(store, recorder).await
    }

    async fn run_recorded(&self, store: Arc<dyn Store>, recorder: Recorder) -> Result<Recording, Failure> {
        let fail = |error| Failure::Store { seed: self.seed, error };
        let initial = State::read(&*store, At::Latest).await.map_err(fail)?;
        let (goal, goals) = watch::channel(None);
        let mut watching = JoinSet::new();
        self.start_watchers(&mut watching, &store, initial.revision, &goals);
        let collector = Collector::new(ClientId(u32::MAX), self.batch_limit());
        let (collecting, collected) = collector.start(self.clone(), Arc::clone(&store), initial.revision, goals);

        self.run_clients(&recorder, &store, &initial, &collected).await;
        let end = self.final_state(&recorder).await.map_err(fail)?;
        goal.send_replace(Some(end.head));
        let collected = joined(collecting).await.pop().filter(|collected| collected.complete);
        let Collected { log, resyncs, watch, .. } = collected.ok_or_else(|| fail(lost()))?;
        let mut watches = joined(watching).await;
        watches.push(watch);
        Ok(Recording { seed: self.seed, initial, history: recorder.history(), log, resyncs, watches })
    }

    fn start_watchers(
        &self,
        watching: &mut JoinSet<WatchHistory>,
        store: &Arc<dyn Store>,
        after: Revision,
        goals: &watch::Receiver<Option<Revision>>,
    ) {
        for number in 0..self.watchers {
            let client = ClientId(self.clients + number);
            let follower = Follower::new(self, client, self.batch_limit());
            watching.spawn(follower.follow(Arc::clone(store), after, goals.clone()));
        }
    }

    async fn run_clients(
        &self,
        recorder: &Recorder,
        store: &Arc<dyn Store>,
        initial: &State,
        collected: &watch::Receiver<Revision>,
    ) {
        let keys = Keys::new(self.keys);
        let mut running = JoinSet::new();
        for number in 0..self.clients {
            let recorder = recorder.client(ClientId(number));
            let client = Client::new(self, recorder, Arc::clone(store), keys.clone(), initial, collected.clone());
            running.spawn(client.run(self.operations));
        }
        joined(running).await;
    }

    async fn final_state(&self, recorder: &Recorder) -> Result<StoreState> {
        let mut pace = Pace::new(self.outage);
        loop {
            match recorder.state().await {
                Err(Error::Unavailable { .. }) if pace.wait().await => {}
                result => return result,
            }
        }
    }

    /// A source of choices that is different for each client.
    pub(super) fn random(&self, client: ClientId) -> SeededRandom {
        let mixed = SeededRandom::new(self.seed ^ u64::from(client.0) << 32).next_u64();
        SeededRandom::new(mixed)
    }

    fn operation_limit(&self) -> usize {
        self.batch_limit() * 2
    }

    fn batch_limit(&self) -> usize {
        const MOST_PER_STEP: usize = 4;
        self.operations * self.clients as usize * MOST_PER_STEP + 1024
    }
}

/// What all tasks gave; a panic in one goes on here.
async fn joined<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(result) => results.push(result),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    results
}
