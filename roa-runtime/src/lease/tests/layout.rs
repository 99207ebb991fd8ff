//! How processes agree on the division of work.

use super::world::{Member, World, now};
use super::*;
use crate::ShardBy;
use crate::shard::SHARDS;

fn coordinator(world: &World, holder: &str) -> Coordinator {
    let (store, clock) = (Arc::clone(&world.store), Arc::new(world.clock.clone()));
    Coordinator::new(store, clock, Arc::new(roa_core::SystemRandom), holder, world.config.clone()).unwrap()
}

/// Agrees while others live on.
fn divide(world: &World, layout: Layout, mut others: impl FnMut()) -> Result<(), LayoutError> {
    let mut coordinator = coordinator(world, "new");
    let mut divided = Box::pin(coordinator.divide("things", layout));
    for _ in 0..1_000 {
        if let Some(outcome) = (&mut divided).now_or_never() {
            return outcome.map(|_| ());
        }
        world.clock.advance(Duration::from_millis(250));
        others();
    }
    panic!("no answer")
}

#[test]
fn the_first_decides_and_the_same_is_fine() {
    let world = World::new();
    for _ in 0..2 {
        divide(&world, Layout::Sharded(ShardBy::Namespace), || ()).unwrap();
    }
    let key = roa_core::Key::system("layouts", "things").unwrap();
    let text = r#"{"mode":"sharded","shards":64,"by":"namespace","hash":"siphash-1-3"}"#;
    assert_eq!(world.entry(&key).unwrap().value.bytes, text);
}

#[test]
fn processes_that_live_by_another_layout_are_named() {
    for layout in [Layout::Leader, Layout::Sharded(ShardBy::Namespace)] {
        let mut world = World::new();
        let mut member = world.start_member("old");
        member.process.step();
        let begin = world.clock.monotonic();
        let refused = divide(&world, layout, || member.process.step()).unwrap_err();
        assert!(matches!(refused, LayoutError::Mismatch(_)), "{refused}");
        let message = refused.to_string();
        assert!(message.contains("64 shards by object") && message.contains("owned by old"), "{message}");
        assert!(world.clock.monotonic().saturating_since(begin) <= 2 * world.config.retry_period, "soon");
    }
}

#[test]
fn when_nobody_owns_anything_another_layout_is_agreed_on_at_once() {
    let mut world = World::new();
    let mut member = world.start_member("old");
    member.process.step();
    member.process.stop.cancel();
    member.process.step();
    let begin = world.clock.monotonic();
    divide(&world, Layout::Leader, || ()).unwrap();
    assert_eq!(world.clock.monotonic(), begin);
}

/// A paused one could wake up: what it owned must not be its own any more.
#[test]
fn when_all_owners_are_dead_another_layout_is_agreed_on_after_a_lease_and_fences_them() {
    let mut world = World::new();
    let mut member = world.start_member("old");
    member.process.step();
    let key = members::key_in(3);
    let stale = member.territory.begin(&key).unwrap().ownership().unwrap().clone();
    let begin = world.clock.monotonic();
    divide(&world, Layout::Leader, || ()).unwrap();
    let took = world.clock.monotonic().saturating_since(begin);
    assert!(took >= world.config.duration && took <= world.config.duration + 2 * world.config.retry_period, "{took:?}");
    assert!(matches!(member.process.write(&stale, "late"), Err(CommitError::GuardFailed { .. })));
    world.clock.advance(secs(60));
    for _ in 0..200 {
        world.clock.advance(Duration::from_millis(250));
        member.process.step();
    }
    assert_eq!(member.territory.held(), [], "the layout that it took part in is no more");
}

/// It takes part no more and says so: nobody keeps its share for it.
#[test]
fn one_that_wakes_up_under_another_layout_leaves_all_shards_to_the_others() {
    let mut world = World::new();
    let mut old = world.start_member("old");
    old.process.step();
    divide(&world, Layout::Sharded(ShardBy::Namespace), || ()).unwrap();
    let mut new = world.start_member_by("new", ShardBy::Namespace);
    new.process.step();
    let pass = |time: Duration, old: &mut Member, new: &mut Member, holds: &dyn Fn(&Member)| {
        let end = world.clock.monotonic() + time;
        while world.clock.monotonic() < end {
            old.process.step();
            new.process.step();
            holds(new);
            world.clock.advance(world.config.retry_period / 20);
        }
    };
    let bound = world.config.duration + 2 * world.config.retry_period + secs(1);
    pass(bound, &mut old, &mut new, &|_| ());
    pass(secs(60), &mut old, &mut new, &|new| assert_eq!(new.territory.held().len(), SHARDS));
    assert!(old.territory.outvoted().now_or_never().is_some() && new.territory.outvoted().now_or_never().is_none());
    assert_eq!(world.heartbeat("old").unwrap().record.member_of, [""; 0]);
    assert!(old.process.lease.is_held() || new.process.lease.is_held(), "what is not divided is had as before");
}

#[test]
fn a_layout_of_a_newer_version_is_refused() {
    let world = World::new();
    let txn = roa_core::Txn::new(roa_core::TxnId::none(), "test");
    let newer =
        roa_core::Value::opaque(r#"{"mode":"sharded","shards":64,"by":"object","hash":"siphash-1-3","zones":3}"#);
    now(world.store.commit(txn.create(roa_core::Key::system("layouts", "things").unwrap(), newer))).unwrap();
    let refused = divide(&world, Layout::Leader, || ()).unwrap_err();
    assert!(matches!(refused, LayoutError::Unreadable { .. }), "{refused}");
}
