//! How a place on a worker is taken and given back: the lab's status and the worker's account change in one commit, each
//! under the condition that it is as it was read. So two schedulers can't give one place away twice, and the account is
//! the sum of the labs at every revision.

use roa_core::lifecycle::FieldValidation;
use roa_core::{Context, DynamicObject, Error, Key, Object, ReconcileError, Resource, Result, Spec, Transaction};

use super::{Candidates, Scheduler, Wanted};
use crate::turn::Turn;
use crate::worker::{Account, LabWorker, Worker};
use crate::{Lab, LabInstance, LabStatus, WorkerIdentity};

/// How often a place is looked for anew when others were faster, in one call.
const ATTEMPTS: usize = 10;

/// What came of the search for a place.
#[derive(Debug)]
pub(crate) enum Assigned {
    /// The lab as it is then.
    To(Box<Lab>),
    /// No worker can have it, for these reasons.
    Nowhere(String),
    /// Others were faster each time.
    Contended,
}

impl Scheduler {
    /// Finds a worker for the lab and reserves the place: `placed` gives the lab's status on a worker.
    pub(crate) async fn assign(
        &self,
        turn: &Turn<'_>,
        wanted: &Wanted<'_>,
        mut candidates: Candidates,
        placed: impl Fn(&Worker) -> LabStatus + Send + Sync,
    ) -> Result<Assigned, ReconcileError> {
        for _ in 0..ATTEMPTS {
            let worker = match self.choose(wanted, &candidates.workers) {
                Ok(worker) => worker.clone(),
                Err(reasons) => return Ok(Assigned::Nowhere(reasons)),
            };
            let account = worker.status.allocated.with(wanted.resources);
            match turn.write_with(placed(&worker), &worker, account).await {
                Ok(lab) => return Ok(Assigned::To(Box::new(lab))),
                Err(error) => {
                    let now = moved(error, &worker, turn.cx).await?;
                    candidates.refresh(&worker.metadata.name, now);
                }
            }
        }
        Ok(Assigned::Contended)
    }
}

impl Turn<'_> {
    /// Writes the lab's status, which has no allocation any more, and gives back what it had of its worker.
    pub(crate) async fn write_freed(&self, next: LabStatus) -> Result<Lab, ReconcileError> {
        let Some(held) = self.lab.status.allocation.as_ref() else { return self.write(next).await };
        let Some(identity) = &held.worker else { return self.write(next).await };
        let mut worker = self.live_worker(identity).await?;
        for _ in 0..ATTEMPTS {
            // A worker that is gone took its account along.
            let Some(found) = worker else { return self.write(next).await };
            let account = found.status.allocated.without(held.resources());
            match self.write_with(next.clone(), &found, account).await {
                Ok(lab) => return Ok(lab),
                Err(error) => worker = moved(error, &found, self.cx).await?.filter(|now| is(now, identity)),
            }
        }
        let message = format!("worker {} is written to by many", identity.name);
        Err(ReconcileError::Transient { reason: "WorkerContended", message })
    }

    /// The worker with this identity, read from the store.
    pub(crate) async fn live_worker(&self, identity: &WorkerIdentity) -> Result<Option<Worker>> {
        let key = self.worker_key(&identity.name)?;
        Ok(self.cx.api::<LabWorker>()?.find(&key).await?.filter(|worker| is(worker, identity)))
    }

    pub(crate) fn worker_key(&self, name: &str) -> Result<Key> {
        self.cx.api::<LabWorker>()?.key(&self.lab.metadata.namespace, name)
    }

    /// Writes the lab's status and the worker's account together.
    async fn write_with(&self, next: LabStatus, worker: &Worker, account: Account) -> Result<Lab> {
        let (mut lab, mut worker) = (self.lab.clone(), worker.clone());
        lab.status = next;
        worker.status.set_account(account, worker.spec.capacity());
        let mut txn = self.cx.resources().transaction();
        let place = stage_status::<LabInstance>(&mut txn, &lab, self.cx).await?;
        stage_status::<LabWorker>(&mut txn, &worker, self.cx).await?;
        let mut written = txn.commit().await?;
        Ok(Lab::from_tree(written.swap_remove(place))?)
    }
}

fn is(worker: &Worker, identity: &WorkerIdentity) -> bool {
    worker.metadata.uid == identity.uid
}

/// What the worker is now, if it was the worker that others wrote to; any other error is passed on.
async fn moved(error: Error, worker: &Worker, cx: &Context) -> Result<Option<Worker>> {
    let api = cx.api::<LabWorker>()?;
    let key = api.key(&worker.metadata.namespace, &worker.metadata.name)?;
    match error {
        Error::Conflict { key: other, .. } | Error::NotFound { key: other } if other == key => api.find(&key).await,
        error => Err(error),
    }
}

/// Stages the status of an object of a Rust type. It must carry the `resourceVersion` that was read.
pub(crate) async fn stage_status<S: Spec>(
    txn: &mut Transaction<'_>,
    object: &Object<S>,
    cx: &Context,
) -> Result<usize> {
    txn.update_status(tree(object, cx).await?).await
}

/// Stages all of an object of a Rust type but its status.
pub(crate) async fn stage_spec<S: Spec>(txn: &mut Transaction<'_>, object: &Object<S>, cx: &Context) -> Result<usize> {
    txn.update(tree(object, cx).await?, FieldValidation::Ignore).await
}

/// What the object changed, in the tree that is stored.
async fn tree<S: Spec>(object: &Object<S>, cx: &Context) -> Result<DynamicObject> {
    let key = cx.api::<S>()?.key(&object.metadata.namespace, &object.metadata.name)?;
    let (Some(entry), _) = cx.resources().entry(&key).await? else { return Err(Error::NotFound { key }) };
    let stored = entry.object().map_err(Clone::clone)?.to_dynamic()?;
    Ok(object.merge_into(Some(&Object::<S>::decode(&entry)?), stored)?)
}
