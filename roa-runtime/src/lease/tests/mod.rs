//! Leases among several processes, in simulated time.

mod layout;
mod members;
mod schedule;
mod sharding;
mod world;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use roa_core::{Clock, CommitError, Ownership, Revision, Store, Timestamp};

use super::record::{HeartbeatRecord, OwnershipRecord, Stored, decode, heartbeat_key, ownership_key};
use super::*;
use crate::locks;
use world::{Fault, Process, World, now};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn held(process: &Process) -> Ownership {
    process.lease.ownership().expect("it leads")
}

fn standby(holder: &str) -> LeaseState {
    LeaseState::Standby { holder: Some(holder.into()) }
}

#[test]
fn what_nobody_has_is_taken_at_once() {
    let mut world = World::new();
    let mut a = world.start("a");
    assert_eq!(a.lease.state(), LeaseState::Standby { holder: None });
    a.step();
    let ownership = held(&a);
    assert_eq!(a.lease.state(), LeaseState::Held { ownership: ownership.clone() });
    assert_eq!(
        (ownership.key.clone(), ownership.revision),
        (ownership_key("manager").unwrap(), world.ownership().revision)
    );
    assert_eq!(ownership.epoch, now(world.store.state()).unwrap().epoch);
    assert!(a.write(&ownership, "thing").is_ok());
}

#[test]
fn of_two_candidates_one_leads_and_the_other_knows_who() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(120), [&mut a, &mut b]);
    assert!(a.lease.is_held() && !b.lease.is_held());
    assert_eq!(b.lease.state(), standby("a"));
    assert_eq!(world.ownership().record.transitions, 1);
}

/// What the store is asked to do: one commit of each process in each retry period, none of them moves the ownership.
#[test]
fn l1_renewals_write_the_heartbeat_alone_at_a_bounded_rate() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(1), [&mut a, &mut b]);
    let (ownership, head) = (held(&a), now(world.store.state()).unwrap().head);
    world.pass(secs(160), [&mut a, &mut b]);
    assert_eq!(held(&a), ownership);
    assert_eq!(world.ownership().revision, ownership.revision);
    let commits = now(world.store.state()).unwrap().head.get() - head.get();
    assert!(
        (160..=200).contains(&commits),
        "{commits} commits of two in 160 s with a period of 2 s, less up to a fifth"
    );
    let renewals = ["a", "b"].map(|holder| world.heartbeat(holder).unwrap().record.renewals);
    assert!(renewals.iter().sum::<u64>() - commits <= 2, "{renewals:?}: all of them are renewals");
}

#[test]
fn l2_a_dead_owner_is_replaced_after_the_duration_and_not_before() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(60), [&mut a, &mut b]);
    a.kill();
    let took = world.pass_until([&mut b], |[b]| b.lease.is_held());
    let earliest = world.config.duration - world.config.retry_period;
    let latest = world.config.duration + 2 * world.config.retry_period + secs(1);
    assert!((earliest..=latest).contains(&took), "took {took:?}");
    assert_eq!((world.ownership().record.transitions, world.heartbeat("a")), (2, None));
}

/// L4, L5, lesson 2: the owner is paused beyond its lease and goes on in the belief that it leads.
#[test]
fn lesson_42_l5_the_store_refuses_what_a_paused_owner_writes() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(10), [&mut a, &mut b]);
    let stale = held(&a);
    world.pass_until([&mut b], |[b]| b.lease.is_held());
    assert!(!a.lease.is_held(), "it knows without having run for a moment");
    let head = now(world.store.state()).unwrap().head;
    assert!(matches!(a.write(&stale, "thing"), Err(CommitError::GuardFailed { .. })));
    assert_eq!(now(world.store.state()).unwrap().head, head);
    assert!(b.write(&held(&b), "thing").is_ok());
    a.step();
    assert!(!a.lease.is_held() && a.lease.state() != LeaseState::Held { ownership: stale });
    world.pass(secs(60), [&mut a, &mut b]);
    assert!(b.lease.is_held() && a.lease.state() == standby("b"));
}

#[test]
fn l4_an_owner_holds_itself_for_one_no_longer_than_from_the_begin_of_its_last_renewal() {
    let mut world = World::new();
    let mut a = world.start("a");
    a.step();
    world.clock.advance(world.config.renew_deadline - Duration::from_nanos(1));
    assert!(a.lease.is_held());
    world.clock.advance(Duration::from_nanos(1));
    assert!(!a.lease.is_held());
}

