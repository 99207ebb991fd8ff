//! [`WorkQueue`]: which key runs next. The heart of the engine.
//!
//! - One worker per key at a time (C4); an add during a run causes exactly one later run (C5); adds before a run are
//!   one (C6): the earliest time, the highest priority, all causes.
//! - A key that failed waits longer each time (C7); when, is decided by [`next_run`] alone.
//! - A user's change goes before a retry, a retry before a resync; what waits long is promoted, so nothing starves:
//!   while keys wait longer than [`QueueConfig::promote_after`], every fourth turn is theirs.
//! - Those who share a queue, such as namespaces, take turns: with `n` of them, a key that is alone waits for at most one
//!   key of each of the others, however many these have.
//! - Bounded in keys, and if wanted in runs per second. A run that is dropped counts as failed: no key is lost.
//!
//! All operations are O(log n), amortised; what comes and goes in order is moved in rings, without an allocation. The
//! queue starts no task: of the workers that wait, one watches the clock.

mod backoff;
mod bucket;
mod causes;
mod config;
mod lane;
mod lanes;
mod line;
mod run;
mod shared;
mod state;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod waiting;

use std::fmt;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

pub use backoff::{BackoffPolicy, NextRun, Outcome, Streak, next_run};
pub use bucket::RateLimit;
pub use config::QueueConfig;
pub use lanes::Priority;
pub use run::Run;
pub use stats::{Depths, KeyPhase, KeyState, QueueStats};

use causes::Causes;
use roa_core::{Cause, Clock, Key, Random};
use shared::{Shared, Timekeeper, Waits, step};
use state::{Request, State, Take};
use thiserror::Error;

/// What can be a key: cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::SystemRandom;
/// use roa_runtime::{QueueConfig, SystemClock, WorkQueue};
/// let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// let numbers = WorkQueue::<u64>::new(QueueConfig::default(), clock, random);
/// assert!(numbers.is_empty());
/// ```
pub trait QueueKey: Clone + Eq + Hash + fmt::Debug + Send + 'static {}

impl<T: Clone + Eq + Hash + fmt::Debug + Send + 'static> QueueKey for T {}

/// A key that was not added.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Cause, SystemRandom};
/// # use roa_runtime::{AddError, Priority, QueueConfig, SystemClock, WorkQueue};
/// let config = QueueConfig { max_keys: 0, ..QueueConfig::default() };
/// let queue = WorkQueue::new(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// assert_eq!(queue.try_add(&"a", Priority::User, Cause::Changed), Err(AddError::Full { max_keys: 0 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddError {
    /// The queue knows as many keys as it may.
    #[error("add a key: the queue has {max_keys} keys, expected fewer; hint: raise max_keys")]
    Full {
        /// How many that is.
        max_keys: usize,
    },
    /// The queue was shut down.
    #[error("add a key: the queue is shut down")]
    ShutDown,
}

/// Keys to be worked on, each by one worker at a time. A clone is the same queue.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use roa_core::{Cause, SystemRandom};
/// # use roa_runtime::{Outcome, Priority, QueueConfig, SystemClock, WorkQueue};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = WorkQueue::new(QueueConfig::default(), Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// queue.try_add(&"tidy", Priority::Resync, Cause::Resync)?;
/// queue.try_add(&"urgent", Priority::User, Cause::Changed)?;
/// queue.try_add(&"urgent", Priority::User, Cause::Changed)?; // the same run
///
/// let run = queue.next().await.unwrap();
/// assert_eq!((*run.key(), run.causes()), ("urgent", &[Cause::Changed][..]));
/// run.finish(Outcome::RequeueAfter(Duration::from_secs(60)));
///
/// queue.next().await.unwrap().finish(Outcome::Done);
/// queue.shut_down();
/// assert!(queue.next().await.is_none());
/// queue.drained().await;
/// # Ok(())
/// # }
/// ```
pub struct WorkQueue<K: QueueKey> {
    shared: Arc<Shared<K>>,
}

