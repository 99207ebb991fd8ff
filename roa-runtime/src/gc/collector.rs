//! [`GarbageCollector`]: follows the change feed, and has examined what it concerns.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use roa_core::{Cause, ChangeKind, Clock, ClockExt, Context, Error, Key, KeyPrefix, Result, Revision, Start};
use tokio::sync::watch as watch_channel;

use super::CollectorMetrics;
use super::examine::examine;
use super::graph::Graph;
use crate::{
    AddError, EventSlice, HubItem, LiveKinds, Outcome, Priority, QueueConfig, Run, Runnable, RuntimeMetrics, Selection,
    WatchHub, WorkQueue, locks,
};

/// How garbage is collected.
///
/// ```
/// use roa_runtime::GarbageCollectorConfig;
/// let gentle = GarbageCollectorConfig { workers: 1, ..GarbageCollectorConfig::default() };
/// # drop(gentle);
/// ```
#[derive(Debug, Clone)]
pub struct GarbageCollectorConfig {
    /// How many objects are examined at once; 4 by default.
    pub workers: usize,
    /// How long one examination may take; 30 s by default.
    pub timeout: Duration,
    /// The bounds of its queue. What finds it full is found again when there is room.
    pub queue: QueueConfig,
}

impl Default for GarbageCollectorConfig {
    fn default() -> Self {
        Self { workers: 4, timeout: Duration::from_secs(30), queue: QueueConfig::default() }
    }
}

/// Deletes objects whose owners are gone, and lets owners go that wait for their dependents. To be given to a manager,
/// which runs it where it runs controllers.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use roa_runtime::{GarbageCollector, GarbageCollectorConfig, Manager, RuntimeMetrics, SystemClock};
/// # fn add(manager: &mut Manager, metrics: &RuntimeMetrics) {
/// let config = GarbageCollectorConfig::default();
/// let collector = GarbageCollector::new(manager.hub().clone(), Arc::new(SystemClock::new()), config, metrics);
/// manager.add_runnable(Arc::new(collector));
/// # }
/// ```
pub struct GarbageCollector {
    hub: WatchHub,
    clock: Arc<dyn Clock>,
    config: GarbageCollectorConfig,
    metrics: CollectorMetrics,
    kinds: Option<LiveKinds>,
    current: watch_channel::Sender<Option<Arc<Collection>>>,
}

/// One run of a collector.
pub(super) struct Collection {
    graph: Mutex<Graph>,
    /// Up to where the graph is true; `None` while it is read anew.
    revision: watch_channel::Sender<Option<Revision>>,
    queue: WorkQueue<Key>,
    /// Keys found the queue full: everything is to be looked at again.
    overflown: AtomicBool,
    clock: Arc<dyn Clock>,
    metrics: CollectorMetrics,
}

/// How long to wait before following the change feed again.
const RETRY: Duration = Duration::from_millis(200);

impl GarbageCollector {
    /// A collector for all objects that `hub` sees; `clock` measures its deadlines and back-off.
    #[must_use]
    pub fn new(hub: WatchHub, clock: Arc<dyn Clock>, config: GarbageCollectorConfig, metrics: &RuntimeMetrics) -> Self {
        let metrics = metrics.collector().clone();
        Self { hub, clock, config, metrics, kinds: None, current: watch_channel::channel(None).0 }
    }

    /// The same where kinds are declared at run time: else it knows those of its manager's resources alone.
    #[must_use]
    pub fn with_kinds(mut self, kinds: LiveKinds) -> Self {
        self.kinds = Some(kinds);
        self
    }

    /// Completes when it has seen the change feed up to `revision`, and nothing is left to be examined.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn settled(&self, revision: Revision) {
        let mut current = self.current.subscribe();
        let Ok(collection) = current.wait_for(Option::is_some).await.map(|current| current.clone()) else { return };
        if let Some(collection) = collection {
            collection.reached(revision).await;
            collection.queue.idle().await;
        }
    }

    async fn follow(&self, collection: &Collection, start: &mut Start) -> Result<()> {
        let mut watch = self.hub.watch(Selection::prefix(KeyPrefix::everything()), *start).await?;
        let mut listing = (*start == Start::Snapshot).then(HashSet::new);
        while let Some(item) = watch.next().await {
            let position = match item {
                Ok(HubItem::Events(slice)) => {
                    collection.take(&slice, listing.as_mut());
                    slice.position()
                }
                Ok(HubItem::Synced(position)) => {
                    collection.synced(&listing.take().unwrap_or_default());
                    position
                }
                Ok(HubItem::Progress(position)) => position,
                Err(end) => {
                    tracing::debug!(%end, "the garbage collector's watch ended, going on");
                    return Ok(());
                }
            };
            if listing.is_none() {
                collection.revision.send_replace(Some(position.revision));
                *start = Start::Resume(position);
            }
        }
        Ok(())
    }

    async fn feed(&self, collection: &Collection) {
        let mut start = Start::Snapshot;
        loop {
            match self.follow(collection, &mut start).await {
                Ok(()) => {}
                Err(Error::Expired { .. } | Error::TooLarge { .. }) => start = Start::Snapshot,
                Err(error) => tracing::warn!(%error, "the garbage collector can't watch, trying again"),
            }
            self.clock.sleep(RETRY).await;
        }
    }

    async fn work(&self, collection: &Collection, cx: &Context) {
        while let Some(run) = collection.queue.next().await {
            let outcome = self.examine(collection, &run, cx).await;
            run.finish(outcome);
            collection.refill(self.config.queue.max_keys);
        }
    }

    async fn examine(&self, collection: &Collection, run: &Run<Key>, cx: &Context) -> Outcome {
        let limit = self.config.timeout;
        let over = self.kinds.as_ref().map(|kinds| kinds.over(cx));
        let cx = over.as_ref().unwrap_or(cx);
        let examined = tokio::select! {
            biased;
            examined = examine(collection, run.key(), cx) => examined,
            () = self.clock.sleep(limit) => Err(Error::unavailable(format!("no answer for {limit:?}"))),
        };
        match examined {
            Ok(()) => Outcome::Done,
            // Written by somebody else meanwhile, or gone: look again.
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => Outcome::Requeue,
            Err(Error::Fenced(_)) => Outcome::Drop,
            Err(error) => {
                self.metrics.note("failed");
                tracing::warn!(key = %run.key(), %error, "an object could not be examined, trying again");
                Outcome::Failed
            }
        }
    }
}

