//! [`LeaseDriver`]: gets a lease, keeps it, gives it back.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{
    Cancellation, Clock, ClockExt, CommitError, Monotonic, Ownership, Random, RandomExt, Result, Revision, Store, Txn,
};

use super::candidate::{Candidate, Judgement, View};
use super::handle::{Lease, Shared};
use super::patient_store::{Committed, Patience, PatientStore};
use super::record::{HeartbeatRecord, OwnershipRecord, Stored, decode, heartbeat_key};
use super::transactions::Claimant;
use super::{LeaseConfig, LeaseConfigError};

/// How often giving a lease back is tried.
const RELEASE_ATTEMPTS: usize = 3;

/// Gets a lease, keeps it, and gives it back. Calls nobody: who needs to know watches the [`Lease`]. So nothing that
/// others do can keep it from renewing.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{CancellationSource, SystemRandom};
/// # use roa_runtime::{LeaseConfig, LeaseDriver, SystemClock};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// # let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
/// let driver = LeaseDriver::new(store, clock, random, "manager", "node-a", LeaseConfig::default())?;
/// let (lease, stop) = (driver.lease(), CancellationSource::new());
/// let work = async {
///     let ownership = lease.acquired().await;
///     // ... writes with `resources.fenced_by(ownership)` until `lease.lost(&ownership)`
///     assert!(lease.is_held() && ownership.key.name() == "manager");
///     stop.cancel();
/// };
/// tokio::join!(work, driver.run(stop.token()));
/// # Ok(())
/// # }
/// ```
pub struct LeaseDriver {
    store: PatientStore,
    random: Arc<dyn Random>,
    config: LeaseConfig,
    claimant: Claimant,
    candidate: Candidate,
    shared: Arc<Shared>,
    /// Whether it ever tried to get the lease: then there may be something to give back.
    claimed: bool,
}

/// A time of being the owner.
#[derive(Debug)]
struct Term {
    ownership: Ownership,
    /// The revision of the heartbeat that the next renewal expects.
    heartbeat: Revision,
    renewals: u64,
    /// Until when it may be acted on.
    until: Monotonic,
}

/// What became of a renewal.
#[derive(Debug)]
enum Renewal {
    Done,
    /// The heartbeat was found to have moved by an earlier renewal: the same again.
    CaughtUp,
    /// It may work later.
    Failed(String),
    Lost(&'static str),
}

impl LeaseDriver {
    /// A driver of `lease` for the process called `holder`.
    ///
    /// A process that is started again should have the same name: it gets its lease back at once. Two processes that
    /// are alive must not have the same, nor may one process drive two leases under one name: there is one heartbeat
    /// for each name. `clock` should be a real one that counts suspended time ([`BootClock`](crate::BootClock)).
    ///
    /// # Errors
    /// [`LeaseConfigError`].
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        lease: &str,
        holder: &str,
        config: LeaseConfig,
    ) -> Result<Self, LeaseConfigError> {
        config.validate()?;
        let incarnation: Arc<str> = random.uuid().to_string().into();
        let claimant = Claimant::new(lease, holder, Arc::clone(&incarnation), config.duration, Arc::clone(&random))?;
        Ok(Self {
            candidate: Candidate::new(holder.into(), incarnation, config.duration),
            claimant,
            shared: Arc::new(Shared::new(lease.into(), Arc::clone(&clock))),
            store: PatientStore { store, clock },
            random,
            config,
            claimed: false,
        })
    }