#[test]
fn l4_an_answer_that_took_long_prolongs_the_lease_by_that_much_less() {
    let mut world = World::new();
    let mut a = world.start("a");
    world.pass(secs(60), [&mut a]);
    a.wire.set(Fault::AnswersHeld);
    let before = world.heartbeat("a");
    world.pass_until([&mut a], |_| world.heartbeat("a") != before);
    let begin = world.clock.monotonic();
    world.pass(world.config.renew_deadline / 2 + Duration::from_millis(200), [&mut a]);
    a.wire.set(Fault::Down);
    world.pass_until([&mut a], |[a]| !a.lease.is_held());
    let held = world.clock.monotonic().saturating_since(begin);
    assert!(held <= world.config.renew_deadline + Duration::from_millis(200), "held for {held:?}");
}

/// Lesson 39: a store that fails does not leave a leader for ever; nor does one that does not answer.
#[test]
fn lesson_39_l4_an_owner_that_cannot_renew_steps_down_in_time() {
    for fault in [Fault::Down, Fault::Silent, Fault::CommitsHeld] {
        let mut world = World::new();
        let mut a = world.start("a");
        world.pass(secs(60), [&mut a]);
        a.wire.set(fault);
        let took = world.pass_until([&mut a], |[a]| a.lease.state() == LeaseState::Lost);
        let earliest = world.config.renew_deadline - world.config.retry_period;
        assert!((earliest..=world.config.renew_deadline + secs(1)).contains(&took), "{fault:?} took {took:?}");
        a.wire.set(Fault::None);
        world.pass(secs(10), [&mut a]);
        assert!(a.lease.is_held(), "{fault:?}: it gets it back, nobody else wanted it");
    }
}

#[test]
fn a_failure_shorter_than_the_deadline_costs_nothing() {
    for fault in [Fault::Down, Fault::Silent, Fault::AnswersLost, Fault::AnswersHeld] {
        let mut world = World::new();
        let (mut a, mut b) = (world.start("a"), world.start("b"));
        world.pass(secs(60), [&mut a, &mut b]);
        let ownership = held(&a);
        a.wire.set(fault);
        world.pass(secs(5), [&mut a, &mut b]);
        a.wire.set(Fault::None);
        world.pass(secs(60), [&mut a, &mut b]);
        assert_eq!(held(&a), ownership, "{fault:?}");
    }
}

/// S5: what became of a commit whose answer was lost is found by its transaction's id.
#[test]
fn lost_answers_are_found_out() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    a.wire.set(Fault::AnswersLost);
    a.step();
    assert!(a.lease.is_held());
    world.pass(secs(300), [&mut a, &mut b]);
    assert_eq!((a.lease.is_held(), world.ownership().record.transitions), (true, 1));
}

#[test]
fn a_renewal_that_arrives_late_is_recognised() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(60), [&mut a, &mut b]);
    let ownership = held(&a);
    a.wire.set(Fault::CommitsHeld);
    world.pass(secs(7), [&mut a, &mut b]);
    a.wire.set(Fault::None);
    assert!(a.wire.deliver()[0].is_ok());
    world.pass(secs(60), [&mut a, &mut b]);
    assert_eq!(held(&a), ownership);
}

/// The heartbeat is removed under the condition that it did not move: a renewal in flight is not overrun.
#[test]
fn l2_a_renewal_that_arrives_before_the_takeover_prevents_it() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(60), [&mut a, &mut b]);
    a.wire.set(Fault::CommitsHeld);
    world.pass(secs(3), [&mut a, &mut b]);
    let begun = world.clock.monotonic();
    world.pass_until([&mut b], |_| world.clock.monotonic().saturating_since(begun) >= secs(11));
    b.wire.set(Fault::CommitsHeld);
    // Until its burial of the other is on its way.
    world.pass_until([&mut b], |[b]| b.wire.held().iter().any(|txn| txn.ops[0].key().name() == "a"));
    assert!(a.wire.deliver()[0].is_ok());
    let burial = b.wire.deliver();
    assert!(matches!(burial[..], [.., Err(CommitError::Conflict { .. })]), "{burial:?}");
    b.wire.set(Fault::None);
    world.pass(secs(12), [&mut b]);
    assert!(!b.lease.is_held(), "the wait begins anew");
    world.pass_until([&mut b], |[b]| b.lease.is_held());
}

