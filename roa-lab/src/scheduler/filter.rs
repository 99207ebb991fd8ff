//! Which workers a lab fits on, and why it does not fit on the others.

use std::collections::BTreeMap;

use crate::Resources;
use crate::worker::{DesiredPhase, Worker, WorkerPhase, worker_conditions};

/// What a lab wants of a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Only workers of this track; any if `None`.
    pub(crate) track: Option<&'a str>,
    pub(crate) resources: Resources,
}

/// Why the worker can't have the lab: one reason if it has none at all now, else all that it has too little of.
pub(crate) fn refusals(wanted: &Wanted<'_>, worker: &Worker) -> Vec<&'static str> {
    if wanted.track.is_some_and(|track| worker.spec.track.as_deref() != Some(track)) {
        return vec!["of another track"];
    }
    match closed(worker) {
        Some(reason) => vec![reason],
        None => worker.status.allocated.lacks(wanted.resources, worker.spec.capacity()),
    }
}

/// Why the worker takes no labs at all.
fn closed(worker: &Worker) -> Option<&'static str> {
    let leaves = worker.metadata.is_deleting() || worker.spec.desired_phase() != DesiredPhase::Ready;
    match worker.status.phase() {
        WorkerPhase::Pending | WorkerPhase::Provisioning => Some("not ready yet"),
        WorkerPhase::Ready if leaves => Some("draining"),
        WorkerPhase::Ready if worker.status.is_accepting() => None,
        WorkerPhase::Ready if !worker.status.conditions.is_true(worker_conditions::HEALTHY) => Some("silent"),
        WorkerPhase::Ready => Some("not accepting labs"),
        WorkerPhase::Draining => Some("draining"),
        WorkerPhase::Terminating | WorkerPhase::Terminated => Some("terminated"),
        WorkerPhase::Failed => Some("failed"),
    }
}

/// Why no worker can have the lab, the most frequent reason first.
pub(super) fn explain(wanted: &Wanted<'_>, workers: &[Worker]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in workers.iter().flat_map(|worker| refusals(wanted, worker)) {
        *counts.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<_> = counts.into_iter().collect();
    reasons.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
    let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    match workers.len() {
        0 => "0/0 workers: there is none yet".to_owned(),
        total => format!("0/{total} workers: {}", reasons.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use roa_core::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::Quantity;
    use crate::worker::Account;

    const NEEDS: Resources = Resources { cpu: Quantity::whole(1), memory: Quantity::mebi(1024) };

    /// A worker that is ready, of so many processors and Gi, with so many labs of one of each.
    pub(in crate::scheduler) fn worker(name: &str, size: u32, labs: u32) -> Worker {
        let spec = json!({"capacity": {"cpu": size, "memory": format!("{size}Gi"), "maxLabs": 10}});
        let mut worker = Worker::new("labs", name, serde_json::from_value(spec).unwrap());
        let now = Timestamp::from_unix_seconds(0).unwrap();
        worker.status.enter(WorkerPhase::Ready, "", now);
        for kind in [worker_conditions::ACCEPTING_LABS, worker_conditions::HEALTHY] {
            worker.status.condition(kind, true, ("Ready", ""), now);
        }
        let account = (0..labs).fold(Account::default(), |account, _| account.with(NEEDS));
        worker.status.set_account(account, worker.spec.capacity());
        worker
    }

    fn of(change: impl FnOnce(&mut Worker)) -> Vec<&'static str> {
        let mut worker = worker("a", 8, 0);
        change(&mut worker);
        refusals(&Wanted { track: None, resources: NEEDS }, &worker)
    }

    #[test]
    fn each_reason_is_told() {
        let now = Timestamp::from_unix_seconds(0).unwrap();
        assert!(of(|_| {}).is_empty());
        assert_eq!(of(|it| it.spec.capacity.cpu = Some(Quantity::milli(999).into())), ["insufficient cpu"]);
        assert_eq!(of(|it| it.spec.capacity.memory = Some(Quantity::mebi(1023).into())), ["insufficient memory"]);
        assert_eq!(of(|it| it.status.allocated.labs = 10), ["too many labs"]);
        assert_eq!(of(|it| it.metadata.deletion_timestamp = Some(now)), ["draining"]);
        assert_eq!(of(|it| it.spec.desired_phase = Some(DesiredPhase::Draining.into())), ["draining"]);
        let silent = |it: &mut Worker| {
            it.status.condition(worker_conditions::ACCEPTING_LABS, false, ("HeartbeatMissed", ""), now);
            it.status.condition(worker_conditions::HEALTHY, false, ("HeartbeatMissed", ""), now);
        };
        assert_eq!(of(silent), ["silent"]);
        let phases = [
            (WorkerPhase::Pending, "not ready yet"),
            (WorkerPhase::Provisioning, "not ready yet"),
            (WorkerPhase::Draining, "draining"),
            (WorkerPhase::Terminating, "terminated"),
            (WorkerPhase::Terminated, "terminated"),
            (WorkerPhase::Failed, "failed"),
        ];
        for (phase, reason) in phases {
            assert_eq!(of(|it| it.status.phase = Some(phase)), [reason]);
        }
    }

    #[test]
    fn a_lab_that_names_a_track_goes_to_its_workers_and_others_go_anywhere() {
        let mut gpu = worker("a", 8, 0);
        gpu.spec.track = Some("gpu".into());
        let refused = |track, worker: &Worker| refusals(&Wanted { track, resources: NEEDS }, worker);
        assert!(refused(Some("gpu"), &gpu).is_empty() && refused(None, &gpu).is_empty());
        assert_eq!(refused(Some("web"), &gpu), ["of another track"]);
        assert_eq!(refused(Some("gpu"), &worker("b", 8, 0)), ["of another track"]);
    }

    #[test]
    fn reasons_are_counted_and_the_most_frequent_comes_first() {
        let wanted = Wanted { track: None, resources: NEEDS };
        let mut draining = worker("c", 8, 0);
        draining.status.phase = Some(WorkerPhase::Draining);
        let workers = [worker("a", 2, 2), draining, worker("b", 4, 4)];
        let expected = "0/3 workers: 2 insufficient cpu, 2 insufficient memory, 1 draining";
        assert_eq!(explain(&wanted, &workers), expected);
        assert_eq!(explain(&wanted, &[]), "0/0 workers: there is none yet");
    }
}
