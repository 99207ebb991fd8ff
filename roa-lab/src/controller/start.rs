//! The begin of an attempt, whether of a new lab or of one that is mended.

use roa_core::{Action, ReconcileError, Resource};

use crate::admission::{Delay, PROVISIONER_DOWN};
use crate::attempt::Failure;
use crate::ledger::Reservation;
use crate::provision::{ProvisionError, Provisioner};
use crate::turn::{Turn, unclear};
use crate::{LabState, conditions};

/// Begins the attempt, and writes down that it was begun. A crash in between begins it again, which does nothing.
pub(super) async fn begin(
    turn: &Turn<'_>,
    provisioner: &dyn Provisioner,
    reservation: Option<Reservation<'_>>,
) -> Result<Action, ReconcileError> {
    let Some(template) = turn.template().await? else {
        let failure = Failure::passing("TemplateNotFound", format!("template {:?} is gone", turn.lab.spec.template));
        return turn.failed(&failure).await;
    };
    if let Err(delay) = turn.admit(provisioner.name()) {
        return postpone(turn, delay).await;
    }
    match provisioner.start(&turn.request(Some(template))).await {
        Ok(()) => begun(turn, reservation).await,
        // None of them says anything of the lab: what was begun goes on, and is found by the next call.
        Err(
            error @ (ProvisionError::Deadline { .. }
            | ProvisionError::ShuttingDown { .. }
            | ProvisionError::Busy { .. }),
        ) => Err(unclear(&error)),
        Err(error) => {
            turn.refused(provisioner, &error);
            turn.failed(&error.into()).await
        }
    }
}

/// The lab keeps its place, and lets others have its turn.
async fn postpone(turn: &Turn<'_>, delay: Delay) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    let due = if delay.is_certain { delay.until } else { next.next_attempt_at.unwrap_or(turn.now) };
    next.next_attempt_at = Some(due);
    next.message.clone_from(&delay.message);
    if next.state() == LabState::Provisioning {
        next.condition(conditions::PROVISIONED, false, (PROVISIONER_DOWN, &delay.message), turn.now);
    }
    turn.write(next).await?;
    Ok(turn.at(delay.until))
}

async fn begun(turn: &Turn<'_>, reservation: Option<Reservation<'_>>) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    next.observed_generation = turn.lab.metadata().generation;
    next.provisioning_started_at = Some(turn.cx.now());
    next.next_attempt_at = None;
    if next.state() == LabState::Provisioning {
        next.message = "is being brought up".to_owned();
        next.condition(conditions::PROVISIONED, false, ("Provisioning", "is being brought up"), turn.now);
    }
    let begun = turn.write(next).await?;
    if let Some(reservation) = reservation {
        reservation.keep(begun.metadata().resource_version);
    }
    Ok(turn.poll())
}
