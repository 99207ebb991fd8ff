//! Sweeps at the end of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use roa_core::{
    Action, CacheReader, CancellationSource, Context, Drift, Object, ReconcileError, Reconciler, Timestamp,
};
use roa_runtime::{
    Cache, Clocks, ReconcilerConfig, ReconcilerDriver, RuntimeMetrics, StreamWatcher, SystemClock, Tasks,
};

use crate::support::{Thing, World, pause, soon};

/// Tells the process to stop at its first look.
#[derive(Default)]
struct Last {
    stop: CancellationSource,
    looks: AtomicUsize,
    ends: AtomicUsize,
}

struct Handle(Arc<Last>);

#[async_trait]
impl Reconciler for Handle {
    type Resource = Object<Thing>;
    type Observed = ();

    fn name(&self) -> &'static str {
        "last"
    }

    async fn observe(&self, _thing: &Object<Thing>, _cx: &Context) -> Result<(), ReconcileError> {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        self.0.stop.cancel();
        pause().await;
        Ok(())
    }

    fn drift(&self, _thing: &Object<Thing>, _seen: &(), _now: Timestamp) -> Option<Drift> {
        None
    }

    async fn correct(&self, _thing: Arc<Object<Thing>>, _: Drift, _: &Context) -> Result<Action, ReconcileError> {
        Ok(Action::Done)
    }

    async fn after_sweep(&self, _things: &[Arc<Object<Thing>>], _cx: &Context) -> Result<usize, ReconcileError> {
        self.0.ends.fetch_add(1, Ordering::SeqCst);
        Ok(0)
    }
}

/// A process that is alone too: the look that runs ends, and no other begins.
#[tokio::test]
async fn c8_a_sweep_begins_nothing_new_once_the_process_is_to_stop() {
    let world = World::new().await;
    for number in 0..100 {
        world.create(&format!("thing-{number}"), 1).await;
    }
    let (cache, tasks) = (Cache::<Object<Thing>>::new(), Tasks::new("test", 1));
    let watcher = StreamWatcher::<Object<Thing>>::new(world.hub.clone(), world.selection());
    let fed = cache.clone();
    tasks.spawn("cache", async move { fed.run(&watcher, &SystemClock::new()).await }).unwrap();
    soon("synced", cache.synced()).await;
    assert_eq!(cache.list(None).len(), 100);
    let (last, metrics) = (Arc::new(Last::default()), RuntimeMetrics::unregistered().of("last"));
    let cx = Context::new("last", world.resources.clone());
    let config = ReconcilerConfig { concurrency: 1, ..ReconcilerConfig::default() };
    let driver =
        ReconcilerDriver::new(Handle(last.clone()), cache, cx, config, Clocks::same(world.clock.clone()), metrics);
    soon("the end", driver.run(last.stop.token())).await;
    assert_eq!((last.looks.load(Ordering::SeqCst), last.ends.load(Ordering::SeqCst)), (1, 0));
}
