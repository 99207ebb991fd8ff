//! Every rule of pools, by tables and by properties.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Quantity;

const NOON: &str = "2027-01-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spec(scaling: Value) -> LabWorkerPool {
    let mut pool = json!({"workerTemplate": {"capacity": {"cpu": 4, "memory": "4Gi", "maxLabs": 20}}});
    pool["scaling"] = scaling;
    serde_json::from_value(pool).unwrap()
}

/// A worker of 4 processors and 4 Gi, of which so many are given away to labs of one and 512 Mi.
fn worker(name: &str, phase: WorkerPhase, labs: u32) -> WorkerView {
    let allocated = Account { cpu: Quantity::whole(labs), memory: Quantity::mebi(512 * labs), labs };
    let capacity = Capacity { cpu: Quantity::whole(4), memory: Quantity::mebi(4096), labs: 20 };
    WorkerView { name: name.to_owned(), phase, leaving: false, allocated, capacity }
}

fn ready(labs: &[u32]) -> Vec<WorkerView> {
    let name = |index: usize| format!("p-{index}");
    labs.iter().enumerate().map(|(index, labs)| worker(&name(index), WorkerPhase::Ready, *labs)).collect()
}

struct Case {
    spec: LabWorkerPool,
    workers: Vec<WorkerView>,
    waiting: usize,
    last_scaling: Option<Timestamp>,
    last_scale_up: Option<Timestamp>,
    not_before: Option<Timestamp>,
    now: Timestamp,
}

impl Case {
    fn of(scaling: Value, workers: Vec<WorkerView>) -> Self {
        let (spec, now) = (spec(scaling), at(NOON));
        Self { spec, workers, waiting: 0, last_scaling: None, last_scale_up: None, not_before: None, now }
    }

    fn decide(&self) -> Decision {
        self.decide_beside(&HashSet::new())
    }

    fn decide_beside(&self, taken: &HashSet<String>) -> Decision {
        decide(&PoolView {
            name: "p",
            spec: &self.spec,
            workers: &self.workers,
            taken,
            waiting: self.waiting,
            last_scaling: self.last_scaling,
            last_scale_up: self.last_scale_up,
            not_before: self.not_before,
            now: self.now,
        })
    }

    /// `+name`, `-name`, `xname`, or `=`, and why.
    fn short(&self) -> (String, String) {
        match self.decide() {
            Decision::Up { worker, reason } => (format!("+{worker}"), reason),
            Decision::Down { worker, reason } => (format!("-{worker}"), reason),
            Decision::Remove { worker, reason } => (format!("x{worker}"), reason),
            Decision::Hold { reason } => ("=".to_owned(), reason),
        }
    }

    fn expect(&self, step: &str, because: &str) {
        let (found, reason) = self.short();
        assert!(found == step && reason.contains(because), "{found} ({reason}), expected {step} ({because})");
    }
}

#[test]
fn a_pool_begins_with_its_fewest_workers_one_at_a_time() {
    let mut case = Case::of(json!({"policy": "CapacityBased", "min": 2}), Vec::new());
    case.expect("+p-0", "0 of at least 2 workers");
    case.workers.push(worker("p-0", WorkerPhase::Pending, 0));
    case.expect("+p-1", "1 of at least 2 workers");
    case.workers.push(worker("p-1", WorkerPhase::Provisioning, 0));
    case.expect("=", "");
}

#[test]
fn lesson_54_a_busy_worker_counts_as_ready_and_what_is_given_away_counts_as_load() {
    let case = Case::of(json!({"policy": "CapacityBased"}), ready(&[3]));
    case.expect("+p-1", "cpu at 75%, 75% is the limit");
    Case::of(json!({"policy": "CapacityBased"}), ready(&[2])).expect("=", "");
}

#[test]
fn each_threshold_is_looked_at_by_the_policies_that_it_belongs_to() {
    let by_cpu = |policy| json!({"policy": policy, "hours": {"start": "00:00", "end": "23:59"}, "cpuUp": 0.5});
    for (policy, step) in [("CapacityBased", "+p-1"), ("Hybrid", "+p-1"), ("LabCountBased", "="), ("None", "=")] {
        Case::of(by_cpu(policy), ready(&[2])).expect(step, "");
    }
    let memory = json!({"policy": "CapacityBased", "cpuUp": 1.0, "memoryUp": 0.375, "memoryDown": 0.1});
    Case::of(memory, ready(&[3])).expect("+p-1", "memory at 38%, 38% is the limit");
    for (policy, step) in [("CapacityBased", "="), ("Hybrid", "+p-1"), ("LabCountBased", "+p-1")] {
        let by_labs = json!({"policy": policy, "labsPerWorkerUp": 2, "labsPerWorkerDown": 1});
        Case::of(by_labs, ready(&[2]))
            .expect(step, if step == "=" { "" } else { "2.0 labs per worker, 2 is the limit" });
    }
}

