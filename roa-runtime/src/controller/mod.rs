//! Drives a [`Controller`]: each change of an object leads to a call for its key, never two at once for one key.
//!
//! A call has a time-out, and its panics are its own. Failures are tried again with back-off, and counted by the queue,
//! never in the object. A call sees all that the controller wrote before. At shutdown no new call begins, and those
//! that run may end.

mod backlog;
mod config;
mod desk;
mod explain;
mod filter;
mod finalizer;
mod gate;
mod outcome;
mod overflow;
mod related;
mod run;
mod sparse;
mod tracking;

use std::collections::{BTreeMap, HashSet};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};

pub use config::ControllerConfig;
pub use filter::{Filter, Update};

use backlog::{Backlog, Change, Concerned};
use desk::Desk;
use gate::{Parked, Unchecked, WriteGate};
use overflow::Overflow;
use roa_core::{
    CacheReader, Cancellation, Cause, Context, Controller, Key, Metadata, Monotonic, Resource, Revision, Timestamp,
};
use tokio::task::coop::has_budget_remaining;
use tracking::{Begin, Leaving, Troubles, Unobserved};

use crate::cache::Freshness;
use crate::safety::{Quarantine, what_frees};
use crate::{
    AddError, Cache, CacheListener, Clocks, ControllerMetrics, Outcome, Priority, RetryBudget, Run, Territory,
    WorkQueue,
};

/// How many keys are queued again at a time after an overflow.
const REFILL: usize = 1_000;

/// Drives one controller. A clone drives the same.
///
/// ```
/// # use roa_core::{Cancellation, Cause, Controller, Key};
/// # use roa_runtime::{AddError, ControllerDriver};
/// /// Handles one object now; by itself it does so at each change.
/// async fn look<C: Controller>(driver: &ControllerDriver<C>, key: &Key) -> Result<(), AddError> {
///     driver.trigger(key, Cause::Resync).await?;
///     tokio::select! {
///         () = driver.work(Cancellation::never()) => {}
///         () = driver.queue().idle() => {}
///     }
///     Ok(())
/// }
/// ```
pub struct ControllerDriver<C: Controller> {
    inner: Arc<Inner<C>>,
}

struct Inner<C: Controller> {
    controller: C,
    cache: Cache<C::Resource>,
    context: Context,
    queue: WorkQueue<Key>,
    gate: WriteGate,
    parked: Parked,
    unchecked: Unchecked,
    troubles: Troubles,
    unobserved: Unobserved,
    leaving: Leaving,
    quarantine: Quarantine,
    budget: Option<RetryBudget>,
    config: ControllerConfig,
    clocks: Clocks,
    metrics: ControllerMetrics,
    overflow: Overflow,
    /// Changes of other objects that concern many.
    backlog: Backlog,
    /// Which keys are this process's.
    territory: Territory,
    /// The caches that the controller reads, besides that of its objects.
    freshness: OnceLock<Freshness>,
    /// Which changes of its objects lead to calls: all, if it does not say.
    filter: OnceLock<Filter<C::Resource>>,
}

impl<C: Controller> ControllerDriver<C> {
    /// A driver for `controller` over a cache of its objects, of a process that handles all of them. From now on each
    /// change of the cache is queued; [`ControllerDriver::work`] handles what is queued.
    pub fn new(
        controller: C,
        cache: Cache<C::Resource>,
        context: Context,
        config: ControllerConfig,
        clocks: Clocks,
        metrics: ControllerMetrics,
    ) -> Self {
        Self::within(Territory::everything(), controller, cache, context, config, clocks, metrics)
    }

