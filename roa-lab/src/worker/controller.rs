//! [`WorkerController`]: answers to each change of a worker, and takes one step at a time through its life.

use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{Action, Context, Controller, ReconcileError, Timestamp};

use super::provision::{WorkerObservation, WorkerProvisioner, WorkerRequest};
use super::worker_conditions::{ACCEPTING_LABS, HEALTHY, READY};
use super::{DesiredPhase, Worker, WorkerPhase, WorkerStatus};
use crate::provision::StopProgress;
use crate::{LabSettings, LabWorker};

/// What keeps a worker's record until its labs are elsewhere and nothing of it is left outside.
pub const WORKER_FINALIZER: &str = "lab.neuroglia.com/worker";

/// Brings workers up, drains them, and takes them away.
#[derive(Debug)]
pub struct WorkerController {
    settings: LabSettings,
}

impl WorkerController {
    /// A controller.
    #[must_use]
    pub const fn new(settings: LabSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl Controller for WorkerController {
    type Resource = Worker;

    fn name(&self) -> &'static str {
        "worker-controller"
    }

    fn finalizer(&self) -> Option<&str> {
        Some(WORKER_FINALIZER)
    }

    async fn reconcile(&self, worker: Arc<Worker>, cx: &Context) -> Result<Action, ReconcileError> {
        let leaves = worker.spec.desired_phase() != DesiredPhase::Ready;
        Step::new(&worker, cx, &self.settings).take(leaves).await
    }

    /// A worker that was asked to go drains first: it never goes with labs on it.
    async fn finalize(&self, worker: Arc<Worker>, cx: &Context) -> Result<Action, ReconcileError> {
        if worker.status.phase() == WorkerPhase::Terminated {
            return Ok(Action::Done);
        }
        Step::new(&worker, cx, &self.settings).take(true).await
    }
}

/// One look at one worker.
struct Step<'a> {
    worker: &'a Worker,
    cx: &'a Context,
    settings: &'a LabSettings,
    now: Timestamp,
}

impl<'a> Step<'a> {
    fn new(worker: &'a Worker, cx: &'a Context, settings: &'a LabSettings) -> Self {
        Self { worker, cx, settings, now: cx.now() }
    }

    async fn take(&self, leaves: bool) -> Result<Action, ReconcileError> {
        match self.worker.status.phase() {
            WorkerPhase::Pending if self.worker.status.phase.is_none() => self.accept().await,
            WorkerPhase::Pending | WorkerPhase::Provisioning if leaves => {
                self.terminate("is not wanted any more").await
            }
            WorkerPhase::Pending => self.begin().await,
            WorkerPhase::Provisioning => self.bring_up().await,
            WorkerPhase::Ready if leaves => self.drain().await,
            WorkerPhase::Draining if !leaves => self.resume().await,
            WorkerPhase::Ready => self.take_up_spec().await,
            WorkerPhase::Draining => self.await_labs().await,
            WorkerPhase::Failed if leaves => self.await_labs().await,
            WorkerPhase::Failed => self.begin_anew().await,
            WorkerPhase::Terminating => self.take_away().await,
            WorkerPhase::Terminated => Ok(Action::Done),
        }
    }

    const fn poll(&self) -> Action {
        Action::RequeueAfter(self.settings.policy.poll)
    }

    fn status(&self) -> WorkerStatus {
        let mut next = self.worker.status.clone();
        next.observed_generation = self.worker.metadata.generation;
        next.set_account(next.allocated, self.worker.spec.capacity());
        next
    }

    async fn write(&self, status: WorkerStatus) -> Result<Action, ReconcileError> {
        if status != self.worker.status {
            let mut next = self.worker.clone();
            next.status = status;
            self.cx.api::<LabWorker>()?.update_status(&next).await?;
        }
        Ok(self.poll())
    }

    /// Goes into a phase, and tells people.
    async fn enter(&self, phase: WorkerPhase, reason: &str, message: &str) -> Result<Action, ReconcileError> {
        let mut next = self.status();
        next.enter(phase, message, self.now);
        let up = matches!(phase, WorkerPhase::Ready | WorkerPhase::Draining);
        next.condition(READY, up, (reason, message), self.now);
        next.condition(ACCEPTING_LABS, phase == WorkerPhase::Ready, (reason, message), self.now);
        if phase == WorkerPhase::Ready {
            next.condition(HEALTHY, true, (reason, message), self.now);
        }
        let action = self.write(next).await?;
        self.tell(phase == WorkerPhase::Failed, reason, message);
        Ok(action)
    }

