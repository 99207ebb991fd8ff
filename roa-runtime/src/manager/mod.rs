//! [`Manager`]: owns the hub, the caches, the controllers and the reconcilers of a process, and starts and stops them in
//! the right order.

mod builder;
mod component;
mod config;
mod runnable;
mod together;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

pub use builder::ControllerBuilder;
pub use config::{ManagerConfig, ManagerError, Mode, WatchKind};
pub use runnable::Runnable;

pub(crate) use component::Component;
use component::Feed;
use roa_core::{
    CacheReader, Caches, Cancellation, CancellationSource, Context, Controller, Dependencies, EventSink, Object,
    Reconciler, Resource, ResourceStore, Result, Spec, Store, Watcher,
};
use together::Part;

use crate::cache::Freshness;
use crate::watcher::MeasuredWatcher;
use crate::{
    Cache, Clocks, ControllerConfig, ControllerDriver, Coordinator, Explainer, Membership, PollWatcher,
    ReconcilerConfig, ReconcilerDriver, RuntimeMetrics, Selection, StreamWatcher, Tasks, Territory, WatchHealth,
    WatchHub,
};

/// Owns all that a process runs over one store.
///
/// It starts in order (C12): the hub, then the caches; when they are synced, the heartbeat if there are other processes;
/// and calls begin for what the process has then. It stops in the other order: no new calls, then the running ones end,
/// each lease and shard is given back when its last has, and then the heartbeat goes.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Cancellation, Controller, Object, ResourceStore, Spec, Store};
/// # use roa_runtime::{Clocks, ControllerConfig, Manager, ManagerConfig, ManagerError, Mode, SystemClock};
/// /// Runs one controller until it is told to stop.
/// async fn run<S: Spec, C: Controller<Resource = Object<S>>>(
///     store: Arc<dyn Store>,
///     resources: ResourceStore,
///     controller: C,
///     stop: Cancellation,
/// ) -> Result<(), ManagerError> {
///     let clocks = Clocks::same(Arc::new(SystemClock::new()));
///     let mut manager = Manager::new(store, resources, clocks, ManagerConfig::new(Mode::Single)).await?;
///     manager.add_controller::<S, C>(controller, ControllerConfig::default())?;
///     manager.run(stop, || println!("ready")).await
/// }
/// ```
pub struct Manager {
    store: Arc<dyn Store>,
    resources: ResourceStore,
    clocks: Clocks,
    config: ManagerConfig,
    hub: WatchHub,
    events: Arc<dyn EventSink>,
    metrics: RuntimeMetrics,
    dependencies: Dependencies,
    /// One cache for each kind: asking twice gives the same.
    caches: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    readers: Caches,
    feeds: Vec<Box<dyn Feed>>,
    watches: Vec<WatchHealth>,
    freshness: Freshness,
    components: Vec<Arc<dyn Component>>,
    part: Option<Part>,
    territory: Territory,
    membership: Option<Membership>,
}

impl Manager {
    /// A manager over `store`, whose objects are written through `resources`.
    ///
    /// # Errors
    /// [`ManagerError`] if the configuration contradicts itself or that of other processes on the store, or the store
    /// can't be read.
    pub async fn new(
        store: Arc<dyn Store>,
        resources: ResourceStore,
        clocks: Clocks,
        config: ManagerConfig,
    ) -> Result<Self, ManagerError> {
        config.validate()?;
        let part = Part::take(&config.mode, |holder, lease| {
            let (store, clock, random) =
                (Arc::clone(&store), Arc::clone(&clocks.lease), Arc::clone(resources.random()));
            Ok(Coordinator::new(store, clock, random, holder, lease.clone())?.with_address(config.address.clone()))
        });
        let part = part.await?;
        let hub = WatchHub::start(Arc::clone(&store), Arc::clone(&clocks.io), config.hub.clone()).await?;
        Ok(Self {
            territory: part.as_ref().map_or_else(Territory::everything, |part| part.territory.clone()),
            membership: part.as_ref().map(|part| part.coordinator.membership()),
            part,
            freshness: Freshness::default(),
            store,
            resources,
            clocks,
            config,
            hub,
            events: Arc::new(roa_core::NoEvents),
            metrics: RuntimeMetrics::unregistered(),
            dependencies: Dependencies::default(),
            caches: HashMap::new(),
            readers: Caches::default(),
            feeds: Vec::new(),
            watches: Vec::new(),
            components: Vec::new(),
        })
    }

