//! [`Run`]: one key in the hands of one worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Cause, Key, Monotonic};

use super::shared::Shared;
use super::state::{Claim, Take};
use super::{NextRun, Outcome, Priority, QueueKey};

/// One key in the hands of one worker; nobody else gets the key until the run ends.
///
/// A run that is dropped without [`Run::finish`] counts as failed: a worker that is cancelled or panics loses no key.
///
/// ```
/// # use roa_runtime::{Outcome, WorkQueue};
/// async fn work(queue: WorkQueue<String>) {
///     while let Some(run) = queue.next().await {
///         println!("{} because of {:?}, waited {:?}", run.key(), run.causes(), run.queued_for());
///         run.finish(Outcome::Done);
///     }
/// }
/// ```
pub struct Run<K: QueueKey> {
    claim: Claim<K>,
    queue: Arc<Shared<K>>,
    finished: bool,
}

impl<K: QueueKey> Run<K> {
    pub(super) const fn new(claim: Claim<K>, queue: Arc<Shared<K>>) -> Self {
        Self { claim, queue, finished: false }
    }

    /// Which key.
    #[must_use]
    pub const fn key(&self) -> &K {
        &self.claim.key
    }

    /// Why it runs, for people: all that was asked for since its last run.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        self.claim.causes.as_slice()
    }

    /// Which other objects led to it, where [`Cause::Related`] is among its causes: of many only the first few.
    #[must_use]
    pub fn related(&self) -> &[Key] {
        self.claim.causes.objects()
    }

    /// How urgent it was.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.claim.priority
    }

    /// How many runs of the key failed in a row before this one.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.claim.failures
    }

    /// How long it could have run before a worker took it.
    #[must_use]
    pub const fn queued_for(&self) -> Duration {
        self.claim.queued_for
    }

    /// When a worker took it, by the queue's clock.
    pub(crate) const fn begun(&self) -> Monotonic {
        self.claim.begun
    }

    /// Ends the run. Gives what the outcome alone leads to; an add during the run may lead to an earlier one.
    pub fn finish(mut self, outcome: Outcome) -> NextRun {
        self.finished = true;
        self.queue.finish(&self.claim, outcome)
    }

    /// Ends the run, and gives the next one, if there is one now and the queue is not shut down.
    pub(crate) fn finish_and_next(mut self, outcome: Outcome) -> Option<Self> {
        // Should this panic, the run has ended nevertheless.
        self.finished = true;
        let Take::Claim(claim) = self.queue.finish_and_take(&self.claim, outcome) else { return None };
        self.claim = claim;
        self.finished = false;
        Some(self)
    }
}

impl<K: QueueKey> Drop for Run<K> {
    fn drop(&mut self) {
        if !self.finished {
            self.queue.finish(&self.claim, Outcome::Failed);
        }
    }
}

impl<K: QueueKey> fmt::Debug for Run<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({:?} because of {:?}, after {} failures)", self.key(), self.causes(), self.failures())
    }
}
