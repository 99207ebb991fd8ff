//! A lab whose state says that it is leaving, though nobody asked it to go: it is asked now.

use roa_core::{Action, ReconcileError, Resource};

use crate::turn::Turn;

pub(super) async fn step(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    if !turn.lab.metadata().is_deleting() {
        turn.delete(turn.lab).await?;
    }
    Ok(Action::Done)
}
