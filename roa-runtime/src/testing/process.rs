//! [`Process`]: a manager with a controller, over its own view of the store.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{Cancellation, Clock, ClockExt, Controller, ResourceStore, Result};

use super::World;
use super::view::View;
use crate::tasks::SpawnError;
use crate::{Clocks, ControllerConfig, HubConfig, Manager, ManagerConfig, ManagerError, Mode, Tasks};

/// Adds a controller to a process, and whatever else belongs to it there.
pub(super) type Wiring<C, O> = dyn Fn(&mut Manager, C, ControllerConfig, &Arc<O>) -> Result<()> + Send + Sync;

/// Ends when dropped, wherever it is.
pub(super) struct Process {
    pub(super) view: Arc<View>,
    _tasks: Tasks,
}

impl Process {
    pub(super) fn start<C, O>(
        world: &World<O>,
        view: View,
        controller: C,
        config: ControllerConfig,
        wiring: &Arc<Wiring<C, O>>,
    ) -> Result<Self, SpawnError>
    where
        C: Controller,
        O: Send + Sync + 'static,
    {
        let (view, tasks) = (Arc::new(view), Tasks::new("process", 1));
        let kinds = Arc::new(world.resources.kinds().clone());
        let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
        let random = Arc::clone(world.resources.random());
        let resources =
            ResourceStore::new(Arc::clone(&view) as _, kinds, Arc::clone(&clock), random, controller.name().to_owned());
        let (running, wiring, outside) = (Arc::clone(&view), Arc::clone(wiring), Arc::clone(&world.outside));
        tasks.spawn("process", async move {
            let mut manager = begin(running, resources, clock).await;
            let run = match wiring(&mut manager, controller, config, &outside) {
                Ok(()) => manager.run(Cancellation::never(), || ()).await,
                Err(error) => Err(ManagerError::Resource(error)),
            };
            if let Err(error) = run {
                tracing::warn!(%error, "the process did not start");
            }
        })?;
        Ok(Self { view, _tasks: tasks })
    }
}

/// What supervises processes starts them again until they do start.
async fn begin(view: Arc<View>, resources: ResourceStore, clock: Arc<dyn Clock>) -> Manager {
    loop {
        let (store, clocks) = (Arc::clone(&view) as _, Clocks::same(Arc::clone(&clock)));
        // Or somebody would always wait for a time, and nobody could be found who waits in vain.
        let hub = HubConfig { progress_interval: Duration::MAX, ..HubConfig::default() };
        let config = ManagerConfig { hub, ..ManagerConfig::new(Mode::Single) };
        match Manager::new(store, resources.clone(), clocks, config).await {
            Ok(manager) => return manager,
            Err(error) => {
                tracing::debug!(%error, "the process starts again");
                clock.sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
