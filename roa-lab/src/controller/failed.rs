//! A lab that is not tried any more. A change of its spec begins anew; the sweep takes it away after a while.

use roa_core::{Action, ReconcileError, Resource};

use crate::provision::StopProgress;
use crate::provisioners::Reach;
use crate::turn::{Turn, unclear};
use crate::{LabState, conditions};

pub(super) async fn step(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    if !turn.spec_changed() {
        return Ok(Action::Done);
    }
    match turn.reach()? {
        Reach::Nothing => begin_anew(turn).await,
        Reach::Elsewhere => Ok(Action::Done),
        Reach::Here(provisioner) => {
            // What failed may still run, and the new template may name another provisioner.
            match provisioner.stop(&turn.identity()).await.map_err(|error| unclear(&error))? {
                StopProgress::Stopping => Ok(turn.poll()),
                StopProgress::Gone => begin_anew(turn).await,
            }
        }
    }
}

async fn begin_anew(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    next.observed_generation = turn.lab.metadata().generation;
    next.enter(LabState::Pending, "SpecChanged", "its spec has changed: it is tried anew", turn.now);
    next.retries = 0;
    next.restarts = 0;
    next.allocation = None;
    next.worker_ref = None;
    next.ready_at = None;
    next.expires_at = None;
    next.provisioning_started_at = None;
    next.next_attempt_at = None;
    for kind in [conditions::WORKER_ASSIGNED, conditions::PROVISIONED, conditions::DEGRADED, conditions::EXPIRED] {
        next.conditions.remove(kind);
    }
    next.condition(conditions::SCHEDULED, false, ("SpecChanged", "its spec has changed"), turn.now);
    turn.write_freed(next).await?;
    turn.note("SpecChanged", "its spec has changed: it is tried anew");
    Ok(turn.poll())
}
