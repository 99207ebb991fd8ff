//! What a manager starts and stops, whatever its types.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{CancellationSource, Clock, Controller, Key, Object, Reconciler, Spec, Watcher};

use crate::tasks::SpawnError;
use crate::{Cache, ControllerDriver, Handling, ReconcilerDriver, Tasks};

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
pub(crate) trait Component: Send + Sync {
    /// How many tasks it starts.
    fn tasks(&self) -> usize;
    fn start(&self, tasks: &Tasks, cancellation: &CancellationSource) -> Result<(), SpawnError>;
    /// The process got these slots.
    fn adopt(&self, slots: &HashSet<usize>);
    /// The process has these slots no more.
    fn disown(&self, slots: &HashSet<usize>);
    /// No new calls, for good.
    fn shut_down(&self);

    /// What it has to do with an object; `None` if that is of another kind.
    fn explain(&self, key: &Key) -> Option<Handling> {
        let _ = key;
        None
    }

    /// Its name, if it takes this finalizer off such an object.
    fn owner_of_finalizer(&self, key: &Key, finalizer: &str) -> Option<&str> {
        let (_, _) = (key, finalizer);
        None
    }
}

/// The driver of a controller of one kind.
pub(super) struct Controlling<S, C: Controller> {
    driver: ControllerDriver<C>,
    kind: PhantomData<fn() -> S>,
}

impl<S, C: Controller> Controlling<S, C> {
    pub(super) const fn new(driver: ControllerDriver<C>) -> Self {
        Self { driver, kind: PhantomData }
    }
}

impl<S: Spec, C: Controller> Component for Controlling<S, C> {
    fn tasks(&self) -> usize {
        self.driver.workers()
    }

    fn start(&self, tasks: &Tasks, cancellation: &CancellationSource) -> Result<(), SpawnError> {
        for number in 0..self.driver.workers() {
            let (driver, cancellation) = (self.driver.clone(), cancellation.token());
            let name = format!("{} worker {number}", self.driver.name());
            tasks.spawn_draining(name, move |_| async move { driver.work(cancellation).await })?;
        }
        Ok(())
    }

    fn adopt(&self, slots: &HashSet<usize>) {
        self.driver.adopt(slots);
    }

    fn disown(&self, slots: &HashSet<usize>) {
        self.driver.disown(slots);
    }

    fn shut_down(&self) {
        self.driver.shut_down();
    }

    fn explain(&self, key: &Key) -> Option<Handling> {
        is_of::<S>(key).then(|| self.driver.explain(key))
    }

    fn owner_of_finalizer(&self, key: &Key, finalizer: &str) -> Option<&str> {
        (is_of::<S>(key) && self.driver.finalizer() == Some(finalizer)).then(|| self.driver.name())
    }
}

fn is_of<S: Spec>(key: &Key) -> bool {
    (key.group(), key.resource()) == (S::GROUP, S::PLURAL)
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
