//! [`Coordinator`]: a process's life among others: one heartbeat, any number of leases, shards.

mod duties;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Cancellation, Clock, CommitError, Monotonic, Random, RandomExt, Result, Store, Txn};

use super::group::{Group, Identity};
use super::handle::Lease;
use super::layout::{Agreement, Layout, LayoutError};
use super::membership::{Membership, Nudge};
use super::observer::Observer;
use super::patient_store::{Committed, Patience, PatientStore};
use super::record::{HeartbeatRecord, decode};
use super::term::{Deadline, Signals};
use super::territory::Territory;
use super::transactions::{Author, Pulse};
use super::view::View;
use super::{LeaseConfig, LeaseConfigError};

/// A process's life among the others that share its store: it renews one heartbeat, whatever the process owns, gets and
/// keeps its leases and shards, and gives them back. Calls nobody: who needs to know watches a [`Lease`], a
/// [`Territory`] or the [`Membership`]. So nothing that others do can keep it from renewing.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{CancellationSource, SystemRandom};
/// # use roa_runtime::{Coordinator, LeaseConfig, SystemClock};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// # let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
/// let mut coordinator = Coordinator::new(store, clock, random, "node-a", LeaseConfig::default())?;
/// let (lease, stop) = (coordinator.lease("manager")?, CancellationSource::new());
/// let work = async {
///     let ownership = lease.acquired().await;
///     // ... writes with `resources.fenced_by(ownership)` until `lease.lost(&ownership)`
///     assert!(lease.is_held() && ownership.key.name() == "manager");
///     stop.cancel();
/// };
/// tokio::join!(work, coordinator.run(stop.token()));
/// # Ok(())
/// # }
/// ```
pub struct Coordinator {
    store: PatientStore,
    random: Arc<dyn Random>,
    config: LeaseConfig,
    author: Author,
    me: Identity,
    observer: Observer,
    groups: Vec<Group>,
    signals: Arc<Signals>,
    membership: Membership,
    /// The heartbeat, while it is renewed in time.
    pulse: Option<Pulse>,
    /// Whether it ever looked whether there is a heartbeat of its name from before its start.
    has_joined: bool,
    /// The groups that the last heartbeat named.
    announced: Vec<String>,
    renewal_due: Monotonic,
    look_due: Monotonic,
    /// Giving back failed: not again before this.
    give_back_due: Monotonic,
    looked_at: Option<Monotonic>,
}

