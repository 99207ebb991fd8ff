//! [`WorkerReconciler`]: looks at every worker from time to time, for what no change tells: silence, an account that is
//! wrong, a start that takes too long.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Action, Context, Drift, DriftKind, Error, HumanDuration, ListOptions, ReconcileError, Reconciler, Timestamp,
};

use super::heartbeat::Pulses;
use super::worker_conditions::{ACCEPTING_LABS, HEALTHY, READY};
use super::{Account, LabWorkerHeartbeat, Worker, WorkerPhase, WorkerStatus};
use crate::{LabInstance, LabPolicy, LabSettings, LabWorker};

/// Missed heartbeats after which a worker gets no new labs.
const MISSED: u32 = 3;
/// Missed heartbeats after which it has failed.
const LOST: u32 = 10;

/// How often an account is read anew when others write to it meanwhile, in one look.
const AUDITS: usize = 3;

const HEARTBEAT_MISSED: &str = "HeartbeatMissed";
const HEARTBEAT_LOST: &str = "HeartbeatLost";
const HEARTBEAT_BACK: &str = "HeartbeatBack";
const PROVISIONING_TIMEOUT: &str = "ProvisioningTimeout";
const ACCOUNT_WRONG: &str = "AccountWrong";

/// Sweeps over all workers.
#[derive(Debug)]
pub struct WorkerReconciler {
    settings: LabSettings,
    pulses: Pulses,
}

impl WorkerReconciler {
    /// A reconciler; its driver's interval is the policy's `sweep`.
    #[must_use]
    pub fn new(settings: LabSettings) -> Self {
        Self { settings, pulses: Pulses::default() }
    }
}

/// What a sweep sees of a worker besides itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerSeen {
    /// For how long there was no new sign of life.
    silence: Duration,
    /// The last sign of life.
    heartbeat: Option<Timestamp>,
    /// What its labs hold, if that is not what the worker says.
    account: Option<Account>,
}

#[async_trait]
impl Reconciler for WorkerReconciler {
    type Resource = Worker;
    type Observed = WorkerSeen;

    fn name(&self) -> &'static str {
        "worker-reconciler"
    }

    async fn observe(&self, worker: &Worker, cx: &Context) -> Result<WorkerSeen, ReconcileError> {
        let uid = worker.metadata.uid.as_str();
        let (mut heartbeat, mut silence) = (None, Duration::ZERO);
        if worker.status.phase().keeps_labs() {
            heartbeat = last_heartbeat(worker, cx).await?;
            silence = self.pulses.silence(uid, heartbeat, cx.now());
        }
        Ok(WorkerSeen { silence, heartbeat, account: wrong_account(worker, cx).await? })
    }

    fn drift(&self, worker: &Worker, seen: &WorkerSeen, now: Timestamp) -> Option<Drift> {
        find(worker, seen, now, &self.settings.policy)
    }

    async fn correct(&self, worker: Arc<Worker>, drift: Drift, cx: &Context) -> Result<Action, ReconcileError> {
        let corrected = match drift.reason {
            ACCOUNT_WRONG => correct_account(&worker, cx).await,
            _ => write(&worker, after(&worker, &drift, cx.now()), cx).await,
        };
        match corrected {
            Ok(()) if drift.reason == HEARTBEAT_LOST => self.pulses.forget(&worker.metadata.uid),
            Ok(()) => {}
            // Somebody wrote to it meanwhile: the next sweep looks again.
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => return Ok(Action::Requeue),
            Err(error) => return Err(error.into()),
        }
        let key = cx.api::<LabWorker>()?.key(&worker.metadata.namespace, &worker.metadata.name)?;
        if drift.reason == HEARTBEAT_BACK {
            cx.note(key, &worker.metadata, drift.reason, drift.message);
        } else {
            cx.warn(key, &worker.metadata, drift.reason, drift.message);
        }
        Ok(Action::Done)
    }

    async fn after_sweep(&self, workers: &[Arc<Worker>], cx: &Context) -> Result<usize, ReconcileError> {
        self.settings.metrics.workers(workers);
        let up: Vec<_> = workers.iter().filter(|worker| worker.status.phase().keeps_labs()).collect();
        self.pulses.keep(&up.iter().map(|worker| worker.metadata.uid.as_str()).collect::<HashSet<_>>());
        for worker in up {
            self.mirror(worker, cx).await?;
        }
        Ok(0)
    }
}

