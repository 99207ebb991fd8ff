//! How fast one process brings up many simulated labs, through the real controller on the memory store; and how much
//! memory that takes.
//!
//! `cargo run --release -p roa-benches --example labs -- 10000`
//!
//! With rates, as if some failed or hung, and time that passes faster for labs; then how long they took is in their time:
//!
//! `cargo run --release -p roa-benches --example labs -- 1000 --failure-rate 0.3 --stuck-rate 0.05 --scale 100`

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roa_core::{CancellationSource, Clock, Key, KindRegistry, ListOptions, Object, ResourceStore, Store, SystemRandom};
use roa_lab::provision::SimulatedProvisioner;
use roa_lab::{
    Capacity, Lab, LabController, LabInstance, LabPolicy, LabReconciler, LabSettings, LabState, LabTemplate,
    Provisioners, Quantity,
};
use roa_runtime::{
    CacheListener, Clocks, ControllerConfig, Manager, ManagerConfig, Mode, ReconcilerConfig, RuntimeMetrics,
    ScaledClock, SystemClock,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use tokio::sync::Notify;

/// How many are brought up at a time, where some fail.
const AT_ONCE: usize = 200;
/// No run may take longer.
const LIMIT: Duration = Duration::from_secs(300);

/// What is measured.
struct Options {
    labs: usize,
    failure_rate: f64,
    stuck_rate: f64,
    scale: NonZeroU32,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut options = Self { labs: 10_000, failure_rate: 0.0, stuck_rate: 0.0, scale: NonZeroU32::MIN };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--failure-rate" => options.failure_rate = value()?.parse()?,
                "--stuck-rate" => options.stuck_rate = value()?.parse()?,
                "--scale" => options.scale = value()?.parse()?,
                count => options.labs = count.parse().map_err(|error| format!("{count:?} is no number: {error}"))?,
            }
        }
        Ok(options)
    }

    /// Whether all labs come up.
    fn all_work(&self) -> bool {
        self.failure_rate == 0.0 && self.stuck_rate == 0.0
    }
}

/// Counts the labs that became ready or failed, and tells when all have.
struct Ready {
    wanted: usize,
    count: AtomicUsize,
    all: Notify,
}

impl CacheListener<Lab> for Ready {
    fn changed(&self, _key: &Key, before: Option<&Arc<Lab>>, after: Option<&Arc<Lab>>) {
        let ready = |lab: Option<&Arc<Lab>>| {
            lab.is_some_and(|lab| matches!(lab.status.state(), LabState::Ready | LabState::Failed))
        };
        if ready(after) && !ready(before) && self.count.fetch_add(1, Ordering::AcqRel) + 1 == self.wanted {
            self.all.notify_one();
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let wanted = options.labs;
    let io = Arc::new(SystemClock::new());
    let clock: Arc<dyn Clock> = match options.scale.get() {
        1 => io.clone(),
        _ => Arc::new(ScaledClock::new(io.clone(), options.scale)),
    };
    let random = Arc::new(SystemRandom);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
    let kinds = Arc::new(roa_lab::kinds(KindRegistry::new()));
    let resources = ResourceStore::new(store.clone(), kinds, clock.clone(), random, "load");
    let metrics = RuntimeMetrics::unregistered();
    let clocks = Clocks { domain: clock.clone(), ..Clocks::same(io) };
    let manager = Manager::new(store, resources.clone(), clocks, ManagerConfig::new(Mode::Single)).await?;
    let mut manager = manager.with_metrics(metrics.clone());
    let ready = Arc::new(Ready { wanted, count: AtomicUsize::new(0), all: Notify::new() });
    manager.cache::<LabTemplate>()?;
    let labs = manager.cache::<LabInstance>()?;
    labs.listen(ready.clone());
    let provisioners = Provisioners::default().with(Arc::new(SimulatedProvisioner::new(clock.clone(), wanted)));
    let breaker = Provisioners::default_breaker();
    let settings = settings(&options, provisioners.behind_breakers(&breaker, &clock, &metrics));
    let controller = LabController::new(settings.clone()).following(&labs);
    manager.add_controller::<LabInstance, _>(controller, ControllerConfig::default())?;
    manager.add_reconciler::<LabInstance, _>(LabReconciler::new(settings), ReconcilerConfig::default())?;

    let stop = CancellationSource::new();
    let run = manager.run(stop.token(), || ());
    let work = async {
        let before = resident("VmRSS:");
        let begun = Instant::now();
        let api = resources.api::<LabInstance>()?;
        resources.api::<LabTemplate>()?.create(&template(&options)).await?;
        for number in 0..wanted {
            api.create(&lab(number)).await?;
        }
        let created = begun.elapsed();
        tokio::time::timeout(LIMIT, ready.all.notified()).await?;
        report(wanted, created, begun.elapsed(), &metrics, before);
        if !options.all_work() {
            let (labs, _) = api.list(&ListOptions::everywhere()).await?;
            distribution(&labs, &metrics);
        }
        stop.cancel();
        Ok::<(), Box<dyn Error>>(())
    };
    let (ran, worked) = tokio::join!(run, work);
    ran?;
    worked
}

fn settings(options: &Options, provisioners: Provisioners) -> LabSettings {
    let max_provisionings = if options.all_work() { usize::MAX } else { AT_ONCE };
    // What failed is to be there when it is counted.
    let cleanup_grace = Duration::from_secs(24 * 3600);
    let policy = LabPolicy { max_provisionings, cleanup_grace, ..LabPolicy::default() };
    let capacity = Capacity { cpu: Quantity::whole(1_000_000), memory: Quantity::mebi(1 << 30), labs: options.labs };
    LabSettings { policy, capacity, ..LabSettings::new("bench", provisioners) }
}

/// The built-in one's labs, but for the rates.
fn template(options: &Options) -> Object<LabTemplate> {
    let mut spec = roa_lab::builtin("simulated").unwrap_or_default();
    let simulated = spec.simulated.get_or_insert_default();
    (simulated.failure_rate, simulated.stuck_rate) = (options.failure_rate, options.stuck_rate);
    Object::new("bench", "simulated", spec)
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

/// How long the labs took, in their time, and what became of the others.
#[expect(clippy::print_stdout, reason = "figures for people")]
fn distribution(labs: &[Lab], metrics: &RuntimeMetrics) {
    let time = |lab: &Lab| Some(lab.status.ready_at?.duration_since(lab.metadata.creation_timestamp?));
    let mut times: Vec<Duration> = labs.iter().filter_map(time).collect();
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| at(percent).map_or(0.0, Duration::as_secs_f64));
    println!("{} of {} labs ready, {} failed", times.len(), labs.len(), labs.len() - times.len());
    println!("time to ready, in theirs: p50 {p50:.1} s, p90 {p90:.1} s, p99 {p99:.1} s, max {max:.1} s");
    let breaker = metrics.dependency("provisioner-simulated");
    println!("the breaker opened {} times, closed again {} times", breaker.changes("open"), breaker.changes("closed"));
}
