//! [`PoolController`]: gives a pool the workers that it should have, one step at a time.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{
    Action, Context, Controller, Error, ListOptions, Object, OwnerReference, ReconcileError, Spec, Timestamp,
};

use super::backoff;
use super::decide::sums;
use super::{Decision, Direction, LabWorkerPool, Pool, PoolStatus, PoolView, WorkerView, decide};
use crate::controller::place::UNSCHEDULABLE;
use crate::scheduler::{stage_spec, stage_status};
use crate::turn::Turn;
use crate::worker::{Account, DesiredPhase, LabWorker, Utilisation, Worker, WorkerPhase, percent};
use crate::{GROUP, Lab, LabInstance, LabSettings, VERSION, conditions};

/// What keeps a pool's record until its workers are gone.
pub const POOL_FINALIZER: &str = "lab.neuroglia.com/pool";

/// The label of a pool's workers.
const POOL_LABEL: &str = "lab.neuroglia.com/pool";

/// Gives pools the workers that they should have. A worker comes or goes in the same commit as the decision is written
/// down: whoever takes over goes on from there, and nothing is done twice.
#[derive(Debug)]
pub struct PoolController {
    settings: LabSettings,
}

impl PoolController {
    /// A controller.
    #[must_use]
    pub const fn new(settings: LabSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl Controller for PoolController {
    type Resource = Pool;

    fn name(&self) -> &'static str {
        "pool-controller"
    }

    fn finalizer(&self) -> Option<&str> {
        Some(POOL_FINALIZER)
    }

    async fn reconcile(&self, pool: Arc<Pool>, cx: &Context) -> Result<Action, ReconcileError> {
        let step = Step { pool: &pool, cx, settings: &self.settings, now: cx.now() };
        step.take().await?;
        Ok(Action::RequeueAfter(self.settings.policy.poll))
    }

    /// Its workers drain and go; then it goes.
    async fn finalize(&self, pool: Arc<Pool>, cx: &Context) -> Result<Action, ReconcileError> {
        let step = Step { pool: &pool, cx, settings: &self.settings, now: cx.now() };
        let workers = step.workers().await?;
        for worker in workers.iter().filter(|worker| !worker.metadata.is_deleting()) {
            step.dismiss(worker).await?;
        }
        if workers.is_empty() { Ok(Action::Done) } else { Ok(Action::RequeueAfter(self.settings.policy.poll)) }
    }
}

/// One look at one pool.
struct Step<'a> {
    pool: &'a Pool,
    cx: &'a Context,
    settings: &'a LabSettings,
    now: Timestamp,
}

