//! A place for a lab: on a worker of its namespace, or here where nobody has declared any.

use roa_core::{Action, HumanDuration, ReconcileError, Resource, Timestamp};

use super::Mind;
use crate::admission::{Delay, PROVISIONER_DOWN};
use crate::capacity::LOCAL_WORKER;
use crate::ledger::{Ask, Census, Refusal, Reservation};
use crate::scheduler::{Assigned, Candidates, Wanted};
use crate::turn::Turn;
use crate::worker::Worker;
use crate::{Allocation, Attempt, Lab, LabState, LabStatus, LabTemplate, Resources, WorkerIdentity, conditions};

/// Why a lab waits.
struct Wait {
    reason: &'static str,
    message: String,
    /// Until when; until something changes if `None`.
    until: Option<Timestamp>,
}

impl Wait {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), until: None }
    }
}

/// What a lab gets when it has to wait no longer.
struct Plan {
    provisioner: String,
    resources: Resources,
}

/// Finds a place and reserves it, before anything is begun outside; else writes down what the lab waits for.
pub(super) async fn find(turn: &Turn<'_>, mind: &Mind) -> Result<Action, ReconcileError> {
    let plan = match plan(turn, turn.template().await?) {
        Ok(plan) => plan,
        Err(wait) => return keep_waiting(turn, wait).await,
    };
    let candidates = Candidates::take(&turn.lab.metadata().namespace, turn.cx).await?;
    let census = Census::take(&mind.ledger, turn.cx, &turn.settings.node).await?;
    let ask = if candidates.is_some() { Ask::Elsewhere } else { Ask::Place(plan.resources) };
    let reservation = match mind.ledger.reserve(&turn.lab.metadata().uid, ask, &census, turn.settings) {
        Ok(reservation) => reservation,
        Err(refusal) => return keep_waiting(turn, refused(turn, refusal)).await,
    };
    if let Err(delay) = turn.admit(&plan.provisioner) {
        drop(reservation);
        return keep_waiting(turn, delay.into()).await;
    }
    match candidates {
        None => {
            let lab = turn.write(placed(turn, &plan, None)).await?;
            Ok(settle(turn, reservation, &lab))
        }
        Some(candidates) => on_worker(turn, mind, &plan, candidates, reservation).await,
    }
}

async fn on_worker(
    turn: &Turn<'_>,
    mind: &Mind,
    plan: &Plan,
    candidates: Candidates,
    reservation: Reservation<'_>,
) -> Result<Action, ReconcileError> {
    let wanted = Wanted { track: turn.lab.spec.track.as_deref(), resources: plan.resources };
    let assigned = mind.scheduler.assign(turn, &wanted, candidates, |worker| placed(turn, plan, Some(worker)));
    match assigned.await? {
        Assigned::To(lab) => Ok(settle(turn, reservation, &lab)),
        Assigned::Nowhere(reasons) => {
            turn.withdrew(&plan.provisioner);
            turn.settings.metrics.attempted(Attempt::Unschedulable);
            keep_waiting(turn, Wait::new(UNSCHEDULABLE, reasons)).await
        }
        Assigned::Contended => {
            turn.withdrew(&plan.provisioner);
            turn.settings.metrics.attempted(Attempt::Contended);
            Ok(Action::Requeue)
        }
    }
}

/// The reason of a lab that waits for room.
pub(crate) const UNSCHEDULABLE: &str = "Unschedulable";

fn settle(turn: &Turn<'_>, reservation: Reservation<'_>, lab: &Lab) -> Action {
    reservation.keep(lab.metadata().resource_version);
    turn.settings.metrics.attempted(Attempt::Placed);
    turn.note("Scheduled", &lab.status.message);
    turn.poll()
}

