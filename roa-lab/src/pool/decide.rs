//! [`decide`]: the next step of a pool.

use std::collections::HashSet;

use roa_core::Timestamp;

use super::{LabWorkerPool, ScalingPolicy};
use crate::Capacity;
use crate::worker::{Account, WorkerPhase};

/// A pool and all that decides on its next step.
#[derive(Debug, Clone)]
pub struct PoolView<'a> {
    /// Its name: the begin of its workers' names.
    pub name: &'a str,
    /// What is wanted.
    pub spec: &'a LabWorkerPool,
    /// Its workers, whatever their phase.
    pub workers: &'a [WorkerView],
    /// Names in its namespace that are taken by others.
    pub taken: &'a HashSet<String>,
    /// How many labs wait for room that an empty worker of this pool would have.
    pub waiting: usize,
    /// When it last got a worker more or less.
    pub last_scaling: Option<Timestamp>,
    /// When it last got a worker more.
    pub last_scale_up: Option<Timestamp>,
    /// Before when no worker comes in place of those that failed one after the other; `None` if none did.
    pub not_before: Option<Timestamp>,
    /// The time.
    pub now: Timestamp,
}

/// A worker of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub phase: WorkerPhase,
    /// Whether it is to go, or was asked to.
    pub leaving: bool,
    /// What of it is given away.
    pub allocated: Account,
    /// How much it can take.
    pub capacity: Capacity,
}

/// The next step of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A worker more.
    Up {
        /// Its name.
        worker: String,
        /// Why.
        reason: String,
    },
    /// This worker drains, and goes.
    Down {
        /// Its name.
        worker: String,
        /// Why.
        reason: String,
    },
    /// This worker has failed, and goes.
    Remove {
        /// Its name.
        worker: String,
        /// Why.
        reason: String,
    },
    /// Nothing.
    Hold {
        /// Why.
        reason: String,
    },
}

impl WorkerView {
    /// Whether it takes labs, and is to.
    fn is_ready(&self) -> bool {
        self.phase == WorkerPhase::Ready && !self.leaving
    }

    /// Whether it will take labs.
    fn is_coming(&self) -> bool {
        matches!(self.phase, WorkerPhase::Pending | WorkerPhase::Provisioning) && !self.leaving
    }
}

/// The next step of a pool: a pure function. One step at a time, since each is seen before the next is decided.
#[must_use]
pub fn decide(pool: &PoolView<'_>) -> Decision {
    if let Some(failed) = pool.workers.iter().find(|it| it.phase == WorkerPhase::Failed && !it.leaving) {
        let reason = format!("worker {} has failed", failed.name);
        return Decision::Remove { worker: failed.name.clone(), reason };
    }
    let count = Count::of(pool.workers);
    let (least, most) = bounds(pool);
    if count.staying() < least {
        return replace(pool, &count, format!("{} of at least {least} workers", count.staying()));
    }
    if count.staying() == 0 && least == 0 {
        return hold("no workers are wanted");
    }
    if count.ready.is_empty() && count.coming == 0 {
        return replace(pool, &count, "no worker is ready".to_owned());
    }
    if let Some(reason) = pressure(pool, &count, most) {
        return up_after_cooldown(pool, &count, reason);
    }
    down(pool, &count, least)
}

/// The workers of a pool by what they are good for.
struct Count<'a> {
    ready: Vec<&'a WorkerView>,
    coming: usize,
    /// All that there are, also those that leave: each is somebody's cost.
    total: usize,
}

impl<'a> Count<'a> {
    fn of(workers: &'a [WorkerView]) -> Self {
        Self {
            ready: workers.iter().filter(|worker| worker.is_ready()).collect(),
            coming: workers.iter().filter(|worker| worker.is_coming()).count(),
            total: workers.iter().filter(|worker| worker.phase != WorkerPhase::Terminated).count(),
        }
    }

