//! Drives a [`Reconciler`]: looks at every object each interval, and has it correct what is wrong.
//!
//! A sweep looks at a bounded number of objects at once, each with a time-out, each with its panics to itself. What it
//! corrects goes through the same rules as any write. Sweeps are jittered, so that processes do not sweep in step.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use roa_core::{
    CacheReader, Cancellation, ClockExt, Context, Error, Key, Monotonic, RandomExt, ReconcileError, Reconciler,
    Resource, Revision, WriteMark,
};
use tokio::sync::watch;

use crate::cache::Freshness;
use crate::lease::Holding;
use crate::{Cache, Clocks, ControllerMetrics, Territory};

/// How a reconciler is driven.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::ReconcilerConfig;
/// let rarely = ReconcilerConfig { interval: Duration::from_secs(600), ..ReconcilerConfig::default() };
/// # drop(rarely);
/// ```
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
///
/// ```
/// # use roa_runtime::Sweep;
/// fn says(sweep: Sweep) -> String {
///     format!("looked at {}, corrected {}, failed at {}", sweep.looked_at, sweep.corrected, sweep.failed)
/// }
/// ```
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
///
/// ```
/// # use roa_core::{Cancellation, Reconciler};
/// # use roa_runtime::ReconcilerDriver;
/// /// Looks at all objects once; `run` does so at each interval.
/// async fn look_once<R: Reconciler>(driver: &ReconcilerDriver<R>) -> usize {
///     driver.sweep(&Cancellation::never()).await.corrected
/// }
/// ```
pub struct ReconcilerDriver<R: Reconciler> {
    reconciler: R,
    cache: Cache<R::Resource>,
    context: Context,
    config: ReconcilerConfig,
    clocks: Clocks,
    metrics: ControllerMetrics,
    territory: Territory,
    freshness: Freshness,
}

/// How looking at one object ended.
enum Looked {
    Fine,
    Corrected,
    Failed,
    /// It was given to another process meanwhile.
    NotMine,
}

/// What a process gets is swept before its next sweep is due: this part of the interval after the last began.
const SOONER: u32 = 10;

impl<R: Reconciler> ReconcilerDriver<R> {
    /// A driver for `reconciler` over a cache of its objects, of a process that looks at all of them.
    pub fn new(
        reconciler: R,
        cache: Cache<R::Resource>,
        context: Context,
        config: ReconcilerConfig,
        clocks: Clocks,
        metrics: ControllerMetrics,
    ) -> Self {
        Self {
            reconciler,
            cache,
            context,
            config,
            clocks,
            metrics,
            territory: Territory::everything(),
            freshness: Freshness::default(),
        }
    }

    /// The same of a process that looks at what is in `territory`, with a fence for each look.
    #[must_use]
    pub fn within(mut self, territory: Territory) -> Self {
        self.territory = territory;
        self
    }

    /// The same, no sweep of which begins before these caches too are as new as it needs.
    pub(crate) fn awaiting(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// The reconciler's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.reconciler.name()
    }

    /// Sweeps until told to stop: then the looks that have begun may end. What the process gets between two sweeps is swept
    /// soon.
    ///
    /// # Cancel safety
    /// Dropping it drops what runs; the next sweep looks again.
    pub async fn run(&self, cancellation: Cancellation) {
        self.cache.synced().await;
        let mut changes = self.territory.changes();
        while !cancellation.is_cancelled() {
            let begun = self.clocks.domain.monotonic();
            let swept = self.territory.held();
            self.sweep(&cancellation).await;
            tokio::select! {
                () = self.clocks.domain.sleep_until(begun + self.wait()) => {}
                () = self.acquired(&mut changes, &swept, begun) => {}
                () = cancellation.cancelled() => {}
            }
        }
    }