impl Coordinator {
    /// A coordinator for the process called `holder`.
    ///
    /// A process that is started again under its old name has its leases back at once. Two processes that are alive must
    /// not have the same. `clock` should be a real one that counts suspended time ([`BootClock`](crate::BootClock)).
    ///
    /// # Errors
    /// [`LeaseConfigError`].
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        holder: &str,
        config: LeaseConfig,
    ) -> Result<Self, LeaseConfigError> {
        config.validate()?;
        let author = Author::new(holder, config.duration, Arc::clone(&random))?;
        let now = clock.monotonic();
        Ok(Self {
            author,
            me: Identity::new(holder),
            observer: Observer::new(config.duration),
            groups: Vec::new(),
            signals: Arc::default(),
            membership: Membership::new(holder.into(), Arc::clone(&clock)),
            store: PatientStore { store, clock },
            random,
            config,
            pulse: None,
            has_joined: false,
            announced: Vec::new(),
            renewal_due: now,
            look_due: now,
            give_back_due: now,
            looked_at: None,
        })
    }

    /// The same, with its heartbeat saying where people ask this process, such as the path of a socket.
    #[must_use]
    pub fn with_address(mut self, address: Option<String>) -> Self {
        self.author.address = address;
        self
    }

    /// A lease that this process wants: it gets it when nobody has it, and keeps it.
    ///
    /// # Errors
    /// [`LeaseConfigError::Name`] if the name makes no key.
    pub fn lease(&mut self, name: &str) -> Result<Lease, LeaseConfigError> {
        let group = Group::lease(name, Arc::clone(&self.signals))?;
        let lease = Lease::new(name.into(), group.territory.clone(), Arc::clone(&self.store.clock));
        self.add(group);
        Ok(lease)
    }

    /// What this process has of the work called `name`, which all processes on the store divide in the same way: they
    /// agree on that here.
    ///
    /// # Errors
    /// [`LayoutError::Mismatch`] if processes that live divide it otherwise; to know that they do not may take as long
    /// as a lease. [`LayoutError`].
    pub async fn divide(&mut self, name: &str, layout: Layout) -> Result<Territory, LayoutError> {
        let (store, random, config) = (&self.store, &*self.random, &self.config);
        let agreed = Agreement { store, random, config, name }.on(layout).await?;
        let mut group = match layout {
            Layout::Leader => Group::lease(name, Arc::clone(&self.signals))?,
            Layout::Sharded(by) => Group::shards(name, by, Arc::clone(&self.signals))?,
        };
        group.layout = Some(agreed);
        let territory = group.territory.clone();
        self.add(group);
        Ok(territory)
    }

    fn add(&mut self, group: Group) {
        self.membership.shared().watch(&group.territory);
        self.groups.push(group);
    }

    /// How this process stands among the others.
    #[must_use]
    pub fn membership(&self) -> Membership {
        self.membership.clone()
    }

    pub(crate) fn nudge(&self) -> Nudge {
        Nudge(Arc::clone(&self.signals))
    }

    /// Lives until the sign to stop, then gives back all that is held, within a retry period. Stop what needs it first.
    ///
    /// # Cancel safety
    /// If dropped, all counts as lost at once in this process, and is free for others when the lease has run out.
    pub async fn run(mut self, cancellation: Cancellation) {
        tokio::select! {
            biased;
            () = cancellation.cancelled() => {}
            never = self.live() => match never {},
        }
        self.give_back_all().await;
    }

    async fn live(&mut self) -> Infallible {
        loop {
            self.keep_alive().await;
            self.give_back_drained().await;
            if self.now() >= self.look_due {
                self.coordinate().await;
            }
            self.rest().await;
        }
    }

    /// Until something is due, or happened.
    async fn rest(&mut self) {
        let mut due = self.renewal_due.min(self.look_due);
        for at in [self.deadline().until(), self.drain_due()].into_iter().flatten() {
            due = due.min(at);
        }
        tokio::select! {
            biased;
            () = self.signals.wake.notified() => {}
            () = self.store.clock.sleep_until(due) => {}
        }
        if self.signals.take_nudge() {
            let earliest = self.looked_at.map_or(self.now(), |looked| looked + self.config.least_gap());
            self.look_due = self.look_due.min(earliest.max(self.now()));
        }
        for group in self.groups.iter().filter(|group| group.territory.is_leaving()) {
            group.territory.drain_all(self.now());
        }
        // Others should know at once.
        if self.announced != self.to_announce() {
            self.renewal_due = self.now();
        }
    }

    fn drain_due(&self) -> Option<Monotonic> {
        let limit = |group: &Group| (!group.territory.is_leaving()).then_some(self.config.duration);
        let due = self.groups.iter().filter_map(|group| group.territory.drain_due(limit(group))).min()?;
        Some(due.max(self.give_back_due))
    }

    fn holder(&self) -> &str {
        &self.me.holder
    }

    fn now(&self) -> Monotonic {
        self.store.clock.monotonic()
    }

    fn deadline(&self) -> &Deadline {
        &self.membership.shared().deadline
    }

    /// The retry period, less up to a fifth.
    fn pause(&self) -> Duration {
        self.random.jitter(self.config.retry_period.saturating_mul(4) / 5, 0.25)
    }

    /// The groups that the heartbeat is to name.
    fn to_announce(&self) -> Vec<String> {
        self.groups.iter().filter(|group| group.takes_part()).map(|group| group.name().to_owned()).collect()
    }

    async fn commit(&self, txn: Txn, started: Monotonic, inquiry: Monotonic) -> Committed {
        let answer = inquiry.min(started + self.config.attempt());
        self.store.commit(txn, Patience { answer, inquiry }).await
    }

    /// Renews the heartbeat if that is due; begins one if there is none.
    async fn keep_alive(&mut self) {
        if self.pulse.is_some() && !self.deadline().is_live() {
            self.lose_all("the heartbeat was not renewed in time");
        }
        if self.now() < self.renewal_due {
            return;
        }
        self.renewal_due = self.now() + self.pause();
        match self.pulse.take() {
            Some(pulse) => self.renew(pulse).await,
            None => {
                if let Err(error) = self.join().await {
                    tracing::warn!(holder = self.holder(), %error, "no heartbeat yet, trying again");
                }
            }
        }
    }

    /// Begins to live under a new incarnation.
    async fn join(&mut self) -> Result<()> {
        let started = self.now();
        let view = View::read(&self.store, &self.groups, started + self.config.attempt()).await?;
        self.observer.look(&view, self.now());
        let before = view.heartbeats.get(self.holder());
        let others = before.and_then(|stored| stored.record.as_ref());
        if let Some(record) = others.filter(|record| !self.me.incarnations.contains(&record.incarnation)) {
            if self.has_joined && !self.observer.is_dead(&record.incarnation, self.now()) {
                tracing::warn!(holder = self.holder(), "another process has this one's name, waiting for its end");
                return Ok(());
            }
            // The process that this one was before it was started again.
            self.me.incarnations.insert(record.incarnation.clone());
        }
        if !self.has_joined {
            self.me.inherit(&view);
        }
        self.me.forget_all_but_owners(&view);
        self.has_joined = true;
        let incarnation = self.random.uuid().to_string();
        // Also if the answer is lost: then it is this process's all the same.
        self.me.incarnations.insert(incarnation.clone());
        let member_of = self.to_announce();
        let txn =
            self.author.birth(&incarnation, view.epoch, before.map(|stored| stored.revision), member_of.clone())?;
        let until = started + self.config.renew_deadline;
        if let Committed::Applied(revision) = self.commit(txn, started, until).await {
            self.pulse = Some(Pulse { incarnation: incarnation.into(), epoch: view.epoch, revision, renewals: 0 });
            self.deadline().begin(until);
            self.membership.shared().renewed(started);
            self.announced = member_of;
            self.look_due = self.now();
            tracing::debug!(holder = self.holder(), %revision, "living");
        }
        Ok(())
    }

    async fn renew(&mut self, mut pulse: Pulse) {
        let (started, member_of) = (self.now(), self.to_announce());
        let Some(until) = self.deadline().until() else {
            return self.lose_all("the heartbeat was not renewed in time");
        };
        let txn = match self.author.renewal(&pulse, member_of.clone()) {
            Ok(txn) => txn,
            Err(error) => return self.lose_all(&error.to_string()),
        };
        let outcome = self.commit(txn, started, until).await;
        match outcome {
            Committed::Applied(revision) => {
                (pulse.revision, pulse.renewals) = (revision, pulse.renewals + 1);
                self.announced = member_of;
                self.goes_on(pulse, started);
            }
            Committed::Refused(CommitError::Conflict { .. }) => self.catch_up(pulse, until).await,
            Committed::Refused(CommitError::Fenced { .. }) => self.lose_all("the store's history was broken"),
            Committed::Refused(error) => self.try_again(pulse, &error.to_string()),
            // It may still be on its way: the next one expects the same revision, so that only one of them can happen.
            Committed::Unclear => self.try_again(pulse, "no answer in time"),
        }
    }

    fn goes_on(&mut self, pulse: Pulse, started: Monotonic) {
        self.pulse = Some(pulse);
        if self.deadline().extend(started + self.config.renew_deadline) {
            self.membership.shared().renewed(started);
            self.renewal_due = started + self.pause();
        } else {
            self.lose_all("the heartbeat was not renewed in time");
        }
    }

    fn try_again(&mut self, pulse: Pulse, error: &str) {
        tracing::warn!(holder = self.holder(), error, "heartbeat not renewed, trying again");
        self.renewal_due = self.now() + self.pause();
        self.pulse = Some(pulse);
    }

    /// The heartbeat is not as this process left it: by an earlier renewal of its own, or by somebody else.
    async fn catch_up(&mut self, mut pulse: Pulse, until: Monotonic) {
        let found = match self.store.get(&self.author.heartbeat, until).await {
            Ok(Some(entry)) => decode::<HeartbeatRecord>(&entry),
            Ok(None) => return self.lose_all("its heartbeat was removed"),
            Err(error) => return self.try_again(pulse, &error.to_string()),
        };
        match found {
            Ok(found) if *found.record.incarnation == *pulse.incarnation && found.revision != pulse.revision => {
                pulse.revision = found.revision;
                self.pulse = Some(pulse);
                self.renewal_due = self.now();
            }
            _ => self.lose_all("its heartbeat is another process's"),
        }
    }

    /// All that was owned is lost at once; what runs there must end.
    fn lose_all(&mut self, why: &str) {
        self.pulse = None;
        self.deadline().end();
        let lost: usize = self.groups.iter().map(|group| group.territory.vacate_all()).sum();
        self.membership.shared().lost(lost);
        self.renewal_due = self.now() + self.pause();
        tracing::warn!(holder = self.holder(), lost, why, "lost the heartbeat and what it kept");
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.deadline().end();
        for group in &self.groups {
            group.territory.vacate_all();
        }
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coordinator({}, {} groups)", self.holder(), self.groups.len())
    }
}
