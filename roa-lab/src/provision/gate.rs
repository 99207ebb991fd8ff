//! [`Gate`]: stands before a provisioner, and lets no attempt begin while too many of them fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roa_core::{CallOutcome, Clock, Passage};
use roa_runtime::{Breaker, BreakerConfig, BreakerState, Protected, RuntimeMetrics, Trip};

/// A breaker before a provisioner. What it counts is attempts to bring a lab up, from their begin to their end, however
/// many calls that takes.
///
/// It is in memory: after a restart all attempts are let through until they fail again.
#[derive(Debug)]
pub(crate) struct Gate {
    breaker: Breaker,
    /// The attempts that were let through and have not ended, by the uid of their lab: no more than there are labs.
    under_way: Mutex<HashMap<String, Attempt>>,
}

struct Attempt {
    passage: Box<dyn Passage>,
    /// Whether a sweep has found no lab that it belongs to.
    missed: bool,
}

/// Why no attempt begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Too many failed: none begins for so long.
    For(Duration),
    /// One is tried, to see whether others may follow: come again after so long.
    Trying(Duration),
}

impl Gate {
    /// An open gate, so a closed breaker; `None` for a breaker that can't be made.
    pub(crate) fn new(
        name: &str,
        config: &BreakerConfig,
        clock: Arc<dyn Clock>,
        metrics: &RuntimeMetrics,
    ) -> Option<Self> {
        let protected = Protected::new(dependency(name), clock).with_breaker(config.clone()).measured_by(metrics);
        let breaker = protected.breaker()?.clone();
        Some(Self { breaker, under_way: Mutex::default() })
    }

    /// Lets the lab's attempt begin, and expects to be told how it ended. One that was let through stays so.
    ///
    /// # Errors
    /// When to come again.
    pub(crate) fn admit(&self, uid: &str) -> Result<(), Closed> {
        let mut under_way = self.lock();
        if under_way.contains_key(uid) {
            return Ok(());
        }
        match self.breaker.enter() {
            Ok(entered) => {
                under_way.insert(uid.to_owned(), Attempt { passage: Box::new(entered), missed: false });
                Ok(())
            }
            Err(refused) if self.breaker.state() == BreakerState::Open => Err(Closed::For(refused.left)),
            Err(refused) => Err(Closed::Trying(refused.left)),
        }
    }

    /// Says how the lab's attempt ended, if one is under way.
    pub(crate) fn settle(&self, uid: &str, outcome: CallOutcome) {
        let attempt = self.lock().remove(uid);
        if let Some(attempt) = attempt {
            attempt.passage.leave(outcome);
        }
    }

    /// Forgets the attempts of labs that two sweeps in a row did not find: deleted, or another process's now.
    pub(crate) fn sweep(&self, is_under_way: impl Fn(&str) -> bool) {
        let mut under_way = self.lock();
        let lost = under_way.extract_if(|uid, attempt| {
            let lost = attempt.missed && !is_under_way(uid);
            attempt.missed = !is_under_way(uid);
            lost
        });
        lost.for_each(|(_, attempt)| attempt.passage.leave(CallOutcome::Unknown));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Attempt>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the breaker of a provisioner is called in logs and metrics.
pub(crate) fn dependency(provisioner: &str) -> String {
    format!("provisioner-{provisioner}")
}

/// Five failures in a row close the way for 30 s, then for twice that if the next fails too, up to 5 min.
pub(crate) fn default_config() -> BreakerConfig {
    BreakerConfig {
        trip: Trip::Consecutive(5),
        open_for: Duration::from_secs(30),
        open_max: Duration::from_secs(300),
        probe_wait: Duration::from_secs(2),
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("missed", &self.missed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use roa_core::{ManualClock, Timestamp};

    use super::*;

    const FAILED: CallOutcome = CallOutcome::Failed;

    fn gate() -> (Gate, ManualClock) {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let config = BreakerConfig { trip: Trip::Consecutive(2), ..default_config() };
        let gate = Gate::new("fake", &config, Arc::new(clock.clone()), &RuntimeMetrics::unregistered()).unwrap();
        (gate, clock)
    }

    fn fail(gate: &Gate, uids: &[&str]) {
        for uid in uids {
            gate.admit(uid).unwrap();
            gate.settle(uid, FAILED);
        }
    }

    #[test]
    fn an_attempt_counts_once_however_often_it_is_let_through_and_settled() {
        let (gate, _clock) = gate();
        for _ in 0..5 {
            gate.admit("a").unwrap();
        }
        for _ in 0..5 {
            gate.settle("a", FAILED);
        }
        gate.settle("never begun", FAILED);
        assert_eq!(gate.admit("b"), Ok(()), "one failure so far");
        gate.settle("b", FAILED);
        assert_eq!(gate.admit("c"), Err(Closed::For(Duration::from_secs(30))));
    }

    #[test]
    fn after_a_while_one_attempt_is_let_through_and_its_end_decides() {
        let (gate, clock) = gate();
        fail(&gate, &["a", "b"]);
        clock.advance(Duration::from_secs(30));
        assert_eq!(gate.admit("c"), Ok(()));
        assert_eq!(gate.admit("c"), Ok(()), "it is the one");
        assert_eq!(gate.admit("d"), Err(Closed::Trying(Duration::from_secs(2))));
        gate.settle("c", FAILED);
        assert_eq!(gate.admit("d"), Err(Closed::For(Duration::from_secs(60))));
        clock.advance(Duration::from_secs(60));
        gate.admit("d").unwrap();
        gate.settle("d", CallOutcome::Answered);
        assert_eq!((gate.admit("e"), gate.admit("f")), (Ok(()), Ok(())));
    }

    #[test]
    fn the_one_that_is_tried_may_vanish_and_blocks_nobody_for_ever() {
        let (gate, clock) = gate();
        fail(&gate, &["a", "b"]);
        clock.advance(Duration::from_secs(30));
        gate.admit("deleted").unwrap();
        gate.sweep(|_| false);
        assert!(gate.admit("c").is_err(), "a sweep that began before the attempt does not end it");
        gate.sweep(|_| false);
        assert_eq!(gate.admit("c"), Ok(()));
        gate.sweep(|_| false);
        gate.sweep(|uid| uid == "c");
        gate.sweep(|_| false);
        assert!(gate.admit("d").is_err(), "it was missed once, and was there the next time");
    }
}
