//! [`Engine`]: configuration in, a running control plane out. `roa run` and `roa demo` start the same.

mod admin;
mod alone;
mod api;
mod apply;
mod cloud_events;
mod direct;
mod lab;
mod node;
mod post;
pub(crate) mod store;
mod subresources;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use roa_core::lifecycle::FieldValidation;
use roa_core::{
    Cancellation, Clock, DEFAULT_NAMESPACE, Error, EventSink, KindRegistry, Namespace, Object, RandomExt,
    ResourceStore, Store, SystemRandom,
};
use roa_runtime::{
    BootClock, Clocks, FanOutSink, HubConfig, LeaseConfig, LogSink, Manager, ManagerConfig, MeasuredStore, Membership,
    Mode, Reading, Readings, RuntimeMetrics, ScaledClock, ShardBy, SystemClock, WatchHub, WatchKind,
};

pub(crate) use apply::Rejected;
pub(crate) use direct::Direct;
pub(crate) use subresources::{Asked, Told, ask_owner, ask_process, why_there_is_none};

use crate::commands::copy;
use crate::config::settings::{self, Config, EngineMode};
use crate::manifest::Manifest;

/// What the processes that share a store divide.
pub(crate) const DIVIDED: &str = "controllers";

/// What the figures of this process among others are labelled with.
const COORDINATOR: &str = "coordinator";

/// A control plane, ready to run.
pub(crate) struct Engine {
    config: Config,
    store: store::Opened,
    resources: ResourceStore,
    clocks: Clocks,
    manager: Manager,
    registry: Registry,
    api_metrics: api::Metrics,
}

impl Engine {
    /// Opens the store and puts everything together; nothing runs yet.
    ///
    /// # Errors
    /// The store, the data directory or the manager can't be used.
    pub(crate) async fn open(config: Config, events: Vec<Arc<dyn EventSink>>) -> anyhow::Result<Self> {
        let clocks = clocks(&config);
        let random = Arc::new(SystemRandom);
        let opened = store::open(&config.store, true, Arc::clone(&clocks.io), random.clone()).await?;
        let mut registry = Registry::with_prefix("roa");
        let metrics = RuntimeMetrics::register(registry.sub_registry_with_prefix("runtime"));
        let store: Arc<dyn Store> = Arc::new(MeasuredStore::new(Arc::clone(&opened.store), &metrics));
        announce(&*store);
        refuse_unfinished_copy(&*store).await?;
        let own = kinds();
        let resources =
            ResourceStore::new(Arc::clone(&store), Arc::clone(&own), Arc::clone(&clocks.domain), random, "roa");
        let resources = if config.namespaces.strict { resources.strict_namespaces() } else { resources };
        create_default_namespace(&resources).await;
        let manager =
            Manager::new(Arc::clone(&store), resources.clone(), clocks.clone(), manager_config(&config, &*store))
                .await?;
        let mut sinks: Vec<Arc<dyn EventSink>> = vec![Arc::new(LogSink)];
        sinks.extend(events);
        let api_metrics = api::Metrics::register(registry.sub_registry_with_prefix("api"));
        let recorder = upkeep::recorder(&clocks, &metrics);
        sinks.push(recorder.clone());
        let mut manager = manager.with_events(Arc::new(FanOutSink::new(sinks))).with_metrics(metrics.clone());
        if let Some(membership) = manager.membership() {
            registry.sub_registry_with_prefix("runtime").register_collector(Box::new(readings(&membership)));
        }
        upkeep::add(&mut manager, own, recorder, &config, &clocks, &metrics)?;
        cloud_events::add(&mut manager, &config.cloudevents, &clocks)?;
        lab::add(&mut manager, &config, &clocks, &mut registry, &metrics).await?;
        Ok(Self { config, store: opened, resources, clocks, manager, registry, api_metrics })
    }

    /// The objects.
    pub(crate) const fn resources(&self) -> &ResourceStore {
        &self.resources
    }

    /// The hub, for watches of one's own.
    pub(crate) const fn hub(&self) -> &WatchHub {
        self.manager.hub()
    }

    /// The times.
    pub(crate) const fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Checks all manifests, then applies them in order.
    ///
    /// # Errors
    /// [`Rejected`] with every reason if one of them is wrong: then none was applied. Else what the store answered.
    pub(crate) async fn apply(&self, manifests: Vec<Manifest>) -> Result<usize, Rejected> {
        apply::apply(&self.resources, manifests).await
    }

    /// Runs until `shutdown`, then drains.
    ///
    /// # Errors
    /// The admin socket or a part of the engine can't be started.
    pub(crate) async fn run(self, shutdown: Cancellation) -> anyhow::Result<()> {
        let readiness = crate::admin::Readiness::default();
        let synced = readiness.check("caches");
        synced.fail("not synced yet");
        let opened = api::open(&self.config, &self.clocks, &self.api_metrics, api::IfServed::Wait).await?;
        let watched = admin::Watched {
            hub: self.manager.hub().clone(),
            membership: self.manager.membership(),
            watches: self.manager.watches(),
            explainer: Some(self.manager.explainer()),
            patience: patience(&self.config),
        };
        let admin = admin::start(&self.config, self.registry, readiness.clone(), watched, self.clocks.io.clone());
        let admin = admin.await.context("failed to start the admin socket")?;
        let metrics = self.api_metrics.requests.showing(Arc::clone(&admin.registry));
        let (resources, hub, explainer) = (self.resources, self.manager.hub().clone(), self.manager.explainer());
        let subresources = subresources::all(&self.config, &self.clocks, &hub, &resources, Some(explainer));
        let served = api::Served { resources, hub, metrics, readiness, subresources };
        let api = api::start(opened, served, &self.clocks, shutdown.clone());
        let ready = move || {
            synced.pass();
            tracing::info!("ready");
        };
        let outcome = self.manager.run(shutdown, ready).await.context("failed to run");
        api.stop(&self.clocks).await;
        admin.stop().await;
        self.store.close().await;
        outcome
    }
}

