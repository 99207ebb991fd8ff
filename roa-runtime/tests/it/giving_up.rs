//! What is given up after the last retry, and what never is.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, Cancellation, Context, Controller, DynamicObject, Error, KindRegistry, Object, ReconcileError, Resource,
    ResourceStore, Revision, SystemRandom, TxnId,
};
use roa_runtime::{Cache, Clocks, ControllerConfig, ControllerDriver, RuntimeMetrics, StreamWatcher, SystemClock};
use roa_store_memory::{MemoryConfig, MemoryStore};

use crate::driving::{Answer, Driving, Scripted, advancing_until, config, reconciled, reconciled_is};
use crate::support::{Thing, World, pause, soon, until};

fn down() -> ReconcileError {
    ReconcileError::Transient { reason: "Down", message: "no answer".into() }
}

/// Only that the object itself is gone needs no more calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_that_another_object_is_not_there_is_a_failure_like_others() {
    let world = World::new().await;
    let other = world.api().key("test", "other").unwrap();
    let script = Scripted::new(move |_, _| Err(Error::NotFound { key: other.clone() }.into()));
    let driving = Driving::start(&world, script, ControllerConfig { max_retries: 2, ..config() });
    world.create("a", 1).await;
    advancing_until(&world, "it is given up", || driving.driver.parked() == 1).await;
    assert_eq!((driving.calls(), reconciled_is(&world, "a", "False").await.as_str()), (3, "NotFound"));
    let error = driving.driver.explain(&world.api().key("test", "a").unwrap()).last_error.unwrap();
    assert!(error.reason == "NotFound" && error.message.contains("other"), "{error:?}");
    assert_eq!(driving.reasons(), ["NotFound"]);
    driving.stop().await;
}

/// The object is as it should be: what it waits for is the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_what_the_store_cannot_do_now_is_tried_again_until_it_can() {
    let at = |number| Revision::new(number).unwrap();
    let (floor, head) = (at(5), at(7));
    let passing = [
        Error::unavailable("down"),
        Error::Ambiguous { txn: TxnId::random(&SystemRandom), reason: "no answer".into() },
        Error::TooLarge { requested: at(9), head },
        Error::Expired { floor, head },
    ];
    for error in passing {
        let (world, back) = (World::new().await, Arc::new(AtomicBool::new(false)));
        let (is_back, refused) = (Arc::clone(&back), error.clone());
        let script = Scripted::new(move |_, _| match is_back.load(Ordering::SeqCst) {
            true => Ok(Action::Done),
            false => Err(refused.clone().into()),
        });
        let driving = Driving::start(&world, script, ControllerConfig { max_retries: 2, ..config() });
        for name in ["a", "b"] {
            world.create(name, 1).await;
        }
        // Each waits for a minute at most: half an hour at least.
        advancing_until(&world, error.reason(), || driving.calls() >= 80).await;
        assert_eq!((driving.driver.parked(), driving.reasons()), (0, Vec::new()), "{error}");
        assert_eq!(reconciled(&world, "a").await, None);
        back.store(true, Ordering::SeqCst);
        advancing_until(&world, "all is handled", || driving.count("success") >= 2).await;
        driving.stop().await;
    }
}

/// What the store could not do before takes no try from the object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_after_an_outage_an_object_has_all_its_retries() {
    let (world, calls) = (World::new().await, AtomicUsize::new(0));
    let script = Scripted::new(move |_, _| match calls.fetch_add(1, Ordering::SeqCst) {
        0..10 => Err(Error::unavailable("down").into()),
        10..12 => Err(down()),
        _ => Ok(Action::Done),
    });
    let driving = Driving::start(&world, script, ControllerConfig { max_retries: 2, ..config() });
    world.create("a", 1).await;
    advancing_until(&world, "it is handled", || driving.count("success") == 1).await;
    assert_eq!((driving.calls(), driving.reasons()), (13, Vec::new()));
    driving.stop().await;
}

