//! Health and metrics, while the engine runs.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use roa_core::{CancellationSource, Clock, ClockExt, Health, Revision, Store};
use roa_runtime::{Explainer, Membership, Readings, Tasks, WatchHealth, WatchHub};

use crate::admin::{Check, Limits, PrivateSocket, Readiness, SocketError, routes, serve};
use crate::config::settings::Config;

/// How often the store is asked for its health.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// How long a watch may be about to begin anew.
const BROKEN: Duration = Duration::from_secs(2);
/// How long requests may go on at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// The admin server, until it is stopped.
pub(super) struct Admin {
    tasks: Tasks,
    stop: CancellationSource,
    clock: Arc<dyn Clock>,
    /// What is measured: also for others to show.
    pub(super) registry: Arc<Registry>,
}

/// What readiness depends on while the engine runs.
pub(super) struct Watched {
    pub(super) hub: WatchHub,
    /// `None` for a process that is alone.
    pub(super) membership: Option<Membership>,
    /// The watches that feed the caches.
    pub(super) watches: Vec<WatchHealth>,
    /// `None` where nothing is handled that could be explained.
    pub(super) explainer: Option<Explainer>,
    /// How long a watch may say nothing.
    pub(super) patience: Duration,
}

pub(super) async fn start(
    config: &Config,
    mut registry: Registry,
    readiness: Readiness,
    watched: Watched,
    clock: Arc<dyn Clock>,
) -> Result<Admin, SocketError> {
    let socket = PrivateSocket::bind(&config.admin.socket, "admin.socket").await?;
    let (tasks, stop, hub) = (Tasks::new("admin", 2), CancellationSource::new(), watched.hub);
    let store = StoreWatch {
        store: Arc::clone(hub.store()),
        check: readiness.check("store"),
        gauge: Gauge::default(),
        hub: hub.clone(),
        feed: readiness.check("feed"),
        lag: Gauge::default(),
    };
    store.check.fail("not asked yet");
    registry.register("store_health", "What the store says: 0 healthy, 1 degraded, 2 failing", store.gauge.clone());
    let help = "Revisions that the store is ahead of what this process has seen";
    registry.register("watch_lag_revisions", help, store.lag.clone());
    registry.register_collector(Box::new(readings(hub)));
    let registry = Arc::new(registry);
    let (routes, stopped) = (routes(readiness.clone(), Arc::clone(&registry), watched.explainer), stop.token());
    let server = tasks.spawn_draining("admin server", move |_| async move {
        serve(socket, routes, Limits::default(), stopped.cancelled()).await;
    });
    let io = Arc::clone(&clock);
    let watch = tasks.spawn("store health", async move { store.watch(&*io).await });
    if let Some(membership) = watched.membership {
        readiness.look("membership", move || silent_heart(&membership));
    }
    let (watches, patience) = (watched.watches, watched.patience);
    readiness.look("watches", move || first_trouble(&watches, patience));
    for outcome in [server, watch] {
        if let Err(error) = outcome {
            tracing::error!(%error, "the admin server is incomplete");
        }
    }
    Ok(Admin { tasks, stop, clock, registry })
}

/// What is measured of the store's history and its watches.
fn readings(hub: WatchHub) -> Readings {
    let (breaks, position, watchers) = (hub.clone(), hub.clone(), hub);
    Readings::default()
        .counter(
            "store_discontinuities",
            "How often the history of the store was broken: all watches listed again",
            "store",
            Arc::new(move || breaks.discontinuities()),
        )
        .gauge(
            "watch_revision",
            "The newest revision that this process has seen",
            "hub",
            Arc::new(move || position.position().revision.get()),
        )
        .gauge(
            "watchers",
            "Open watches",
            "hub",
            Arc::new(move || u64::try_from(watchers.watchers()).unwrap_or(u64::MAX)),
        )
}

/// The store, and where its health is told.
struct StoreWatch {
    store: Arc<dyn Store>,
    check: Check,
    gauge: Gauge,
    hub: WatchHub,
    feed: Check,
    lag: Gauge,
}

impl StoreWatch {
    async fn watch(self, clock: &dyn Clock) {
        let (mut degraded, mut head) = (None, None);
        loop {
            self.look(&mut degraded).await;
            self.look_at_lag(&mut head).await;
            clock.sleep(HEALTH_INTERVAL).await;
        }
    }

    /// Asks once. `degraded` is what was wrong the last time.
    async fn look(&self, degraded: &mut Option<String>) {
        let (level, reason) = match self.store.health().await {
            Health::Failing(reason) => {
                self.check.fail(reason);
                self.gauge.set(2);
                return;
            }
            Health::Degraded(reason) => (1, Some(reason)),
            _ => (0, None),
        };
        self.check.pass();
        self.gauge.set(level);
        if let Some(reason) = reason.as_ref().filter(|reason| degraded.as_ref() != Some(reason)) {
            tracing::warn!(store = %self.store, reason, "store is degraded");
        }
        *degraded = reason;
    }
}

