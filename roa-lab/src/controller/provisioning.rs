//! A lab that has a place, and is being brought up.

use roa_core::{Action, ReconcileError, Resource};

use super::{Mind, place, start};
use crate::attempt::Failure;
use crate::displaced::WORKER_LOST;
use crate::ledger::{Ask, Census};
use crate::provision::{Observation, Provisioner};
use crate::provisioners::Reach;
use crate::turn::{Turn, unclear};
use crate::{LabState, conditions};

pub(super) async fn step(turn: &Turn<'_>, mind: &Mind) -> Result<Action, ReconcileError> {
    if let Some(why) = turn.displaced().await? {
        return turn.give_up_place(WORKER_LOST, &why).await;
    }
    let provisioner = match turn.reach()? {
        Reach::Here(provisioner) => provisioner,
        Reach::Elsewhere => return Ok(Action::Done),
        Reach::Nothing => return place::find(turn, mind).await,
    };
    match (turn.lab.status.provisioning_started_at, turn.lab.status.next_attempt_at) {
        (Some(_), _) => look(turn, &*provisioner).await,
        (None, None) => start::begin(turn, &*provisioner, None).await,
        (None, Some(due)) if due > turn.now => Ok(turn.at(due)),
        (None, Some(_)) => begin_again(turn, mind, &*provisioner).await,
    }
}

/// A lab that waited for its next attempt had given up its turn.
async fn begin_again(turn: &Turn<'_>, mind: &Mind, provisioner: &dyn Provisioner) -> Result<Action, ReconcileError> {
    let Some(allocation) = &turn.lab.status.allocation else { return Ok(turn.poll()) };
    let census = Census::take(&mind.ledger, turn.cx, &turn.settings.node).await?;
    let ask = if allocation.worker.is_some() { Ask::Elsewhere } else { Ask::Turn(allocation.resources()) };
    let uid = &turn.lab.metadata().uid;
    match mind.ledger.reserve(uid, ask, &census, turn.settings) {
        Ok(reservation) => start::begin(turn, provisioner, Some(reservation)).await,
        Err(_) => Ok(turn.poll()),
    }
}

async fn look(turn: &Turn<'_>, provisioner: &dyn Provisioner) -> Result<Action, ReconcileError> {
    let request = turn.request(turn.template().await?);
    let seen = provisioner.observe(&request).await.map_err(|error| unclear(&error))?;
    turn.saw(provisioner, &seen);
    match seen {
        Observation::Ready { endpoint } => ready(turn, endpoint).await,
        // That it takes too long is for the sweep to say.
        Observation::Starting | Observation::Unhealthy { .. } => Ok(turn.poll()),
        Observation::Absent => turn.vanished(&Failure::passing("Vanished", "nothing is left of it")).await,
        Observation::Exited { message, .. } => turn.failed(&Failure::passing("Exited", message)).await,
    }
}

async fn ready(turn: &Turn<'_>, endpoint: String) -> Result<Action, ReconcileError> {
    let template = turn.template().await?;
    let now = turn.cx.now();
    let end = turn.end_of(now, template.as_ref());
    let message = format!("can be used at {endpoint}");
    let mut next = turn.status();
    let since = next.state_since.unwrap_or(now);
    next.enter(LabState::Ready, "Ready", &message, now);
    next.ready_at = Some(now);
    next.expires_at = Some(end);
    next.endpoint = Some(endpoint);
    next.restarts = 0;
    next.condition(conditions::PROVISIONED, true, ("Provisioned", "was brought up"), now);
    next.condition(conditions::READY, true, ("Ready", &message), now);
    turn.write(next).await?;
    turn.settings.metrics.ready_after(now.duration_since(since));
    turn.note("Ready", &message);
    Ok(turn.at(end))
}
