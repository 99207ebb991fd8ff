//! A lab that can be used: until its time is over, and through what goes wrong with it.

use roa_core::{Action, HumanDuration, ReconcileError, Resource};

use super::{Mind, place, start};
use crate::attempt::Failure;
use crate::conditions;
use crate::displaced::WORKER_LOST;
use crate::provision::{Observation, Provisioner};
use crate::provisioners::Reach;
use crate::turn::{Turn, unclear};

pub(super) async fn step(turn: &Turn<'_>, mind: &Mind) -> Result<Action, ReconcileError> {
    let status = &turn.lab.status;
    let Some(expires_at) = status.expires_at.filter(|_| !turn.spec_changed()) else {
        return take_up_spec(turn).await;
    };
    if expires_at <= turn.now {
        turn.expire().await?;
        return Ok(Action::Done);
    }
    Ok(sooner(keep(turn, mind).await?, turn.at(expires_at)))
}

/// Does something about what is wrong with the lab, if anything is.
pub(super) async fn keep(turn: &Turn<'_>, mind: &Mind) -> Result<Action, ReconcileError> {
    if let Some(why) = turn.displaced().await? {
        return turn.give_up_place(WORKER_LOST, &why).await;
    }
    if turn.lab.status.is_degraded() { mend(turn, mind).await } else { Ok(Action::Done) }
}

/// Another end of its time, if the spec says so now.
async fn take_up_spec(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let template = turn.template().await?;
    let mut next = turn.status();
    let ready_at = next.ready_at.or(next.state_since).unwrap_or(turn.now);
    let end = turn.end_of(ready_at, template.as_ref());
    next.observed_generation = turn.lab.metadata().generation;
    next.expires_at = Some(end);
    next.conditions.remove(conditions::EXPIRED);
    turn.write(next).await?;
    let most = template.and_then(|template| template.max_duration());
    if let Some(most) = most.filter(|&most| turn.duration(None) > most) {
        let most = HumanDuration(most);
        turn.warn("DurationTooLong", &format!("its template allows {most}: its time is over at {end}"));
    }
    Ok(turn.poll())
}

/// What is wrong with the lab was found by the sweep. It stays ready by its state while it is mended.
async fn mend(turn: &Turn<'_>, mind: &Mind) -> Result<Action, ReconcileError> {
    let provisioner = match turn.reach()? {
        Reach::Here(provisioner) => provisioner,
        Reach::Elsewhere => return Ok(Action::Done),
        Reach::Nothing => return place::find(turn, mind).await,
    };
    match (turn.lab.status.provisioning_started_at, turn.lab.status.next_attempt_at) {
        (Some(_), _) => look(turn, &*provisioner).await,
        (None, Some(due)) if due > turn.now => Ok(turn.at(due)),
        (None, _) => start::begin(turn, &*provisioner, None).await,
    }
}

async fn look(turn: &Turn<'_>, provisioner: &dyn Provisioner) -> Result<Action, ReconcileError> {
    let request = turn.request(turn.template().await?);
    let seen = provisioner.observe(&request).await.map_err(|error| unclear(&error))?;
    turn.saw(provisioner, &seen);
    match seen {
        Observation::Ready { endpoint } => mended(turn, endpoint).await,
        Observation::Unhealthy { .. } if is_unhealthy_for_long(turn) => end(turn, provisioner).await,
        Observation::Starting | Observation::Unhealthy { .. } => Ok(turn.poll()),
        Observation::Absent => turn.vanished(&Failure::passing("ProcessGone", "nothing is left of it")).await,
        Observation::Exited { message, .. } => turn.failed(&Failure::passing("ProcessGone", message)).await,
    }
}

fn is_unhealthy_for_long(turn: &Turn<'_>) -> bool {
    let degraded = turn.lab.status.conditions.get(conditions::DEGRADED);
    let since = degraded.map_or(turn.now, |condition| condition.last_transition_time);
    turn.now.duration_since(since) >= turn.policy().unhealthy_grace
}

/// Ends what does not answer; when it is gone, it is brought up again.
async fn end(turn: &Turn<'_>, provisioner: &dyn Provisioner) -> Result<Action, ReconcileError> {
    provisioner.stop(&turn.identity()).await.map_err(|error| unclear(&error))?;
    Ok(turn.poll())
}

async fn mended(turn: &Turn<'_>, endpoint: String) -> Result<Action, ReconcileError> {
    let message = format!("can be used again at {endpoint}");
    let mut next = turn.status();
    next.message.clone_from(&message);
    next.endpoint = Some(endpoint);
    next.next_attempt_at = None;
    next.condition(conditions::DEGRADED, false, ("Repaired", &message), turn.now);
    next.condition(conditions::READY, true, ("Ready", &message), turn.now);
    turn.write(next).await?;
    turn.note("Repaired", &message);
    Ok(Action::Done)
}

/// Whatever is awaited, the lab's end is not missed.
fn sooner(next: Action, end: Action) -> Action {
    match (next, end) {
        (Action::Requeue, _) => Action::Requeue,
        (Action::RequeueAfter(next), Action::RequeueAfter(end)) => Action::RequeueAfter(next.min(end)),
        (Action::RequeueAfter(only), _) | (_, Action::RequeueAfter(only)) => Action::RequeueAfter(only),
        (Action::Done, _) => end,
    }
}
