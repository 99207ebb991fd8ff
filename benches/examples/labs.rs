//! How fast one process brings up many simulated labs, through the real controller on the memory store; and how much
//! memory that takes.
//!
//! `cargo run --release -p roa-benches --example labs -- 10000`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roa_core::{CancellationSource, Key, KindRegistry, Object, ResourceStore, Store, SystemRandom};
use roa_lab::provision::SimulatedProvisioner;
use roa_lab::{
    Capacity, Lab, LabController, LabInstance, LabMetrics, LabPolicy, LabReconciler, LabSettings, LabState,
    LabTemplate, Provisioners, Quantity,
};
use roa_runtime::{
    CacheListener, Clocks, ControllerConfig, Manager, ManagerConfig, Mode, ReconcilerConfig, RuntimeMetrics,
    SystemClock,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use tokio::sync::Notify;

/// No run may take longer.
const LIMIT: Duration = Duration::from_secs(300);

/// Counts the labs that became ready, and tells when all are.
struct Ready {
    wanted: usize,
    count: AtomicUsize,
    all: Notify,
}

impl CacheListener<Lab> for Ready {
    fn changed(&self, _key: &Key, before: Option<&Arc<Lab>>, after: Option<&Arc<Lab>>) {
        let ready = |lab: Option<&Arc<Lab>>| lab.is_some_and(|lab| lab.status.state() == LabState::Ready);
        if ready(after) && !ready(before) && self.count.fetch_add(1, Ordering::AcqRel) + 1 == self.wanted {
            self.all.notify_one();
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wanted = std::env::args().nth(1).map_or(Ok(10_000), |count| count.parse())?;
    let clock = Arc::new(SystemClock::new());
    let random = Arc::new(SystemRandom);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let kinds = Arc::new(roa_lab::kinds(KindRegistry::new()));
    let resources = ResourceStore::new(store.clone(), kinds, clock.clone(), random, "load");
    let metrics = RuntimeMetrics::unregistered();
    let clocks = Clocks::same(clock.clone());
    let manager = Manager::new(store, resources.clone(), clocks, ManagerConfig::new(Mode::Single)).await?;
    let mut manager = manager.with_metrics(metrics.clone());
    let ready = Arc::new(Ready { wanted, count: AtomicUsize::new(0), all: Notify::new() });
    manager.cache::<LabTemplate>()?;
    manager.cache::<LabInstance>()?.listen(ready.clone());
    let settings = settings(wanted, Provisioners::default().with(Arc::new(SimulatedProvisioner::new(clock, wanted))));
    manager.add_controller::<LabInstance, _>(LabController::new(settings.clone()), ControllerConfig::default())?;
    manager.add_reconciler::<LabInstance, _>(LabReconciler::new(settings), ReconcilerConfig::default())?;

    let stop = CancellationSource::new();
    let run = manager.run(stop.token(), || ());
    let work = async {
        let before = resident("VmRSS:");
        let begun = Instant::now();
        let api = resources.api::<LabInstance>()?;
        for number in 0..wanted {
            api.create(&lab(number)).await?;
        }
        let created = begun.elapsed();
        tokio::time::timeout(LIMIT, ready.all.notified()).await?;
        report(wanted, created, begun.elapsed(), &metrics, before);
        stop.cancel();
        Ok::<(), Box<dyn Error>>(())
    };
    let (ran, worked) = tokio::join!(run, work);
    ran?;
    worked
}

fn settings(wanted: usize, provisioners: Provisioners) -> LabSettings {
    let policy = LabPolicy { max_provisionings: usize::MAX, ..LabPolicy::default() };
    let capacity = Capacity { cpu: Quantity::whole(1_000_000), memory: Quantity::mebi(1 << 30), labs: wanted };
    let (node, metrics) = ("bench".to_owned(), LabMetrics::unregistered());
    LabSettings { policy, capacity, node, provisioners, metrics }
}

fn lab(number: usize) -> Lab {
    let spec = LabInstance {
        template: "simulated".into(),
        student_email: format!("student{number}@example.com"),
        duration: None,
        environment: [("COURSE".to_owned(), "python".to_owned())].into(),
        scheduled_start: None,
        resources: None,
        track: None,
    };
    Object::new("bench", format!("lab-{number:06}"), spec)
}

/// A line of `/proc/self/status`, in KiB; 0 where there is none.
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line));
    found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures for people")]
fn report(wanted: usize, created: Duration, all: Duration, metrics: &RuntimeMetrics, before: u64) {
    let of = metrics.of("lab-controller");
    let ends = ["success", "requeue", "requeue_after", "error", "timeout", "panic", "cancelled"];
    let reconciles: u64 = ends.iter().map(|end| of.count(end)).sum();
    let peak = resident("VmHWM:");
    println!("{wanted} labs created in {:.2} s, all ready after {:.2} s", created.as_secs_f64(), all.as_secs_f64());
    println!("{reconciles} reconciles, {:.0} per second", reconciles as f64 / all.as_secs_f64());
    println!("{} errors, {} panics, {} time-outs", of.count("error"), of.count("panic"), of.count("timeout"));
    println!("peak memory {:.1} MiB, before the labs {:.1} MiB", peak as f64 / 1024.0, before as f64 / 1024.0);
}