    /// The same with a sink for events.
    #[must_use]
    pub fn with_events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = events;
        self
    }

    /// The same with metrics that somebody reads.
    #[must_use]
    pub fn with_metrics(mut self, metrics: RuntimeMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same with dependencies, which the controllers and reconcilers added after it call by name.
    #[must_use]
    pub fn with_dependencies(mut self, dependencies: Dependencies) -> Self {
        self.dependencies = dependencies;
        self
    }

    /// The hub, for watches of one's own.
    #[must_use]
    pub const fn hub(&self) -> &WatchHub {
        &self.hub
    }

    /// How this process stands among the others; `None` for one that is alone.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        self.membership.clone()
    }

    /// Which keys this process may handle, when it runs.
    #[must_use]
    pub const fn territory(&self) -> &Territory {
        &self.territory
    }

    /// Explains objects from what this process knows, of the controllers that were added before.
    #[must_use]
    pub fn explainer(&self) -> Explainer {
        Explainer {
            store: Arc::clone(&self.store),
            resources: self.resources.clone(),
            components: self.components.clone().into(),
            dependencies: self.dependencies.clone(),
            territory: self.territory.clone(),
            membership: self.membership.clone(),
            group: self.config.mode.group().map(Into::into),
        }
    }

    /// How the watches of the caches go that were asked for before.
    #[must_use]
    pub fn watches(&self) -> Vec<WatchHealth> {
        self.watches.clone()
    }

    /// The cache of a kind, made when first asked for. It is filled when the manager runs.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if the kind is not registered.
    pub fn cache<S: Spec>(&mut self) -> Result<Cache<Object<S>>> {
        let id = TypeId::of::<Object<S>>();
        if let Some(cache) = self.caches.get(&id).and_then(|cache| cache.downcast_ref::<Cache<Object<S>>>()) {
            return Ok(cache.clone());
        }
        let cache = Cache::<Object<S>>::new();
        let watcher = self.measured(self.watcher::<S>()?, S::PLURAL);
        self.caches.insert(id, Box::new(cache.clone()));
        self.readers =
            self.readers.clone().with::<Object<S>>(Arc::new(cache.clone()) as Arc<dyn CacheReader<Object<S>>>);
        self.freshness = std::mem::take(&mut self.freshness).with(&cache);
        self.feeds.push(Box::new(component::CacheFeed { name: S::PLURAL, cache: cache.clone(), watcher }));
        Ok(cache)
    }

    fn measured<R: Resource>(&mut self, inner: Arc<dyn Watcher<R>>, name: &'static str) -> Arc<dyn Watcher<R>> {
        let health = WatchHealth::new(name, Arc::clone(&self.clocks.io));
        self.watches.push(health.clone());
        let (seen, hub) = (health.clone(), self.hub.clone());
        self.metrics.figures().from(move || seen.figures(hub.position().revision));
        Arc::new(MeasuredWatcher { inner, health })
    }

    /// A watcher of a kind, as configured.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if the kind is not registered.
    pub fn watcher<S: Spec>(&self) -> Result<Arc<dyn Watcher<Object<S>>>> {
        let selection = Selection::prefix(self.resources.kinds().of::<S>()?.prefix(None)?);
        Ok(match self.config.watch {
            WatchKind::Stream => Arc::new(StreamWatcher::new(self.hub.clone(), selection)),
            WatchKind::Poll(interval) => {
                let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clocks.io));
                Arc::new(PollWatcher::new(store, clock, selection, interval))
            }
        })
    }

    /// Adds a controller. Its driver shows what is queued.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if its kind is not registered.
    pub fn add_controller<S, C>(&mut self, controller: C, config: ControllerConfig) -> Result<ControllerDriver<C>>
    where
        S: Spec,
        C: Controller<Resource = Object<S>>,
    {
        self.controller(controller, config).add()
    }

    /// Begins to add a controller that is also called for changes of other objects than its own, or not for all changes of
    /// its own.
    pub fn controller<S, C>(&mut self, controller: C, config: ControllerConfig) -> ControllerBuilder<'_, S, C>
    where
        S: Spec,
        C: Controller<Resource = Object<S>>,
    {
        ControllerBuilder::new(self, controller, config)
    }

    /// A driver of a controller, which may read all caches that there are.
    fn driver<S, C>(&mut self, controller: C, config: ControllerConfig) -> Result<ControllerDriver<C>>
    where
        S: Spec,
        C: Controller<Resource = Object<S>>,
    {
        let cache = self.cache::<S>()?;
        let cx = self.context(controller.name());
        let metrics = self.metrics.of(controller.name());
        let (territory, clocks) = (self.territory.clone(), self.clocks.clone());
        let config = self.waiting_long_enough(config);
        let driver = ControllerDriver::within(territory, controller, cache, cx, config, clocks, metrics);
        Ok(driver.awaiting(self.freshness.clone().without::<Object<S>>()))
    }

    /// Caches that are fed at an interval show a write after as long as that.
    fn waiting_long_enough(&self, config: ControllerConfig) -> ControllerConfig {
        match self.config.watch {
            WatchKind::Stream => config,
            WatchKind::Poll(interval) => {
                let cache_timeout = config.cache_timeout.max(interval.saturating_mul(2));
                ControllerConfig { cache_timeout, ..config }
            }
        }
    }

    /// Adds a reconciler.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if its kind is not registered.
    pub fn add_reconciler<S, R>(&mut self, reconciler: R, config: ReconcilerConfig) -> Result<()>
    where
        S: Spec,
        R: Reconciler<Resource = Object<S>>,
    {
        let cache = self.cache::<S>()?;
        let cx = self.context(reconciler.name());
        let metrics = self.metrics.of(reconciler.name());
        let driver = ReconcilerDriver::new(reconciler, cache, cx, config, self.clocks.clone(), metrics);
        let driver = driver.within(self.territory.clone()).awaiting(self.freshness.clone().without::<Object<S>>());
        self.components.push(Arc::new(component::Sweeper::new(driver)));
        Ok(())
    }

    /// Adds work that belongs to no one kind. It runs where the controllers run.
    pub fn add_runnable(&mut self, runnable: Arc<dyn Runnable>) {
        let cx = self.context(runnable.name());
        self.components.push(Arc::new(runnable::Running::new(runnable, cx, self.territory.clone())));
    }

    fn context(&self, component: &str) -> Context {
        Context::new(component, self.resources.clone())
            .with_events(Arc::clone(&self.events))
            .with_caches(self.readers.clone())
            .with_dependencies(self.dependencies.clone())
    }

    /// Runs until `shutdown`, then drains. `ready` is called when the caches are synced and, where no leadership is
    /// needed, the workers are started: standby counts as ready.
    ///
    /// # Errors
    /// [`ManagerError`] if something can't be started.
    ///
    /// # Cancel safety
    /// Dropping it aborts everything; nothing is half written.
    pub async fn run(mut self, shutdown: Cancellation, ready: impl FnOnce() + Send) -> Result<(), ManagerError> {
        let feeds = Tasks::new("caches", self.feeds.len());
        for feed in &self.feeds {
            feed.start(&feeds, Arc::clone(&self.clocks.io))?;
        }
        let part = self.part.take();
        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            () = self.synced() => {
                ready();
                self.run_synced(part, &shutdown).await
            }
        };
        feeds.shutdown(&*self.clocks.io, self.config.shutdown_grace).await;
        self.hub.close().await;
        outcome
    }

    async fn synced(&self) {
        for feed in &self.feeds {
            feed.synced().await;
        }
    }

    async fn run_synced(&self, part: Option<Part>, shutdown: &Cancellation) -> Result<(), ManagerError> {
        if let Some(part) = part {
            return Box::pin(together::run(self, part, shutdown)).await;
        }
        let workers = self.start(&CancellationSource::new())?;
        shutdown.cancelled().await;
        self.drain(&workers).await;
        Ok(())
    }

    /// Starts all workers, for as long as `cancellation` gives no sign.
    fn start(&self, cancellation: &CancellationSource) -> Result<Tasks, ManagerError> {
        let count = self.components.iter().map(|component| component.tasks()).sum();
        let workers = Tasks::new("workers", count);
        for component in &self.components {
            component.start(&workers, cancellation)?;
        }
        Ok(workers)
    }

    /// No new calls; those that run may end, for a time.
    async fn drain(&self, workers: &Tasks) {
        for component in &self.components {
            component.shut_down();
        }
        let left = workers.shutdown(&*self.clocks.io, self.config.shutdown_grace).await;
        if !left.is_empty() {
            tracing::warn!(workers = ?left, grace = ?self.config.shutdown_grace, "calls were cut short at shutdown");
        }
    }
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Manager(over {}, {} components)", self.store, self.components.len())
    }
}