    /// Completes when the process has something that it had not, and not too soon after the last sweep began.
    async fn acquired(
        &self,
        changes: &mut watch::Receiver<u64>,
        before: &[(usize, Option<Revision>)],
        begun: Monotonic,
    ) {
        while self.territory.held().iter().all(|held| before.contains(held)) {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
        self.clocks.domain.sleep_until(begun + self.config.interval / SOONER).await;
    }

    fn wait(&self) -> Duration {
        self.context.random().jitter(self.config.interval, self.config.jitter)
    }

    /// One sweep over all objects that the cache has now and that are this process's; over less of them if `cancellation`
    /// gives its sign meanwhile.
    pub async fn sweep(&self, cancellation: &Cancellation) -> Sweep {
        let mark = Arc::new(WriteMark::default());
        let resources = self.context.resources().clone().marking(Arc::clone(&mark));
        let Some(holding) = self.territory.begin_all() else { return Sweep::default() };
        if !self.is_fresh(&holding).await {
            return Sweep::default();
        }
        let fenced = holding.fence(resources.clone());
        let cx = self.context.clone().with_resources(resources).with_cancellation(cancellation.clone());
        let objects = self.objects(&holding);
        let looked: Vec<Looked> = stream::iter(objects.iter().cloned())
            .take_until(cancellation.cancelled())
            .map(|(key, object)| self.look(key, object, &holding, &cx))
            .buffer_unordered(self.config.concurrency.max(1))
            .collect()
            .await;
        let count = |wanted: fn(&Looked) -> bool| looked.iter().filter(|looked| wanted(looked)).count();
        let mut sweep = Sweep {
            looked_at: count(|looked| !matches!(looked, Looked::NotMine)),
            corrected: count(|looked| matches!(looked, Looked::Corrected)),
            failed: count(|looked| matches!(looked, Looked::Failed)),
        };
        if cancellation.is_cancelled() {
            return sweep;
        }
        let objects: Vec<_> = objects.into_iter().map(|(_, object)| object).collect();
        let cx = cx.with_resources(fenced);
        match self.guarded("after a sweep", self.reconciler.after_sweep(&objects, &cx), &Cancellation::never()).await {
            Some(corrected) => sweep.corrected += corrected,
            None => sweep.failed += 1,
        }
        self.catch_up(&mark).await;
        tracing::debug!(reconciler = self.name(), ?sweep, "swept");
        sweep
    }

    fn objects(&self, holding: &Holding) -> Vec<(Key, Arc<R::Resource>)> {
        let mut keys = self.cache.keys_after(None, usize::MAX);
        keys.retain(|key| holding.contains(key));
        keys.into_iter().filter_map(|key| self.cache.get(&key).map(|object| (key, object))).collect()
    }

    /// Whether the cache shows all that owners before this process wrote.
    async fn is_fresh(&self, holding: &Holding) -> bool {
        let Some(since) = holding.since() else { return true };
        let deadline = self.clocks.io.monotonic() + self.config.timeout;
        let waited = self.wait_for(since, deadline).await;
        if let Err(error) = &waited {
            tracing::warn!(reconciler = self.name(), %error, "cache is behind what the process got, not sweeping");
        }
        waited.is_ok()
    }

    async fn wait_for(&self, revision: Revision, deadline: Monotonic) -> roa_core::Result<()> {
        self.cache.wait_for(revision, &*self.clocks.io, deadline).await?;
        self.freshness.wait_for(revision, &*self.clocks.io, deadline).await
    }

    /// The next sweep sees what this one wrote.
    async fn catch_up(&self, mark: &WriteMark) {
        let Some(written) = mark.get() else { return };
        let deadline = self.clocks.io.monotonic() + self.config.timeout;
        if let Err(error) = self.wait_for(written, deadline).await {
            tracing::warn!(reconciler = self.name(), %error, "cache is behind what the sweep wrote");
        }
    }

    async fn look(&self, key: Key, object: Arc<R::Resource>, holding: &Holding, cx: &Context) -> Looked {
        let Some(permit) = holding.begin(&key) else { return Looked::NotMine };
        let cx = &cx.clone().with_resources(permit.fence(cx.resources().clone()));
        let lost = permit.cancellation();
        let cx = &cx.clone().with_cancellation(lost.clone());
        self.metrics.swept();
        let name = object.metadata().name.clone();
        let Some(observed) = self.guarded(&name, self.reconciler.observe(&object, cx), &lost).await else {
            return Looked::Failed;
        };
        let Some(drift) = self.reconciler.drift(&object, &observed, cx.now()) else { return Looked::Fine };
        self.metrics.drift(drift.reason);
        tracing::info!(reconciler = self.name(), name, reason = drift.reason, message = drift.message, "drift found");
        match self.guarded(&name, self.reconciler.correct(object, drift, cx), &lost).await {
            Some(_) => Looked::Corrected,
            None => Looked::Failed,
        }
    }

    /// What `work` gives, unless it fails, panics, or takes too long: that is counted and logged.
    async fn guarded<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, ReconcileError>> + Send,
        lost: &Cancellation,
    ) -> Option<T> {
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
                    if matches!(error, ReconcileError::Resource(Error::Fenced(_))) {
                        self.metrics.fenced();
                    }
                    tracing::warn!(reconciler = self.name(), what, %error, "sweep failed for one object");
                    ("error", None)
                }
                Err(panic) => {
                    let message = crate::tasks::panic_message(&*panic);
                    tracing::error!(reconciler = self.name(), what, message, "sweep panicked for one object");
                    ("panic", None)
                }
            },
            () = lost.cancelled() => ("cancelled", None),
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
