//! What the runtime measures. Labels are the names of controllers and the like, never those of objects: their number is
//! bounded.

mod figures;
mod often;
mod shards;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) use figures::Figure;
#[cfg(test)]
pub(crate) use figures::Value;

use figures::Figures;
use often::{Count, Durations};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::DependencyMetrics;
use crate::events::EventMetrics;
use crate::gc::CollectorMetrics;
use crate::oscillation::OscillationMetrics;
use crate::outbox::OutboxMetrics;
use crate::safety::SafetyMetrics;
use crate::stores::CommitMetrics;

/// How most calls end.
const SUCCESS: &str = "success";

/// `controller` or `reconciler`, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    component: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Component {
    component: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Found {
    component: String,
    reason: &'static str,
}

/// What the runtime measures, for a registry that the caller owns. A clone measures the same.
///
/// ```
/// use prometheus_client::registry::Registry;
/// use roa_runtime::RuntimeMetrics;
/// let mut registry = Registry::default();
/// let metrics = RuntimeMetrics::register(registry.sub_registry_with_prefix("roa_runtime"));
/// assert_eq!(metrics.of("labs").count("success"), 0);
/// ```
#[derive(Debug, Clone)]
pub struct RuntimeMetrics {
    reconciles: Family<Ended, Count>,
    seconds: Family<Component, Durations>,
    swept: Family<Component, Counter>,
    drift: Family<Found, Counter>,
    fenced: Family<Component, Counter>,
    unchanged: Family<Component, Counter>,
    queued: Family<Component, Durations>,
    convergence: Family<Component, Durations>,
    commits: CommitMetrics,
    figures: Figures,
    safety: SafetyMetrics,
    oscillations: OscillationMetrics,
    collector: CollectorMetrics,
    events: EventMetrics,
    outbox: OutboxMetrics,
}

impl RuntimeMetrics {
    /// Metrics in `registry`, which prefixes their names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::unregistered();
        registry.register("reconciles", "Calls of controllers, by how they ended", this.reconciles.clone());
        registry.register("reconcile_seconds", "How long calls of controllers took", this.seconds.clone());
        registry.register("swept_objects", "Objects that reconcilers looked at", this.swept.clone());
        registry.register("drift", "What reconcilers found wrong, by reason", this.drift.clone());
        let help = "Calls whose writes were refused because another process owns the object now";
        registry.register("fence_rejections", help, this.fenced.clone());
        let help = "Writes that changed nothing, so that nothing was written";
        registry.register("unchanged_writes", help, this.unchanged.clone());
        registry.register("queue_seconds", "How long keys waited for a worker", this.queued.clone());
        let help = "From a change of an object's spec to the end of a call that saw it and ended well";
        registry.register("convergence_seconds", help, this.convergence.clone());
        this.commits.register(registry);
        registry.register_collector(Box::new(this.figures.clone()));
        this.safety.register(registry);
        this.oscillations.register(registry);
        this.collector.register(registry);
        this.events.register(registry);
        this.outbox.register(registry);
        this
    }

    /// Metrics that nobody reads.
    #[must_use]
    pub fn unregistered() -> Self {
        Self {
            reconciles: Family::default(),
            seconds: Family::default(),
            swept: Family::default(),
            drift: Family::default(),
            fenced: Family::default(),
            unchanged: Family::default(),
            queued: Family::default(),
            convergence: Family::default(),
            commits: CommitMetrics::default(),
            figures: Figures::default(),
            safety: SafetyMetrics::default(),
            oscillations: OscillationMetrics::default(),
            collector: CollectorMetrics::default(),
            events: EventMetrics::default(),
            outbox: OutboxMetrics::default(),
        }
    }

    /// The part of one controller or reconciler.
    pub fn of(&self, component: impl Into<String>) -> ControllerMetrics {
        ControllerMetrics { all: self.clone(), component: component.into(), often: Arc::default() }
    }

    pub(crate) const fn commits(&self) -> &CommitMetrics {
        &self.commits
    }

    /// How many commits of a writer ended so, through a [`MeasuredStore`](crate::MeasuredStore).
    #[must_use]
    pub fn commit_count(&self, writer: &str, result: &'static str) -> u64 {
        self.commits.count(writer, result)
    }

    pub(crate) const fn figures(&self) -> &Figures {
        &self.figures
    }

    pub(crate) const fn oscillations(&self) -> &OscillationMetrics {
        &self.oscillations
    }

    pub(crate) const fn collector(&self) -> &CollectorMetrics {
        &self.collector
    }

    /// How often the garbage collector did this: `deleted`, `owner_dropped`, `orphaned`, `released`, `unblocked`, `failed`.
    #[must_use]
    pub fn collected(&self, action: &'static str) -> u64 {
        self.collector.count(action)
    }

    pub(crate) const fn events(&self) -> &EventMetrics {
        &self.events
    }

    /// How many events were `recorded`, `dropped`, `written`, `failed` to be written, or `expired`.
    #[must_use]
    pub fn event_count(&self, fate: &'static str) -> u64 {
        self.events.count(fate)
    }

    pub(crate) const fn outbox(&self) -> &OutboxMetrics {
        &self.outbox
    }

    /// How many calls of an effect handler ended so: `success`, `refused`, `error`.
    #[must_use]
    pub fn effect_count(&self, handler: &str, result: &'static str) -> u64 {
        self.outbox.count(handler, result)
    }

    /// How often writers were found to work against each other.
    #[must_use]
    pub fn oscillation_count(&self) -> u64 {
        self.oscillations.total()
    }

    /// The part of one dependency.
    pub fn dependency(&self, name: impl Into<String>) -> DependencyMetrics {
        DependencyMetrics::new(self.safety.clone(), name.into())
    }
}