#[test]
fn l2_a_renewal_that_arrives_after_the_takeover_is_refused() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(60), [&mut a, &mut b]);
    a.wire.set(Fault::CommitsHeld);
    world.pass(secs(3), [&mut a, &mut b]);
    world.pass_until([&mut b], |[b]| b.lease.is_held());
    let head = now(world.store.state()).unwrap().head;
    assert!(a.wire.deliver().iter().all(Result::is_err));
    assert_eq!(now(world.store.state()).unwrap().head, head);
    a.wire.set(Fault::None);
    world.pass(secs(60), [&mut a, &mut b]);
    assert!(b.lease.is_held());
}

#[test]
fn l7_setting_the_calendar_changes_nothing() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(20), [&mut a, &mut b]);
    let ownership = held(&a);
    for seconds in [4_000_000_000, 0, 1_800_000_000] {
        world.clock.set_wall(Timestamp::from_unix_seconds(seconds).unwrap());
        world.pass(secs(60), [&mut a, &mut b]);
        assert_eq!((held(&a), b.lease.is_held()), (ownership.clone(), false));
    }
    world.clock.set_wall(Timestamp::from_unix_seconds(0).unwrap());
    a.kill();
    assert!(world.pass_until([&mut b], |[b]| b.lease.is_held()) >= world.config.renew_deadline);
}

#[test]
fn l6_a_lease_that_is_given_back_has_a_successor_within_a_retry_period() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(61), [&mut a, &mut b]);
    let before = held(&a);
    a.stop.cancel();
    a.step();
    assert!(a.has_ended() && !a.lease.is_held());
    assert_eq!(a.lease.state(), LeaseState::Standby { holder: None });
    assert_eq!((world.ownership().record.owner, world.heartbeat("a")), (None, None), "nothing is left behind");
    assert!(matches!(a.write(&before, "thing"), Err(CommitError::GuardFailed { .. })), "given back is given back");
    let took = world.pass_until([&mut b], |[b]| b.lease.is_held());
    assert!(took <= world.config.retry_period, "took {took:?}");
    assert_eq!(world.ownership().record.transitions, 2);
}

/// Lesson 41: stopping does not wait for the store for ever.
#[test]
fn lesson_41_stopping_ends_within_a_retry_period_whatever_the_store_does() {
    for fault in [Fault::None, Fault::Down, Fault::AnswersLost, Fault::AnswersHeld, Fault::CommitsHeld, Fault::Silent] {
        let mut world = World::new();
        let mut a = world.start("a");
        world.pass(secs(10), [&mut a]);
        a.wire.set(fault);
        a.stop.cancel();
        let took = world.pass_until([&mut a], |[a]| a.has_ended());
        assert!(took <= world.config.retry_period + Duration::from_millis(200), "{fault:?} took {took:?}");
        assert!(!a.lease.is_held());
    }
}

#[test]
fn stopping_in_the_middle_of_a_renewal_gives_the_lease_back_all_the_same() {
    let mut world = World::new();
    let mut a = world.start("a");
    world.pass(secs(10), [&mut a]);
    a.wire.set(Fault::CommitsHeld);
    world.pass(secs(2), [&mut a]);
    assert!(a.wire.deliver()[0].is_ok());
    a.wire.set(Fault::None);
    a.stop.cancel();
    a.step();
    assert_eq!((a.has_ended(), world.ownership().record.owner), (true, None));
}

#[test]
fn a_standby_leaves_nothing_behind() {
    let mut world = World::new();
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(10), [&mut a, &mut b]);
    b.stop.cancel();
    b.step();
    assert!(b.has_ended() && a.lease.is_held());
    assert_eq!(world.ownership().record.owner.unwrap().holder, "a");
}

/// Lesson 42: the same identity gets its own lease back after a restart.
#[test]
fn lesson_42_a_process_that_is_started_again_leads_at_once_and_fences_what_it_was() {
    let mut world = World::new();
    let mut before = world.start("a");
    world.pass(secs(10), [&mut before]);
    let stale = held(&before);
    before.kill();
    let mut after = world.start("a");
    after.step();
    assert!(after.lease.is_held() && held(&after).revision > stale.revision);
    assert!(matches!(before.write(&stale, "thing"), Err(CommitError::GuardFailed { .. })));
}