/// Fails so often, then succeeds.
fn failing(times: usize) -> impl Fn() -> Answer {
    let left = AtomicUsize::new(times);
    move || match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(down()),
        Err(_) => Ok(Action::Done),
    }
}

/// Nobody changes what is to go, so no change would lead to another try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_what_is_to_go_is_tried_again_after_the_last_retry_too_and_people_are_told() {
    let (world, last) = (World::new().await, failing(20));
    let script = Scripted::new(|_, _| Ok(Action::Done)).finalizing(move |_, _| last());
    let driving = Driving::start(&world, script, config());
    world.create("a", 1).await;
    until("it is handled", || driving.calls() == 1).await;
    world.delete("a").await;
    advancing_until(&world, "the last retry", || driving.driver.parked() == 1).await;
    assert_eq!(reconciled_is(&world, "a", "False").await, "Down");
    let told = world.clock.clone();
    soon("it goes", async {
        while world.api().get("test", "a").await.is_ok() {
            told.advance_to_next_timer();
            pause().await;
        }
    })
    .await;
    until("it is forgotten", || driving.driver.parked() == 0).await;
    assert_eq!(driving.calls(), 1 + 20 + 1);
    let reasons = driving.reasons();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason == "Down"), "{reasons:?}");
    driving.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_cleaned_up_stays_until_somebody_changes_it() {
    let world = World::new().await;
    let never = |_: &_, _: &_| Err(ReconcileError::Permanent { reason: "Bad", message: "never".into() });
    let script = Scripted::new(|_, _| Ok(Action::Done)).finalizing(never);
    let driving = Driving::start(&world, script, config());
    world.create("a", 1).await;
    until("it is handled", || driving.calls() == 1).await;
    world.delete("a").await;
    until("it is given up", || driving.driver.parked() == 1).await;
    until("quiet", || driving.driver.queue().is_empty()).await;
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!((driving.driver.queue().len(), driving.calls()), (0, 2));
    driving.stop().await;
}

/// Has nothing to do.
struct Content<R>(PhantomData<fn() -> R>);

#[async_trait]
impl<R: Resource> Controller for Content<R> {
    type Resource = R;

    fn name(&self) -> &'static str {
        "content"
    }

    async fn reconcile(&self, _object: Arc<R>, _cx: &Context) -> Answer {
        Ok(Action::Done)
    }
}

/// How many calls are still to come after a first one that succeeded, of a process that can't reach the store.
async fn left_to_do<R: Resource>() -> usize {
    let world = World::new().await;
    world.create("a", 1).await;
    let closed = MemoryStore::new(MemoryConfig::default(), world.clock.clone(), Arc::new(SystemRandom));
    closed.close();
    let kinds = Arc::new(KindRegistry::new().with::<Thing>());
    let resources = ResourceStore::new(Arc::new(closed), kinds, world.clock.clone(), Arc::new(SystemRandom), "content");
    let (cache, metrics) = (Cache::<R>::new(), RuntimeMetrics::unregistered());
    let (cx, clocks) = (Context::new("content", resources), Clocks::same(world.clock.clone()));
    let (content, config, measured) = (Content(PhantomData), ControllerConfig::default(), metrics.of("content"));
    let driver = ControllerDriver::new(content, cache.clone(), cx, config, clocks, measured);
    let (watcher, io) = (StreamWatcher::<R>::new(world.hub.clone(), world.selection()), SystemClock::new());
    let handled = || metrics.of("content").count("success") == 1 && driver.queue().stats().in_flight == 0;
    tokio::select! {
        () = driver.work(Cancellation::never()) => {}
        () = async { cache.run(&watcher, &io).await } => {}
        () = until("it was handled", handled) => {}
    }
    driver.queue().len()
}

/// After a take-over every object is called for: the store has enough to do then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_an_object_was_given_up_before_is_asked_of_the_store_only_where_the_cache_does_not_show_it() {
    assert_eq!(left_to_do::<DynamicObject>().await, 0);
    assert_eq!(left_to_do::<Object<Thing>>().await, 1, "it is looked up again later");
}