    /// The same of a process that handles what is in `territory`: each call has a fence there, and no other key is
    /// queued.
    pub fn within(
        territory: Territory,
        controller: C,
        cache: Cache<C::Resource>,
        context: Context,
        config: ControllerConfig,
        clocks: Clocks,
        metrics: ControllerMetrics,
    ) -> Self {
        let random = Arc::clone(context.random());
        let clock = Arc::clone(&clocks.domain);
        let queue = WorkQueue::shared_fairly(config.queue.clone(), clock, random, Key::namespace);
        let inner = Inner {
            budget: config.retry_budget.map(RetryBudget::new),
            gate: WriteGate::default(),
            parked: Parked::default(),
            unchecked: Unchecked::default(),
            troubles: Troubles::default(),
            unobserved: Unobserved::default(),
            leaving: Leaving::default(),
            quarantine: Quarantine::default(),
            overflow: Overflow::default(),
            backlog: Backlog::default(),
            freshness: OnceLock::new(),
            filter: OnceLock::new(),
            controller,
            cache,
            context,
            queue,
            territory,
            config,
            clocks,
            metrics,
        };
        let inner = Arc::new(inner);
        inner.cache.listen(Arc::clone(&inner) as Arc<dyn CacheListener<C::Resource>>);
        let this = Self { inner };
        this.measure();
        this
    }

    /// The same, no call of which begins before these caches too are as new as it needs.
    pub(crate) fn awaiting(self, freshness: Freshness) -> Self {
        self.inner.freshness.get_or_init(|| freshness);
        self
    }

    /// The keys that wait to be handled: for metrics, and for those who want to know why nothing happens.
    #[must_use]
    pub fn queue(&self) -> &WorkQueue<Key> {
        &self.inner.queue
    }

    /// How many objects were given up until they change.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.inner.parked.len()
    }

    /// The controller's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.inner.controller.name()
    }

    /// How many [`ControllerDriver::work`] should run at once.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.config.workers.max(1)
    }

    /// Handles an object, as if it had changed.
    ///
    /// # Errors
    /// [`AddError`] if the driver was shut down.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn trigger(&self, key: &Key, cause: Cause) -> Result<(), AddError> {
        self.inner.queue.add(key, Priority::User, cause).await
    }

    /// One worker: handles what is queued, one object at a time, until the queue is shut down. A key that is not this
    /// process's any more is dropped. `cancellation` ends the worker, with the call that it is in.
    ///
    /// # Cancel safety
    /// Dropping it drops the running call; its object is handled again by whoever handles the queue next.
    pub async fn work(&self, cancellation: Cancellation) {
        let inner = &*self.inner;
        let mut stop = pin!(cancellation.cancelled());
        let mut desk = Desk::new(Arc::clone(&inner.clocks.io));
        let (mut next, mut kept) = (None, None);
        loop {
            let run = match next.take() {
                Some(run) => run,
                None => {
                    kept = None;
                    let Some(run) = inner.next(&cancellation, stop.as_mut(), &mut desk).await else { return };
                    run
                }
            };
            let Some(permit) = inner.territory.begin_next(run.key(), kept.take()) else {
                run.finish(Outcome::Drop);
                continue;
            };
            let outcome = tokio::select! {
                biased;
                outcome = run::handle(inner, &run, &permit, &mut desk) => outcome,
                () = stop.as_mut() => Outcome::Failed,
            };
            // Before the run ends: while there is more to queue, the queue is never empty.
            inner.go_on();
            // Calls that never wait would keep the thread to themselves.
            if has_budget_remaining() && !cancellation.is_cancelled() {
                next = run.finish_and_next(outcome);
                kept = Some(permit);
            } else {
                run.finish(outcome);
                drop(permit);
            }
            inner.refill();
            tokio::task::consume_budget().await;
        }
    }

    /// Queues all objects of slots that this process has got: whatever happened to them before, they are looked at.
    pub(crate) fn adopt(&self, slots: &HashSet<usize>) {
        for key in self.inner.keys_in(slots) {
            if let Some(object) = self.inner.cache.get(&key) {
                // For this process it has just come.
                self.inner.track(&key, None, object.metadata());
                self.inner.expect_a_look(&key, None, object.metadata(), Begin::Listed);
            }
            self.inner.add(&key, Priority::Retry, Cause::Resync);
        }
    }

    /// Forgets all about the objects of slots that this process has no more.
    pub(crate) fn disown(&self, slots: &HashSet<usize>) {
        for key in self.inner.keys_in(slots) {
            self.inner.forget(&key);
        }
    }

    /// No new calls: workers end after the one that they are in.
    pub fn shut_down(&self) {
        self.inner.queue.shut_down();
    }
}

