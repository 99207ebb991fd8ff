//! Which labs a change of a worker concerns: those that wait for the room that it has, and those that it loses.

use roa_core::{CacheReader, KeyOf};
use roa_runtime::Update;

use crate::worker::{DesiredPhase, Worker};
use crate::{Lab, LabInstance, conditions};

/// How many labs that wait are looked at for one change of a worker; the others look by themselves after a while.
const MOST_WOKEN: usize = 64;

/// Whether a change of a worker concerns any labs: it has room that it had not, or is lost for its labs.
pub fn concerns_labs(update: &Update<'_, Worker>) -> bool {
    let (before, after) = (update.before(), update.after());
    has_more(before, after) || is_lost(after) && !is_lost(before)
}

/// The labs that a worker concerns, as it is: those that it is lost for, or as many of those that wait as it may have room
/// for. For [`watches`](roa_runtime::ControllerBuilder::watches).
pub fn labs_concerned_by(worker: &Worker, labs: &dyn CacheReader<Lab>) -> Vec<KeyOf<LabInstance>> {
    let (uid, lost) = (worker.metadata.uid.as_str(), is_lost(worker));
    let most = if lost { usize::MAX } else { room(worker).min(MOST_WOKEN) };
    if most == 0 {
        return Vec::new();
    }
    let is_meant = |lab: &Lab| match &lab.status.allocation {
        Some(held) => lost && held.is_on(uid),
        None => !lost && lab.status.conditions.get(conditions::SCHEDULED).is_some(),
    };
    let labs = labs.list(Some(&worker.metadata.namespace));
    let meant = labs.iter().filter(|lab| is_meant(lab)).take(most);
    meant.filter_map(|lab| KeyOf::of(lab).ok()).collect()
}

/// Whether labs can't stay on it.
fn is_lost(worker: &Worker) -> bool {
    !worker.status.phase().keeps_labs() || worker.spec.desired_phase() == DesiredPhase::Terminated
}

/// For how many labs more there is room.
fn room(worker: &Worker) -> usize {
    let given = usize::try_from(worker.status.allocated.labs).unwrap_or(usize::MAX);
    if worker.status.is_accepting() { worker.spec.capacity().labs.saturating_sub(given) } else { 0 }
}

/// Whether something is free that was not.
fn has_more(before: &Worker, after: &Worker) -> bool {
    let free = |worker: &Worker| {
        let (capacity, given) = (worker.spec.capacity(), worker.status.allocated);
        (capacity.cpu - given.cpu, capacity.memory - given.memory)
    };
    let (then, now) = (free(before), free(after));
    let opened = after.status.is_accepting() && !before.status.is_accepting();
    opened || room(after) > room(before) || room(after) > 0 && (now.0 > then.0 || now.1 > then.1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roa_core::{Key, Revision, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::worker::{WorkerPhase, worker_conditions};
    use crate::{Account, Allocation, Quantity, Resources, WorkerIdentity};

    const NEEDS: Resources = Resources { cpu: Quantity::whole(1), memory: Quantity::mebi(1) };

    struct Shown(Vec<Arc<Lab>>);

    impl CacheReader<Lab> for Shown {
        fn get(&self, _: &Key) -> Option<Arc<Lab>> {
            None
        }

        fn list(&self, _: Option<&str>) -> Vec<Arc<Lab>> {
            self.0.clone()
        }

        fn revision(&self) -> Option<Revision> {
            None
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(0).unwrap()
    }

    fn worker(phase: WorkerPhase, labs: u32) -> Worker {
        let spec = json!({"capacity": {"cpu": 4, "memory": "4Gi", "maxLabs": 4}});
        let mut worker = Worker::new("labs", "w", serde_json::from_value(spec).unwrap());
        worker.metadata.uid = "1".into();
        worker.status.enter(phase, "", now());
        worker.status.condition(worker_conditions::ACCEPTING_LABS, phase == WorkerPhase::Ready, ("Test", ""), now());
        let account = (0..labs).fold(Account::default(), |account, _| account.with(NEEDS));
        worker.status.set_account(account, worker.spec.capacity());
        worker
    }

    fn lab(name: &str, on: Option<&str>) -> Arc<Lab> {
        let mut lab = Lab::new("labs", name, LabInstance::default());
        lab.status.condition(conditions::SCHEDULED, on.is_some(), ("Test", ""), now());
        let worker = on.map(|uid| WorkerIdentity { name: "w".into(), uid: uid.into() });
        let allocation = |worker| {
            let Resources { cpu, memory } = NEEDS;
            Allocation { node: "n".into(), provisioner: "p".into(), cpu, memory, worker: Some(worker) }
        };
        lab.status.allocation = worker.map(allocation);
        Arc::new(lab)
    }

    #[test]
    fn room_wakes_as_many_as_it_may_hold_and_a_loss_wakes_all_that_are_there() {
        let waiting = ["a", "b", "c"].map(|name| lab(name, None));
        let placed = [lab("x", Some("1")), lab("y", Some("2"))];
        let labs = Shown(waiting.into_iter().chain(placed).collect());
        let woken = |worker: &Worker| {
            let keys = labs_concerned_by(worker, &labs);
            keys.iter().map(|key| key.key().name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(woken(&worker(WorkerPhase::Ready, 2)), ["a", "b"]);
        assert!(woken(&worker(WorkerPhase::Ready, 4)).is_empty());
        assert!(woken(&worker(WorkerPhase::Draining, 0)).is_empty());
        assert_eq!(woken(&worker(WorkerPhase::Failed, 1)), ["x"]);
        let mut ending = worker(WorkerPhase::Ready, 1);
        ending.spec.desired_phase = Some(DesiredPhase::Terminated.into());
        assert_eq!(woken(&ending), ["x"]);
    }

    #[test]
    fn only_what_becomes_free_counts_as_more() {
        let cases = [
            ((WorkerPhase::Ready, 2), (WorkerPhase::Ready, 1), true),
            ((WorkerPhase::Ready, 1), (WorkerPhase::Ready, 2), false),
            ((WorkerPhase::Provisioning, 0), (WorkerPhase::Ready, 0), true),
            ((WorkerPhase::Draining, 2), (WorkerPhase::Draining, 1), false),
        ];
        for (before, after, expected) in cases {
            let (before, after) = (worker(before.0, before.1), worker(after.0, after.1));
            assert_eq!(has_more(&before, &after), expected, "{before:?} to {after:?}");
        }
    }
}