    fn staying(&self) -> usize {
        self.ready.len() + self.coming
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// How many workers are wanted now, at least and at most.
fn bounds(pool: &PoolView<'_>) -> (usize, usize) {
    let scaling = &pool.spec.scaling;
    let (min, max) = (size(scaling.min), size(scaling.max));
    let now_within = |otherwise| scaling.hours.as_ref().map_or(otherwise, |hours| hours.contains(pool.now));
    match scaling.policy() {
        ScalingPolicy::None => (size(pool.spec.replicas()), size(pool.spec.replicas())),
        ScalingPolicy::CapacityBased | ScalingPolicy::LabCountBased => (min, max),
        ScalingPolicy::Scheduled | ScalingPolicy::Hybrid if now_within(true) => (min, max),
        ScalingPolicy::Scheduled | ScalingPolicy::Hybrid => (min, min),
    }
}

/// Why the pool should have a worker more, beyond the fewest.
fn pressure(pool: &PoolView<'_>, count: &Count<'_>, most: usize) -> Option<String> {
    let scaling = &pool.spec.scaling;
    let policy = scaling.policy();
    if count.staying() >= most || policy == ScalingPolicy::None {
        return None;
    }
    if policy == ScalingPolicy::Scheduled {
        return Some(format!("{} of {most} workers during its hours", count.staying()));
    }
    let (given, whole) = sums(&count.ready);
    let shares = given.shares(whole);
    let labs = f64::from(given.labs) / as_f64(count.ready.len().max(1));
    let by_capacity = matches!(policy, ScalingPolicy::CapacityBased | ScalingPolicy::Hybrid);
    let by_labs = matches!(policy, ScalingPolicy::LabCountBased | ScalingPolicy::Hybrid);
    let measured = !count.ready.is_empty();
    let thresholds = [
        (measured && by_capacity && shares.cpu >= scaling.cpu_up, format!("cpu {}", over(shares.cpu, scaling.cpu_up))),
        (
            measured && by_capacity && shares.memory >= scaling.memory_up,
            format!("memory {}", over(shares.memory, scaling.memory_up)),
        ),
        (
            measured && by_labs && labs >= scaling.labs_per_worker_up,
            format!("{labs:.1} labs per worker, {} is the limit", scaling.labs_per_worker_up),
        ),
        (pool.waiting > 0, format!("{} labs wait for room", pool.waiting)),
    ];
    thresholds.into_iter().find(|(passed, _)| *passed).map(|(_, reason)| reason)
}

fn over(share: f64, limit: f64) -> String {
    format!("at {:.0}%, {:.0}% is the limit", share * 100.0, limit * 100.0)
}

/// What is missing comes at once, unless workers fail one after the other: then it comes later each time, and alone.
fn replace(pool: &PoolView<'_>, count: &Count<'_>, reason: String) -> Decision {
    let Some(again) = pool.not_before else { return up(pool, count, reason) };
    if count.coming > 0 {
        return hold(format!("{reason}; those before it failed, and a worker is on its way"));
    }
    if again > pool.now {
        let again = again.truncate_to_seconds();
        return hold(format!("{reason}; those before it failed, and the next comes at {again} at the earliest"));
    }
    up(pool, count, reason)
}

fn up_after_cooldown(pool: &PoolView<'_>, count: &Count<'_>, reason: String) -> Decision {
    if count.coming > 0 {
        return hold(format!("{reason}; a worker is on its way"));
    }
    let again = pool.last_scale_up.map(|last| last.saturating_add(pool.spec.scaling.cooldown_up()));
    match again.filter(|&again| again > pool.now) {
        Some(again) => {
            hold(format!("{reason}; the next worker comes at {} at the earliest", again.truncate_to_seconds()))
        }
        None => up(pool, count, reason),
    }
}

/// One more, unless there are as many as may be: those that leave count as well.
fn up(pool: &PoolView<'_>, count: &Count<'_>, reason: String) -> Decision {
    let max = size(pool.spec.scaling.max);
    let most =
        if pool.spec.scaling.policy() == ScalingPolicy::None { max.max(size(pool.spec.replicas())) } else { max };
    if count.total >= most {
        return hold(format!("{reason}; there are {} workers, and {most} is the most", count.total));
    }
    Decision::Up { worker: free_name(pool), reason }
}

/// The pool's name and the lowest index that is free.
fn free_name(pool: &PoolView<'_>) -> String {
    let used: HashSet<&str> = pool.workers.iter().map(|worker| worker.name.as_str()).collect();
    let is_free = |name: &String| !used.contains(name.as_str()) && !pool.taken.contains(name);
    (0_u64..).map(|index| format!("{}-{index}", pool.name)).find(is_free).unwrap_or_default()
}

fn down(pool: &PoolView<'_>, count: &Count<'_>, least: usize) -> Decision {
    let policy = pool.spec.scaling.policy();
    let (ready, target) = (count.ready.len(), least);
    // What is on its way, or goes already, is seen before the next goes.
    if count.staying() <= target || count.coming > 0 && policy != ScalingPolicy::None {
        return hold(format!("{ready} ready workers are as many as are needed"));
    }
    if ready <= target {
        return hold(format!("{ready} ready workers, and {} on their way", count.coming));
    }
    if let Some(reason) = busy(pool, count) {
        return hold(reason);
    }
    let Some(victim) = victim(count) else {
        return hold("a worker less would do, and each has labs");
    };
    let again = pool.last_scaling.map(|last| last.saturating_add(pool.spec.scaling.cooldown_down()));
    if let Some(again) = again.filter(|&again| again > pool.now && policy != ScalingPolicy::None) {
        return hold(format!("a worker less would do, from {} on", again.truncate_to_seconds()));
    }
    let reason = format!("{ready} workers are ready, {target} would do, and {} has no labs", victim.name);
    Decision::Down { worker: victim.name.clone(), reason }
}

/// Why the pool needs all workers that it has, though there are more than the fewest.
fn busy(pool: &PoolView<'_>, count: &Count<'_>) -> Option<String> {
    let scaling = &pool.spec.scaling;
    let outside = scaling.hours.as_ref().is_some_and(|hours| !hours.contains(pool.now));
    let (by_capacity, by_labs) = match scaling.policy() {
        ScalingPolicy::None => (false, false),
        ScalingPolicy::CapacityBased => (true, false),
        ScalingPolicy::LabCountBased => (false, true),
        ScalingPolicy::Scheduled if !outside => return Some("it is within its hours".to_owned()),
        ScalingPolicy::Scheduled => (false, false),
        ScalingPolicy::Hybrid if outside => (false, false),
        ScalingPolicy::Hybrid => (true, true),
    };
    if pool.waiting > 0 && (by_capacity || by_labs) {
        return Some(format!("{} labs wait for room", pool.waiting));
    }
    count.ready.iter().find_map(|worker| {
        let shares = worker.allocated.shares(worker.capacity);
        let too_busy = by_capacity && (shares.cpu >= scaling.cpu_down || shares.memory >= scaling.memory_down)
            || by_labs && f64::from(worker.allocated.labs) >= scaling.labs_per_worker_down;
        too_busy.then(|| format!("worker {} is not below the lower thresholds", worker.name))
    })
}

/// The worker to go: without labs, the least utilised, of several the one that was named last.
fn victim<'a>(count: &Count<'a>) -> Option<&'a WorkerView> {
    let idle = count.ready.iter().copied().filter(|worker| worker.allocated.labs == 0);
    idle.min_by(|a, b| {
        let load = |worker: &WorkerView| worker.allocated.shares(worker.capacity).load();
        let last_first = (b.name.len(), &b.name).cmp(&(a.name.len(), &a.name));
        load(a).total_cmp(&load(b)).then(last_first)
    })
}

/// What of the workers is given away, and how much they can take.
pub(super) fn sums(workers: &[&WorkerView]) -> (Account, Capacity) {
    let none = Capacity { cpu: crate::Quantity::ZERO, memory: crate::Quantity::ZERO, labs: 0 };
    workers.iter().fold((Account::default(), none), |(given, whole), worker| {
        (given.and(worker.allocated), whole.and(worker.capacity))
    })
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn hold(reason: impl Into<String>) -> Decision {
    Decision::Hold { reason: reason.into() }
}

#[cfg(test)]
mod tests;