impl WorkerReconciler {
    /// Copies the last sign of life to the worker, for people, rarely: each is a change that everybody sees.
    async fn mirror(&self, worker: &Worker, cx: &Context) -> Result<(), ReconcileError> {
        let shown = worker.status.last_heartbeat;
        let said = last_heartbeat(worker, cx).await?;
        let period = self.settings.policy.heartbeat.saturating_mul(LOST);
        let is_new = said.is_some_and(|said| shown.is_none_or(|shown| said.duration_since(shown) >= period));
        if !is_new {
            return Ok(());
        }
        let next = WorkerStatus { last_heartbeat: said, ..worker.status.clone() };
        match write(worker, next, cx).await {
            Ok(()) | Err(Error::Conflict { .. } | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is wrong with a worker: a pure function of the worker, of what was seen, and of the time.
fn find(worker: &Worker, seen: &WorkerSeen, now: Timestamp, policy: &LabPolicy) -> Option<Drift> {
    let status = &worker.status;
    if let Some(real) = seen.account {
        let said = status.allocated;
        let message = format!(
            "says that {} labs hold {} cpu and {} memory; {} hold {} and {}",
            said.labs, said.cpu, said.memory, real.labs, real.cpu, real.memory
        );
        return Some(Drift { kind: DriftKind::Drifted, reason: ACCOUNT_WRONG, message });
    }
    match status.phase() {
        WorkerPhase::Provisioning => {
            let (since, limit) = (status.phase_since?, policy.provisioning_timeout);
            let message = format!("Provisioning timeout: not ready after {}", HumanDuration(limit));
            let late = now.duration_since(since) > limit;
            late.then_some(Drift { kind: DriftKind::Stuck, reason: PROVISIONING_TIMEOUT, message })
        }
        WorkerPhase::Ready | WorkerPhase::Draining => silence(status, seen.silence, policy.heartbeat),
        _ => None,
    }
}

fn silence(status: &WorkerStatus, silence: Duration, period: Duration) -> Option<Drift> {
    let healthy = status.conditions.is_true(HEALTHY);
    let found = |reason| {
        let message = match reason {
            HEARTBEAT_BACK => "gives signs of life again".to_owned(),
            _ => format!("gave no sign of life for {}", HumanDuration(Duration::from_secs(silence.as_secs()))),
        };
        Some(Drift { kind: DriftKind::TimedOut, reason, message })
    };
    if silence >= period.saturating_mul(LOST) {
        return found(HEARTBEAT_LOST);
    }
    match (healthy, silence >= period.saturating_mul(MISSED)) {
        (true, true) => found(HEARTBEAT_MISSED),
        (false, false) => found(HEARTBEAT_BACK),
        _ => None,
    }
}

/// The status after a drift that is not about the account.
fn after(worker: &Worker, drift: &Drift, now: Timestamp) -> WorkerStatus {
    let mut next = worker.status.clone();
    let why = (drift.reason, drift.message.as_str());
    match drift.reason {
        HEARTBEAT_MISSED => {
            next.condition(HEALTHY, false, why, now);
            next.condition(ACCEPTING_LABS, false, why, now);
        }
        HEARTBEAT_BACK => {
            next.condition(HEALTHY, true, why, now);
            next.condition(ACCEPTING_LABS, next.phase() == WorkerPhase::Ready, why, now);
        }
        _ => {
            next.enter(WorkerPhase::Failed, &drift.message, now);
            for kind in [HEALTHY, ACCEPTING_LABS, READY] {
                next.condition(kind, false, why, now);
            }
        }
    }
    next
}

async fn write(worker: &Worker, status: WorkerStatus, cx: &Context) -> roa_core::Result<()> {
    let mut next = worker.clone();
    next.status = status;
    cx.api::<LabWorker>()?.update_status(&next).await.map(|_| ())
}

async fn last_heartbeat(worker: &Worker, cx: &Context) -> roa_core::Result<Option<Timestamp>> {
    let api = cx.api::<LabWorkerHeartbeat>()?;
    let key = api.key(&worker.metadata.namespace, &worker.metadata.name)?;
    let beat = api.find(&key).await?.filter(|beat| beat.spec.worker == worker.metadata.uid);
    Ok(beat.and_then(|beat| beat.spec.time))
}

/// What the labs of a worker hold, if the worker says something else. Caches of two kinds need not be as of the same
/// revision; so what they say is only a reason to ask the store.
async fn wrong_account(worker: &Worker, cx: &Context) -> roa_core::Result<Option<Account>> {
    if let Some(labs) = cx.cache::<LabInstance>().filter(|cache| cache.revision().is_some()) {
        let labs = labs.list(Some(&worker.metadata.namespace));
        if Account::of(&worker.metadata.uid, labs.iter().map(|lab| &**lab)) == worker.status.allocated {
            return Ok(None);
        }
    }
    let Some((now, real)) = audit(worker, cx).await? else { return Ok(None) };
    // What the cache shows of the worker is old: the next sweep looks at what is there.
    let is_current = now.metadata.resource_version == worker.metadata.resource_version;
    Ok(Some(real).filter(|&real| is_current && real != now.status.allocated))
}

/// The worker as it is stored, and what its labs hold. The account changes with each lab that comes or goes, in the same
/// commit: a worker that is the same before and after its labs were read is as of the same moment as they are. `None` if
/// it is another one, or written to by many.
async fn audit(worker: &Worker, cx: &Context) -> roa_core::Result<Option<(Worker, Account)>> {
    let (namespace, uid) = (&worker.metadata.namespace, &worker.metadata.uid);
    let workers = cx.api::<LabWorker>()?;
    let key = workers.key(namespace, &worker.metadata.name)?;
    for _ in 0..AUDITS {
        let Some(before) = workers.find(&key).await?.filter(|found| found.metadata.uid == *uid) else {
            return Ok(None);
        };
        let (labs, _) = cx.api::<LabInstance>()?.list(&ListOptions::namespace(namespace.as_str())).await?;
        let after = workers.find(&key).await?;
        let revision = |worker: &Worker| worker.metadata.resource_version;
        if after.is_some_and(|after| revision(&after) == revision(&before)) {
            return Ok(Some((before, Account::of(uid, labs.iter()))));
        }
    }
    Ok(None)
}

async fn correct_account(worker: &Worker, cx: &Context) -> roa_core::Result<()> {
    let Some((now, real)) = audit(worker, cx).await? else { return Ok(()) };
    let mut next = now.status.clone();
    next.set_account(real, now.spec.capacity());
    write(&now, next, cx).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn worker(phase: WorkerPhase, healthy: bool) -> Worker {
        let mut worker = Worker::new("labs", "w", LabWorker::default());
        worker.status.enter(phase, "", at(1000));
        worker.status.condition(HEALTHY, healthy, ("Test", ""), at(1000));
        worker
    }

    fn reason(worker: &Worker, silence: u64, now: i64) -> Option<&'static str> {
        let seen = WorkerSeen { silence: Duration::from_secs(silence), ..WorkerSeen::default() };
        find(worker, &seen, at(now), &LabPolicy::default()).map(|drift| drift.reason)
    }

    #[test]
    fn three_missed_heartbeats_close_a_worker_and_ten_end_it() {
        for phase in [WorkerPhase::Ready, WorkerPhase::Draining] {
            let (well, silent) = (worker(phase, true), worker(phase, false));
            let at_silence = |worker: &Worker, seconds| reason(worker, seconds, 2000);
            assert_eq!((at_silence(&well, 29), at_silence(&silent, 29)), (None, Some(HEARTBEAT_BACK)));
            assert_eq!((at_silence(&well, 30), at_silence(&silent, 30)), (Some(HEARTBEAT_MISSED), None));
            assert_eq!(at_silence(&silent, 99), None);
            assert_eq!(
                (at_silence(&well, 100), at_silence(&silent, 100)),
                (Some(HEARTBEAT_LOST), Some(HEARTBEAT_LOST))
            );
        }
    }

    #[test]
    fn a_start_has_its_time_and_what_is_not_up_needs_no_heartbeat() {
        let starting = worker(WorkerPhase::Provisioning, false);
        assert_eq!((reason(&starting, 0, 1300), reason(&starting, 0, 1301)), (None, Some(PROVISIONING_TIMEOUT)));
        for phase in [WorkerPhase::Pending, WorkerPhase::Terminating, WorkerPhase::Terminated, WorkerPhase::Failed] {
            assert_eq!(reason(&worker(phase, false), 1_000_000, 1_000_000), None, "{phase}");
        }
    }

    #[test]
    fn a_wrong_account_is_said_in_words() {
        let seen = WorkerSeen { account: Some(Account { labs: 2, ..Account::default() }), ..WorkerSeen::default() };
        let drift = find(&worker(WorkerPhase::Ready, true), &seen, at(1000), &LabPolicy::default()).unwrap();
        assert_eq!((drift.reason, drift.kind), (ACCOUNT_WRONG, DriftKind::Drifted));
        assert!(drift.message.starts_with("says that 0 labs hold 0 cpu"), "{}", drift.message);
    }
}
