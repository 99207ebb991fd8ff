//! [`Empty`]: for tests, a provisioner that never has a lab.

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, StopProgress};

/// Begins nothing and finds nothing; says nothing of where its labs are.
#[derive(Debug)]
pub(crate) struct Empty {
    name: &'static str,
    answers: Semaphore,
}

impl Empty {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, answers: Semaphore::new(1) }
    }

    /// One that says what there is when it is let.
    pub(crate) fn slow(name: &'static str) -> Self {
        Self { name, answers: Semaphore::new(0) }
    }

    pub(crate) fn let_answer(&self) {
        self.answers.add_permits(1);
    }
}

#[async_trait]
impl Provisioner for Empty {
    fn name(&self) -> &str {
        self.name
    }

    async fn start(&self, _request: &ProvisionRequest) -> Result<(), ProvisionError> {
        Ok(())
    }

    async fn observe(&self, _request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        Ok(Observation::Absent)
    }

    async fn stop(&self, _lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        Ok(StopProgress::Gone)
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        let _answered = self.answers.acquire().await;
        Ok(Vec::new())
    }
}
