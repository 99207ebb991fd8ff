//! Shards: who has which, and how they change hands.

use proptest::prelude::*;
use roa_conformance::{CallFault, CommitFault, FaultPlan};

use super::members::{Members, bound, key_in};
use super::world::{Fault, now};
use super::*;
use crate::shard::SHARDS;

#[test]
fn one_member_gets_all_shards_in_one_commit_and_several_leases_too() {
    let mut members = Members::new();
    let head = now(members.world.store.state()).unwrap().head.get();
    members.join("a");
    members.pass(Duration::from_millis(1));
    assert_eq!(members.count(), [("a", SHARDS)].into());
    assert!(members.members["a"].process.lease.is_held());
    // The layout, the heartbeat, the shards, the lease; and what the check writes.
    assert!(now(members.world.store.state()).unwrap().head.get() - head <= 8);
}

/// One heartbeat whatever is owned: the rate is that of one commit in a retry period for each process.
#[test]
fn l1_sixty_four_shards_and_a_lease_are_kept_by_one_heartbeat() {
    let mut members = Members::of(&["a"]);
    let renewals = |members: &Members| members.world.heartbeat("a").unwrap().record.renewals;
    let before = renewals(&members);
    members.pass(secs(160));
    let commits = renewals(&members) - before;
    assert!((80..=101).contains(&commits), "{commits} renewals in 160 s with a period of 2 s, less up to a fifth");
    assert!(members.held.values().all(|terms| terms.len() == 1), "no renewal moves an ownership");
}

#[test]
fn a_member_that_comes_gets_its_part_and_no_other_shard_moves() {
    let mut members = Members::of(&["a", "b"]);
    assert!(members.settled());
    let (a, b) = (members.has("a"), members.has("b"));
    members.join("c");
    let took = members.pass_until(bound(&members.world.config), Members::settled);
    assert!(took <= 3 * members.world.config.retry_period, "took {took:?}");
    let kept = |before: &[usize], now: Vec<usize>| now.iter().all(|shard| before.contains(shard));
    assert!(kept(&a, members.has("a")) && kept(&b, members.has("b")), "{:?}", members.count());
    assert!(members.all_owned());
}

/// The old owner lets its calls end, gives the shard back, and only then the new one takes it.
#[test]
fn a_shard_changes_hands_when_the_last_call_in_it_has_ended() {
    let mut members = Members::of(&["a"]);
    for shard in 0..SHARDS {
        assert!(members.begin_call("a", shard));
    }
    members.join("b");
    members.pass(secs(10));
    assert_eq!(members.has("b"), Vec::<usize>::new(), "calls run in all of them");
    let given: Vec<usize> = crate::shard::wanted("b", &["a", "b"]);
    assert!(given.iter().all(|shard| !members.begin_call("a", *shard)), "none begins in those that are being given up");
    assert!(members.calls.iter().all(|(_, call)| !call.cancellation().is_cancelled()));
    let one = given[0];
    members.calls.retain(|(_, call)| call.ownership().unwrap().key.name() != format!("{one:02}"));
    let took = members.pass_until(secs(4), |members| members.has("b") == [one]);
    assert!(took <= members.world.config.retry_period, "took {took:?}");
    members.calls.clear();
    members.pass_until(secs(4), Members::settled);
}

/// A call that does not end keeps a shard for a lease's duration at most; then it must end, and writes nothing more.
#[test]
fn a_call_that_does_not_end_delays_a_hand_over_within_the_bound() {
    let mut members = Members::of(&["a"]);
    let given = crate::shard::wanted("b", &["a", "b"]);
    assert!(members.begin_call("a", given[0]));
    members.join("b");
    let took = members.pass_until(bound(&members.world.config), Members::settled);
    assert!(took >= members.world.config.duration, "took {took:?}");
    let (_, call) = &members.calls[0];
    assert!(call.cancellation().is_cancelled());
    let stale = call.ownership().unwrap().clone();
    let refused = members.members["a"].process.write(&stale, "late");
    assert!(matches!(refused, Err(CommitError::GuardFailed { .. })), "{refused:?}");
}

#[test]
fn l2_a_dead_members_shards_are_divided_among_the_others_after_the_lease_and_not_before() {
    let mut members = Members::of(&["a", "b", "c"]);
    assert!(members.settled());
    let dead = members.has("b");
    members.kill("b");
    members.pass(members.world.config.duration - members.world.config.retry_period);
    assert!(!dead.iter().any(|shard| members.has("a").contains(shard) || members.has("c").contains(shard)));
    members.pass_until(3 * members.world.config.retry_period + secs(1), Members::all_owned);
    assert!(members.settled());
    assert_eq!(members.world.heartbeat("b"), None, "the dead leave nothing behind");
}

