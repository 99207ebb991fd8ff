//! [`Breaker`]: stops calling what is down, and finds out when it is up again.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roa_core::{CallOutcome, Clock, Monotonic, Passage, ReconcileError};
use thiserror::Error;

use super::trip::Record;
use super::{DependencyMetrics, Trip};
use crate::locks;

/// When a [`Breaker`] opens, and for how long.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::{BreakerConfig, Trip};
/// let strict = BreakerConfig { trip: Trip::Consecutive(1), open_for: Duration::from_secs(60), ..BreakerConfig::default() };
/// # drop(strict);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerConfig {
    /// How many failures open it.
    pub trip: Trip,
    /// How long it stays open before one call is let through as a probe.
    pub open_for: Duration,
    /// Doubled each time that the probe fails, up to this.
    pub open_max: Duration,
    /// When others are to come again while the probe runs.
    pub probe_wait: Duration,
}

impl Default for BreakerConfig {
    /// Five failures in a row; open for 10 s, at most 5 min; 1 s while the probe runs.
    fn default() -> Self {
        Self {
            trip: Trip::Consecutive(5),
            open_for: Duration::from_secs(10),
            open_max: Duration::from_secs(300),
            probe_wait: Duration::from_secs(1),
        }
    }
}

/// What a breaker does with the next call.
///
/// ```
/// use roa_runtime::BreakerState;
/// assert_eq!(BreakerState::HalfOpen.as_str(), "half_open");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are let through.
    Closed,
    /// One call is let through, or runs, to see whether others may follow.
    HalfOpen,
    /// No call is let through.
    Open,
}

impl BreakerState {
    /// A word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// A call that may not be made now.
///
/// ```
/// # use roa_runtime::Breaker;
/// fn says(breaker: &Breaker) -> Option<String> {
///     breaker.check().err().map(|refused| format!("{} is down; again in {:?}", refused.name, refused.left))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name} failed too often, and is left alone for {left:?}")]
pub struct Refused {
    /// What is down.
    pub name: Arc<str>,
    /// When to come again.
    pub left: Duration,
}

/// Stops calling what is down, and finds out when it is up again. A clone is the same breaker.
///
/// Closed, it lets calls through and counts failures. When there are too many it opens, and refuses calls. After a time
/// it lets one call through, the probe: if that succeeds it closes; if it fails it stays open for twice as long.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// use roa_core::{CallOutcome, ManualClock, Timestamp};
/// use roa_runtime::{Breaker, BreakerConfig, BreakerState, Trip};
/// let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
/// let config = BreakerConfig { trip: Trip::Consecutive(1), ..BreakerConfig::default() };
/// let breaker = Breaker::new("registry", config, Arc::new(clock.clone()));
///
/// breaker.enter()?.leave(CallOutcome::Failed);
/// assert_eq!(breaker.enter().unwrap_err().left, Duration::from_secs(10));
///
/// clock.advance(Duration::from_secs(10));
/// breaker.enter()?.leave(CallOutcome::Answered);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), roa_runtime::Refused>(())
/// ```
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    config: BreakerConfig,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    metrics: Mutex<Option<DependencyMetrics>>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Rises with each change of phase: what a call from before it says no longer counts.
    term: u64,
}

#[derive(Debug)]
enum Phase {
    Closed(Record),
    Open {
        until: Monotonic,
        lasted: Duration,
    },
    /// The probe runs; the time is how long it was open before.
    Probing {
        lasted: Duration,
    },
}