impl Collection {
    fn take(&self, slice: &EventSlice, mut listing: Option<&mut HashSet<Key>>) {
        let mut concerned = Vec::new();
        for event in slice.events() {
            let key = &event.entry.key;
            let Ok(object) = event.entry.object() else { continue };
            let mut graph = locks::lock(&self.graph);
            concerned.extend(match event.change {
                ChangeKind::Deleted => graph.remove(key),
                ChangeKind::Added | ChangeKind::Modified => graph.put(key, &object.metadata),
            });
            if let Some(seen) = &mut listing {
                seen.insert(key.clone());
            }
        }
        // Until the graph is whole, nobody knows who has no owner.
        if listing.is_none() {
            self.add(concerned);
        }
    }

    /// The graph is whole: what was not listed is gone, and everything may have to be examined.
    fn synced(&self, listed: &HashSet<Key>) {
        let concerned = self.with_graph_mut(|graph| {
            let gone: Vec<Key> = graph.keys().filter(|key| !listed.contains(*key)).cloned().collect();
            for key in &gone {
                graph.remove(key);
            }
            graph.everything_concerned()
        });
        self.add(concerned);
    }

    fn add(&self, keys: Vec<Key>) {
        for key in keys {
            if let Err(AddError::Full { .. }) = self.queue.try_add(&key, Priority::User, Cause::Related) {
                self.overflown.store(true, Ordering::Release);
            }
        }
    }

    /// After an overflow, everything again when there is room.
    fn refill(&self, max_keys: usize) {
        if self.queue.len() <= max_keys / 2 && self.overflown.swap(false, Ordering::AcqRel) {
            self.add(self.with_graph(Graph::everything_concerned));
        }
    }

    pub(super) fn with_graph<T>(&self, look: impl FnOnce(&Graph) -> T) -> T {
        look(&locks::lock(&self.graph))
    }

    fn with_graph_mut<T>(&self, change: impl FnOnce(&mut Graph) -> T) -> T {
        change(&mut locks::lock(&self.graph))
    }

    /// Completes when the graph is true at `revision`.
    pub(super) async fn reached(&self, revision: Revision) {
        let mut reached = self.revision.subscribe();
        // The sender lives in `self`, so that the channel can't close while this waits.
        let _ = reached.wait_for(|reached| reached.is_some_and(|reached| reached >= revision)).await;
    }

    pub(super) const fn metrics(&self) -> &CollectorMetrics {
        &self.metrics
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}

#[async_trait]
impl Runnable for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector"
    }

    async fn run(&self, cx: &Context) {
        let random = Arc::clone(cx.random());
        let queue =
            WorkQueue::shared_fairly(self.config.queue.clone(), Arc::clone(&self.clock), random, Key::namespace);
        let collection = Arc::new(Collection {
            graph: Mutex::default(),
            revision: watch_channel::channel(None).0,
            queue,
            overflown: AtomicBool::new(false),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
        });
        self.current.send_replace(Some(Arc::clone(&collection)));
        let workers = (0..self.config.workers.max(1)).map(|_| self.work(&collection, cx));
        let stop = async {
            tokio::select! {
                biased;
                () = cx.cancelled() => {}
                () = self.feed(&collection) => {}
            }
            collection.queue.shut_down();
        };
        tokio::join!(stop, join_all(workers));
        self.current.send_replace(None);
    }
}

impl fmt::Debug for GarbageCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = self.current.borrow().as_ref().map_or(0, |current| current.with_graph(Graph::len));
        write!(f, "GarbageCollector({objects} objects)")
    }
}
