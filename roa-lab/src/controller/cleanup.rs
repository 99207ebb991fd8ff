//! A lab that was asked to go: ended outside, then written down as `deleted`, then let go.

use roa_core::{Action, ReconcileError};

use crate::provision::StopProgress;
use crate::provisioners::Reach;
use crate::turn::{Turn, unclear};
use crate::{LabState, conditions};

pub(super) async fn step(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    match turn.lab.status.state() {
        LabState::Deleted if turn.lab.status.allocation.is_none() => Ok(Action::Done),
        // Somebody who knows no better said that it is deleted: what it holds is given back first.
        LabState::Deleting | LabState::Deleted => take_away(turn).await,
        _ => begin(turn).await,
    }
}

async fn begin(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    next.enter(LabState::Deleting, "Deleted", "is being taken away", turn.now);
    next.endpoint = None;
    next.next_attempt_at = None;
    next.condition(conditions::READY, false, ("Deleted", "is being taken away"), turn.now);
    turn.write(next).await?;
    Ok(turn.poll())
}

/// Ends what there is of the lab outside, if that can be done from here.
pub(super) async fn take_away(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let provisioner = match turn.reach()? {
        Reach::Nothing => return gone(turn).await,
        Reach::Here(provisioner) => provisioner,
        Reach::Elsewhere => return await_node(turn).await,
    };
    match provisioner.stop(&turn.identity()).await.map_err(|error| unclear(&error))? {
        StopProgress::Stopping => Ok(turn.poll()),
        StopProgress::Gone => gone(turn).await,
    }
}

/// Only the process on the lab's node can end it: its [`NodeAgent`](super::NodeAgent) does, and that is a change.
async fn await_node(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    let node = next.allocation.as_ref().map_or("", |allocation| &allocation.node);
    next.message = format!("waits for node {node:?}, where it is");
    turn.write(next).await?;
    Ok(turn.poll())
}

/// The last that is written: those who watch see it, and then the lab goes.
async fn gone(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    if next.state() != LabState::Deleted {
        next.enter(LabState::Deleted, "CleanedUp", "nothing is left of it", turn.now);
    }
    next.allocation = None;
    turn.write_freed(next).await?;
    turn.note("Deleted", "nothing is left of it");
    Ok(Action::Done)
}