impl StoreWatch {
    /// How far the store is ahead of what this process has seen of it. What was the head at the last look must have been
    /// seen by now.
    async fn look_at_lag(&self, head_before: &mut Option<Revision>) {
        let Ok(state) = self.store.state().await else { return };
        let seen = self.hub.position().revision;
        self.lag.set(i64::try_from(state.head.get().saturating_sub(seen.get())).unwrap_or(i64::MAX));
        match *head_before {
            Some(head) if seen < head => {
                self.feed.fail(format!(
                    "revision {head} has not been seen for {HEALTH_INTERVAL:?}, the newest seen is {seen}"
                ));
            }
            _ => self.feed.pass(),
        }
        *head_before = Some(state.head);
    }
}

/// A watch that ended and does not go on, or says nothing for too long, feeds a cache that nobody should rely on.
fn first_trouble(watches: &[WatchHealth], patience: Duration) -> Option<String> {
    watches.iter().find_map(|watch| Some(format!("{}: {}", watch.name(), trouble(watch, patience)?)))
}

fn trouble(watch: &WatchHealth, patience: Duration) -> Option<String> {
    match (watch.broken(), watch.silence()) {
        (Some((reason, since)), _) if since > BROKEN => {
            Some(format!("does not go on for {} s: {reason}", since.as_secs()))
        }
        (_, Some(silence)) if silence > patience => Some(format!("was last heard of {} s ago", silence.as_secs())),
        _ => None,
    }
}

/// A process whose heartbeat is not renewed does nothing and is not waited for: it is not ready. One that lives and has
/// nothing stands by, and is.
fn silent_heart(membership: &Membership) -> Option<String> {
    match (membership.is_live(), membership.heartbeat_age()) {
        (true, _) => None,
        (false, Some(age)) => Some(format!("the heartbeat was last renewed {} s ago", age.as_secs())),
        (false, None) => Some("no heartbeat yet".to_owned()),
    }
}

impl Admin {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.shutdown(&*self.clock, GRACE).await;
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use roa_core::{
        Capabilities, CommitError, Epoch, Key, ListRequest, Page, Read, Result, StoreId, StoreState, SystemRandom,
        Tail, Txn, TxnId, Value,
    };
    use roa_runtime::{HubConfig, SystemClock};
    use roa_store_memory::{MemoryConfig, MemoryStore};

    use super::*;

    /// A store that tells nobody of its changes, and fails when it is told to.
    #[derive(Debug)]
    struct Mute {
        inner: MemoryStore,
        failing: std::sync::atomic::AtomicBool,
    }

    #[async_trait]
    impl Store for Mute {
        fn id(&self) -> StoreId {
            self.inner.id()
        }

        fn capabilities(&self) -> &Capabilities {
            self.inner.capabilities()
        }

        async fn get(&self, key: &Key) -> Result<Read> {
            self.inner.get(key).await
        }

        async fn list(&self, request: ListRequest) -> Result<Page> {
            self.inner.list(request).await
        }

        async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
            self.inner.commit(txn).await
        }

        async fn tail(&self, after: Revision) -> Result<Tail> {
            let (store, state) = (self.id(), self.state().await?);
            Ok(Tail::new(store, state.epoch, (after, None), Box::pin(futures_util::stream::pending())))
        }

        async fn compact(&self, to: Revision) -> Result<Revision> {
            self.inner.compact(to).await
        }

        async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
            self.inner.fence(expected, highest).await
        }

        async fn state(&self) -> Result<StoreState> {
            self.inner.state().await
        }

        async fn health(&self) -> Health {
            match self.failing.load(std::sync::atomic::Ordering::SeqCst) {
                true => Health::Failing("no disk".to_owned()),
                false => Health::Healthy,
            }
        }
    }

    impl std::fmt::Display for Mute {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("mute")
        }
    }

    #[tokio::test]
    async fn a_feed_that_does_not_move_and_a_store_that_fails_are_not_ready() {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let inner = MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone());
        let mute = Arc::new(Mute { inner, failing: false.into() });
        let hub = WatchHub::start(mute.clone(), clock, HubConfig::default()).await.unwrap();
        let readiness = Readiness::default();
        let watch = StoreWatch {
            store: mute.clone(),
            check: readiness.check("store"),
            gauge: Gauge::default(),
            hub: hub.clone(),
            feed: readiness.check("feed"),
            lag: Gauge::default(),
        };
        let (mut degraded, mut head) = (None, None);
        watch.look(&mut degraded).await;
        watch.look_at_lag(&mut head).await;
        assert!(readiness.failures().is_empty(), "{:?}", readiness.failures());
        let key = Key::new("g", "things", "n", "a").unwrap();
        let txn = Txn::new(TxnId::random(&*random), "test").create(key, Value::opaque("x"));
        mute.commit(txn).await.unwrap();
        watch.look_at_lag(&mut head).await;
        assert_eq!((watch.lag.get(), readiness.failures().len()), (1, 0), "it may be on its way");
        watch.look_at_lag(&mut head).await;
        assert!(readiness.failures()[0].starts_with("feed: revision "), "{:?}", readiness.failures());
        mute.failing.store(true, std::sync::atomic::Ordering::SeqCst);
        watch.look(&mut degraded).await;
        assert_eq!((readiness.failures()[1].as_str(), watch.gauge.get()), ("store: no disk", 2));
        hub.close().await;
    }
}
