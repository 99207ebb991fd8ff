//! What the queue promises, through its public methods.

mod interleavings;
mod model;
mod workers;

pub(super) use interleavings::step;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use roa_core::{Cause, ManualClock, SeededRandom, Timestamp};

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn manual_clock() -> ManualClock {
    ManualClock::new(Timestamp::from_unix_seconds(0).unwrap())
}

fn config() -> QueueConfig {
    let backoff = BackoffPolicy { base: secs(1), max: secs(60), jitter_percent: 0 };
    QueueConfig { max_keys: 100, backoff, promote_after: secs(30), rate: None }
}

fn queue_with(config: QueueConfig) -> (WorkQueue<&'static str>, ManualClock) {
    let clock = manual_clock();
    (WorkQueue::new(config, Arc::new(clock.clone()), Arc::new(SeededRandom::new(1))), clock)
}

fn queue() -> (WorkQueue<&'static str>, ManualClock) {
    queue_with(config())
}

/// The run that is there now, if there is one.
fn take<K: QueueKey>(queue: &WorkQueue<K>) -> Option<Run<K>> {
    queue.next().now_or_never().map(|run| run.expect("the queue is not shut down"))
}

fn add(queue: &WorkQueue<&'static str>, key: &'static str) {
    queue.try_add(&key, Priority::User, Cause::Changed).unwrap();
}

#[test]
fn c4_a_key_that_runs_is_given_to_nobody_else() {
    let (queue, _) = queue();
    add(&queue, "a");
    let run = take(&queue).unwrap();
    add(&queue, "a");
    assert!(take(&queue).is_none());
    run.finish(Outcome::Done);
    assert!(take(&queue).is_some());
}

#[test]
fn c5_many_adds_during_a_run_cause_exactly_one_later_run() {
    let (queue, _) = queue();
    add(&queue, "a");
    let run = take(&queue).unwrap();
    for cause in [Cause::Changed, Cause::Related, Cause::Changed] {
        queue.try_add(&"a", Priority::User, cause).unwrap();
    }
    assert!(matches!(queue.why(&"a").unwrap().phase, KeyPhase::Processing { again: true, .. }));
    run.finish(Outcome::Done);
    let again = take(&queue).unwrap();
    assert_eq!(again.causes(), [Cause::Changed, Cause::Related]);
    again.finish(Outcome::Done);
    assert!(take(&queue).is_none() && queue.is_empty());
}

#[test]
fn c6_adds_before_a_run_are_one_with_the_highest_priority_and_all_causes() {
    let (queue, _) = queue();
    queue.try_add(&"a", Priority::Resync, Cause::Resync).unwrap();
    queue.try_add(&"b", Priority::Retry, Cause::Related).unwrap();
    queue.try_add(&"a", Priority::User, Cause::Changed).unwrap();
    queue.try_add(&"a", Priority::Resync, Cause::Resync).unwrap();
    let run = take(&queue).unwrap();
    assert_eq!((*run.key(), run.priority(), run.causes()), ("a", Priority::User, &[Cause::Resync, Cause::Changed][..]));
    assert_eq!((queue.len(), queue.stats().adds), (2, 4));
}

#[test]
fn of_two_delays_the_earlier_wins() {
    let (queue, clock) = queue();
    for (key, first, second) in [("a", 10, 5), ("b", 5, 10)] {
        queue.try_add_after(&key, secs(first), Priority::User, Cause::Changed).unwrap();
        queue.try_add_after(&key, secs(second), Priority::User, Cause::Changed).unwrap();
    }
    clock.advance(Duration::from_millis(4_999));
    assert!(take(&queue).is_none());
    clock.advance(Duration::from_millis(1));
    let runs = [take(&queue).unwrap(), take(&queue).unwrap()];
    assert_eq!(runs.map(|run| *run.key()), ["a", "b"]);
}

#[test]
fn an_endless_delay_is_no_overflow() {
    let (queue, clock) = queue();
    clock.advance(secs(1));
    queue.try_add_after(&"a", Duration::MAX, Priority::User, Cause::Changed).unwrap();
    assert!(take(&queue).is_none());
    add(&queue, "a");
    take(&queue).unwrap().finish(Outcome::RequeueAfter(Duration::MAX));
    assert!(take(&queue).is_none() && queue.len() == 1);
}

#[test]
fn c7_failures_wait_longer_each_time_and_success_resets() {
    let (queue, clock) = queue();
    add(&queue, "a");
    for (failures, wait) in [(0, 1), (1, 2), (2, 4)] {
        let run = take(&queue).unwrap();
        assert_eq!(run.failures(), failures);
        assert_eq!(run.finish(Outcome::Failed).after, Some(secs(wait)));
        assert!(take(&queue).is_none());
        clock.advance(secs(wait));
    }
    let run = take(&queue).unwrap();
    assert_eq!((run.failures(), run.priority()), (3, Priority::Retry));
    assert_eq!(run.causes(), [Cause::Changed, Cause::Retry], "what began it is still known");
    run.finish(Outcome::Done);
    add(&queue, "a");
    assert_eq!(take(&queue).unwrap().failures(), 0);
}

