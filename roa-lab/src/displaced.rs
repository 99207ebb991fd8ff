//! Labs that lost their worker, or the node that had them: they keep their state, give up their place, and wait for another.

use roa_core::{Action, ReconcileError, Result};

use crate::attempt::Failure;
use crate::provision::StopProgress;
use crate::provisioners::Reach;
use crate::turn::{Turn, unclear};
use crate::worker::{DesiredPhase, LabWorker, Worker, WorkerPhase};
use crate::{LabState, WorkerIdentity, conditions};

/// The reasons in conditions and events.
pub(crate) const WORKER_LOST: &str = "WorkerLost";
const NODE_LOST: &str = "NodeLost";

impl Turn<'_> {
    /// Why the lab can't stay where it is, if it can't.
    pub(crate) async fn displaced(&self) -> Result<Option<String>> {
        let held = self.lab.status.allocation.as_ref();
        let Some(identity) = held.and_then(|held| held.worker.as_ref()) else { return Ok(None) };
        if let Some(cache) = self.cx.cache::<LabWorker>().filter(|cache| cache.revision().is_some()) {
            let seen = cache.get(&self.worker_key(&identity.name)?);
            if lost(identity, seen.as_deref()).is_none() {
                return Ok(None);
            }
        }
        // A cache may not show the worker yet, or may show what it was: only the store says that it is lost.
        Ok(lost(identity, self.live_worker(identity).await?.as_ref()))
    }

    /// Nothing is left of the lab outside. Where this node had it, its attempt failed. What another node had went with that:
    /// it is nobody's failure, and the lab gets a place here.
    pub(crate) async fn vanished(&self, failure: &Failure) -> Result<Action, ReconcileError> {
        match self.lab.status.allocation.as_ref().filter(|held| held.node != self.settings.node) {
            Some(held) => self.give_up_place(NODE_LOST, &format!("it went with node {:?}", held.node)).await,
            None => self.failed(failure).await,
        }
    }

    /// Ends what there is of the lab outside, gives its place back, and lets it wait for another.
    pub(crate) async fn give_up_place(&self, reason: &'static str, why: &str) -> Result<Action, ReconcileError> {
        match self.reach()? {
            Reach::Nothing => {}
            Reach::Elsewhere => return Ok(Action::Done),
            Reach::Here(provisioner) => {
                let stopped = provisioner.stop(&self.identity()).await.map_err(|error| unclear(&error))?;
                if stopped == StopProgress::Stopping {
                    return Ok(self.poll());
                }
            }
        }
        let mut next = match self.lab.status.state() {
            LabState::Ready => self.degraded_by(&Failure::passing(reason, why)),
            _ => self.status(),
        };
        next.message = format!("{why}; waits for another place");
        next.allocation = None;
        next.worker_ref = None;
        next.endpoint = None;
        next.provisioning_started_at = None;
        next.next_attempt_at = Some(self.now);
        next.condition(conditions::SCHEDULED, false, (reason, why), self.now);
        next.condition(conditions::WORKER_ASSIGNED, false, (reason, why), self.now);
        self.write_freed(next).await?;
        self.warn(reason, why);
        Ok(self.poll())
    }
}

fn lost(identity: &WorkerIdentity, worker: Option<&Worker>) -> Option<String> {
    let name = &identity.name;
    let Some(worker) = worker.filter(|worker| worker.metadata.uid == identity.uid) else {
        return Some(format!("worker {name} is gone"));
    };
    match worker.status.phase() {
        WorkerPhase::Failed => Some(format!("worker {name} has failed: {}", worker.status.message)),
        WorkerPhase::Terminating | WorkerPhase::Terminated => Some(format!("worker {name} is being taken away")),
        _ if worker.spec.desired_phase() == DesiredPhase::Terminated => {
            Some(format!("worker {name} is to be taken away"))
        }
        // It was tried anew since: whatever was on it is not there.
        WorkerPhase::Pending | WorkerPhase::Provisioning => Some(format!("worker {name} begins anew")),
        WorkerPhase::Ready | WorkerPhase::Draining => None,
    }
}

#[cfg(test)]
mod tests {
    use roa_core::Timestamp;

    use super::*;

    #[test]
    fn a_worker_that_keeps_its_labs_is_not_lost_and_every_other_is() {
        let identity = WorkerIdentity { name: "w".into(), uid: "1".into() };
        let mut worker = Worker::new("labs", "w", LabWorker::default());
        worker.metadata.uid = "1".into();
        for phase in WorkerPhase::ALL {
            worker.status.enter(phase, "", Timestamp::from_unix_seconds(0).unwrap());
            assert_eq!(lost(&identity, Some(&worker)).is_none(), phase.keeps_labs(), "{phase}");
        }
        worker.status.phase = Some(WorkerPhase::Ready);
        worker.spec.desired_phase = Some(DesiredPhase::Terminated.into());
        assert!(lost(&identity, Some(&worker)).unwrap().contains("to be taken away"));
        worker.metadata.uid = "2".into();
        assert_eq!(lost(&identity, Some(&worker)).unwrap(), "worker w is gone", "another of the same name");
        assert!(lost(&identity, None).is_some());
    }
}