#[test]
fn of_two_live_processes_of_one_name_the_newer_leads_and_the_older_lets_it() {
    let mut world = World::new();
    let mut older = world.start("a");
    world.pass(secs(10), [&mut older]);
    let mut newer = world.start("a");
    newer.step();
    assert!(newer.lease.is_held());
    world.pass_until([&mut older, &mut newer], |[older, _]| older.lease.state() == LeaseState::Lost);
    world.pass(secs(120), [&mut older, &mut newer]);
    assert_eq!((newer.lease.is_held(), world.ownership().record.transitions), (true, 2));
}

/// S14: after a break of the store's history an ownership of before is worth nothing.
#[test]
fn a_break_of_the_stores_history_ends_the_term_and_begins_another() {
    let mut world = World::new();
    let mut a = world.start("a");
    world.pass(secs(10), [&mut a]);
    let before = held(&a);
    now(world.store.fence(before.epoch, before.revision)).unwrap();
    assert!(matches!(a.write(&before, "thing"), Err(CommitError::Fenced { .. })));
    world.pass_until([&mut a], |[a]| a.lease.state() == LeaseState::Lost);
    world.pass(secs(5), [&mut a]);
    assert_ne!(held(&a).epoch, before.epoch);
    assert!(a.write(&held(&a), "thing").is_ok());
}

/// Lesson 42.
#[test]
fn lesson_42_a_lease_below_a_second_works_alike() {
    let [duration, renew_deadline, retry_period] = [500, 300, 50].map(Duration::from_millis);
    let mut world = World::with(LeaseConfig { duration, renew_deadline, retry_period });
    let (mut a, mut b) = (world.start("a"), world.start("b"));
    world.pass(secs(5), [&mut a, &mut b]);
    assert!(a.lease.is_held());
    a.kill();
    let took = world.pass_until([&mut b], |[b]| b.lease.is_held());
    assert!(took >= duration - retry_period && took <= duration + 2 * retry_period, "took {took:?}");
}

#[test]
fn records_that_cannot_be_read_are_not_overwritten() {
    let mut world = World::new();
    let txn = roa_core::Txn::new(roa_core::TxnId::none(), "test");
    let txn = txn.create(ownership_key("manager").unwrap(), roa_core::Value::opaque("from the future"));
    now(world.store.commit(txn)).unwrap();
    let mut a = world.start("a");
    world.pass(secs(120), [&mut a]);
    assert!(!a.lease.is_held());
}

#[test]
fn those_who_wait_for_the_lease_or_its_loss_are_told() {
    let mut world = World::new();
    let mut a = world.start("a");
    let lease = a.lease.clone();
    let mut acquired = Box::pin(lease.acquired());
    assert!((&mut acquired).now_or_never().is_none());
    a.step();
    let ownership = acquired.now_or_never().unwrap();
    let mut lost = Box::pin(lease.lost(&ownership));
    world.pass(secs(60), [&mut a]);
    assert!((&mut lost).now_or_never().is_none());
    a.stop.cancel();
    a.step();
    assert!(lost.now_or_never().is_some());
    assert!(lease.lost(&ownership).now_or_never().is_some());
}

/// C12: who works under the lease stops even if the driver does nothing more.
#[test]
fn c12_the_loss_is_told_in_time_by_the_clock_alone() {
    let mut world = World::new();
    let mut a = world.start("a");
    a.step();
    let (lease, ownership) = (a.lease.clone(), held(&a));
    let mut lost = Box::pin(lease.lost(&ownership));
    assert!((&mut lost).now_or_never().is_none());
    world.clock.advance(world.config.renew_deadline);
    assert!(lost.now_or_never().is_some());
}

#[test]
fn a_driver_that_is_dropped_holds_nothing() {
    let mut world = World::new();
    let mut a = world.start("a");
    a.step();
    assert!(a.lease.is_held());
    a.kill();
    assert_eq!((a.lease.is_held(), a.lease.state()), (false, LeaseState::Lost));
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let world = World::new();
    let driver = |lease: &str, config: LeaseConfig| {
        let (store, clock) = (Arc::clone(&world.store), Arc::new(world.clock.clone()));
        let coordinator = Coordinator::new(store, clock, Arc::new(roa_core::SystemRandom), "a", config);
        coordinator.and_then(|mut coordinator| coordinator.lease(lease).map(|_| ()))
    };
    let short = LeaseConfig { duration: secs(1), ..LeaseConfig::default() };
    assert!(matches!(driver("manager", short), Err(LeaseConfigError::Times(_))));
    assert!(matches!(driver("", LeaseConfig::default()), Err(LeaseConfigError::Name(_))));
    assert_eq!(driver("manager", LeaseConfig::default()), Ok(()));
}
