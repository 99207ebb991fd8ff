//! Drives a [`Reconciler`]: looks at every object each interval, and has it correct what is wrong.
//!
//! A sweep looks at a bounded number of objects at once, each with a time-out, each with its panics to itself. What it
//! corrects goes through the same rules as any write. Sweeps are jittered, so that processes do not sweep in step.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use roa_core::{
    CacheReader, Cancellation, ClockExt, Context, Ownership, RandomExt, ReconcileError, Reconciler, Resource, WriteMark,
};

use crate::{Cache, Clocks, ControllerMetrics};

/// How a reconciler is driven.
#[derive(Debug, Clone)]
pub struct ReconcilerConfig {
    /// How long after the begin of one sweep the next begins, in domain time.
    pub interval: Duration,
    /// How much longer that may be, as a part of it: chosen anew each time.
    pub jitter: f64,
    /// How many objects are looked at at once.
    pub concurrency: usize,
    /// How long looking at, or correcting, one object may take.
    pub timeout: Duration,
}

impl Default for ReconcilerConfig {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), jitter: 0.1, concurrency: 16, timeout: Duration::from_secs(30) }
    }
}

/// What one sweep came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sweep {
    /// How many objects it looked at.
    pub looked_at: usize,
    /// How many had something wrong that was corrected.
    pub corrected: usize,
    /// How many could not be looked at or corrected; they are looked at again in the next sweep.
    pub failed: usize,
}

/// Drives one reconciler.
pub struct ReconcilerDriver<R: Reconciler> {
    reconciler: R,
    cache: Cache<R::Resource>,
    context: Context,
    config: ReconcilerConfig,
    clocks: Clocks,
    metrics: ControllerMetrics,
}

/// How looking at one object ended.
enum Looked {
    Fine,
    Corrected,
    Failed,
}

impl<R: Reconciler> ReconcilerDriver<R> {
    /// A driver for `reconciler` over a cache of its objects.
    pub const fn new(
        reconciler: R,
        cache: Cache<R::Resource>,
        context: Context,
        config: ReconcilerConfig,
        clocks: Clocks,
        metrics: ControllerMetrics,
    ) -> Self {
        Self { reconciler, cache, context, config, clocks, metrics }
    }

    /// The reconciler's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.reconciler.name()
    }

    /// Sweeps until told to stop; a sweep that has begun may end. With `ownership` each write is made under the
    /// condition that it still holds.
    ///
    /// # Cancel safety
    /// Dropping it drops what runs; the next sweep looks again.
    pub async fn run(&self, ownership: Option<Ownership>, cancellation: Cancellation) {
        self.cache.synced().await;
        while !cancellation.is_cancelled() {
            let next = self.clocks.domain.monotonic() + self.wait();
            self.sweep(ownership.as_ref(), &cancellation).await;
            tokio::select! {
                () = self.clocks.domain.sleep_until(next) => {}
                () = cancellation.cancelled() => {}
            }
        }
    }

    fn wait(&self) -> Duration {
        self.context.random().jitter(self.config.interval, self.config.jitter)
    }

    /// One sweep over all objects that the cache has now.
    pub async fn sweep(&self, ownership: Option<&Ownership>, cancellation: &Cancellation) -> Sweep {
        let mark = Arc::new(WriteMark::default());
        let cx = self.context_for(ownership, cancellation, &mark);
        let objects = self.cache.list(None);
        let looked: Vec<Looked> = stream::iter(objects.iter().cloned())
            .map(|object| self.look(object, &cx))
            .buffer_unordered(self.config.concurrency.max(1))
            .collect()
            .await;
        let count = |wanted: fn(&Looked) -> bool| looked.iter().filter(|looked| wanted(looked)).count();
        let mut sweep = Sweep {
            looked_at: looked.len(),
            corrected: count(|looked| matches!(looked, Looked::Corrected)),
            failed: count(|looked| matches!(looked, Looked::Failed)),
        };
        match self.guarded("after a sweep", self.reconciler.after_sweep(&objects, &cx)).await {
            Some(corrected) => sweep.corrected += corrected,
            None => sweep.failed += 1,
        }
        self.catch_up(&mark).await;
        tracing::debug!(reconciler = self.name(), ?sweep, "swept");
        sweep
    }

    fn context_for(
        &self,
        ownership: Option<&Ownership>,
        cancellation: &Cancellation,
        mark: &Arc<WriteMark>,
    ) -> Context {
        let mut resources = self.context.resources().clone().marking(Arc::clone(mark));
        if let Some(ownership) = ownership {
            resources = resources.fenced_by(ownership.clone());
        }
        self.context.clone().with_resources(resources).with_cancellation(cancellation.clone())
    }

    /// The next sweep sees what this one wrote.
    async fn catch_up(&self, mark: &WriteMark) {
        let Some(written) = mark.get() else { return };
        let deadline = self.clocks.io.monotonic() + self.config.timeout;
        if let Err(error) = self.cache.wait_for(written, &*self.clocks.io, deadline).await {
            tracing::warn!(reconciler = self.name(), %error, "cache is behind what the sweep wrote");
        }
    }

    async fn look(&self, object: Arc<R::Resource>, cx: &Context) -> Looked {
        self.metrics.swept();
        let name = object.metadata().name.clone();
        let Some(observed) = self.guarded(&name, self.reconciler.observe(&object, cx)).await else {
            return Looked::Failed;
        };
        let Some(drift) = self.reconciler.drift(&object, &observed, cx.now()) else { return Looked::Fine };
        self.metrics.drift(drift.reason);
        tracing::info!(reconciler = self.name(), name, reason = drift.reason, message = drift.message, "drift found");
        match self.guarded(&name, self.reconciler.correct(object, drift, cx)).await {
            Some(_) => Looked::Corrected,
            None => Looked::Failed,
        }
    }

    /// What `work` gives, unless it fails, panics, or takes too long: that is counted and logged.
    async fn guarded<T>(&self, what: &str, work: impl Future<Output = Result<T, ReconcileError>> + Send) -> Option<T> {
        let started = self.clocks.io.monotonic();
        let work = AssertUnwindSafe(work).catch_unwind();
        let (result, value) = tokio::select! {
            biased;
            ended = work => match ended {
                Ok(Ok(value)) => ("success", Some(value)),
                Ok(Err(error @ ReconcileError::Deferred { .. })) => {
                    tracing::debug!(reconciler = self.name(), what, %error, "left to the next sweep");
                    ("deferred", None)
                }
                Ok(Err(error)) => {
                    tracing::warn!(reconciler = self.name(), what, %error, "sweep failed for one object");
                    ("error", None)
                }
                Err(panic) => {
                    let message = crate::tasks::panic_message(&*panic);
                    tracing::error!(reconciler = self.name(), what, message, "sweep panicked for one object");
                    ("panic", None)
                }
            },
            () = self.clocks.io.sleep(self.config.timeout) => {
                tracing::warn!(reconciler = self.name(), what, limit = ?self.config.timeout, "sweep took too long for one object");
                ("timeout", None)
            }
        };
        self.metrics.ended(result, self.clocks.io.monotonic().saturating_since(started));
        value
    }
}

impl<R: Reconciler> std::fmt::Debug for ReconcilerDriver<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReconcilerDriver({} every {:?})", self.name(), self.config.interval)
    }
}
