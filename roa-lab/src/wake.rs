//! [`WakeOnWorkers`]: labs and pools are looked at as soon as something happens to a worker that matters to them.

use std::sync::Arc;

use roa_core::{CacheReader, Cause, Key, KindRegistry, Resource, Spec};
use roa_runtime::{Cache, CacheListener, ControllerDriver, Priority};

use crate::worker::Worker;
use crate::{Lab, LabController, LabInstance, LabWorkerPool, PoolController, conditions};

/// How many labs that wait are looked at for one change of a worker; the others look by themselves after a while.
const MOST_WOKEN: usize = 64;

/// Listens to the cache of workers: room that appears wakes labs that wait for it, a worker that is lost wakes its labs,
/// and any change wakes the worker's pool.
pub struct WakeOnWorkers {
    /// The labs.
    pub labs: Cache<Lab>,
    /// Who handles labs.
    pub lab_controller: Option<ControllerDriver<LabController>>,
    /// Who handles pools.
    pub pool_controller: Option<ControllerDriver<PoolController>>,
    /// The kinds, for keys.
    pub kinds: Arc<KindRegistry>,
}

impl WakeOnWorkers {
    fn wake_labs(&self, namespace: &str, most: usize, is_meant: impl Fn(&Lab) -> bool) {
        let (Some(driver), Ok(kind)) = (&self.lab_controller, self.kinds.of::<LabInstance>()) else { return };
        for lab in self.labs.list(Some(namespace)).iter().filter(|lab| is_meant(lab)).take(most) {
            if let Ok(key) = kind.key(namespace, &lab.metadata().name) {
                // A queue that is full, or shut down, has all of them looked at anyway.
                let _ = driver.queue().try_add(&key, Priority::User, Cause::Related);
            }
        }
    }

    fn wake_pool(&self, worker: &Worker) {
        let owner = worker.metadata.controller().filter(|owner| owner.kind == LabWorkerPool::KIND);
        let (Some(owner), Some(driver)) = (owner, &self.pool_controller) else { return };
        let Ok(kind) = self.kinds.of::<LabWorkerPool>() else { return };
        if let Ok(key) = kind.key(&worker.metadata.namespace, &owner.name) {
            let _ = driver.queue().try_add(&key, Priority::User, Cause::Related);
        }
    }
}

impl CacheListener<Worker> for WakeOnWorkers {
    fn changed(&self, _key: &Key, before: Option<&Arc<Worker>>, after: Option<&Arc<Worker>>) {
        let Some(worker) = after.or(before) else { return };
        let namespace = worker.metadata.namespace.as_str();
        let slots = room(after);
        if has_more(before, after) {
            self.wake_labs(namespace, slots.min(MOST_WOKEN), waits);
        }
        let kept = |worker: Option<&Arc<Worker>>| worker.is_some_and(|worker| worker.status.phase().keeps_labs());
        let same_wish = before.map(|it| it.spec.desired_phase()) == after.map(|it| it.spec.desired_phase());
        if kept(before) && !(kept(after) && same_wish) {
            let uid = worker.metadata.uid.clone();
            let is_on = |lab: &Lab| lab.status.allocation.as_ref().is_some_and(|held| held.is_on(&uid));
            self.wake_labs(namespace, usize::MAX, is_on);
        }
        self.wake_pool(worker);
    }
}

fn waits(lab: &Lab) -> bool {
    lab.status.allocation.is_none() && lab.status.conditions.get(conditions::SCHEDULED).is_some()
}

/// For how many labs more there is room.
fn room(worker: Option<&Arc<Worker>>) -> usize {
    let Some(worker) = worker.filter(|worker| worker.status.is_accepting()) else { return 0 };
    worker.spec.capacity().labs.saturating_sub(usize::try_from(worker.status.allocated.labs).unwrap_or(usize::MAX))
}

/// Whether something is free that was not.
fn has_more(before: Option<&Arc<Worker>>, after: Option<&Arc<Worker>>) -> bool {
    let free = |worker: &Worker| {
        let (capacity, given) = (worker.spec.capacity(), worker.status.allocated);
        (capacity.cpu - given.cpu, capacity.memory - given.memory)
    };
    let Some(after) = after.filter(|worker| worker.status.is_accepting()) else { return false };
    let Some(before) = before.filter(|worker| worker.status.is_accepting()) else { return true };
    let (then, now) = (free(before), free(after));
    room(Some(after)) > room(Some(before)) || now.0 > then.0 || now.1 > then.1
}

impl std::fmt::Debug for WakeOnWorkers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WakeOnWorkers({} labs)", self.labs.len())
    }
}
