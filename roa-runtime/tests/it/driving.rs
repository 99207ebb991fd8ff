//! A controller that does what a test says, and what drives it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Action, CancellationSource, Context, Controller, Event, Object, Ownership, ReconcileError};
use roa_runtime::{
    BackoffPolicy, Cache, ChannelSink, Clocks, ControllerConfig, ControllerDriver, QueueConfig, RuntimeMetrics,
    StreamWatcher, SystemClock, Tasks, Territory,
};
use tokio::sync::mpsc;

use crate::support::{Thing, World, soon};

pub type Answer = Result<Action, ReconcileError>;

type Script = Box<dyn Fn(&Object<Thing>, &Context) -> Answer + Send + Sync>;

/// Answers each call by a function of the object; `name` is its own.
pub struct Scripted {
    pub script: Script,
    pub dependency: Option<&'static str>,
    pub calls: Arc<AtomicUsize>,
    notes: bool,
    last: Option<Script>,
}

/// The finalizer of a controller that has a clean-up.
pub const FINALIZER: &str = "test.example.com/scripted";

impl Scripted {
    pub fn new(script: impl Fn(&Object<Thing>, &Context) -> Answer + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), dependency: None, calls: Arc::default(), notes: false, last: None }
    }

    /// The same, writing a note into the status before.
    pub fn noting(mut self) -> Self {
        self.notes = true;
        self
    }

    /// The same with a clean-up.
    pub fn finalizing(mut self, script: impl Fn(&Object<Thing>, &Context) -> Answer + Send + Sync + 'static) -> Self {
        self.last = Some(Box::new(script));
        self
    }

    /// The same, asking a dependency.
    pub fn asking(mut self, dependency: &'static str) -> Self {
        self.dependency = Some(dependency);
        self
    }
}

#[async_trait]
impl Controller for Scripted {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "scripted"
    }

    fn finalizer(&self) -> Option<&str> {
        self.last.as_ref().map(|_| FINALIZER)
    }

    async fn finalize(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Answer {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.last.as_ref().map_or(Ok(Action::Done), |script| script(&thing, cx))
    }

    async fn reconcile(&self, thing: Arc<Object<Thing>>, cx: &Context) -> Answer {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.notes {
            let note = |thing: &mut Object<Thing>| thing.status.note = "seen".into();
            cx.api::<Thing>()?.patch_status(&thing.metadata.namespace, &thing.metadata.name, note).await?;
        }
        match self.dependency {
            Some(dependency) => cx.call(dependency, async { (self.script)(&thing, cx) }).await,
            None => (self.script)(&thing, cx),
        }
    }
}

/// A controller that is driven.
pub struct Driving {
    pub driver: ControllerDriver<Scripted>,
    pub metrics: RuntimeMetrics,
    pub events: Mutex<mpsc::Receiver<Event>>,
    pub calls: Arc<AtomicUsize>,
    tasks: Tasks,
    stop: CancellationSource,
}

pub fn config() -> ControllerConfig {
    let backoff = BackoffPolicy { base: Duration::from_secs(1), max: Duration::from_secs(60), jitter_percent: 0 };
    let queue = QueueConfig { backoff, ..QueueConfig::default() };
    ControllerConfig { workers: 4, timeout: Duration::from_secs(5), queue, ..ControllerConfig::default() }
}

impl Driving {
    pub fn start(world: &World, controller: Scripted, config: ControllerConfig) -> Self {
        Self::start_with(world, controller, config, |cx| cx, None)
    }

    pub fn start_with(
        world: &World,
        controller: Scripted,
        config: ControllerConfig,
        context: impl FnOnce(Context) -> Context,
        ownership: Option<&Ownership>,
    ) -> Self {
        let (cache, metrics, calls) = (Cache::new(), RuntimeMetrics::unregistered(), Arc::clone(&controller.calls));
        let (sink, events) = ChannelSink::new(100);
        let io = Arc::new(SystemClock::new());
        let clocks = Clocks { domain: world.clock.clone(), io: io.clone(), lease: io };
        let cx = context(Context::new("scripted", world.resources.clone()).with_events(Arc::new(sink)));
        let territory = ownership.cloned().map_or_else(Territory::everything, Territory::under);
        let measured = metrics.of("scripted");
        let driver = ControllerDriver::within(territory, controller, cache.clone(), cx, config, clocks, measured);
        let (tasks, stop) = (Tasks::new("test", 16), CancellationSource::new());
        let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
        tasks.spawn("cache", async move { cache.run(&watcher, &SystemClock::new()).await }).unwrap();
        for worker in 0..driver.workers() {
            let (driver, token) = (driver.clone(), stop.token());
            let work = move |_| async move { driver.work(token).await };
            tasks.spawn_draining(format!("worker {worker}"), work).unwrap();
        }
        Self { driver, metrics, events: Mutex::new(events), calls, tasks, stop }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn count(&self, result: &'static str) -> u64 {
        self.metrics.of("scripted").count(result)
    }

    /// The reasons of the events so far.
    pub fn reasons(&self) -> Vec<String> {
        let mut events = self.events.lock().unwrap();
        std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.reason).collect()
    }

    pub async fn stop(self) {
        self.driver.shut_down();
        self.stop.cancel();
        let left = self.tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await;
        assert!(left.is_empty(), "{left:?} did not end");
    }
}

/// Moves the domain's time on, from timer to timer, until something holds.
pub async fn advancing_until(world: &World, what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        while !holds() {
            world.clock.advance_to_next_timer();
            crate::support::pause().await;
        }
    })
    .await;
}

/// The status of a thing's condition `Reconciled`, and its reason.
pub async fn reconciled(world: &World, name: &str) -> Option<(String, String)> {
    let key = world.api().key("test", name).unwrap();
    let condition = world.resources.get(&key).await.unwrap().status()?.get("conditions")?.get(0)?.clone();
    Some((condition["status"].as_str()?.to_owned(), condition["reason"].as_str()?.to_owned()))
}

/// Waits until the condition has this status; gives its reason.
pub async fn reconciled_is(world: &World, name: &str, status: &str) -> String {
    soon("the condition", async {
        loop {
            match reconciled(world, name).await {
                Some((found, reason)) if found == status => return reason,
                _ => crate::support::pause().await,
            }
        }
    })
    .await
}
