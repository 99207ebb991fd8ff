//! A lab that waits: for its time, its template, or a place. What it waits for is its condition `Scheduled`.

use roa_core::{Action, ReconcileError, Resource};

use super::{Mind, place};
use crate::LabState;
use crate::turn::Turn;

pub(super) async fn step(turn: &Turn<'_>, mind: &Mind) -> Result<Action, ReconcileError> {
    if turn.lab.status.state.is_none() {
        return accept(turn).await;
    }
    place::find(turn, mind).await
}

/// Says that the lab was seen.
async fn accept(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    next.observed_generation = turn.lab.metadata().generation;
    next.enter(LabState::Pending, "Accepted", "waits for a place", turn.now);
    turn.write(next).await?;
    Ok(turn.poll())
}