#[test]
fn l6_the_shards_of_a_member_that_leaves_have_new_owners_within_a_retry_period() {
    let mut members = Members::of(&["a", "b", "c"]);
    members.members["b"].territory.leave();
    let took = members.pass_until(secs(4), |members| {
        let others = ["a", "c"];
        others.iter().all(|name| members.has(name) == crate::shard::wanted(name, &others))
    });
    assert!(took <= members.world.config.retry_period, "took {took:?}");
    assert!(members.members["b"].membership.is_live(), "it still lives, with its lease");
    assert!(members.members["b"].territory.vacated().now_or_never().is_some());
    members.members["b"].process.stop.cancel();
    members.pass(secs(1));
    assert_eq!(members.world.heartbeat("b"), None);
}

/// Being told of a change makes a hand-over a matter of moments, and being told all the time costs a bounded number of
/// looks.
#[test]
fn a_nudge_leads_to_a_look_but_not_more_often_than_eight_times_in_a_retry_period() {
    let mut members = Members::of(&["a", "b"]);
    members.members["b"].territory.leave();
    members.members.get_mut("b").unwrap().process.step();
    members.members["a"].nudge.give();
    let took = members.pass_until(secs(1), |members| members.has("a").len() == SHARDS);
    assert!(took <= members.world.config.retry_period / 4, "took {took:?}");
    let a = members.members.get_mut("a").unwrap();
    let calls = 4 * 100;
    a.process.plan(FaultPlan::new().call(calls, CallFault::Refuse));
    for _ in 0..200 {
        members.world.clock.advance(members.world.config.retry_period / 100);
        a.nudge.give();
        a.process.step();
    }
    assert_eq!(a.process.planned(), 1, "fewer than {calls} reads in two retry periods");
}

/// L4, L5: the one that was paused knows by its clock alone, and the store refuses what it writes nevertheless.
#[test]
fn l5_what_a_paused_member_writes_is_refused_by_the_store_and_moves_nothing() {
    let mut members = Members::of(&["a", "b"]);
    let shard = members.has("a")[0];
    assert!(members.begin_call("a", shard));
    let stale = members.calls[0].1.ownership().unwrap().clone();
    members.paused.insert("a", true);
    members.pass_until(bound(&members.world.config), |members| members.has("b").len() == SHARDS);
    assert!(!members.members["a"].territory.owns(&key_in(shard)), "it knows without having run for a moment");
    let membership = members.members["a"].membership.clone();
    assert!(!membership.is_live() && membership.held() == 0);
    assert!(membership.heartbeat_age().unwrap() >= members.world.config.duration);
    let head = now(members.world.store.state()).unwrap().head;
    let refused = members.members["a"].process.write(&stale, "late");
    assert!(matches!(refused, Err(CommitError::GuardFailed { .. })), "{refused:?}");
    assert_eq!(now(members.world.store.state()).unwrap().head, head);
    members.paused.insert("a", false);
    members.pass_until(secs(20), Members::settled);
    assert!(members.calls[0].1.cancellation().is_cancelled(), "the call from before must end");
    let a = members.has("a").len();
    assert!(membership.is_live() && membership.losses() > 0 && membership.acquisitions() > membership.losses());
    assert!((a..=a + 1).contains(&membership.held()), "its shards, and perhaps the lease");
}

/// S5: the answer to the first acquisition is lost, and so is the question what became of it.
#[test]
fn what_was_taken_without_knowing_it_is_given_back_to_whom_it_should_belong() {
    let mut members = Members::new();
    members.join("a");
    let lost = FaultPlan::new().commit(2, CommitFault::LoseReply).call(9, CallFault::Refuse);
    members.members["a"].process.plan(lost);
    members.pass(Duration::from_millis(1));
    assert_eq!((members.has("a"), members.members["a"].process.planned()), (vec![], 0));
    members.join("b");
    members.pass_until(secs(20), Members::settled);
}

/// S14.
#[test]
fn a_break_of_the_stores_history_begins_new_terms_for_all() {
    let mut members = Members::of(&["a", "b"]);
    let state = now(members.world.store.state()).unwrap();
    now(members.world.store.fence(state.epoch, state.head)).unwrap();
    members.pass_until(bound(&members.world.config), |members| {
        members.settled()
            && members.held.values().all(|terms| terms.last().is_some_and(|term| term.epoch != state.epoch))
    });
}

#[test]
fn a_shard_whose_record_cannot_be_read_is_left_alone_and_the_others_are_not() {
    let mut members = Members::new();
    let txn = roa_core::Txn::new(roa_core::TxnId::none(), "test");
    let key = record::shard_key("things", 7).unwrap();
    now(members.world.store.commit(txn.create(key, roa_core::Value::opaque("from the future")))).unwrap();
    members.join("a");
    members.pass(secs(60));
    assert_eq!(members.has("a"), (0..SHARDS).filter(|shard| *shard != 7).collect::<Vec<_>>());
}

