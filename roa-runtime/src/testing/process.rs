//! [`Process`]: a controller with all that drives it, over its own view of the store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use roa_core::{Cancellation, Clock, ClockExt, Context, Controller, Object, ResourceStore, Result, Spec};

use super::World;
use super::view::View;
use crate::tasks::SpawnError;
use crate::{
    Cache, Clocks, ControllerConfig, ControllerDriver, HubConfig, RuntimeMetrics, Selection, StreamWatcher, Tasks,
    WatchHub,
};

/// Ends when dropped, wherever it is.
pub(super) struct Process {
    pub(super) view: Arc<View>,
    _tasks: Tasks,
}

impl Process {
    pub(super) fn start<S, C, O>(
        world: &World<O>,
        view: View,
        controller: C,
        config: ControllerConfig,
    ) -> Result<Self, SpawnError>
    where
        S: Spec,
        C: Controller<Resource = Object<S>>,
    {
        let (view, tasks) = (Arc::new(view), Tasks::new("process", 1));
        let kinds = Arc::new(world.resources.kinds().clone());
        let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
        let random = Arc::clone(world.resources.random());
        let resources =
            ResourceStore::new(Arc::clone(&view) as _, kinds, Arc::clone(&clock), random, controller.name().to_owned());
        let running = Arc::clone(&view);
        tasks.spawn("process", async move {
            if let Err(error) = run(running, resources, clock, controller, config).await {
                tracing::warn!(%error, "the process did not start");
            }
        })?;
        Ok(Self { view, _tasks: tasks })
    }
}

async fn run<S, C>(
    view: Arc<View>,
    resources: ResourceStore,
    clock: Arc<dyn Clock>,
    controller: C,
    config: ControllerConfig,
) -> Result<()>
where
    S: Spec,
    C: Controller<Resource = Object<S>>,
{
    let selection = Selection::prefix(resources.kinds().of::<S>()?.prefix(None)?);
    let hub = loop {
        match WatchHub::start(Arc::clone(&view) as _, Arc::clone(&clock), HubConfig::default()).await {
            Ok(hub) => break hub,
            Err(error) => {
                tracing::debug!(%error, "the process starts again");
                clock.sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let watcher = StreamWatcher::new(hub, selection);
    let cache: Cache<Object<S>> = Cache::new();
    let metrics = RuntimeMetrics::unregistered().of(controller.name());
    let cx = Context::new(controller.name().to_owned(), resources);
    let clocks = Clocks::same(Arc::clone(&clock));
    let driver = ControllerDriver::new(controller, cache.clone(), cx, config, clocks, metrics);
    let workers = (0..driver.workers()).map(|_| driver.work(Cancellation::never()));
    // In order (C12): the workers begin when the cache is synced.
    let work = async {
        cache.synced().await;
        join_all(workers).await
    };
    tokio::join!(cache.run(&watcher, &*clock), work);
    Ok(())
}
