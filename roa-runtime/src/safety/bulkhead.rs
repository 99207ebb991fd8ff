//! [`Bulkhead`]: how many calls of one thing may run at once, so that a slow one does not take all workers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roa_core::{Clock, ClockExt, ReconcileError};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many calls may run and wait.
///
/// ```
/// use roa_runtime::BulkheadConfig;
/// let one_at_a_time = BulkheadConfig { max_concurrent: 1, ..BulkheadConfig::default() };
/// # let _ = one_at_a_time;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadConfig {
    /// How many calls may run at once.
    pub max_concurrent: usize,
    /// How many more may wait for a place.
    pub max_waiting: usize,
    /// How long one waits at most. It holds a worker that long.
    pub max_wait: Duration,
}

impl Default for BulkheadConfig {
    /// 8 at once; 8 more wait, for at most 1 s.
    fn default() -> Self {
        Self { max_concurrent: 8, max_waiting: 8, max_wait: Duration::from_secs(1) }
    }
}

/// No place for a call now.
///
/// ```
/// # use roa_core::ReconcileError;
/// # use roa_runtime::Full;
/// /// A controller passes it on, and is called again later.
/// fn passed_on(full: Full) -> ReconcileError {
///     full.into()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name} has {running} calls running, and may have no more")]
pub struct Full {
    /// What is busy.
    pub name: Arc<str>,
    /// How many calls run.
    pub running: usize,
    /// When to come again.
    pub after: Duration,
}

/// Bounds how many calls of one thing run at once. A clone is the same bulkhead.
///
/// ```
/// # use roa_core::ReconcileError;
/// # use roa_runtime::Bulkhead;
/// async fn ask(registry: &Bulkhead) -> Result<(), ReconcileError> {
///     let _place = registry.enter().await?;
///     // ... the call, for as long as it has its place
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Bulkhead {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    config: BulkheadConfig,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A call's place; dropping it gives it back.
///
/// ```
/// # use roa_runtime::{Bulkhead, Full};
/// async fn in_turn(registry: &Bulkhead) -> Result<(), Full> {
///     let place = registry.enter().await?;
///     drop(place); // for the next
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Bulkhead {
    /// A bulkhead for the dependency `name`; at least one call may run.
    pub fn new(name: impl Into<Arc<str>>, config: BulkheadConfig, clock: Arc<dyn Clock>) -> Self {
        let places = Arc::new(Semaphore::new(config.max_concurrent.clamp(1, Semaphore::MAX_PERMITS)));
        Self { shared: Arc::new(Shared { name: name.into(), config, clock, places, waiting: AtomicUsize::new(0) }) }
    }

    /// How many calls run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.shared.config.max_concurrent.max(1).saturating_sub(self.shared.places.available_permits())
    }

    /// How many wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// A place for a call; waits for one, in order, for as long as the configuration says.
    ///
    /// # Errors
    /// [`Full`], which says when to come again.
    ///
    /// # Cancel safety
    /// Safe: whoever gives up leaves the line.
    pub async fn enter(&self) -> Result<Place, Full> {
        if let Ok(permit) = Arc::clone(&self.shared.places).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        let _waiting = self.shared.wait_in_line().ok_or_else(|| self.full())?;
        let place = Arc::clone(&self.shared.places).acquire_owned();
        tokio::select! {
            biased;
            permit = place => permit.map(|permit| Place { _permit: permit }).map_err(|_| self.full()),
            () = self.shared.clock.sleep(self.shared.config.max_wait) => Err(self.full()),
        }
    }

    fn full(&self) -> Full {
        let after = self.shared.config.max_wait.max(Duration::from_millis(100));
        Full { name: Arc::clone(&self.shared.name), running: self.running(), after }
    }
}

/// A reconcile passes it on, and is called again later.
impl From<Full> for ReconcileError {
    fn from(full: Full) -> Self {
        Self::Deferred { reason: "DependencyBusy", message: full.to_string(), after: full.after }
    }
}

impl Shared {
    fn wait_in_line(&self) -> Option<Waiting<'_>> {
        let most = self.config.max_waiting;
        let joined =
            self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < most).then_some(now + 1));
        joined.ok().map(|_| Waiting(self))
    }
}

/// One who waits; leaves the line when dropped.
struct Waiting<'a>(&'a Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { name, config, .. } = &*self.shared;
        write!(f, "Bulkhead({name}: {} of {} run, {} wait)", self.running(), config.max_concurrent, self.waiting())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use roa_core::{ManualClock, Timestamp};

    fn bulkhead() -> (Bulkhead, ManualClock) {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let config = BulkheadConfig { max_concurrent: 2, max_waiting: 1, max_wait: Duration::from_secs(1) };
        (Bulkhead::new("outside", config, Arc::new(clock.clone())), clock)
    }

    #[test]
    fn so_many_run_one_waits_and_the_next_is_told_to_come_again() {
        let (bulkhead, _) = bulkhead();
        let first = bulkhead.enter().now_or_never().unwrap().unwrap();
        let _second = bulkhead.enter().now_or_never().unwrap().unwrap();
        let mut third = Box::pin(bulkhead.enter());
        assert!((&mut third).now_or_never().is_none());
        let full = bulkhead.enter().now_or_never().unwrap().unwrap_err();
        assert_eq!(full.to_string(), "outside has 2 calls running, and may have no more");
        assert_eq!((bulkhead.running(), bulkhead.waiting(), full.after), (2, 1, Duration::from_secs(1)));
        drop(first);
        assert!(third.now_or_never().unwrap().is_ok());
        assert_eq!(bulkhead.waiting(), 0);
    }

    #[test]
    fn a_wait_is_bounded_and_one_that_is_given_up_leaves_the_line() {
        let (bulkhead, clock) = bulkhead();
        let _held = [bulkhead.enter().now_or_never().unwrap(), bulkhead.enter().now_or_never().unwrap()];
        let mut waits = Box::pin(bulkhead.enter());
        assert!((&mut waits).now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        assert!(waits.now_or_never().unwrap().is_err());
        let mut gives_up = Box::pin(bulkhead.enter());
        assert!((&mut gives_up).now_or_never().is_none());
        drop(gives_up);
        assert_eq!((bulkhead.running(), bulkhead.waiting()), (2, 0));
    }
}
