//! How long it is that nobody has looked at an object.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use roa_core::{
    Action, CacheReader, Cancellation, Context, Controller, ManualClock, Object, ReconcileError, Timestamp,
};
use roa_runtime::{
    Cache, Clocks, ControllerConfig, ControllerDriver, Filter, RuntimeMetrics, StreamWatcher, SystemClock, Tasks,
};

use crate::support::{Thing, World, pause, soon};

struct Looks;

#[async_trait]
impl Controller for Looks {
    type Resource = Object<Thing>;

    fn name(&self) -> &'static str {
        "looks"
    }

    async fn reconcile(&self, _thing: Arc<Object<Thing>>, _cx: &Context) -> Result<Action, ReconcileError> {
        Ok(Action::Done)
    }
}

fn seconds(registry: &Registry, name: &str) -> f64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("{component=\"looks\"} "));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// A driver over a cache that is fed, at a time that can be moved.
struct Driven {
    world: World,
    registry: Registry,
    clock: ManualClock,
    driver: ControllerDriver<Looks>,
    cache: Cache<Object<Thing>>,
    _tasks: Tasks,
}

impl Driven {
    async fn start(filter: Option<Filter<Object<Thing>>>) -> Self {
        let world = World::new().await;
        for name in ["a", "b"] {
            world.create(name, 1).await;
        }
        let (mut registry, clock) = (Registry::default(), ManualClock::new(Timestamp::from_unix_seconds(0).unwrap()));
        let metrics = RuntimeMetrics::register(&mut registry).of("looks");
        let (cache, cx) = (Cache::new(), Context::new("looks", world.resources.clone()));
        let clocks = Clocks::same(Arc::new(clock.clone()));
        let driver = ControllerDriver::new(Looks, cache.clone(), cx, ControllerConfig::default(), clocks, metrics);
        if let Some(filter) = filter {
            driver.only(filter);
        }
        let (tasks, fed) = (Tasks::new("test", 1), cache.clone());
        let watcher = StreamWatcher::new(world.hub.clone(), world.selection());
        tasks.spawn("cache", async move { fed.run(&watcher, &SystemClock::new()).await }).unwrap();
        soon("synced", cache.synced()).await;
        Self { world, registry, clock, driver, cache, _tasks: tasks }
    }

    async fn handle_all(&self) {
        let work = async {
            tokio::select! {
                () = self.driver.work(Cancellation::never()) => {}
                () = self.driver.queue().idle() => {}
            }
        };
        soon("all is handled", work).await;
    }
}

/// After a start too: what was listed counts until a call has seen it, and is no convergence, since nobody knows when it
/// was changed.
#[tokio::test]
async fn what_was_there_at_the_start_counts_as_unreconciled_until_a_call_has_seen_it() {
    let driven = Driven::start(None).await;
    let Driven { registry, clock, .. } = &driven;
    clock.advance(Duration::from_secs(7));
    assert_eq!(seconds(registry, "oldest_unreconciled_seconds"), 7.0);
    driven.handle_all().await;
    clock.advance(Duration::from_secs(7));
    assert_eq!(seconds(registry, "oldest_unreconciled_seconds"), 0.0);
    assert_eq!(seconds(registry, "convergence_seconds_count"), 0.0);
}

/// No call is to see it, so nobody waits for one.
#[tokio::test]
async fn a_change_that_the_filter_leaves_out_is_not_unreconciled() {
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is of one lifetime only")]
    let filter = Filter::updates(|update| update.changes_labels());
    let driven = Driven::start(Some(filter)).await;
    driven.handle_all().await;
    let wanted = driven.world.resize("a", 2).await.metadata.resource_version.unwrap();
    soon("it is seen", async {
        while driven.cache.revision() < Some(wanted) {
            pause().await;
        }
    })
    .await;
    driven.clock.advance(Duration::from_secs(7));
    assert!(driven.driver.queue().is_empty());
    assert_eq!(seconds(&driven.registry, "oldest_unreconciled_seconds"), 0.0);
}