/// Lesson 13.
#[test]
fn c7_requeue_after_resets_the_failures() {
    let (queue, clock) = queue();
    add(&queue, "a");
    take(&queue).unwrap().finish(Outcome::Failed);
    clock.advance(secs(1));
    take(&queue).unwrap().finish(Outcome::RequeueAfter(secs(7)));
    clock.advance(secs(7));
    let run = take(&queue).unwrap();
    assert_eq!((run.failures(), run.causes()), (0, &[Cause::Requeued][..]));
    assert_eq!(run.finish(Outcome::Failed).after, Some(secs(1)));
}

#[test]
fn c7_a_change_does_not_wait_for_the_back_off() {
    let (queue, _) = queue();
    add(&queue, "a");
    take(&queue).unwrap().finish(Outcome::Failed);
    assert!(take(&queue).is_none());
    add(&queue, "a");
    let run = take(&queue).unwrap();
    assert_eq!((run.failures(), run.priority()), (1, Priority::User));
}

/// Lesson 5: a resync stays one when it fails; a user's change becomes a retry.
#[test]
fn priority_survives_a_retry_and_never_rises_by_it() {
    let (queue, clock) = queue();
    queue.try_add(&"swept", Priority::Resync, Cause::Resync).unwrap();
    add(&queue, "changed");
    take(&queue).unwrap().finish(Outcome::Failed);
    take(&queue).unwrap().finish(Outcome::Failed);
    clock.advance(secs(1));
    let runs = [take(&queue).unwrap(), take(&queue).unwrap()];
    assert_eq!(
        runs.map(|run| (*run.key(), run.priority())),
        [("changed", Priority::Retry), ("swept", Priority::Resync)]
    );
}

#[test]
fn a_run_that_is_dropped_counts_as_failed() {
    let (queue, clock) = queue();
    add(&queue, "a");
    drop(take(&queue).unwrap());
    assert_eq!((queue.in_flight(), queue.stats().retries), (0, 1));
    clock.advance(secs(1));
    assert_eq!(take(&queue).unwrap().failures(), 1);
}

#[test]
fn a_key_that_is_given_up_runs_again_only_if_added() {
    let (queue, clock) = queue();
    add(&queue, "a");
    add(&queue, "b");
    let (a, b) = (take(&queue).unwrap(), take(&queue).unwrap());
    add(&queue, "b");
    a.finish(Outcome::Drop);
    b.finish(Outcome::Drop);
    clock.advance(secs(3_600));
    assert_eq!(*take(&queue).unwrap().key(), "b", "an add during the run is never lost");
    assert_eq!((queue.why(&"a"), queue.stats().drops), (None, 2));
}

#[test]
fn a_forgotten_key_leaves_nothing_even_if_its_run_then_fails() {
    let (queue, clock) = queue();
    add(&queue, "waits");
    assert!(queue.forget(&"waits") && !queue.forget(&"waits"));
    add(&queue, "runs");
    let run = take(&queue).unwrap();
    assert_eq!(*run.key(), "runs");
    assert!(queue.forget(&"runs"));
    run.finish(Outcome::Failed);
    clock.advance(secs(3_600));
    assert!(take(&queue).is_none() && queue.is_empty());
}

#[test]
fn c4_a_key_added_again_after_it_was_forgotten_waits_for_its_old_run() {
    let (queue, _) = queue();
    add(&queue, "a");
    let run = take(&queue).unwrap();
    queue.forget(&"a");
    add(&queue, "a");
    assert!(take(&queue).is_none());
    run.finish(Outcome::Failed);
    assert_eq!(take(&queue).unwrap().failures(), 0, "its past is forgotten");
}

#[test]
fn keys_are_bounded_and_what_is_known_needs_no_room() {
    let (queue, _) = queue_with(QueueConfig { max_keys: 1, ..config() });
    add(&queue, "a");
    add(&queue, "a");
    let refused = queue.try_add(&"b", Priority::User, Cause::Changed).unwrap_err();
    assert_eq!(refused.to_string(), "add a key: the queue has 1 keys, expected fewer; hint: raise max_keys");
    let run = take(&queue).unwrap();
    assert!(queue.try_add(&"b", Priority::User, Cause::Changed).is_err(), "a key that runs needs its place");
    run.finish(Outcome::Done);
    add(&queue, "b");
    assert_eq!(queue.stats().refused, 2);
}