#[test]
fn it_is_the_mean_of_all_ready_workers_that_passes_a_threshold() {
    Case::of(json!({"policy": "CapacityBased"}), ready(&[4, 1])).expect("=", "");
    Case::of(json!({"policy": "CapacityBased"}), ready(&[4, 2])).expect("+p-2", "cpu at 75%");
}

#[test]
fn a_worker_that_is_on_its_way_is_awaited() {
    let mut workers = ready(&[4]);
    workers.push(worker("p-1", WorkerPhase::Provisioning, 0));
    Case::of(json!({"policy": "CapacityBased"}), workers).expect("=", "a worker is on its way");
}

#[test]
fn labs_that_wait_for_room_are_a_reason_for_a_worker_more() {
    let mut case = Case::of(json!({"policy": "LabCountBased", "min": 1}), ready(&[1, 0]));
    case.waiting = 3;
    case.expect("+p-2", "3 labs wait for room");
    case.spec.scaling.max = 2;
    case.expect("=", "3 labs wait for room");
}

#[test]
fn the_cooldown_of_a_step_up_holds_the_next_one_but_not_what_is_missing() {
    let mut case = Case::of(json!({"policy": "CapacityBased", "cooldownUp": "10m"}), ready(&[4]));
    case.last_scale_up = Some(at("2027-01-01T11:50:01Z"));
    case.expect("=", "the next worker comes at 2027-01-01T12:00:01Z at the earliest");
    case.last_scale_up = Some(at("2027-01-01T11:50:00Z"));
    case.expect("+p-1", "cpu");
    case.last_scale_up = Some(at(NOON));
    case.workers[0].phase = WorkerPhase::Draining;
    case.expect("+p-1", "0 of at least 1 workers");
}

#[test]
fn the_most_workers_are_never_passed_and_those_that_leave_count() {
    let scaling = json!({"policy": "CapacityBased", "max": 2});
    Case::of(scaling.clone(), ready(&[4, 4])).expect("=", "");
    let mut leaving = ready(&[4, 4]);
    leaving[1].phase = WorkerPhase::Draining;
    Case::of(scaling.clone(), leaving.clone()).expect("=", "there are 2 workers, and 2 is the most");
    leaving[1].phase = WorkerPhase::Terminated;
    Case::of(scaling, leaving).expect("+p-2", "cpu");
}

#[test]
fn down_goes_an_idle_worker_of_several_the_one_named_last() {
    let case = Case::of(json!({"policy": "CapacityBased", "min": 1}), ready(&[1, 0, 0]));
    case.expect("-p-2", "3 workers are ready, 1 would do, and p-2 has no labs");
    let many = Case::of(json!({"policy": "CapacityBased"}), ready(&[0; 11]));
    many.expect("-p-10", "");
    Case::of(json!({"policy": "CapacityBased"}), ready(&[0, 1, 1])).expect("-p-0", "p-0 has no labs");
}

#[test]
fn no_worker_with_labs_goes_and_none_below_the_fewest() {
    Case::of(json!({"policy": "CapacityBased"}), ready(&[1, 1])).expect("=", "each has labs");
    Case::of(json!({"policy": "CapacityBased", "min": 2}), ready(&[0, 0])).expect("=", "as many as are needed");
    Case::of(json!({"policy": "CapacityBased"}), ready(&[0])).expect("=", "");
}

#[test]
fn all_workers_must_be_below_the_lower_thresholds() {
    Case::of(json!({"policy": "CapacityBased"}), ready(&[2, 0])).expect("=", "p-0 is not below the lower thresholds");
    let by_labs = json!({"policy": "LabCountBased", "labsPerWorkerDown": 2});
    Case::of(by_labs.clone(), ready(&[2, 0])).expect("=", "p-0 is not below");
    Case::of(by_labs, ready(&[1, 0])).expect("-p-1", "");
}