/// What is measured of one controller or reconciler.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::RuntimeMetrics;
/// let labs = RuntimeMetrics::unregistered().of("labs");
/// labs.ended("success", Duration::from_millis(3));
/// assert_eq!(labs.count("success"), 1);
/// ```
#[derive(Debug, Clone)]
pub struct ControllerMetrics {
    all: RuntimeMetrics,
    component: String,
    often: Arc<Often>,
}

/// What each call notes, found by its labels once.
#[derive(Debug, Default)]
struct Often {
    succeeded: OnceLock<Count>,
    seconds: OnceLock<Durations>,
    queued: OnceLock<Durations>,
}

impl ControllerMetrics {
    /// A call ended so, after this time.
    pub fn ended(&self, result: &'static str, took: Duration) {
        let ended = || self.all.reconciles.get_or_create(&Ended { component: self.component.clone(), result }).clone();
        if result == SUCCESS {
            self.often.succeeded.get_or_init(ended).inc();
        } else {
            ended().inc();
        }
        let seconds = || self.all.seconds.get_or_create(&self.labels()).clone();
        self.often.seconds.get_or_init(seconds).observe(took);
    }

    fn labels(&self) -> Component {
        Component { component: self.component.clone() }
    }

    /// A reconciler looked at one object.
    pub fn swept(&self) {
        self.all.swept.get_or_create(&Component { component: self.component.clone() }).inc();
    }

    /// A reconciler found something wrong.
    pub fn drift(&self, reason: &'static str) {
        self.all.drift.get_or_create(&Found { component: self.component.clone(), reason }).inc();
    }

    /// A write was refused because another process owns the object now.
    pub fn fenced(&self) {
        self.all.fenced.get_or_create(&Component { component: self.component.clone() }).inc();
    }

    pub(crate) const fn figures(&self) -> &Figures {
        &self.all.figures
    }

    pub(crate) fn unchanged(&self, count: u64) {
        if count > 0 {
            self.all.unchanged.get_or_create(&Component { component: self.component.clone() }).inc_by(count);
        }
    }

    pub(crate) fn queued(&self, waited: Duration) {
        let queued = || self.all.queued.get_or_create(&self.labels()).clone();
        self.often.queued.get_or_init(queued).observe(waited);
    }

    pub(crate) fn converged(&self, took: Duration) {
        let component = self.component.clone();
        self.all.convergence.get_or_create(&Component { component }).observe(took);
    }

    /// How many writes were refused so.
    #[must_use]
    pub fn fence_rejections(&self) -> u64 {
        self.all.fenced.get_or_create(&Component { component: self.component.clone() }).get()
    }

    pub(crate) fn parked(&self, count: usize) {
        self.all.safety.parked(&self.component, count);
    }

    pub(crate) fn quarantined(&self) {
        self.all.safety.quarantined(&self.component);
    }

    pub(crate) fn waits_for_budget(&self) {
        self.all.safety.waits_for_budget(&self.component);
    }

    /// How many objects were given up because their calls panicked.
    #[must_use]
    pub fn quarantines(&self) -> u64 {
        self.all.safety.quarantines(&self.component)
    }

    /// How many retries had to wait for their budget.
    #[must_use]
    pub fn budget_waits(&self) -> u64 {
        self.all.safety.budget_waits(&self.component)
    }

    /// How many calls ended so.
    #[must_use]
    pub fn count(&self, result: &'static str) -> u64 {
        self.all.reconciles.get_or_create(&Ended { component: self.component.clone(), result }).get()
    }
}

/// A figure that is read when it is asked for.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_runtime::{Reading, WorkQueue};
/// fn depth(queue: WorkQueue<String>) -> Reading {
///     Arc::new(move || queue.len() as u64)
/// }
/// ```
pub type Reading = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Figures that are read when a scrape asks for them: depths, lags, counts that live elsewhere.
///
/// ```
/// # use std::sync::Arc;
/// use prometheus_client::registry::Registry;
/// use roa_runtime::Readings;
/// let mut registry = Registry::default();
/// let readings = Readings::default().gauge("depth", "How many wait", "labs", Arc::new(|| 7));
/// registry.register_collector(Box::new(readings));
/// ```
#[derive(Clone, Default)]
pub struct Readings {
    gauges: Vec<(String, String, String, Reading)>,
    counters: Vec<(String, String, String, Reading)>,
}

impl Readings {
    /// Adds a figure that goes up and down.
    #[must_use]
    pub fn gauge(mut self, name: &str, help: &str, component: &str, read: Reading) -> Self {
        self.gauges.push((name.to_owned(), help.to_owned(), component.to_owned(), read));
        self
    }

    /// Adds a figure that only goes up.
    #[must_use]
    pub fn counter(mut self, name: &str, help: &str, component: &str, read: Reading) -> Self {
        self.counters.push((name.to_owned(), help.to_owned(), component.to_owned(), read));
        self
    }
}

impl std::fmt::Debug for Readings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Readings({} figures)", self.gauges.len() + self.counters.len())
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, component, read) in &self.gauges {
            let gauge = ConstGauge::new(i64::try_from(read()).unwrap_or(i64::MAX));
            let family = [(component.as_str(), gauge)];
            encode(&mut encoder, name, help, &family)?;
        }
        for (name, help, component, read) in &self.counters {
            let family = [(component.as_str(), ConstCounter::new(read()))];
            encode(&mut encoder, name, help, &family)?;
        }
        Ok(())
    }
}

fn encode<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    family: &[(&str, M)],
) -> Result<(), std::fmt::Error> {
    let Some((_, first)) = family.first() else { return Ok(()) };
    let mut metric = encoder.encode_descriptor(name, help, None, first.metric_type())?;
    for (component, value) in family {
        let labels = [("component", *component)];
        value.encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