impl<C: Controller> Inner<C> {
    /// The next run; `None` once there are to be no more. `stop` is the sign of `cancellation`.
    async fn next(
        &self,
        cancellation: &Cancellation,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        desk: &mut Desk,
    ) -> Option<Run<Key>> {
        loop {
            if cancellation.is_cancelled() {
                return None;
            }
            if let Some(found) = self.queue.try_next() {
                return found;
            }
            desk.rest();
            tokio::select! {
                biased;
                () = stop.as_mut() => return None,
                run = self.queue.wait_for_next() => return run,
                () = self.backlog.there_is() => self.go_on(),
            }
        }
    }

    /// When a run began, by the clock of deadlines: where that is the queue's, it was read when the run was taken.
    fn begun(&self, run: &Run<Key>) -> Monotonic {
        let Clocks { domain, io, .. } = &self.clocks;
        if Arc::ptr_eq(domain, io) { run.begun() } else { io.monotonic() }
    }

    fn keys_in(&self, slots: &HashSet<usize>) -> Vec<Key> {
        if slots.is_empty() {
            return Vec::new();
        }
        let mut keys = self.cache.keys_after(None, usize::MAX);
        keys.retain(|key| slots.contains(&self.territory.slot(key)));
        keys
    }

    fn add(&self, key: &Key, priority: Priority, cause: Cause) {
        // Should it become this process's in the next moment, it is queued then.
        if self.territory.owns(key) {
            self.note_overflow(self.queue.try_add(key, priority, cause));
        }
    }

    /// The object is called for because another one changed. If that may help one that was given up, it is tried again.
    fn add_related(&self, key: &Key, changed: &Key, frees: bool) {
        if frees && self.parked.release(key) {
            self.metrics.parked(self.parked.len());
        }
        if self.territory.owns(key) {
            self.note_overflow(self.queue.try_add_related(key, Priority::User, changed));
        }
    }

    /// Another object changed. Of very many whom that concerns, the first are queued now, and the others by the workers.
    fn changed_elsewhere(&self, change: Change, concerned: impl Concerned, released: bool) {
        let (keys, changed) = (concerned.keys_after(None, REFILL), change.1.clone());
        let last = keys.get(REFILL - 1).cloned();
        if last.is_some() && self.backlog.begin(change, Arc::new(concerned), last, released) {
            return;
        }
        keys.iter().for_each(|key| self.concern(key, &changed, released));
    }

    /// Queues some of those that a change of another object concerns.
    fn go_on(&self) {
        let Some((change, progress)) = self.backlog.take() else { return };
        let keys = progress.concerned.keys_after(progress.after.as_ref(), REFILL);
        keys.iter().for_each(|key| self.concern(key, &change.1, progress.released));
        match keys.into_iter().nth(REFILL - 1) {
            Some(last) => self.backlog.go_on(change, last),
            None => self.backlog.done(change),
        }
    }

    /// A change of another object concerns this one; `released` if it may help one that was given up.
    fn concern(&self, key: &Key, changed: &Key, released: bool) {
        if released || !self.parked.contains(key) {
            self.add_related(key, changed, released);
        }
    }

    fn note_overflow(&self, added: Result<(), AddError>) {
        if matches!(added, Err(AddError::Full { .. })) && self.overflow.note() {
            let controller = self.controller.name();
            tracing::warn!(controller, "work queue is full; all objects are queued again as there is room");
        }
    }

    /// After an overflow, queues every object again, as there is room: those that were left out are among them.
    fn refill(&self) {
        let Some(mut pass) = self.overflow.due() else { return };
        if self.queue.len() > self.config.queue.max_keys / 2 {
            return;
        }
        loop {
            let keys = self.cache.keys_after(pass.after.as_ref(), REFILL);
            if keys.is_empty() {
                return self.overflow.done(&pass);
            }
            for key in keys {
                if self.territory.owns(&key) && self.queue.try_add(&key, Priority::Resync, Cause::Resync).is_err() {
                    return;
                }
                self.overflow.reached(&mut pass, key);
            }
        }
    }

