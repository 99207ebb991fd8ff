//! [`SimulatedWorkers`]: workers that only seem to be.

use std::time::Duration;

use async_trait::async_trait;
use roa_core::{ClockExt, Context, ListOptions, ReconcileError, Result};
use roa_runtime::Runnable;

use super::provision::{WorkerObservation, WorkerProvisioner, WorkerRequest};
use super::{Worker, heartbeat};
use crate::LabWorker;
use crate::provision::StopProgress;

/// With this annotation a simulated worker gives no sign of life any more, whatever it says.
pub const SILENCE_ANNOTATION: &str = "lab.neuroglia.com/simulate-silence";

/// The name that workers choose them by.
const NAME: &str = "simulated";

/// Workers that only seem to be: they take their time, then give signs of life each period. What they are follows from
/// the store alone, so that they outlive this process.
///
/// As a [`Runnable`] it gives the signs of life of all of them.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedWorkers {
    heartbeat: Duration,
}

impl SimulatedWorkers {
    /// Workers that give a sign of life each `heartbeat`, of the domain's time.
    #[must_use]
    pub const fn new(heartbeat: Duration) -> Self {
        Self { heartbeat }
    }

    /// Gives a sign of life of each worker that is up. Gives of how many.
    ///
    /// # Errors
    /// The workers can't be listed, or the last that could not be written; all others are.
    pub async fn beat(&self, cx: &Context) -> Result<usize> {
        let (workers, _) = cx.api::<LabWorker>()?.list(&ListOptions::everywhere()).await?;
        let (mut beats, mut failure) = (0, None);
        for worker in workers.iter().filter(|worker| lives(worker)) {
            match heartbeat::beat(worker, cx).await {
                Ok(()) => beats += 1,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(beats), Err)
    }
}

fn lives(worker: &Worker) -> bool {
    worker.spec.provisioner() == NAME
        && worker.status.phase().keeps_labs()
        && !worker.metadata.annotations.contains_key(SILENCE_ANNOTATION)
}

#[async_trait]
impl WorkerProvisioner for SimulatedWorkers {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn start(&self, _worker: &WorkerRequest) -> Result<(), ReconcileError> {
        Ok(())
    }

    async fn observe(&self, worker: &WorkerRequest) -> Result<WorkerObservation, ReconcileError> {
        let takes = worker.spec.simulated.clone().unwrap_or_default().provision_time();
        let up = worker.started_at.is_some_and(|started| worker.now.duration_since(started) >= takes);
        Ok(if up { WorkerObservation::Running } else { WorkerObservation::Starting })
    }

    async fn stop(&self, _worker: &WorkerRequest) -> Result<StopProgress, ReconcileError> {
        Ok(StopProgress::Gone)
    }
}

#[async_trait]
impl Runnable for SimulatedWorkers {
    fn name(&self) -> &'static str {
        "simulated-workers"
    }

    async fn run(&self, cx: &Context) {
        while !cx.is_cancelled() {
            if let Err(error) = self.beat(cx).await {
                tracing::warn!(%error, "not all simulated workers could give a sign of life");
            }
            tokio::select! {
                () = cx.cancelled() => {}
                () = cx.clock().sleep(self.heartbeat) => {}
            }
        }
    }
}
