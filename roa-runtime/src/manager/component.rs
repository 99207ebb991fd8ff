//! What a manager starts and stops, whatever its types.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{CancellationSource, Clock, Controller, Object, Reconciler, Spec, Watcher};

use crate::tasks::SpawnError;
use crate::{Cache, ControllerDriver, ReconcilerDriver, Tasks};

/// Keeps a cache true.
#[async_trait]
pub(super) trait Feed: Send + Sync {
    fn start(&self, tasks: &Tasks, clock: Arc<dyn Clock>) -> Result<(), SpawnError>;
    async fn synced(&self);
}

/// The feed of one kind's cache.
pub(super) struct CacheFeed<S: Spec> {
    pub(super) name: &'static str,
    pub(super) cache: Cache<Object<S>>,
    pub(super) watcher: Arc<dyn Watcher<Object<S>>>,
}

#[async_trait]
impl<S: Spec> Feed for CacheFeed<S> {
    fn start(&self, tasks: &Tasks, clock: Arc<dyn Clock>) -> Result<(), SpawnError> {
        let (cache, watcher) = (self.cache.clone(), Arc::clone(&self.watcher));
        tasks.spawn(format!("cache of {}", self.name), async move { cache.run(&*watcher, &*clock).await })
    }

    async fn synced(&self) {
        self.cache.synced().await;
    }
}

/// Controllers and reconcilers.
pub(super) trait Component: Send + Sync {
    /// How many tasks it starts.
    fn tasks(&self) -> usize;
    fn start(&self, tasks: &Tasks, cancellation: &CancellationSource) -> Result<(), SpawnError>;
    /// The process got these slots.
    fn adopt(&self, slots: &HashSet<usize>);
    /// The process has these slots no more.
    fn disown(&self, slots: &HashSet<usize>);
    /// No new calls, for good.
    fn shut_down(&self);
}

impl<C: Controller> Component for ControllerDriver<C> {
    fn tasks(&self) -> usize {
        self.workers()
    }

    fn start(&self, tasks: &Tasks, cancellation: &CancellationSource) -> Result<(), SpawnError> {
        for number in 0..self.workers() {
            let (driver, cancellation) = (self.clone(), cancellation.token());
            let name = format!("{} worker {number}", self.name());
            tasks.spawn_draining(name, move |_| async move { driver.work(cancellation).await })?;
        }
        Ok(())
    }

    fn adopt(&self, slots: &HashSet<usize>) {
        Self::adopt(self, slots);
    }

    fn disown(&self, slots: &HashSet<usize>) {
        Self::disown(self, slots);
    }

    fn shut_down(&self) {
        Self::shut_down(self);
    }
}

/// A reconciler's driver and the sign that ends its sweeps.
pub(super) struct Sweeper<R: Reconciler> {
    driver: Arc<ReconcilerDriver<R>>,
    stop: CancellationSource,
}

impl<R: Reconciler> Sweeper<R> {
    pub(super) fn new(driver: ReconcilerDriver<R>) -> Self {
        Self { driver: Arc::new(driver), stop: CancellationSource::new() }
    }
}

impl<R: Reconciler> Component for Sweeper<R> {
    fn tasks(&self) -> usize {
        1
    }

    fn start(&self, tasks: &Tasks, cancellation: &CancellationSource) -> Result<(), SpawnError> {
        let driver = Arc::clone(&self.driver);
        let (stop, lost) = (self.stop.token(), cancellation.token());
        let name = format!("{} sweeps", self.driver.name());
        tasks.spawn_draining(name, move |_| async move {
            tokio::select! {
                () = lost.cancelled() => {}
                () = driver.run(stop) => {}
            }
        })
    }

    // It watches what the process has by itself.
    fn adopt(&self, _: &HashSet<usize>) {}

    fn disown(&self, _: &HashSet<usize>) {}

    fn shut_down(&self) {
        self.stop.cancel();
    }
}