#[test]
fn the_cooldown_of_any_step_holds_the_next_one_down() {
    let mut case = Case::of(json!({"policy": "CapacityBased", "cooldownDown": "20m"}), ready(&[0, 0]));
    case.last_scaling = Some(at("2027-01-01T11:40:01Z"));
    case.expect("=", "a worker less would do, from 2027-01-01T12:00:01Z on");
    case.last_scaling = Some(at("2027-01-01T11:40:00Z"));
    case.expect("-p-1", "");
}

#[test]
fn names_take_the_lowest_index_that_is_free() {
    let mut case = Case::of(json!({"policy": "CapacityBased", "min": 3}), Vec::new());
    case.workers = vec![worker("p-0", WorkerPhase::Ready, 0), worker("p-2", WorkerPhase::Ready, 0)];
    case.expect("+p-1", "");
    let taken = HashSet::from(["p-1".to_owned()]);
    assert!(matches!(case.decide_beside(&taken), Decision::Up { worker, .. } if worker == "p-3"));
}

#[test]
fn a_failed_worker_is_taken_away_and_replaced_at_once() {
    let mut case = Case::of(json!({"policy": "CapacityBased"}), ready(&[2]));
    case.workers[0].phase = WorkerPhase::Failed;
    case.last_scale_up = Some(at(NOON));
    case.expect("xp-0", "worker p-0 has failed");
    case.workers[0].leaving = true;
    case.expect("+p-1", "0 of at least 1 workers");
}

#[test]
fn where_workers_fail_one_after_the_other_the_next_comes_later_and_alone() {
    let mut case = Case::of(json!({"policy": "CapacityBased", "min": 3}), ready(&[2]));
    case.not_before = Some(at("2027-01-01T12:00:01Z"));
    case.expect("=", "1 of at least 3 workers; those before it failed, and the next comes at 2027-01-01T12:00:01Z");
    case.not_before = Some(at(NOON));
    case.expect("+p-1", "1 of at least 3 workers");
    case.workers.push(worker("p-1", WorkerPhase::Pending, 0));
    case.expect("=", "a worker is on its way");
    case.workers[1].phase = WorkerPhase::Failed;
    case.expect("xp-1", "has failed");
}

#[test]
fn replicas_are_kept_up_and_down_without_a_cooldown() {
    let mut case = Case::of(json!({}), ready(&[0, 0]));
    (case.last_scaling, case.last_scale_up) = (Some(at(NOON)), Some(at(NOON)));
    for (replicas, step) in [(Some(3), "+p-2"), (Some(2), "="), (Some(1), "-p-1"), (Some(0), "-p-1"), (None, "-p-1")] {
        case.spec.replicas = replicas;
        case.expect(step, "");
    }
    case.spec.replicas = Some(12);
    case.workers = ready(&[0; 10]);
    case.expect("+p-10", "10 of at least 12 workers");
    (case.spec.replicas, case.workers) = (Some(0), Vec::new());
    case.expect("=", "no workers are wanted");
}

#[test]
fn a_worker_that_somebody_drains_is_replaced_while_its_labs_live_on() {
    let mut case = Case::of(json!({}), ready(&[2, 2]));
    case.spec.replicas = Some(2);
    case.workers[0].leaving = true;
    case.expect("+p-2", "1 of at least 2 workers");
}

#[test]
fn a_schedule_makes_the_pool_large_during_its_hours_and_small_outside() {
    let scaling = json!({"policy": "Scheduled", "min": 1, "max": 3, "hours": {"start": "22:00", "end": "06:00"}});
    let mut case = Case::of(scaling, ready(&[0]));
    case.expect("=", "");
    for night in ["2027-01-01T22:00:00Z", "2027-01-02T03:00:00Z"] {
        case.now = at(night);
        case.expect("+p-1", "1 of 3 workers during its hours");
    }
    case.workers = ready(&[0, 0, 0]);
    case.expect("=", "within its hours");
    case.now = at("2027-01-02T06:00:00Z");
    case.expect("-p-2", "");
    case.workers = ready(&[3, 3]);
    case.expect("=", "each has labs");
}