impl Step<'_> {
    async fn take(&self) -> Result<(), ReconcileError> {
        let all = self.all::<LabWorker>().await?;
        let workers: Vec<Arc<Worker>> = all.iter().filter(|worker| self.owns(worker)).cloned().collect();
        let views: Vec<WorkerView> = workers.iter().map(|worker| view(worker)).collect();
        let taken: HashSet<String> = all.iter().map(|worker| worker.metadata.name.clone()).collect();
        let decision = decide(&PoolView {
            name: &self.pool.metadata.name,
            spec: &self.pool.spec,
            workers: &views,
            taken: &taken,
            waiting: self.waiting().await?,
            last_scaling: self.pool.status.last_scaling,
            last_scale_up: self.pool.status.last_scale_up,
            not_before: self.not_before(&views),
            now: self.now,
        });
        self.carry_out(decision, self.status(&views), &workers).await?;
        for worker in workers.iter().filter(|worker| is_over(worker)) {
            self.dismiss(worker).await?;
        }
        self.measure().await
    }

    /// Before when no worker comes in place of those that failed. What they failed of may be mended by a change of the
    /// spec, which is tried at once.
    fn not_before(&self, views: &[WorkerView]) -> Option<Timestamp> {
        let Pool { metadata, spec, status } = self.pool;
        if metadata.generation > status.observed_generation {
            return None;
        }
        backoff::not_before(&status.decisions, views, self.settings.policy.poll, spec.scaling.cooldown_up())
    }

    /// All objects of a kind in the pool's namespace.
    async fn all<S: Spec>(&self) -> roa_core::Result<Vec<Arc<Object<S>>>> {
        let namespace = self.pool.metadata.namespace.as_str();
        if let Some(cache) = self.cx.cache::<S>().filter(|cache| cache.revision().is_some()) {
            return Ok(cache.list(Some(namespace)));
        }
        let (objects, _) = self.cx.api::<S>()?.list(&ListOptions::namespace(namespace)).await?;
        Ok(objects.into_iter().map(Arc::new).collect())
    }

    async fn workers(&self) -> roa_core::Result<Vec<Arc<Worker>>> {
        let mut workers = self.all::<LabWorker>().await?;
        workers.retain(|worker| self.owns(worker));
        Ok(workers)
    }

    fn owns(&self, worker: &Worker) -> bool {
        worker.metadata.controller().is_some_and(|owner| owner.uid == self.pool.metadata.uid)
    }

    /// How many labs wait for room that an empty worker of this pool would have.
    async fn waiting(&self) -> Result<usize, ReconcileError> {
        let (capacity, track) = (self.pool.spec.worker_template.capacity.amounts(), self.pool.spec.track.as_deref());
        let mut waiting = 0;
        for lab in self.all::<LabInstance>().await? {
            let of_track = lab.spec.track.is_none() || lab.spec.track.as_deref() == track;
            if !of_track || !waits_for_room(&lab) {
                continue;
            }
            let template = Turn::new(&lab, self.cx, self.settings).template().await?.unwrap_or_default();
            let needs = lab.spec.resources.clone().unwrap_or_default().or(&template.resources);
            waiting += usize::from(Account::default().lacks(needs, capacity).is_empty());
        }
        Ok(waiting)
    }

    /// The status as it follows from the workers.
    fn status(&self, views: &[WorkerView]) -> PoolStatus {
        let ready: Vec<&WorkerView> =
            views.iter().filter(|worker| worker.phase == WorkerPhase::Ready && !worker.leaving).collect();
        let (given, whole) = sums(&ready);
        let shares = given.shares(whole);
        let shown = |share| if ready.is_empty() { 0 } else { percent(share) };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        PoolStatus {
            replicas: count(views.len()),
            ready_workers: count(ready.len()),
            cpu: whole.cpu,
            memory: whole.memory,
            allocated: given,
            utilisation: Utilisation { cpu: shown(shares.cpu), memory: shown(shares.memory), labs: shown(shares.labs) },
            observed_generation: self.pool.metadata.generation,
            ..self.pool.status.clone()
        }
    }

    async fn carry_out(
        &self,
        decision: Decision,
        mut next: PoolStatus,
        workers: &[Arc<Worker>],
    ) -> Result<(), ReconcileError> {
        let (direction, name, reason) = match decision {
            Decision::Hold { reason } => {
                next.message = reason;
                return self.write(next).await;
            }
            Decision::Up { worker, reason } => (Direction::Up, worker, reason),
            Decision::Down { worker, reason } => (Direction::Down, worker, reason),
            Decision::Remove { worker, reason } => (Direction::Remove, worker, reason),
        };
        next.decided(direction, &name, &reason, self.now);
        let pool = Pool { status: next, ..self.pool.clone() };
        let worker = workers.iter().find(|worker| worker.metadata.name == name);
        let mut txn = self.cx.resources().transaction();
        stage_status::<LabWorkerPool>(&mut txn, &pool, self.cx).await?;
        match (direction, worker) {
            (Direction::Up, _) => {
                let object = self.new_worker(&name).to_dynamic().map_err(Error::from)?;
                txn.create(object, FieldValidation::Ignore)?;
            }
            (Direction::Down, Some(worker)) => {
                let mut worker = (**worker).clone();
                worker.spec.desired_phase = Some(DesiredPhase::Draining.into());
                stage_spec::<LabWorker>(&mut txn, &worker, self.cx).await?;
            }
            (Direction::Remove, Some(worker)) => {
                let key = self.cx.api::<LabWorker>()?.key(&worker.metadata.namespace, &name)?;
                txn.delete(&key, &DeleteOptions::uid(&*worker.metadata.uid)).await?;
            }
            (_, None) => return Ok(()),
        }
        txn.commit().await?;
        self.tell(direction, &name, &reason)
    }

    async fn write(&self, status: PoolStatus) -> Result<(), ReconcileError> {
        if status != self.pool.status {
            let next = Pool { status, ..self.pool.clone() };
            self.cx.api::<LabWorkerPool>()?.update_status(&next).await?;
        }
        Ok(())
    }

    fn new_worker(&self, name: &str) -> Worker {
        let metadata = &self.pool.metadata;
        let mut worker = Worker::new(&metadata.namespace, name, self.pool.spec.worker());
        worker.metadata.labels.insert(POOL_LABEL.to_owned(), metadata.name.clone());
        worker.metadata.owner_references.push(OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: LabWorkerPool::KIND.to_owned(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
        worker
    }

    /// Asks a worker to go, if it is still there.
    async fn dismiss(&self, worker: &Worker) -> Result<(), ReconcileError> {
        let metadata = &worker.metadata;
        let options = DeleteOptions::uid(&*metadata.uid);
        match self.cx.api::<LabWorker>()?.delete(&metadata.namespace, &metadata.name, &options).await {
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&self, direction: Direction, worker: &str, reason: &str) -> Result<(), ReconcileError> {
        let metadata = &self.pool.metadata;
        let key = self.cx.api::<LabWorkerPool>()?.key(&metadata.namespace, &metadata.name)?;
        match direction {
            Direction::Up => self.cx.note(key, metadata, "ScaledUp", format!("{worker} comes: {reason}")),
            Direction::Down => self.cx.note(key, metadata, "ScaledDown", format!("{worker} drains: {reason}")),
            Direction::Remove => self.cx.warn(key, metadata, "WorkerRemoved", reason.to_owned()),
        }
        Ok(())
    }

    async fn measure(&self) -> Result<(), ReconcileError> {
        let Some(pools) = self.cx.cache::<LabWorkerPool>().filter(|cache| cache.revision().is_some()) else {
            return Ok(());
        };
        let (mut total, mut ready) = (0_usize, 0_usize);
        for pool in pools.list(None) {
            total = total.saturating_add(usize::try_from(pool.status.replicas).unwrap_or(usize::MAX));
            ready = ready.saturating_add(usize::try_from(pool.status.ready_workers).unwrap_or(usize::MAX));
        }
        self.settings.metrics.pools(total, ready);
        Ok(())
    }
}

/// Whether nothing is left of a worker but its record.
fn is_over(worker: &Worker) -> bool {
    worker.status.phase() == WorkerPhase::Terminated && !worker.metadata.is_deleting()
}

fn view(worker: &Worker) -> WorkerView {
    WorkerView {
        name: worker.metadata.name.clone(),
        phase: worker.status.phase(),
        leaving: worker.metadata.is_deleting() || worker.spec.desired_phase() != DesiredPhase::Ready,
        allocated: worker.status.allocated,
        capacity: worker.spec.capacity(),
    }
}

fn waits_for_room(lab: &Lab) -> bool {
    let scheduled = lab.status.conditions.get(conditions::SCHEDULED);
    lab.status.allocation.is_none()
        && !lab.metadata.is_deleting()
        && scheduled.is_some_and(|scheduled| scheduled.reason == UNSCHEDULABLE)
}
