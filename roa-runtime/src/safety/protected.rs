//! [`Protected`]: a dependency behind a breaker, a bulkhead, or both.

use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{CallOutcome, Clock, Dependency, Passage, ReconcileError};

use super::breaker::Entered;
use super::{Breaker, BreakerConfig, Bulkhead, BulkheadConfig, DependencyMetrics, Place, Refused};
use crate::RuntimeMetrics;

/// Something outside that controllers call, behind a breaker, a bulkhead, or both.
///
/// Given to a manager, controllers call it by name through their context; an open breaker or a full bulkhead then delays
/// their keys, and never drops one. A [`Breaker`] can as well be handed to a controller and used by itself.
///
/// ```
/// # use std::sync::Arc;
/// use roa_core::{Context, Dependencies, ReconcileError};
/// use roa_runtime::{BreakerConfig, BulkheadConfig, Protected, RuntimeMetrics, SystemClock};
/// # async fn example(cx: Context) -> Result<(), ReconcileError> {
/// let clock = Arc::new(SystemClock::new());
/// let registry = Protected::new("registry", clock)
///     .with_breaker(BreakerConfig::default())
///     .with_bulkhead(BulkheadConfig::default())
///     .measured_by(&RuntimeMetrics::unregistered());
/// let cx = cx.with_dependencies(Dependencies::default().with(Arc::new(registry)));
/// // ... and in a reconcile:
/// cx.call("registry", async { Ok(()) }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Protected {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    breaker: Option<Breaker>,
    bulkhead: Option<Bulkhead>,
    metrics: Option<DependencyMetrics>,
}

impl Protected {
    /// A dependency with nothing before it yet.
    pub fn new(name: impl Into<Arc<str>>, clock: Arc<dyn Clock>) -> Self {
        Self { name: name.into(), clock, breaker: None, bulkhead: None, metrics: None }
    }

    /// The same behind a breaker.
    #[must_use]
    pub fn with_breaker(mut self, config: BreakerConfig) -> Self {
        self.breaker = Some(Breaker::new(Arc::clone(&self.name), config, Arc::clone(&self.clock)));
        self
    }

    /// The same behind a bulkhead.
    #[must_use]
    pub fn with_bulkhead(mut self, config: BulkheadConfig) -> Self {
        self.bulkhead = Some(Bulkhead::new(Arc::clone(&self.name), config, Arc::clone(&self.clock)));
        self
    }

    /// The same with metrics that somebody reads.
    #[must_use]
    pub fn measured_by(mut self, metrics: &RuntimeMetrics) -> Self {
        let metrics = metrics.dependency(&*self.name);
        if let Some(breaker) = &self.breaker {
            breaker.measured_by(metrics.clone());
        }
        self.metrics = Some(metrics);
        self
    }

    /// Its breaker, for those who want to see or use it.
    #[must_use]
    pub const fn breaker(&self) -> Option<&Breaker> {
        self.breaker.as_ref()
    }

    /// Its bulkhead, for those who want to see or use it.
    #[must_use]
    pub const fn bulkhead(&self) -> Option<&Bulkhead> {
        self.bulkhead.as_ref()
    }

    fn refuse(&self, error: ReconcileError) -> ReconcileError {
        if let Some(metrics) = &self.metrics {
            metrics.refused(error.reason());
        }
        error
    }
}

struct Inside {
    entered: Option<Entered>,
    _place: Option<Place>,
}

impl Passage for Inside {
    fn leave(mut self: Box<Self>, outcome: CallOutcome) {
        if let Some(entered) = self.entered.take() {
            entered.leave(outcome);
        }
    }
}

#[async_trait]
impl Dependency for Protected {
    fn name(&self) -> &str {
        &self.name
    }

    async fn enter(&self) -> Result<Box<dyn Passage>, ReconcileError> {
        // Before the wait for a place, so that nobody waits for what is down; after it, so that the probe does not wait.
        let down = |refused: Refused| self.refuse(refused.into());
        self.breaker.as_ref().map_or(Ok(()), Breaker::check).map_err(down)?;
        let place = match &self.bulkhead {
            Some(bulkhead) => Some(bulkhead.enter().await.map_err(|full| self.refuse(full.into()))?),
            None => None,
        };
        let entered = self.breaker.as_ref().map(Breaker::enter).transpose().map_err(down)?;
        Ok(Box::new(Inside { entered, _place: place }))
    }

    fn trouble(&self) -> Option<String> {
        if let Some(Err(refused)) = self.breaker.as_ref().map(Breaker::check) {
            return Some(refused.to_string());
        }
        let waiting = self.bulkhead.as_ref().map(Bulkhead::waiting).filter(|waiting| *waiting > 0)?;
        Some(format!("all places are taken, {waiting} calls wait for one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use roa_core::{ManualClock, Timestamp};
    use std::time::Duration;

    use crate::Trip;

    #[test]
    fn what_is_down_or_busy_defers_the_call_and_is_counted() {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let metrics = RuntimeMetrics::unregistered();
        let protected = Protected::new("outside", Arc::new(clock.clone()))
            .with_breaker(BreakerConfig { trip: Trip::Consecutive(1), ..BreakerConfig::default() })
            .with_bulkhead(BulkheadConfig { max_concurrent: 1, max_waiting: 0, ..BulkheadConfig::default() })
            .measured_by(&metrics);
        let enter = || protected.enter().now_or_never().expect("nobody waits");
        let inside = enter().unwrap();
        assert_eq!(enter().err().unwrap().reason(), "DependencyBusy");
        assert_eq!(protected.trouble(), None);
        inside.leave(CallOutcome::Failed);
        assert!(protected.trouble().unwrap().contains("outside"));
        let error = enter().err().unwrap();
        assert!(matches!(error, ReconcileError::Deferred { after, .. } if after == Duration::from_secs(10)), "{error}");
        clock.advance(Duration::from_secs(10));
        enter().unwrap().leave(CallOutcome::Answered);
        let seen = metrics.dependency("outside");
        assert_eq!([seen.refusals("DependencyBusy"), seen.refusals("DependencyDown")], [1, 1]);
        assert_eq!(["open", "half_open", "closed"].map(|state| seen.changes(state)), [1, 1, 1]);
    }
}
