//! Failures are contained: what panics is left alone, what is down is left alone, and nothing is lost by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roa_core::{Action, CancellationSource, Context, Dependencies, Ownership, ReconcileError, Value};
use roa_runtime::{
    BreakerConfig, BreakerState, ChannelSink, ControllerConfig, OscillationConfig, OscillationWatch, Protected,
    RELEASE_ANNOTATION, RetryBudgetConfig, Runnable, RuntimeMetrics, SystemClock, Tasks, Trip,
};

use crate::driving::{Answer, Driving, Scripted, advancing_until, config, reconciled, reconciled_is};
use crate::support::{World, soon, until};

fn failing() -> Answer {
    Err(ReconcileError::Transient { reason: "Down", message: "no answer".into() })
}

fn permanent() -> Answer {
    Err(ReconcileError::Permanent { reason: "Bad", message: "never".into() })
}

/// Panics for things of size 13.
fn superstitious() -> Scripted {
    Scripted::new(|thing, _| {
        assert!(thing.spec.size != 13, "unlucky");
        Ok(Action::Done)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_a_key_that_panics_again_and_again_is_quarantined_and_a_change_of_its_spec_frees_it() {
    let world = World::new().await;
    let driving = Driving::start(&world, superstitious(), config());
    world.create("a", 13).await;
    advancing_until(&world, "quarantine", || driving.driver.parked() == 1).await;
    assert_eq!(reconciled_is(&world, "a", "False").await, "Quarantined");
    assert_eq!((driving.count("panic"), driving.metrics.of("scripted").quarantines()), (3, 1));
    assert_eq!(driving.reasons(), ["Quarantined"]);
    world.clock.advance(Duration::from_secs(86_400));
    until("quiet", || driving.driver.queue().is_empty()).await;
    assert_eq!(driving.count("panic"), 3, "it is left alone");
    world.resize("a", 1).await;
    assert_eq!(reconciled_is(&world, "a", "True").await, "Reconciled");
    assert_eq!(driving.driver.parked(), 0);
    driving.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_an_operators_annotation_frees_a_quarantined_key_and_no_other_change_does() {
    let world = World::new().await;
    let cured = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&cured);
    let script = move |_: &_, _: &_| {
        assert!(well.load(Ordering::SeqCst), "not well");
        Ok(Action::Done)
    };
    let driving = Driving::start(&world, Scripted::new(script), config());
    world.create("a", 1).await;
    advancing_until(&world, "quarantine", || driving.driver.parked() == 1).await;
    reconciled_is(&world, "a", "False").await;
    cured.store(true, Ordering::SeqCst);
    world.api().patch("test", "a", |thing| _ = thing.metadata.labels.insert("a".into(), "b".into())).await.unwrap();
    world.create("b", 1).await;
    until("the other was handled", || driving.count("success") == 1).await;
    assert_eq!(driving.driver.parked(), 1, "a label is no reason");
    let release = |value: &'static str| {
        move |thing: &mut roa_core::Object<crate::support::Thing>| {
            thing.metadata.annotations.insert(RELEASE_ANNOTATION.into(), value.into());
        }
    };
    world.api().patch("test", "a", release("now")).await.unwrap();
    reconciled_is(&world, "a", "True").await;
    driving.stop().await;
}

/// A success clears what a process before this one wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_condition_of_an_object_that_was_given_up_before_a_restart_is_cleared_by_a_success_after_it() {
    let world = World::new().await;
    let before = Driving::start(&world, Scripted::new(|_, _| permanent()), config());
    world.create("a", 1).await;
    assert_eq!(reconciled_is(&world, "a", "False").await, "Bad");
    before.stop().await;

    let after = Driving::start(&world, Scripted::new(|_, _| Ok(Action::Done)), config());
    assert_eq!(reconciled_is(&world, "a", "True").await, "Reconciled");
    world.create("b", 1).await;
    until("both were handled", || after.driver.queue().is_empty() && after.calls() >= 2).await;
    assert_eq!(reconciled(&world, "b").await, None, "who never failed has no such condition");
    after.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_an_ownership_the_condition_comes_and_goes_too() {
    let world = World::new().await;
    let key = roa_core::Key::system("leases", "test").unwrap();
    let txn = roa_core::Txn::new(roa_core::TxnId::random(&roa_core::SystemRandom), "test");
    let revision = world.store.commit(txn.create(key.clone(), Value::opaque("me"))).await.unwrap();
    let ownership = Ownership { key, revision, epoch: world.store.state().await.unwrap().epoch };
    let good = Arc::new(AtomicBool::new(false));
    let is_good = Arc::clone(&good);
    let script = move |_: &_, _: &_| if is_good.load(Ordering::SeqCst) { Ok(Action::Done) } else { permanent() };
    let driving = Driving::start_with(&world, Scripted::new(script), config(), |cx| cx, Some(&ownership));
    world.create("a", 1).await;
    reconciled_is(&world, "a", "False").await;
    good.store(true, Ordering::SeqCst);
    world.resize("a", 2).await;
    reconciled_is(&world, "a", "True").await;
    driving.stop().await;
}

/// Lesson 24: an open breaker keeps the keys, and each comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_delays_every_key_and_drops_none() {
    let world = World::new().await;
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let script = move |_: &_, _: &_| if is_up.load(Ordering::SeqCst) { Ok(Action::Done) } else { failing() };
    let metrics = RuntimeMetrics::unregistered();
    let breaker = BreakerConfig { trip: Trip::Consecutive(3), ..BreakerConfig::default() };
    let outside = Protected::new("outside", world.clock.clone()).with_breaker(breaker).measured_by(&metrics);
    let breaker = outside.breaker().unwrap().clone();
    let dependencies = Dependencies::default().with(Arc::new(outside));
    let config = ControllerConfig { max_retries: 1, ..config() };
    let scripted = Scripted::new(script).asking("outside");
    let driving = Driving::start_with(&world, scripted, config, |cx| cx.with_dependencies(dependencies), None);
    for number in 0..30 {
        world.create(&format!("t{number}"), 1).await;
    }
    until("it opens", || breaker.state() == BreakerState::Open).await;
    until("all were looked at", || driving.count("deferred") >= 20).await;
    up.store(true, Ordering::SeqCst);
    advancing_until(&world, "all is done", || driving.count("success") >= 27).await;
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert!(driving.count("error") + driving.count("success") >= 30);
    assert!(driving.driver.parked() <= 3, "a key that was told to wait is not given up");
    driving.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_wait_for_their_budget_and_new_work_does_not() {
    let world = World::new().await;
    let script = |thing: &roa_core::Object<crate::support::Thing>, _: &_| {
        if thing.spec.size == 1 { failing() } else { Ok(Action::Done) }
    };
    let retry_budget = Some(RetryBudgetConfig { percent: 0, per_second: 1, burst: 1 });
    let config = ControllerConfig { retry_budget, max_retries: 1_000, ..config() };
    let driving = Driving::start(&world, Scripted::new(script), config);
    for number in 0..10 {
        world.create(&format!("bad{number}"), 1).await;
    }
    until("each failed", || driving.count("error") == 10).await;
    assert_eq!(driving.metrics.of("scripted").budget_waits(), 9, "one had its place in the budget");
    world.clock.advance(Duration::from_secs(2));
    until("those in the budget ran", || driving.count("error") == 13).await;
    world.create("good", 2).await;
    until("new work runs", || driving.count("success") == 1).await;
    assert_eq!(driving.count("error"), 13, "one of the burst, and one in each second");
    driving.stop().await;
}

/// Lesson 24.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_work_against_each_other_are_named_with_the_field() {
    let world = World::new().await;
    let (metrics, stop) = (RuntimeMetrics::unregistered(), CancellationSource::new());
    let (sink, mut events) = ChannelSink::new(10);
    let cx = Context::new("oscillation-watch", world.resources.clone()).with_events(Arc::new(sink));
    let cx = cx.with_cancellation(stop.token());
    let watch = OscillationWatch::new(world.hub.clone(), OscillationConfig::default(), &metrics);
    let tasks = Tasks::new("test", 1);
    tasks.spawn_draining("watch", move |_| async move { watch.run(&cx).await }).unwrap();
    until("it watches", || world.hub.watchers() == 1).await;
    world.create("a", 1).await;
    let resize = async |writer: &str, size| {
        let api = world.resources.clone().writing_as(writer).api::<crate::support::Thing>().unwrap();
        api.patch("test", "a", |thing| thing.spec.size = size).await.unwrap();
    };
    resize("autoscaler", 2).await;
    resize("operator", 3).await;
    resize("autoscaler", 2).await;
    let event = soon("an event", events.recv()).await.unwrap();
    let told = "spec.size was changed by operator and changed back by autoscaler: they work against each other";
    assert_eq!((event.reason.as_str(), event.message.as_str()), ("Oscillation", told));
    assert_eq!(metrics.oscillation_count(), 1);
    stop.cancel();
    assert!(soon("the end", tasks.shutdown(&SystemClock::new(), Duration::from_secs(5))).await.is_empty());
}