impl<K: QueueKey> WorkQueue<K> {
    /// An empty queue, whose keys run in the order in which they became ready.
    #[must_use]
    pub fn new(config: QueueConfig, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self::shared_fairly(config, clock, random, |_| "")
    }

    /// An empty queue that several share, by turns: `share_of` says to whom a key belongs. Whoever has many keys ready
    /// holds up nobody else.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use roa_core::{Cause, Key, SystemRandom};
    /// # use roa_runtime::{Outcome, Priority, QueueConfig, SystemClock, WorkQueue};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    /// let queue = WorkQueue::shared_fairly(QueueConfig::default(), clock, random, Key::namespace);
    /// for number in 0..1_000 {
    ///     let key = Key::new("lab.example.com", "labs", "busy", &number.to_string())?;
    ///     queue.try_add(&key, Priority::User, Cause::Changed)?;
    /// }
    /// queue.try_add(&Key::new("lab.example.com", "labs", "quiet", "one")?, Priority::User, Cause::Changed)?;
    ///
    /// queue.next().await.unwrap().finish(Outcome::Done);
    /// assert_eq!(queue.next().await.unwrap().key().namespace(), "quiet");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn shared_fairly(
        config: QueueConfig,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        share_of: fn(&K) -> &str,
    ) -> Self {
        Self { shared: Arc::new(Shared::new(State::new(config, share_of), clock, random)) }
    }

    /// Asks for a run of `key` as soon as may be. If it waits already, the two are one (C6); if it runs, it runs once
    /// more (C5).
    ///
    /// # Errors
    /// [`AddError::Full`] for a key that is not known yet: then whoever adds it must do so again, for a change is not
    /// announced twice. [`WorkQueue::add`] does that. [`AddError::ShutDown`].
    pub fn try_add(&self, key: &K, priority: Priority, cause: Cause) -> Result<(), AddError> {
        self.try_add_after(key, Duration::ZERO, priority, cause)
    }

    /// As [`WorkQueue::try_add`], after a time; if the key is due earlier already, it stays so.
    ///
    /// # Errors
    /// As [`WorkQueue::try_add`].
    pub fn try_add_after(&self, key: &K, after: Duration, priority: Priority, cause: Cause) -> Result<(), AddError> {
        self.ask(key, after, priority, Causes::one(cause))
    }

    /// As [`WorkQueue::try_add`], because another object changed: [`Cause::Related`], and which object it was is kept.
    ///
    /// # Errors
    /// As [`WorkQueue::try_add`].
    pub fn try_add_related(&self, key: &K, priority: Priority, changed: &Key) -> Result<(), AddError> {
        self.ask(key, Duration::ZERO, priority, Causes::related(changed))
    }

    fn ask(&self, key: &K, after: Duration, priority: Priority, causes: Causes) -> Result<(), AddError> {
        let now = self.shared.clock.monotonic();
        let wake = self.shared.lock().add(key, Request::new(now + after, priority, causes), now)?;
        self.shared.wake(wake);
        Ok(())
    }

    /// As [`WorkQueue::try_add`], and waits while the queue is full.
    ///
    /// # Errors
    /// [`AddError::ShutDown`].
    ///
    /// # Cancel safety
    /// Safe: if dropped, the key was not added.
    pub async fn add(&self, key: &K, priority: Priority, cause: Cause) -> Result<(), AddError> {
        self.add_after(key, Duration::ZERO, priority, cause).await
    }

    /// As [`WorkQueue::try_add_after`], and waits while the queue is full; the time counts from when it is added.
    ///
    /// # Errors
    /// [`AddError::ShutDown`].
    ///
    /// # Cancel safety
    /// Safe: if dropped, the key was not added.
    pub async fn add_after(&self, key: &K, after: Duration, priority: Priority, cause: Cause) -> Result<(), AddError> {
        let try_add = || match self.try_add_after(key, after, priority, cause) {
            Err(AddError::Full { .. }) => None,
            outcome => Some(outcome),
        };
        if let Some(outcome) = try_add() {
            return outcome;
        }
        loop {
            let mut space = pin!(self.shared.space.notified());
            // Before looking: each place that becomes free from here on is announced to another adder.
            space.as_mut().enable();
            if let Some(outcome) = try_add() {
                return outcome;
            }
            space.await;
        }
    }

    /// The next key to work on; `None` once the queue is shut down. Waits while there is none.
    ///
    /// # Cancel safety
    /// Safe: if dropped, no key was taken.
    pub async fn next(&self) -> Option<Run<K>> {
        match self.try_next() {
            Some(found) => found,
            None => self.wait_for_next().await,
        }
    }

    /// The same for a worker that has just found nothing.
    pub(crate) async fn wait_for_next(&self) -> Option<Run<K>> {
        let _waits = Waits::begin(&self.shared);
        let mut timekeeper = None;
        loop {
            // Made before looking, so that no end in between is missed. An add in between leaves a permit; should two
            // adds leave one, who gets it wakes the next.
            let work = self.shared.work.notified();
            let due = match self.shared.take() {
                Take::Claim(claim) => return Some(Run::new(claim, Arc::clone(&self.shared))),
                Take::ShutDown => return None,
                Take::Nothing(due) => due,
            };
            // Who waits for nothing but work leaves the clock to whoever comes when there is a time to wait for.
            timekeeper = match due {
                Some(_) => timekeeper.or_else(|| Timekeeper::become_one(&self.shared)),
                None => None,
            };
            match (&timekeeper, due) {
                (Some(timekeeper), Some(due)) => timekeeper.wait(work, due).await,
                _ => work.await,
            }
        }
    }

    /// The next key to work on, if there is one now; `Some(None)` once the queue is shut down.
    pub(crate) fn try_next(&self) -> Option<Option<Run<K>>> {
        match self.shared.take() {
            Take::Claim(claim) => Some(Some(Run::new(claim, Arc::clone(&self.shared)))),
            Take::ShutDown => Some(None),
            Take::Nothing(_) => None,
        }
    }

    /// Takes a key out, with its failures. If it runs, the run goes on, but leads to nothing more unless the key is
    /// added again. Says whether the key was known.
    pub fn forget(&self, key: &K) -> bool {
        self.shared.shrink(|state| state.forget(key))
    }

    /// Gives out no more work: [`WorkQueue::next`] answers `None`, what waits is dropped, adds are refused. Runs go on.
    pub fn shut_down(&self) {
        self.shared.shrink(State::shut_down);
        step();
        self.shared.work.notify_waiters();
        self.shared.space.notify_waiters();
    }

    /// Completes when the queue is shut down and no key runs any more (C8). It has no deadline of its own.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn drained(&self) {
        self.until_empty(State::is_shut_down).await;
    }

    /// Completes when no key waits, is delayed, or runs.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn idle(&self) {
        self.until_empty(|_| true).await;
    }

    async fn until_empty(&self, holds: impl Fn(&State<K>) -> bool) {
        loop {
            // Made before looking, so that no end in between is missed.
            let settled = self.shared.settled.notified();
            let empty = |state: &State<K>| state.len() == 0 && holds(state);
            if empty(&self.shared.lock()) {
                return;
            }
            settled.await;
        }
    }

    /// How many keys are known: waiting, delayed and running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().len()
    }

    /// Whether no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys run.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.lock().in_flight()
    }

    /// The queue in numbers.
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        self.shared.lock().stats(self.shared.clock.monotonic())
    }

    /// Where a key stands and why; `None` if it neither waits nor runs.
    #[must_use]
    pub fn why(&self, key: &K) -> Option<KeyState> {
        self.shared.lock().why(key, self.shared.clock.monotonic())
    }
}

impl<K: QueueKey> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: QueueKey> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        write!(f, "WorkQueue({} keys, {} running)", state.len(), state.in_flight())
    }
}
