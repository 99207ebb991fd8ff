//! Crashes at each await: what was begun is found again, and nothing is begun twice.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use roa_core::Controller;
use roa_lab::LabState;

use super::world::World;

/// Drops the future where it stands: as a crash does.
fn crash<T>(future: impl Future<Output = T>) {
    let outcome = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(outcome, Poll::Pending), "it should have been under way");
}

/// Lesson 50.
#[tokio::test]
async fn lesson_50_a_crash_between_the_start_and_its_record_starts_nothing_twice() {
    let mut world = World::new();
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    while world.status("a").await.allocation.is_none() {
        world.call("a").await.unwrap().unwrap();
    }
    assert_eq!(world.fake.begun(&uid), 0, "the place is written down first");
    world.fake.hangs_after_start.store(true, Ordering::SeqCst);
    let (lab, cx) = (Arc::new(world.get("a").await), world.context("lab-controller"));
    crash(world.controller.reconcile(lab, &cx));
    assert_eq!((world.fake.begun(&uid), world.status("a").await.provisioning_started_at), (1, None));

    world.fake.hangs_after_start.store(false, Ordering::SeqCst);
    world.restart();
    world.run("a").await;
    assert_eq!(world.fake.begun(&uid), 1);
    assert!(world.status("a").await.provisioning_started_at.is_some());
    world.fake.answers(&uid);
    world.run("a").await;
    assert_eq!((world.status("a").await.state(), world.fake.begun(&uid)), (LabState::Ready, 1));
}

#[tokio::test]
async fn a_crash_before_the_start_loses_nothing() {
    let mut world = World::new();
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    while world.status("a").await.allocation.is_none() {
        world.call("a").await.unwrap().unwrap();
    }
    world.restart();
    world.run("a").await;
    assert_eq!(world.fake.begun(&uid), 1);
}

/// Everything follows from what is stored and what is outside: a controller that is new with each call gets as far.
#[tokio::test]
async fn c9_a_restart_before_every_call_changes_nothing() {
    let mut world = World::new();
    world.course().await;
    let uid = world.lab("a").await.metadata.uid;
    for _ in 0..6 {
        world.restart();
        world.call("a").await.unwrap().unwrap();
    }
    world.fake.answers(&uid);
    world.restart();
    world.call("a").await.unwrap().unwrap();
    assert_eq!((world.status("a").await.state(), world.fake.begun(&uid)), (LabState::Ready, 1));
    world.delete("a").await;
    while world.find("a").await.is_some() {
        world.restart();
        world.call("a").await.unwrap().unwrap();
    }
    assert!(!world.fake.exists(&uid));
}

/// Lesson 4: whoever comes second reads again, and nothing of the first is lost.
#[tokio::test]
async fn lesson_4_a_call_on_an_old_lab_writes_nothing() {
    let world = World::new();
    world.course().await;
    world.lab("a").await;
    world.call("a").await.unwrap().unwrap();
    let (old, cx) = (Arc::new(world.get("a").await), world.context("lab-controller"));
    world.edit("a", |spec| spec.track = Some("gpu".into())).await;
    let refused = world.controller.reconcile(old, &cx).await.unwrap_err();
    assert_eq!(refused.reason(), "Conflict");
    assert_eq!(world.get("a").await.spec.track.as_deref(), Some("gpu"));
}