#[test]
fn a_hybrid_grows_by_load_within_its_hours_and_shrinks_outside_whatever_its_load() {
    let scaling = json!({"policy": "Hybrid", "max": 3, "hours": {"start": "08:00", "end": "18:00"}});
    let mut case = Case::of(scaling, ready(&[4]));
    case.expect("+p-1", "cpu");
    case.now = at("2027-01-01T20:00:00Z");
    case.expect("=", "");
    case.workers = ready(&[4, 0]);
    case.expect("-p-1", "");
    case.now = at(NOON);
    case.expect("=", "not below the lower thresholds");
    let without_hours = Case::of(json!({"policy": "Hybrid"}), ready(&[4]));
    without_hours.expect("+p-1", "cpu");
}

fn any_worker() -> impl Strategy<Value = (WorkerPhase, bool, u32)> {
    (prop::sample::select(WorkerPhase::ALL.to_vec()), any::<bool>(), 0..=4_u32)
}

fn any_case() -> impl Strategy<Value = Case> {
    let policies = vec!["None", "CapacityBased", "LabCountBased", "Scheduled", "Hybrid"];
    let workers = prop::collection::vec((0..12_usize, any_worker()), 0..8);
    let ago = || prop::option::of(0..3_000_u64);
    (prop::sample::select(policies), 1..4_u32, 0..6_u32, workers, 0..3_usize, ago(), ago(), 0..86_400_u64).prop_map(
        |(policy, min, more, workers, waiting, scaled, up, second)| {
            let hours = json!({"start": "20:00", "end": "04:00"});
            let mut case =
                Case::of(json!({"policy": policy, "min": min, "max": min + more, "hours": hours}), Vec::new());
            let by_index: std::collections::BTreeMap<_, _> = workers.into_iter().collect();
            case.workers = by_index
                .into_iter()
                .map(|(index, (phase, leaving, labs))| WorkerView {
                    leaving,
                    ..worker(&format!("p-{index}"), phase, labs)
                })
                .collect();
            case.now = at("2027-01-01T00:00:00Z").saturating_add(Duration::from_secs(second));
            case.waiting = waiting;
            case.last_scaling = scaled.map(|ago| case.now.saturating_sub(Duration::from_secs(ago)));
            case.last_scale_up = up.map(|ago| case.now.saturating_sub(Duration::from_secs(ago)));
            case
        },
    )
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {:?} at {}: {:?}", self.workers, self.spec.scaling, self.now, self.decide())
    }
}

fn since(then: Option<Timestamp>, now: Timestamp) -> Duration {
    then.map_or(Duration::MAX, |then| now.duration_since(then))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_decision_breaks_a_rule(case in any_case()) {
        let (min, max) = (case.spec.scaling.min as usize, case.spec.scaling.max as usize);
        let staying = case.workers.iter().filter(|it| it.is_ready() || it.is_coming()).count();
        let all = case.workers.iter().filter(|it| it.phase != WorkerPhase::Terminated).count();
        let automatic = case.spec.scaling.policy() != ScalingPolicy::None;
        let find = |name: &str| case.workers.iter().find(|it| it.name == name);
        match case.decide() {
            Decision::Up { worker, reason } => {
                prop_assert!(find(&worker).is_none() && all < max, "{worker}: {reason}");
                let missing = staying < min;
                let none = case.workers.iter().all(|it| !it.is_ready() && !it.is_coming());
                prop_assert!(missing || none || since(case.last_scale_up, case.now) >= Duration::from_secs(600), "{reason}");
                let index: usize = worker.strip_prefix("p-").unwrap().parse().unwrap();
                prop_assert!((0..index).all(|lower| find(&format!("p-{lower}")).is_some()), "the lowest index");
            }
            Decision::Down { worker, reason } => {
                let victim = find(&worker).unwrap();
                prop_assert!(victim.is_ready() && victim.allocated.labs == 0, "{reason}");
                prop_assert!(case.workers.iter().filter(|it| it.is_ready()).count() > min);
                prop_assert!(!automatic || since(case.last_scaling, case.now) >= Duration::from_secs(1200), "{reason}");
            }
            Decision::Remove { worker, .. } => {
                prop_assert_eq!(find(&worker).unwrap().phase, WorkerPhase::Failed);
            }
            Decision::Hold { reason } => {
                prop_assert!(!reason.is_empty());
                prop_assert!(staying >= min || all >= max, "fewer than the fewest: {reason}");
            }
        }
        prop_assert_eq!(case.decide(), case.decide(), "the same again");
    }
}