impl Breaker {
    /// A closed breaker for the dependency `name`.
    pub fn new(name: impl Into<Arc<str>>, config: BreakerConfig, clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State { phase: Phase::Closed(Record::new(config.trip)), term: 0 });
        Self { shared: Arc::new(Shared { name: name.into(), config, clock, state, metrics: Mutex::new(None) }) }
    }

    pub(super) fn measured_by(&self, metrics: DependencyMetrics) {
        metrics.breaker(BreakerState::Closed, false);
        *locks::lock(&self.shared.metrics) = Some(metrics);
    }

    /// What it stands before.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What it does with the next call.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        let now = self.shared.clock.monotonic();
        match locks::lock(&self.shared.state).phase {
            Phase::Closed(_) => BreakerState::Closed,
            Phase::Open { until, .. } if now < until => BreakerState::Open,
            Phase::Open { .. } | Phase::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether a call could be made now; takes nothing.
    ///
    /// # Errors
    /// [`Refused`], which says when to come again.
    pub fn check(&self) -> Result<(), Refused> {
        let left = match locks::lock(&self.shared.state).phase {
            Phase::Closed(_) => return Ok(()),
            Phase::Open { until, .. } => until.saturating_since(self.shared.clock.monotonic()),
            Phase::Probing { .. } => self.shared.config.probe_wait,
        };
        if left.is_zero() { Ok(()) } else { Err(self.refused(left)) }
    }

    /// Lets a call through.
    ///
    /// # Errors
    /// [`Refused`], which says when to come again.
    pub fn enter(&self) -> Result<Entered, Refused> {
        let now = self.shared.clock.monotonic();
        let mut state = locks::lock(&self.shared.state);
        let probing = match state.phase {
            Phase::Closed(_) => None,
            Phase::Open { until, .. } if now < until => return Err(self.refused(until.saturating_since(now))),
            Phase::Open { lasted, .. } => Some(lasted),
            Phase::Probing { .. } => return Err(self.refused(self.shared.config.probe_wait)),
        };
        if let Some(lasted) = probing {
            self.shared.become_(&mut state, Phase::Probing { lasted });
        }
        Ok(Entered { breaker: self.clone(), term: state.term, left: false })
    }

    /// Makes a call, if it may be made now, and learns how it ended. For a controller that was given the breaker;
    /// [`Context::call`](roa_core::Context::call) does the same by name.
    ///
    /// # Errors
    /// What `work` answers; [`ReconcileError::Deferred`] if the call may not be made now.
    ///
    /// # Cancel safety
    /// As that of `work`; one that is dropped counts as failed.
    pub async fn call<T>(
        &self,
        work: impl Future<Output = Result<T, ReconcileError>> + Send,
    ) -> Result<T, ReconcileError> {
        let entered = self.enter()?;
        let result = work.await;
        entered.leave(CallOutcome::of(&result));
        result
    }

    fn refused(&self, left: Duration) -> Refused {
        Refused { name: Arc::clone(&self.shared.name), left }
    }
}

/// A reconcile passes it on, and is called again when the breaker may let it through.
impl From<Refused> for ReconcileError {
    fn from(refused: Refused) -> Self {
        Self::Deferred { reason: "DependencyDown", message: refused.to_string(), after: refused.left }
    }
}

impl Shared {
    fn note(&self, term: u64, outcome: CallOutcome) {
        let now = self.clock.monotonic();
        let mut state = locks::lock(&self.state);
        if state.term != term {
            return;
        }
        let next = match (&mut state.phase, outcome) {
            (Phase::Closed(record), CallOutcome::Answered) => {
                record.note(false);
                None
            }
            (Phase::Closed(record), CallOutcome::Failed) => {
                let tripped = record.note(true);
                tripped.then(|| self.open(now, self.config.open_for))
            }
            (Phase::Probing { .. }, CallOutcome::Answered) => Some(Phase::Closed(Record::new(self.config.trip))),
            (Phase::Probing { lasted }, CallOutcome::Failed) => {
                Some(self.open(now, lasted.saturating_mul(2).min(self.config.open_max)))
            }
            // The next may be the probe.
            (Phase::Probing { lasted }, CallOutcome::Unknown) => Some(Phase::Open { until: now, lasted: *lasted }),
            (Phase::Closed(_) | Phase::Open { .. }, _) => None,
        };
        if let Some(next) = next {
            self.become_(&mut state, next);
        }
    }

    fn open(&self, now: Monotonic, lasts: Duration) -> Phase {
        Phase::Open { until: now + lasts, lasted: lasts }
    }

    fn become_(&self, state: &mut State, next: Phase) {
        let (shown, lasts) = match &next {
            Phase::Closed(_) => (BreakerState::Closed, Duration::ZERO),
            Phase::Probing { .. } => (BreakerState::HalfOpen, Duration::ZERO),
            Phase::Open { lasted, .. } => (BreakerState::Open, *lasted),
        };
        state.phase = next;
        state.term += 1;
        if let Some(metrics) = &*locks::lock(&self.metrics) {
            metrics.breaker(shown, true);
        }
        let dependency = &*self.name;
        match shown {
            BreakerState::Open => tracing::warn!(dependency, ?lasts, "breaker is open: no more calls for a time"),
            BreakerState::HalfOpen => tracing::info!(dependency, "breaker lets one call through"),
            BreakerState::Closed => tracing::info!(dependency, "breaker is closed again"),
        }
    }
}

/// A call that a [`Breaker`] let through. Dropped without an outcome it counts as failed.
///
/// ```
/// # use roa_core::CallOutcome;
/// # use roa_runtime::{Breaker, Refused};
/// fn call(breaker: &Breaker) -> Result<(), Refused> {
///     let entered = breaker.enter()?;
///     // ... the call
///     entered.leave(CallOutcome::Answered);
///     Ok(())
/// }
/// ```
#[must_use = "the breaker waits for the call's outcome"]
#[derive(Debug)]
pub struct Entered {
    breaker: Breaker,
    term: u64,
    left: bool,
}

impl Entered {
    /// Says how the call ended.
    pub fn leave(mut self, outcome: CallOutcome) {
        self.left = true;
        self.breaker.shared.note(self.term, outcome);
    }
}

