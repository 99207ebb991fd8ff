//! What is done about what was found.

use roa_core::{Action, Drift, Error, ReconcileError};

use super::find;
use crate::attempt::Failure;
use crate::conditions;
use crate::displaced::WORKER_LOST;
use crate::turn::Turn;

/// Corrects it, and says so in an event. Nothing is done if somebody wrote to the lab meanwhile: the next sweep looks
/// again.
pub(super) async fn correct(turn: &Turn<'_>, drift: &Drift) -> Result<Action, ReconcileError> {
    let corrected = match drift.reason {
        find::PROVISIONING_TIMEOUT | find::REPAIR_TIMEOUT => give_up(turn, drift).await,
        find::EXPIRED => turn.expire().await,
        find::CLEANUP_DUE | find::HALF_DELETED => delete(turn, drift).await,
        find::PROCESS_GONE => turn.vanished(&failure(drift)).await.map(|_| ()),
        find::ENDPOINT_DEAD | find::ENDPOINT_MOVED => doubt(turn, drift).await,
        // The controller should have acted long ago: this write is a change, which makes it look.
        WORKER_LOST => tell(turn, drift, conditions::WORKER_ASSIGNED, false).await,
        // It goes on by itself, however long that takes: no change of the status would hasten it.
        find::DELETION_STUCK => tell(turn, drift, conditions::DEGRADED, true).await,
        _ => tell(turn, drift, conditions::PROVISIONED, false).await,
    };
    match corrected {
        Err(ReconcileError::Resource(Error::Conflict { .. } | Error::NotFound { .. })) => Ok(Action::Requeue),
        outcome => outcome.map(|()| Action::Done),
    }
}

fn failure(drift: &Drift) -> Failure {
    Failure::passing(drift.reason, drift.message.clone())
}

async fn give_up(turn: &Turn<'_>, drift: &Drift) -> Result<(), ReconcileError> {
    turn.timed_out();
    turn.write(turn.given_up_after(&failure(drift))).await?;
    turn.settings.metrics.failed(drift.reason);
    turn.warn(drift.reason, &drift.message);
    Ok(())
}

async fn delete(turn: &Turn<'_>, drift: &Drift) -> Result<(), ReconcileError> {
    turn.delete(turn.lab).await?;
    turn.warn(drift.reason, &drift.message);
    Ok(())
}

/// The controller looks closer: it may be well again by then, elsewhere, or to be ended.
async fn doubt(turn: &Turn<'_>, drift: &Drift) -> Result<(), ReconcileError> {
    turn.write(turn.degraded_by(&failure(drift))).await?;
    turn.warn(drift.reason, &drift.message);
    Ok(())
}

/// Writes it down, so that it is found once, and tells people.
async fn tell(turn: &Turn<'_>, drift: &Drift, kind: &str, holds: bool) -> Result<(), ReconcileError> {
    let mut next = turn.status();
    next.condition(kind, holds, (drift.reason, &drift.message), turn.now);
    turn.write(next).await?;
    turn.warn(drift.reason, &drift.message);
    Ok(())
}