    fn tell(&self, is_bad: bool, reason: &str, message: &str) {
        let metadata = &self.worker.metadata;
        let key = self.cx.api::<LabWorker>().and_then(|api| api.key(&metadata.namespace, &metadata.name));
        let Ok(key) = key else { return };
        if is_bad {
            self.cx.warn(key, metadata, reason, message);
        } else {
            self.cx.note(key, metadata, reason, message);
        }
    }

    async fn accept(&self) -> Result<Action, ReconcileError> {
        self.enter(WorkerPhase::Pending, "Accepted", "waits to be brought up").await
    }

    fn provisioner(&self) -> Option<&Arc<dyn WorkerProvisioner>> {
        self.settings.workers.get(self.worker.spec.provisioner())
    }

    fn request(&self) -> WorkerRequest {
        WorkerRequest::of(self.worker, self.now)
    }

    /// Says that it is brought up, before anything is begun outside.
    async fn begin(&self) -> Result<Action, ReconcileError> {
        if self.provisioner().is_none() {
            let (name, known) = (self.worker.spec.provisioner(), self.settings.workers.names());
            let message = format!("names the provisioner {name:?}, expected {known}");
            return self.enter(WorkerPhase::Failed, "ProvisionerNotFound", &message).await;
        }
        self.enter(WorkerPhase::Provisioning, "Provisioning", "is being brought up").await
    }

    async fn bring_up(&self) -> Result<Action, ReconcileError> {
        let Some(provisioner) = self.provisioner() else { return self.begin().await };
        if self.worker.status.provisioning_started_at.is_none() {
            return match provisioner.start(&self.request()).await {
                Ok(()) => {
                    let mut next = self.status();
                    next.provisioning_started_at = Some(self.now);
                    self.write(next).await
                }
                Err(ReconcileError::Permanent { reason, message }) => {
                    self.enter(WorkerPhase::Failed, reason, &message).await
                }
                Err(error) => Err(error),
            };
        }
        match provisioner.observe(&self.request()).await? {
            WorkerObservation::Starting => Ok(self.poll()),
            WorkerObservation::Running => self.enter(WorkerPhase::Ready, "Ready", "takes labs").await,
            WorkerObservation::Gone { reason } => self.enter(WorkerPhase::Failed, "Gone", &reason).await,
        }
    }

    async fn take_up_spec(&self) -> Result<Action, ReconcileError> {
        self.write(self.status()).await?;
        Ok(Action::Done)
    }

    async fn drain(&self) -> Result<Action, ReconcileError> {
        let labs = self.worker.status.allocated.labs;
        self.enter(WorkerPhase::Draining, "Draining", &format!("takes no new labs, and has {labs}")).await
    }

    async fn resume(&self) -> Result<Action, ReconcileError> {
        self.enter(WorkerPhase::Ready, "Resumed", "takes labs again").await
    }

    /// Its labs go by themselves, or are moved; each that does is a change of this worker.
    async fn await_labs(&self) -> Result<Action, ReconcileError> {
        match self.worker.status.allocated.labs {
            0 => self.terminate("has no labs any more").await,
            labs => {
                let mut next = self.status();
                if next.phase() == WorkerPhase::Draining {
                    next.message = format!("takes no new labs, and has {labs}");
                }
                self.write(next).await
            }
        }
    }

    async fn terminate(&self, message: &str) -> Result<Action, ReconcileError> {
        self.enter(WorkerPhase::Terminating, "Terminating", message).await
    }

    async fn take_away(&self) -> Result<Action, ReconcileError> {
        // Nobody who is not registered has anything outside.
        if let Some(provisioner) = self.provisioner()
            && provisioner.stop(&self.request()).await? == StopProgress::Stopping
        {
            return Ok(self.poll());
        }
        self.enter(WorkerPhase::Terminated, "Terminated", "nothing is left of it").await?;
        Ok(Action::Done)
    }

    /// A failed worker is tried again when somebody changed its spec.
    async fn begin_anew(&self) -> Result<Action, ReconcileError> {
        if self.worker.metadata.generation <= self.worker.status.observed_generation {
            return Ok(Action::Done);
        }
        let mut next = self.status();
        next.provisioning_started_at = None;
        next.enter(WorkerPhase::Pending, "its spec has changed: it is tried anew", self.now);
        let action = self.write(next).await?;
        self.tell(false, "SpecChanged", "its spec has changed: it is tried anew");
        Ok(action)
    }
}
