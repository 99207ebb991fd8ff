//! [`Bounded`]: a provisioner of which only so many calls run at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Clock, Dependency, Passage, ReconcileError};
use roa_runtime::{BulkheadConfig, Protected, RuntimeMetrics};

use super::gate::dependency;
use super::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, StopProgress};

/// When to come again where nobody says.
const AGAIN: Duration = Duration::from_secs(1);

/// A provisioner behind a bulkhead: one that answers slowly holds so many workers, and no more.
#[derive(Debug)]
pub(crate) struct Bounded {
    provisioner: Arc<dyn Provisioner>,
    bulkhead: Protected,
}

impl Bounded {
    pub(crate) fn new(
        provisioner: Arc<dyn Provisioner>,
        config: BulkheadConfig,
        clock: Arc<dyn Clock>,
        metrics: &RuntimeMetrics,
    ) -> Self {
        let name = dependency(provisioner.name());
        Self { bulkhead: Protected::new(name, clock).with_bulkhead(config).measured_by(metrics), provisioner }
    }

    /// A place for a call, for as long as it is held.
    async fn place(&self) -> Result<Box<dyn Passage>, ProvisionError> {
        self.bulkhead.enter().await.map_err(|refused| match refused {
            ReconcileError::Deferred { message, after, .. } => ProvisionError::Busy { message, after },
            other => ProvisionError::Busy { message: other.to_string(), after: AGAIN },
        })
    }
}

#[async_trait]
impl Provisioner for Bounded {
    fn name(&self) -> &str {
        self.provisioner.name()
    }

    fn is_local(&self) -> bool {
        self.provisioner.is_local()
    }

    fn is_to_blame(&self, seen: &Observation) -> bool {
        self.provisioner.is_to_blame(seen)
    }

    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError> {
        let _place = self.place().await?;
        self.provisioner.start(request).await
    }

    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        let _place = self.place().await?;
        self.provisioner.observe(request).await
    }

    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        let _place = self.place().await?;
        self.provisioner.stop(lab).await
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        let _place = self.place().await?;
        self.provisioner.list().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use roa_core::{CallOutcome, ManualClock, Timestamp};

    use super::*;
    use crate::provision::Empty;

    #[test]
    fn a_slow_one_holds_so_many_calls_and_who_is_refused_is_told_to_come_again_and_nobody_is_to_blame() {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let config = BulkheadConfig { max_concurrent: 1, max_waiting: 1, max_wait: Duration::from_secs(3) };
        let (slow, metrics) = (Arc::new(Empty::slow("slow")), RuntimeMetrics::unregistered());
        let bounded = Bounded::new(slow.clone(), config, Arc::new(clock.clone()), &metrics);
        let (mut first, mut second) = (bounded.list(), bounded.list());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        let refused = bounded.list().now_or_never().unwrap().unwrap_err();
        assert!(matches!(refused, ProvisionError::Busy { after, .. } if after == Duration::from_secs(3)), "{refused}");
        assert_eq!((refused.outcome(), refused.is_retryable()), (CallOutcome::Unknown, true));
        assert_eq!(metrics.dependency("provisioner-slow").refusals("DependencyBusy"), 1);
        slow.let_answer();
        assert!(first.now_or_never().unwrap().is_ok() && second.now_or_never().unwrap().is_ok());
    }
}