#[test]
fn an_add_to_a_full_queue_waits_for_room() {
    let (queue, _) = queue_with(QueueConfig { max_keys: 1, ..config() });
    add(&queue, "a");
    let mut first = Box::pin(queue.add(&"b", Priority::User, Cause::Changed));
    let mut second = Box::pin(queue.add(&"c", Priority::User, Cause::Changed));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    take(&queue).unwrap().finish(Outcome::Done);
    drop(first);
    assert_eq!(second.now_or_never(), Some(Ok(())), "room that was meant for one who left goes to the next");
    assert_eq!(*take(&queue).unwrap().key(), "c");
}

#[test]
fn an_add_that_waits_ends_when_the_queue_is_shut_down() {
    let (queue, _) = queue_with(QueueConfig { max_keys: 0, ..config() });
    let mut waiting = Box::pin(queue.add(&"a", Priority::User, Cause::Changed));
    assert!((&mut waiting).now_or_never().is_none());
    queue.shut_down();
    assert_eq!(waiting.now_or_never(), Some(Err(AddError::ShutDown)));
}

#[test]
fn c8_after_shut_down_no_work_is_given_out_and_runs_are_waited_for() {
    let (queue, _) = queue();
    for key in ["runs", "waits"] {
        add(&queue, key);
    }
    queue.try_add_after(&"delayed", secs(5), Priority::User, Cause::Changed).unwrap();
    let run = take(&queue).unwrap();
    let mut drained = Box::pin(queue.drained());
    assert!((&mut drained).now_or_never().is_none());
    queue.shut_down();
    assert!(matches!(queue.next().now_or_never(), Some(None)));
    assert_eq!(queue.try_add(&"late", Priority::User, Cause::Changed), Err(AddError::ShutDown));
    assert_eq!((queue.len(), queue.in_flight()), (1, 1));
    assert!((&mut drained).now_or_never().is_none());
    run.finish(Outcome::Failed);
    assert!(drained.now_or_never().is_some() && queue.is_empty());
}

#[test]
fn an_empty_queue_is_drained_at_once_but_only_when_shut_down() {
    let (queue, _) = queue();
    assert!(queue.idle().now_or_never().is_some());
    assert!(queue.drained().now_or_never().is_none());
    queue.shut_down();
    assert!(queue.drained().now_or_never().is_some());
}

#[test]
fn the_rate_of_all_runs_together_is_limited() {
    let limit = RateLimit { per_second: NonZeroU32::new(2).unwrap(), burst: NonZeroU32::MIN };
    let (queue, clock) = queue_with(QueueConfig { rate: Some(limit), ..config() });
    add(&queue, "a");
    add(&queue, "b");
    assert_eq!(take(&queue).map(|run| run.finish(Outcome::Done)).unwrap().after, None);
    let mut next = Box::pin(queue.next());
    assert!((&mut next).now_or_never().is_none());
    assert_eq!(clock.advance_to_next_timer(), Some(Duration::from_millis(500)));
    assert_eq!(*next.now_or_never().unwrap().unwrap().key(), "b");
}

#[test]
fn the_numbers_say_what_happens() {
    let (queue, clock) = queue();
    add(&queue, "a");
    let _run = take(&queue).unwrap();
    clock.advance(secs(2));
    queue.try_add(&"b", Priority::Resync, Cause::Resync).unwrap();
    queue.try_add_after(&"c", secs(9), Priority::User, Cause::Changed).unwrap();
    clock.advance(secs(3));
    let stats = queue.stats();
    assert_eq!((stats.ready, stats.delayed, stats.in_flight), (Depths { resync: 1, ..Depths::default() }, 1, 1));
    assert_eq!((stats.longest_running, stats.oldest_waiting), (Some(secs(5)), Some(secs(3))));
    assert_eq!(stats.adds, 3);
}

/// Lesson 29: causes travel with the key.
#[test]
fn why_says_where_a_key_stands() {
    let (queue, clock) = queue();
    add(&queue, "a");
    clock.advance(secs(2));
    let state = queue.why(&"a").unwrap();
    assert_eq!(
        (state.phase, state.causes, state.failures),
        (KeyPhase::Waiting { waited: secs(2) }, vec![Cause::Changed], 0)
    );
    let run = take(&queue).unwrap();
    assert_eq!(run.queued_for(), secs(2));
    clock.advance(secs(1));
    assert_eq!(queue.why(&"a").unwrap().phase, KeyPhase::Processing { ran: secs(1), again: false });
    run.finish(Outcome::Failed);
    let state = queue.why(&"a").unwrap();
    assert_eq!(
        (state.phase, state.failures, state.priority),
        (KeyPhase::Delayed { left: secs(1) }, 1, Priority::Retry)
    );
    assert_eq!(queue.why(&"unknown"), None);
}