    /// Whether this process has the lease.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(&self.shared))
    }

    /// Drives the lease until the sign to stop, then gives it back if it was held, within a retry period. Stop what
    /// needs the lease first.
    ///
    /// # Cancel safety
    /// If dropped, the lease counts as lost at once in this process, and is free for others when it has run out.
    pub async fn run(mut self, cancellation: Cancellation) {
        tokio::select! {
            biased;
            () = cancellation.cancelled() => {}
            never = self.compete() => match never {},
        }
        self.release().await;
    }

    async fn compete(&mut self) -> Infallible {
        loop {
            match self.stand().await {
                Ok(Some(term)) => {
                    let why = self.hold(term).await;
                    tracing::warn!(lease = self.name(), holder = %self.claimant.holder, why, "lost the lease");
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(lease = self.name(), %error, "lease can't be read, looking again"),
            }
            self.store.clock.sleep(self.pause()).await;
        }
    }

    fn name(&self) -> &str {
        self.claimant.ownership.name()
    }

    fn now(&self) -> Monotonic {
        self.store.clock.monotonic()
    }

    /// The retry period, less up to a fifth.
    fn pause(&self) -> Duration {
        self.random.jitter(self.config.retry_period.saturating_mul(4) / 5, 0.25)
    }

    /// Looks once, and takes the lease if that may be.
    async fn stand(&mut self) -> Result<Option<Term>> {
        let deadline = self.now() + self.config.attempt();
        let view = self.look(deadline).await?;
        match self.candidate.judge(&view, self.now()) {
            Judgement::Take(why) => {
                tracing::debug!(lease = self.name(), why, "taking the lease");
                self.acquire(&view).await
            }
            Judgement::Wait => {
                self.shared.stand_by(view.owner().map(|owner| &*owner.holder));
                Ok(None)
            }
        }
    }

    async fn look(&self, deadline: Monotonic) -> Result<View> {
        let epoch = self.store.epoch(deadline).await?;
        let ownership = self.store.get(&self.claimant.ownership, deadline).await?;
        let ownership: Option<Stored<OwnershipRecord>> = ownership.map(|entry| decode(&entry)).transpose()?;
        let owner = ownership.as_ref().and_then(|stored| stored.record.owner.as_ref());
        let heartbeat = match owner {
            Some(owner) => self.store.get(&heartbeat_key(&owner.holder)?, deadline).await?,
            None => None,
        };
        let heartbeat = heartbeat
            .map(|entry| Stored { revision: entry.revision, record: decode(&entry).ok().map(|stored| stored.record) });
        Ok(View { epoch, ownership, heartbeat })
    }

    async fn acquire(&mut self, view: &View) -> Result<Option<Term>> {
        let started = self.now();
        let until = started + self.config.renew_deadline;
        let own_heartbeat = self.own_heartbeat(view, started + self.config.attempt()).await?;
        let txn = self.claimant.acquisition(view, own_heartbeat, self.store.clock.now())?;
        self.claimed = true;
        match self.commit(txn, started, until).await {
            Committed::Applied(revision) => {
                let ownership = Ownership { key: self.claimant.ownership.clone(), revision, epoch: view.epoch };
                tracing::info!(lease = self.name(), holder = %self.claimant.holder, %revision, "got the lease");
                Ok(Some(Term { ownership, heartbeat: revision, renewals: 0, until }))
            }
            Committed::Refused(error) => {
                tracing::debug!(lease = self.name(), %error, "did not get the lease");
                Ok(None)
            }
            // If it happened, the next look finds the lease to be this process's.
            Committed::Unclear => Ok(None),
        }
    }

    async fn own_heartbeat(&self, view: &View, deadline: Monotonic) -> Result<Option<Revision>> {
        if view.owner().is_some_and(|owner| *owner.holder == *self.claimant.holder) {
            return Ok(view.heartbeat.as_ref().map(|heartbeat| heartbeat.revision));
        }
        Ok(self.store.get(&self.claimant.heartbeat, deadline).await?.map(|entry| entry.revision))
    }

    async fn commit(&self, txn: Txn, started: Monotonic, inquiry: Monotonic) -> Committed {
        let answer = inquiry.min(started + self.config.attempt());
        self.store.commit(txn, Patience { answer, inquiry }).await
    }

    /// Keeps the lease as long as that works; then says why not.
    async fn hold(&self, mut term: Term) -> &'static str {
        self.shared.hold(term.ownership.clone(), term.until);
        let why = self.renew_until_lost(&mut term).await;
        self.shared.resign();
        why
    }

    async fn renew_until_lost(&self, term: &mut Term) -> &'static str {
        loop {
            self.store.clock.sleep_until(term.until.min(self.now() + self.pause())).await;
            let mut renewal = Renewal::CaughtUp;
            while matches!(renewal, Renewal::CaughtUp) {
                if self.now() >= term.until {
                    return "it was not renewed in time";
                }
                renewal = self.renew(term).await;
                self.shared.extend(term.until);
            }
            match renewal {
                Renewal::Done | Renewal::CaughtUp => {}
                Renewal::Failed(error) => tracing::warn!(lease = self.name(), error, "lease not renewed, trying again"),
                Renewal::Lost(why) => return why,
            }
        }
    }

    /// Renews the heartbeat under the condition that the ownership has not moved.
    async fn renew(&self, term: &mut Term) -> Renewal {
        let started = self.now();
        let txn = match self.claimant.renewal(&term.ownership, term.heartbeat, term.renewals + 1) {
            Ok(txn) => txn,
            Err(error) => return Renewal::Failed(error.to_string()),
        };
        match self.commit(txn, started, term.until).await {
            Committed::Applied(revision) => {
                term.heartbeat = revision;
                term.renewals += 1;
                term.until = started + self.config.renew_deadline;
                Renewal::Done
            }
            Committed::Refused(CommitError::Conflict { .. }) => self.catch_up(term).await,
            Committed::Refused(CommitError::GuardFailed { .. }) => Renewal::Lost("somebody else has it"),
            Committed::Refused(CommitError::Fenced { .. }) => Renewal::Lost("the store's history was broken"),
            Committed::Refused(error) => Renewal::Failed(error.to_string()),
            // It may still be on its way: the next one expects the same revision, so that only one of them can happen.
            Committed::Unclear => Renewal::Failed("no answer in time".to_owned()),
        }
    }

    /// The heartbeat is not as this process left it: by an earlier renewal of its own, or by a successor.
    async fn catch_up(&self, term: &mut Term) -> Renewal {
        let entry = match self.store.get(&self.claimant.heartbeat, term.until).await {
            Ok(Some(entry)) => entry,
            Ok(None) => return Renewal::Lost("its heartbeat was removed"),
            Err(error) => return Renewal::Failed(error.to_string()),
        };
        let is_own = |found: &HeartbeatRecord| *found.incarnation == *self.claimant.incarnation;
        match decode(&entry) {
            Ok(found) if is_own(&found.record) && found.revision != term.heartbeat => {
                term.heartbeat = found.revision;
                Renewal::CaughtUp
            }
            _ => Renewal::Lost("its heartbeat is another process's"),
        }
    }

    async fn release(&mut self) {
        self.shared.resign();
        let deadline = self.now() + self.config.retry_period;
        for _ in 0..RELEASE_ATTEMPTS {
            match self.release_once(deadline).await {
                Ok(true) => {
                    self.shared.stand_by(None);
                    return;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(lease = self.name(), %error, "lease not given back, it runs out by itself");
                    return;
                }
            }
        }
    }

    /// Gives back what the store says is this process's; says whether nothing is left to give back.
    async fn release_once(&self, deadline: Monotonic) -> Result<bool> {
        if !self.claimed {
            return Ok(true);
        }
        let view = self.look(deadline).await?;
        let Some(txn) = self.claimant.release(&view)? else { return Ok(true) };
        let committed = self.store.commit(txn, Patience { answer: deadline, inquiry: deadline }).await;
        Ok(matches!(committed, Committed::Applied(_)))
    }
}

impl Drop for LeaseDriver {
    fn drop(&mut self) {
        self.shared.resign();
    }
}

impl fmt::Debug for LeaseDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseDriver({} for {})", self.claimant.ownership, self.claimant.holder)
    }
}
