//! A lab that waits: for its time, its template, or a place. What it waits for is its condition `Scheduled`.

use roa_core::{Action, HumanDuration, ReconcileError, Resource, Timestamp};

use crate::admission::{Delay, PROVISIONER_DOWN};
use crate::capacity::LOCAL_WORKER;
use crate::ledger::{Ask, Census, Ledger, Refusal};
use crate::turn::Turn;
use crate::{Allocation, LabState, LabStatus, LabTemplate, Resources, conditions};

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

pub(super) async fn step(turn: &Turn<'_>, ledger: &Ledger) -> Result<Action, ReconcileError> {
    if turn.lab.status.state.is_none() {
        return accept(turn).await;
    }
    let plan = match plan(turn, turn.template().await?) {
        Ok(plan) => plan,
        Err(wait) => return keep_waiting(turn, wait).await,
    };
    place(turn, ledger, plan).await
}

/// Says that the lab was seen.
async fn accept(turn: &Turn<'_>) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    next.observed_generation = turn.lab.metadata().generation;
    next.enter(LabState::Pending, "Accepted", "waits for a place", turn.now);
    turn.write(next).await?;
    Ok(turn.poll())
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

/// Reserves a place, and says so before anything is begun outside.
async fn place(turn: &Turn<'_>, ledger: &Ledger, plan: Plan) -> Result<Action, ReconcileError> {
    let census = Census::take(turn.cx).await?;
    let ask = Ask::Place(plan.resources);
    let reservation = match ledger.reserve(&turn.lab.metadata().uid, ask, &census, turn.settings) {
        Ok(reservation) => reservation,
        Err(refusal) => return keep_waiting(turn, refusal.into()).await,
    };
    if let Err(delay) = turn.admit(&plan.provisioner) {
        drop(reservation);
        return keep_waiting(turn, delay.into()).await;
    }
    let placed = turn.write(placed(turn, plan)).await?;
    reservation.keep(placed.metadata().resource_version);
    turn.note("Scheduled", &placed.status.message);
    Ok(turn.poll())
}

fn placed(turn: &Turn<'_>, plan: Plan) -> LabStatus {
    let Resources { cpu, memory } = plan.resources;
    let mut next = turn.status();
    next.observed_generation = turn.lab.metadata().generation;
    next.enter(LabState::Provisioning, "Scheduled", format!("gets a place on worker {LOCAL_WORKER}"), turn.now);
    next.allocation = Some(Allocation { node: turn.settings.node.clone(), provisioner: plan.provisioner, cpu, memory });
    next.worker_ref = Some(LOCAL_WORKER.to_owned());
    next.provisioning_started_at = None;
    next.next_attempt_at = None;
    let message = format!("{cpu} cpu and {memory} memory on worker {LOCAL_WORKER}");
    next.condition(conditions::SCHEDULED, true, ("Scheduled", &message), turn.now);
    next.condition(conditions::WORKER_ASSIGNED, true, ("Reserved", &message), turn.now);
    next.condition(conditions::PROVISIONED, false, ("Provisioning", "is being brought up"), turn.now);
    next.condition(conditions::READY, false, ("Provisioning", "is being brought up"), turn.now);
    next
}

async fn keep_waiting(turn: &Turn<'_>, wait: Wait) -> Result<Action, ReconcileError> {
    let mut next = turn.status();
    next.observed_generation = turn.lab.metadata().generation;
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

impl From<Refusal> for Wait {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full(lacks) => {
                let lacks: Vec<String> = lacks.iter().map(|lack| format!("1 {lack}")).collect();
                Self::new("Unschedulable", format!("0/1 workers: {}", lacks.join(", ")))
            }
            Refusal::Busy(limit) => {
                Self::new("ProvisioningLimit", format!("{limit} labs are being brought up, as many as may be at once"))
            }
        }
    }
}