#[derive(Debug, Clone)]
enum Step {
    Pass(Duration),
    Join(usize),
    Kill(usize),
    /// It leaves and is gone.
    Leave(usize),
    Pause(usize, bool),
    Break(usize, Fault),
    /// So many commits and calls from now on, something goes wrong.
    Plan(usize, u64, u64, u8),
    Deliver(usize),
    BeginCall(usize, usize),
    EndCalls,
    Nudge(usize),
    BreakHistory,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn step() -> impl Strategy<Value = Step> {
    let faults = [Fault::None, Fault::Down, Fault::AnswersLost, Fault::AnswersHeld, Fault::CommitsHeld, Fault::Silent];
    let member = 0..NAMES.len();
    prop_oneof![
        8 => (0..20_000_u64).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        4 => member.clone().prop_map(Step::Join),
        2 => member.clone().prop_map(Step::Kill),
        2 => member.clone().prop_map(Step::Leave),
        3 => (member.clone(), any::<bool>()).prop_map(|(member, paused)| Step::Pause(member, paused)),
        2 => (member.clone(), prop::sample::select(faults.to_vec())).prop_map(|(member, fault)| Step::Break(member, fault)),
        3 => (member.clone(), 1..6_u64, 1..20_u64, 0..4_u8).prop_map(|(member, commit, call, kind)| Step::Plan(member, commit, call, kind)),
        1 => member.clone().prop_map(Step::Deliver),
        4 => (member.clone(), 0..SHARDS).prop_map(|(member, shard)| Step::BeginCall(member, shard)),
        2 => Just(Step::EndCalls),
        2 => member.prop_map(Step::Nudge),
        1 => Just(Step::BreakHistory),
    ]
}

fn plan(commit: u64, call: u64, kind: u8) -> FaultPlan {
    let late = secs(3);
    let (commit_fault, call_fault) = match kind {
        0 => (CommitFault::Refuse, CallFault::Refuse),
        1 => (CommitFault::LoseReply, CallFault::Delay(late)),
        2 => (CommitFault::LoseRequest, CallFault::Refuse),
        _ => (CommitFault::Delay(late), CallFault::Delay(late)),
    };
    FaultPlan::new().commit(commit, commit_fault).call(call, call_fault)
}

fn take(members: &mut Members, step: &Step) {
    match *step {
        Step::Pass(time) => members.pass(time),
        Step::Join(member) if members.members.contains_key(NAMES[member]) => {}
        Step::Join(member) => members.join(NAMES[member]),
        Step::Kill(member) => members.kill(NAMES[member]),
        Step::Leave(member) => leave(members, NAMES[member]),
        Step::Pause(member, paused) => {
            members.paused.insert(NAMES[member], paused);
        }
        Step::EndCalls => members.calls.clear(),
        Step::BeginCall(member, shard) => {
            members.begin_call(NAMES[member], shard);
        }
        Step::BreakHistory => {
            let state = now(members.world.store.state()).unwrap();
            now(members.world.store.fence(state.epoch, state.head)).unwrap();
        }
        Step::Break(member, _) | Step::Plan(member, ..) | Step::Deliver(member) | Step::Nudge(member) => {
            let Some(member) = members.members.get(NAMES[member]) else { return };
            match *step {
                Step::Break(_, fault) => member.process.wire.set(fault),
                Step::Plan(_, commit, call, kind) => member.process.plan(plan(commit, call, kind)),
                Step::Deliver(_) => drop(member.process.wire.deliver()),
                _ => member.nudge.give(),
            }
        }
    }
}

fn leave(members: &mut Members, name: &'static str) {
    members.calls.retain(|(of, _)| *of != name);
    if let Some(mut member) = members.members.remove(name) {
        member.territory.leave();
        member.process.step();
        member.process.stop.cancel();
        member.process.step();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// L1 to L7, for shards: after each moment there is at most one owner of each shard that can write; and when all is
    /// well again, each shard has one within the bound, and soon the one that it should have.
    #[test]
    fn members_that_come_go_pause_and_fail_never_share_a_shard_and_leave_none_alone(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut members = Members::new();
        members.join("a");
        for step in &steps {
            take(&mut members, step);
            members.check();
        }
        members.calls.clear();
        members.paused.values_mut().for_each(|paused| *paused = false);
        for member in members.members.values() {
            member.process.wire.set(Fault::None);
            member.process.plan(FaultPlan::new());
        }
        if members.members.is_empty() {
            members.join("a");
        }
        // What hangs is given up after an attempt, which comes on top.
        let hanging = members.world.config.renew_deadline;
        let bound = bound(&members.world.config);
        members.pass_until(bound + hanging, Members::all_owned);
        members.pass_until(bound, Members::settled);
    }
}