/// Clients expect it to be there, whatever else is. Where that fails, it comes with the first object in it.
async fn create_default_namespace(resources: &ResourceStore) {
    let outcome = async {
        let namespace = Object::new("", DEFAULT_NAMESPACE, Namespace::default()).to_dynamic()?;
        resources.create(namespace, FieldValidation::Ignore).await
    };
    match outcome.await {
        Ok(_) | Err(Error::AlreadyExists { .. }) => {}
        Err(error) => tracing::warn!(%error, "failed to create the namespace {DEFAULT_NAMESPACE}"),
    }
}

/// All kinds of this program.
pub(crate) fn kinds() -> Arc<KindRegistry> {
    Arc::new(roa_server::kinds(roa_lab::kinds(KindRegistry::new())))
}

/// How long a watch may say nothing, not even that there is nothing new.
fn patience(config: &Config) -> Duration {
    let poll = match config.watch.kind {
        settings::WatchKind::Stream => Duration::ZERO,
        settings::WatchKind::Poll => config.watch.poll_interval.0,
    };
    (HubConfig::default().progress_interval + poll) * 5
}

fn clocks(config: &Config) -> Clocks {
    let io: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let domain: Arc<dyn Clock> = match config.time.scale() {
        scale if scale.get() == 1 => Arc::clone(&io),
        scale => Arc::new(ScaledClock::new(Arc::clone(&io), scale)),
    };
    Clocks { domain, io, lease: Arc::new(BootClock::new()) }
}

/// A store that is still being copied lacks objects: controllers would take them for deleted.
async fn refuse_unfinished_copy(store: &dyn Store) -> anyhow::Result<()> {
    match copy::unfinished(store).await.context("failed to read the store")? {
        None => Ok(()),
        Some(source) => {
            anyhow::bail!("{store} is a copy of {source} that is not complete; hint: run `roa store copy` again")
        }
    }
}

/// Whoever starts it sees what a commit survives.
fn announce(store: &dyn Store) {
    let capabilities = store.capabilities();
    tracing::info!(%store, id = %store.id(), durability = %capabilities.durability, shared = capabilities.shared, "store opened");
}

fn manager_config(config: &Config, store: &dyn Store) -> ManagerConfig {
    let mut manager = ManagerConfig::new(mode(config, store));
    manager.address = std::path::absolute(&config.admin.socket).ok().and_then(|path| path.to_str().map(str::to_owned));
    manager.shutdown_grace = config.runtime.shutdown_grace.0;
    manager.watch = match config.watch.kind {
        settings::WatchKind::Stream => WatchKind::Stream,
        settings::WatchKind::Poll => WatchKind::Poll(config.watch.poll_interval.0),
    };
    manager.hub = HubConfig {
        max_batches: config.watch.ring_max_batches,
        max_bytes: config.watch.ring_max_bytes,
        max_watchers: config.watch.max_watchers,
        ..HubConfig::default()
    };
    manager
}

/// How the processes that share a store divide the work.
fn mode(config: &Config, store: &dyn Store) -> Mode {
    let lease = LeaseConfig {
        duration: config.lease.duration.0,
        renew_deadline: config.lease.renew_deadline.0,
        retry_period: config.lease.retry_period.0,
    };
    let by = match config.engine.shard_by {
        settings::ShardBy::Object => ShardBy::Object,
        settings::ShardBy::Namespace => ShardBy::Namespace,
    };
    let (name, holder) = (DIVIDED.to_owned(), format!("roa-{}", SystemRandom.uuid()));
    match config.engine.mode {
        EngineMode::Single => Mode::Single,
        EngineMode::Auto if !store.capabilities().shared => Mode::Single,
        EngineMode::Auto | EngineMode::Leader => Mode::Leader { lease: name, holder, config: lease },
        EngineMode::Sharded => Mode::Sharded { group: name, holder, config: lease, by },
    }
}

/// What is measured of this process among the others.
fn readings(membership: &Membership) -> Readings {
    let read = |read: fn(&Membership) -> u64| {
        let membership = membership.clone();
        Arc::new(move || read(&membership)) as Reading
    };
    let age = |membership: &Membership| {
        let age = membership.heartbeat_age().unwrap_or_default();
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    };
    Readings::default()
        .gauge("ownerships_held", "Leases and shards that this process has", COORDINATOR, read(|it| it.held() as u64))
        .counter("acquisitions", "Leases and shards that this process got", COORDINATOR, read(Membership::acquisitions))
        .counter("losses", "Leases and shards that this process lost", COORDINATOR, read(Membership::losses))
        .gauge("heartbeat_age_milliseconds", "Since the last good renewal of the heartbeat", COORDINATOR, read(age))
}