fn plan(turn: &Turn<'_>, template: Option<LabTemplate>) -> Result<Plan, Wait> {
    let spec = &turn.lab.spec;
    let Some(template) = template else {
        let (name, namespace) = (&spec.template, &turn.lab.metadata().namespace);
        let message = format!("there is no LabTemplate {name:?} in namespace {namespace:?} and none built in");
        return Err(Wait::new("TemplateNotFound", message));
    };
    if let Some(until) = not_before(turn) {
        let message = format!("it is brought up from {until} on");
        return Err(Wait { until: Some(until), ..Wait::new("ScheduledLater", message) });
    }
    check_duration(turn, &template)?;
    if turn.settings.provisioners.get(&template.provisioner).is_none() {
        let (name, known) = (&template.provisioner, turn.settings.provisioners.names());
        let message = format!("template {:?} names the provisioner {name:?}, expected {known}", spec.template);
        return Err(Wait::new("ProvisionerNotFound", message));
    }
    let resources = spec.resources.clone().unwrap_or_default().or(&template.resources);
    Ok(Plan { provisioner: template.provisioner, resources })
}

/// When the lab's time to be brought up comes, if it has not come.
fn not_before(turn: &Turn<'_>) -> Option<Timestamp> {
    let start = turn.lab.spec.scheduled_start()?;
    Some(start.saturating_sub(turn.policy().lead)).filter(|&begin| begin > turn.now)
}

fn check_duration(turn: &Turn<'_>, template: &LabTemplate) -> Result<(), Wait> {
    let (wanted, most) = (turn.duration(Some(template)), template.max_duration());
    match most.filter(|&most| wanted > most) {
        None => Ok(()),
        Some(most) => {
            let (wanted, most) = (HumanDuration(wanted), HumanDuration(most));
            let message = format!("it is wanted for {wanted}, template {:?} allows {most}", turn.lab.spec.template);
            Err(Wait::new("DurationTooLong", message))
        }
    }
}

/// The status of a lab that has a place. One that lost its place keeps its state.
fn placed(turn: &Turn<'_>, plan: &Plan, worker: Option<&Worker>) -> LabStatus {
    let Resources { cpu, memory } = plan.resources;
    let identity = worker.map(Resource::metadata);
    let name = identity.map_or(LOCAL_WORKER, |worker| worker.name.as_str());
    let (node, provisioner) = (turn.settings.node.clone(), plan.provisioner.clone());
    let worker = identity.map(|worker| WorkerIdentity { name: worker.name.clone(), uid: worker.uid.clone() });
    let mut next = turn.status();
    next.observed_generation = turn.lab.metadata().generation;
    let message = format!("gets a place on worker {name}");
    if next.state() == LabState::Pending {
        next.enter(LabState::Provisioning, "Scheduled", message, turn.now);
    } else {
        next.message = message;
    }
    next.allocation = Some(Allocation { node, provisioner, cpu, memory, worker });
    next.worker_ref = Some(name.to_owned());
    next.provisioning_started_at = None;
    next.next_attempt_at = None;
    let message = format!("{cpu} cpu and {memory} memory on worker {name}");
    next.condition(conditions::SCHEDULED, true, ("Scheduled", &message), turn.now);
    next.condition(conditions::WORKER_ASSIGNED, true, ("Reserved", &message), turn.now);
    next.condition(conditions::PROVISIONED, false, ("Provisioning", "is being brought up"), turn.now);
    next.condition(conditions::READY, false, ("Provisioning", "is being brought up"), turn.now);
    next
}

async fn keep_waiting(turn: &Turn<'_>, wait: Wait) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    if next.state() == LabState::Pending {
        next.observed_generation = turn.lab.metadata().generation;
    }
    next.message.clone_from(&wait.message);
    next.condition(conditions::SCHEDULED, false, (wait.reason, &wait.message), turn.now);
    turn.write(next).await?;
    Ok(wait.until.map_or_else(|| turn.poll(), |until| turn.at(until)))
}

impl From<Delay> for Wait {
    fn from(Delay { message, until, .. }: Delay) -> Self {
        Self { reason: PROVISIONER_DOWN, message, until: Some(until) }
    }
}

fn refused(turn: &Turn<'_>, refusal: Refusal) -> Wait {
    match refusal {
        Refusal::Full(lacks) => {
            turn.settings.metrics.attempted(Attempt::Unschedulable);
            let lacks: Vec<String> = lacks.iter().map(|lack| format!("1 {lack}")).collect();
            Wait::new(UNSCHEDULABLE, format!("0/1 workers: {}", lacks.join(", ")))
        }
        Refusal::Busy(limit) => {
            turn.settings.metrics.attempted(Attempt::Limited);
            Wait::new("ProvisioningLimit", format!("{limit} labs are being brought up, as many as may be at once"))
        }
    }
}