impl Passage for Entered {
    fn leave(self: Box<Self>, outcome: CallOutcome) {
        Self::leave(*self, outcome);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.left {
            self.breaker.shared.note(self.term, CallOutcome::Failed);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Breaker({} is {})", self.name(), self.state().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roa_core::{ManualClock, Timestamp};

    const FAIL: CallOutcome = CallOutcome::Failed;
    const WORK: CallOutcome = CallOutcome::Answered;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn breaker(failures: u32) -> (Breaker, ManualClock) {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let config =
            BreakerConfig { trip: Trip::Consecutive(failures), open_max: secs(40), ..BreakerConfig::default() };
        (Breaker::new("outside", config, Arc::new(clock.clone())), clock)
    }

    #[test]
    fn it_opens_after_the_last_failure_that_it_bears_and_says_for_how_long() {
        let (breaker, clock) = breaker(2);
        breaker.enter().unwrap().leave(FAIL);
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.enter().unwrap().leave(FAIL);
        assert_eq!(breaker.state(), BreakerState::Open);
        clock.advance(secs(3));
        let refused = breaker.enter().unwrap_err();
        assert_eq!(refused.to_string(), "outside failed too often, and is left alone for 7s");
        assert_eq!(breaker.check(), Err(refused));
    }

    #[test]
    fn a_controller_that_was_given_it_calls_through_it() {
        use futures_util::FutureExt;
        let (breaker, clock) = breaker(1);
        let call = |result| breaker.call(async { result }).now_or_never().expect("nobody waits");
        let down = || ReconcileError::Transient { reason: "Down", message: String::new() };
        assert_eq!(call(Err(down())).unwrap_err().reason(), "Down");
        let deferred = call(Ok(())).unwrap_err();
        assert!(matches!(deferred, ReconcileError::Deferred { after, .. } if after == secs(10)), "{deferred}");
        clock.advance(secs(10));
        assert!(call(Ok(())).is_ok() && breaker.state() == BreakerState::Closed);
    }

    #[test]
    fn one_probe_at_a_time_and_its_success_closes() {
        let (breaker, clock) = breaker(1);
        breaker.enter().unwrap().leave(FAIL);
        clock.advance(secs(10));
        assert_eq!(breaker.check(), Ok(()));
        let probe = breaker.enter().unwrap();
        assert_eq!((breaker.state(), breaker.enter().unwrap_err().left), (BreakerState::HalfOpen, secs(1)));
        probe.leave(WORK);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn each_probe_that_fails_doubles_the_wait_up_to_its_greatest() {
        let (breaker, clock) = breaker(1);
        breaker.enter().unwrap().leave(FAIL);
        let mut waits = Vec::new();
        for _ in 0..4 {
            let left = breaker.enter().unwrap_err().left;
            clock.advance(left);
            waits.push(left.as_secs());
            drop(breaker.enter().unwrap()); // given up: took too long
        }
        assert_eq!(waits, [10, 20, 40, 40]);
    }

    #[test]
    fn a_probe_that_says_nothing_leaves_the_next_to_be_the_probe() {
        let (breaker, clock) = breaker(1);
        breaker.enter().unwrap().leave(FAIL);
        clock.advance(secs(10));
        breaker.enter().unwrap().leave(CallOutcome::Unknown);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.enter().unwrap().leave(WORK);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn calls_from_before_it_opened_no_longer_count() {
        let (breaker, clock) = breaker(1);
        let (late_good, late_bad) = (breaker.enter().unwrap(), breaker.enter().unwrap());
        breaker.enter().unwrap().leave(FAIL);
        late_good.leave(WORK);
        assert_eq!(breaker.state(), BreakerState::Open);
        clock.advance(secs(10));
        breaker.enter().unwrap().leave(WORK);
        late_bad.leave(FAIL);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    proptest! {
        /// Whatever happens, it never wedges: after the greatest wait a call is let through, and one success closes it.
        #[test]
        fn it_never_stays_open_for_good(steps in prop::collection::vec((0_u64..30, 0_u8..4), 0..80)) {
            let (breaker, clock) = breaker(2);
            let mut held = Vec::new();
            for (wait, step) in steps {
                clock.advance(secs(wait));
                match (step, breaker.enter()) {
                    (0, Ok(entered)) => entered.leave(WORK),
                    (1, Ok(entered)) => entered.leave(FAIL),
                    (2, Ok(entered)) => held.push(entered),
                    (_, Ok(entered)) => drop(entered),
                    (_, Err(refused)) => prop_assert!(refused.left <= secs(40)),
                }
                let probes = held.iter().filter(|entered| entered.term == locks::lock(&breaker.shared.state).term);
                prop_assert!(breaker.state() == BreakerState::Closed || probes.count() <= 1, "a single probe");
            }
            held.clear();
            clock.advance(secs(40));
            breaker.enter().unwrap().leave(WORK);
            prop_assert_eq!(breaker.state(), BreakerState::Closed);
        }
    }
}
