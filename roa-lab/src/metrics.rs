//! [`LabMetrics`]: what is measured of labs. Labels are states and reasons, never names: their number is bounded.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::worker::{Account, Worker, WorkerPhase};
use crate::{Capacity, LabState, Quantity};

/// Upper bounds of the buckets of the time to ready, in seconds: from a page that is served at once to the time-out and
/// all its retries.
const BUCKETS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 600.0, 1800.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    resource: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct With {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Counted {
    workers: &'static str,
}

/// What came of an attempt to find a place for a lab.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attempt {
    Placed,
    Unschedulable,
    /// As many labs are being brought up as may be.
    Limited,
    /// Others were faster each time.
    Contended,
}

/// What is measured of labs, for a registry that the caller owns. A clone measures the same.
///
/// ```
/// use prometheus_client::registry::Registry;
/// use roa_lab::LabMetrics;
/// let mut registry = Registry::with_prefix("roa_lab");
/// let metrics = LabMetrics::register(&mut registry);
/// ```
#[derive(Debug, Clone)]
pub struct LabMetrics {
    by_state: Family<InState, Gauge>,
    seconds_to_ready: Histogram,
    failures: Family<Because, Counter>,
    attempts: Family<With, Counter>,
    by_phase: Family<InPhase, Gauge>,
    utilisation: Family<Of, Gauge>,
    pools: Family<Counted, Gauge>,
}

impl LabMetrics {
    /// Metrics in `registry`, which prefixes their names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::unregistered();
        registry.register("labs", "Labs by state, as of the last sweep", this.by_state.clone());
        let help = "How long labs took from their place to being ready, retries included";
        registry.register("seconds_to_ready", help, this.seconds_to_ready.clone());
        registry.register(
            "provisioning_failures",
            "Attempts to bring a lab up that failed, by reason",
            this.failures.clone(),
        );
        this.register_workers(registry);
        this
    }

    fn register_workers(&self, registry: &mut Registry) {
        let help = "Attempts to find a place for a lab, by result";
        registry.register("scheduling_attempts", help, self.attempts.clone());
        registry.register("workers", "Workers by phase, as of the last sweep", self.by_phase.clone());
        let help = "What of all ready workers is given away, in percent, by resource, as of the last sweep";
        registry.register("worker_utilisation_percent", help, self.utilisation.clone());
        registry.register("pool_workers", "Workers of all pools", self.pools.clone());
    }

    /// Metrics that nobody reads.
    #[must_use]
    pub fn unregistered() -> Self {
        Self {
            by_state: Family::default(),
            seconds_to_ready: Histogram::new(BUCKETS),
            failures: Family::default(),
            attempts: Family::default(),
            by_phase: Family::default(),
            utilisation: Family::default(),
            pools: Family::default(),
        }
    }

    /// How many labs there are of each state.
    pub(crate) fn count(&self, states: impl Iterator<Item = LabState>) {
        let mut counts = LabState::ALL.map(|state| (state, 0));
        for found in states {
            for (_, count) in counts.iter_mut().filter(|(state, _)| *state == found) {
                *count += 1;
            }
        }
        for (state, count) in counts {
            self.by_state.get_or_create(&InState { state: state.as_str() }).set(count);
        }
    }

    pub(crate) fn ready_after(&self, time: Duration) {
        self.seconds_to_ready.observe(time.as_secs_f64());
    }

    pub(crate) fn attempted(&self, attempt: Attempt) {
        let result = match attempt {
            Attempt::Placed => "placed",
            Attempt::Unschedulable => "unschedulable",
            Attempt::Limited => "limited",
            Attempt::Contended => "contended",
        };
        self.attempts.get_or_create(&With { result }).inc();
    }

    /// How many workers there are of each phase, and what of the ready ones is given away.
    pub(crate) fn workers(&self, workers: &[Arc<Worker>]) {
        for phase in WorkerPhase::ALL {
            let count = workers.iter().filter(|worker| worker.status.phase() == phase).count();
            self.by_phase.get_or_create(&InPhase { phase: phase.as_str() }).set(gauge(count));
        }
        let ready = workers.iter().filter(|worker| worker.status.phase() == WorkerPhase::Ready);
        let nothing = (Account::default(), Capacity { cpu: Quantity::ZERO, memory: Quantity::ZERO, labs: 0 });
        let (given, whole) = ready.fold(nothing, |(given, whole), worker| {
            (given.and(worker.status.allocated), whole.and(worker.spec.capacity()))
        });
        let shares = if whole.labs == 0 { Account::default().shares(Capacity::default()) } else { given.shares(whole) };
        for (resource, share) in [("cpu", shares.cpu), ("memory", shares.memory), ("labs", shares.labs)] {
            let percent = i64::from(crate::worker::percent(share));
            self.utilisation.get_or_create(&Of { resource }).set(percent);
        }
    }

    /// How many workers all pools have, and how many of them are ready.
    pub(crate) fn pools(&self, total: usize, ready: usize) {
        for (workers, count) in [("total", total), ("ready", ready)] {
            self.pools.get_or_create(&Counted { workers }).set(gauge(count));
        }
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Because { reason }).inc();
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_is_measured_can_be_read_and_every_state_is_there() {
        let mut registry = Registry::with_prefix("roa_lab");
        let metrics = LabMetrics::register(&mut registry);
        metrics.count([LabState::Ready, LabState::Ready, LabState::Failed].into_iter());
        metrics.count([LabState::Ready].into_iter());
        metrics.ready_after(Duration::from_secs(2));
        metrics.failed("Exited");
        let mut worker = Worker::new("labs", "w", crate::LabWorker::default());
        worker.spec.capacity.cpu = Some(Quantity::whole(4).into());
        worker.spec.capacity.memory = Some(Quantity::mebi(4096).into());
        worker.status.phase = Some(WorkerPhase::Ready);
        worker.status.allocated = Account { cpu: Quantity::whole(1), memory: Quantity::mebi(2048), labs: 1 };
        metrics.workers(&[Arc::new(worker)]);
        for attempt in [Attempt::Placed, Attempt::Unschedulable, Attempt::Limited, Attempt::Contended] {
            metrics.attempted(attempt);
        }
        metrics.pools(3, 2);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for expected in [
            "roa_lab_labs{state=\"ready\"} 1",
            "roa_lab_labs{state=\"failed\"} 0",
            "roa_lab_seconds_to_ready_bucket{le=\"2.5\"} 1",
            "roa_lab_provisioning_failures_total{reason=\"Exited\"} 1",
            "roa_lab_workers{phase=\"Ready\"} 1",
            "roa_lab_workers{phase=\"Failed\"} 0",
            "roa_lab_worker_utilisation_percent{resource=\"cpu\"} 25",
            "roa_lab_worker_utilisation_percent{resource=\"memory\"} 50",
            "roa_lab_worker_utilisation_percent{resource=\"labs\"} 5",
            "roa_lab_scheduling_attempts_total{result=\"placed\"} 1",
            "roa_lab_scheduling_attempts_total{result=\"unschedulable\"} 1",
            "roa_lab_scheduling_attempts_total{result=\"limited\"} 1",
            "roa_lab_scheduling_attempts_total{result=\"contended\"} 1",
            "roa_lab_pool_workers{workers=\"total\"} 3",
            "roa_lab_pool_workers{workers=\"ready\"} 2",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(text.matches("roa_lab_labs{").count(), LabState::ALL.len());
    }
}