    /// An object that was given up is left alone until something changes that may help: that its own condition was
    /// written is no reason to try again.
    fn stays_parked(&self, key: &Key, before: Option<&Arc<C::Resource>>, after: &C::Resource) -> bool {
        if !self.parked.contains(key) {
            return false;
        }
        let stays = before.is_some_and(|before| what_frees(before.metadata()) == what_frees(after.metadata()));
        if !stays {
            self.parked.release(key);
            self.metrics.parked(self.parked.len());
        }
        stays
    }

    /// What somebody asks for is urgent. What only says how far an object has come is not, nor is what was there before this
    /// process looked: else the objects that it has got from another, and has not looked at yet, would wait until all that
    /// follows from its own writes is done.
    fn urgency(&self, before: Option<&Arc<C::Resource>>, after: &C::Resource) -> Priority {
        let asked = match before {
            Some(before) => what_is_asked(before.metadata()) != what_is_asked(after.metadata()),
            None => self.cache.is_synced(),
        };
        if asked { Priority::User } else { Priority::Retry }
    }

    /// What is to be done about an object that came or changed, and what metrics tell of: how long it waits to be let go.
    fn track(&self, key: &Key, before: Option<&Metadata>, after: &Metadata) {
        if !self.territory.owns(key) {
            return;
        }
        if before.is_none() {
            self.unchecked.note(key);
        }
        self.leaving.look(key, after, self.controller.finalizer());
    }

    /// A call is to come. Metrics tell how long a change of the spec is not seen by one.
    fn expect_a_look(&self, key: &Key, before: Option<&Metadata>, after: &Metadata, begin: Begin) {
        let changed = before.is_none_or(|before| before.generation != after.generation);
        if changed && self.territory.owns(key) {
            self.unobserved.note(key, after.generation, begin, self.clocks.io.monotonic());
        }
    }

    fn forget(&self, key: &Key) {
        self.gate.forget(key);
        self.parked.release(key);
        self.unchecked.forget(key);
        self.quarantine.forget(key);
        self.troubles.forget(key);
        self.unobserved.forget(key);
        self.leaving.forget(key);
        self.queue.forget(key);
        self.metrics.parked(self.parked.len());
    }
}

type Labels = BTreeMap<String, String>;

/// What people write of an object; what is left are its finalizers, its owners and how far it has come.
fn what_is_asked(metadata: &Metadata) -> (u64, Option<Timestamp>, &Labels, &Labels) {
    (metadata.generation, metadata.deletion_timestamp, &metadata.labels, &metadata.annotations)
}

impl<C: Controller> CacheListener<C::Resource> for Inner<C> {
    /// An object that is gone is of no interest any more. That it was asked to go is a change like others: nothing can
    /// filter it out.
    fn changed(&self, key: &Key, before: Option<&Arc<C::Resource>>, after: Option<&Arc<C::Resource>>) {
        let Some(after) = after else {
            return self.forget(key);
        };
        let known = before.map(|before| before.metadata());
        self.track(key, known, after.metadata());
        if self.stays_parked(key, before, after) {
            return;
        }
        let filtered = |filter: &Filter<C::Resource>| !filter.lets_through(before.map(Arc::as_ref), Some(after));
        if self.filter.get().is_some_and(filtered) {
            return;
        }
        let begin = if self.cache.is_synced() { Begin::Changed } else { Begin::Listed };
        self.expect_a_look(key, known, after.metadata(), begin);
        let was_deleting = before.is_some_and(|before| before.metadata().is_deleting());
        let deleting = after.metadata().is_deleting() && !was_deleting;
        let cause = if deleting { Cause::Deleting } else { Cause::Changed };
        let revision = after.metadata().resource_version.map(Revision::get);
        let _event =
            tracing::debug_span!("event", controller = self.controller.name(), %key, revision, cause = cause.as_str())
                .entered();
        self.add(key, self.urgency(before, after), cause);
    }
}

impl<C: Controller> Clone for ControllerDriver<C> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<C: Controller> std::fmt::Debug for ControllerDriver<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ControllerDriver({}, {} objects)", self.name(), self.inner.cache.list(None).len())
    }
}
