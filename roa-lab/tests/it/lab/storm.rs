//! A thousand labs of a provisioner that fails and hangs, through the real manager, in simulated time: whenever nothing
//! can be done, the clock moves to the next time that somebody waits for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use roa_core::{
    CancellationSource, Clock, HumanDuration, Key, KindRegistry, ListOptions, ManualClock, Object, ResourceStore,
    SeededRandom, Store,
};
use roa_lab::provision::{
    LabIdentity, Observation, ProvisionRequest, Provisioner, SimulatedProvisioner, SimulatedTemplate,
};
use roa_lab::{
    Capacity, Lab, LabController, LabInstance, LabPolicy, LabReconciler, LabSettings, LabState, LabTemplate,
    Provisioners, Quantity, conditions, kinds,
};
use roa_runtime::{
    CacheListener, Clocks, ControllerConfig, Manager, ManagerConfig, Mode, ReconcilerConfig, RuntimeMetrics,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

const LABS: usize = 1_000;
/// How many are brought up at a time.
const AT_ONCE: usize = 200;
/// No lab is without an end for longer, in simulated time.
const LIMIT: Duration = Duration::from_secs(12 * 3600);

/// What was seen of labs while it happened.
#[derive(Debug, Default)]
struct Onlooker {
    ended: AtomicUsize,
    /// Labs that waited for the provisioner, by name, with the state in which they did.
    waited: Mutex<BTreeMap<String, LabState>>,
}

impl CacheListener<Lab> for Onlooker {
    fn changed(&self, _key: &Key, before: Option<&Arc<Lab>>, after: Option<&Arc<Lab>>) {
        let has_ended = |lab: Option<&Arc<Lab>>| {
            lab.is_some_and(|lab| matches!(lab.status.state(), LabState::Ready | LabState::Failed))
        };
        if has_ended(after) && !has_ended(before) {
            self.ended.fetch_add(1, Ordering::AcqRel);
        }
        let Some(lab) = after else { return };
        let condition = lab.status.conditions.get(conditions::SCHEDULED);
        if condition.is_some_and(|condition| condition.reason == "ProvisionerDown") {
            self.waited.lock().unwrap().insert(lab.metadata.name.clone(), lab.status.state());
        }
    }
}

fn shaky() -> SimulatedTemplate {
    let provision_time = HumanDuration(Duration::from_secs(5));
    SimulatedTemplate { provision_time, failure_rate: 0.3, stuck_rate: 0.05, seed: 7, ..SimulatedTemplate::default() }
}

/// How a lab should end, found out by trying it with nobody in between: the message if it fails, and its retries.
async fn expected(lab: &Lab, policy: &LabPolicy) -> (Option<String>, u32) {
    let clock = ManualClock::new(lab.metadata.creation_timestamp.unwrap());
    let provisioner = SimulatedProvisioner::new(Arc::new(clock.clone()), 1);
    let metadata = &lab.metadata;
    let (uid, namespace, name) = (metadata.uid.clone(), metadata.namespace.clone(), metadata.name.clone());
    for attempt in 0..=policy.max_retries {
        let lab = LabIdentity { uid: uid.clone(), namespace: namespace.clone(), name: name.clone() };
        let (simulated, environment) = (Some(shaky()), BTreeMap::new());
        let request = ProvisionRequest { lab, process: None, simulated, environment, attempt };
        provisioner.start(&request).await.unwrap();
        clock.advance(Duration::from_secs(3600));
        match provisioner.observe(&request).await.unwrap() {
            Observation::Ready { .. } => return (None, attempt),
            Observation::Exited { message, .. } if attempt == policy.max_retries => return (Some(message), attempt),
            Observation::Exited { .. } => {}
            _ => return (Some("Provisioning timeout: not ready after 5m".to_owned()), attempt),
        }
    }
    unreachable!("the last attempt has an end")
}

/// Everything that runs, on one clock.
struct Stage {
    clock: ManualClock,
    resources: ResourceStore,
    manager: Manager,
    policy: LabPolicy,
    onlooker: Arc<Onlooker>,
    metrics: RuntimeMetrics,
    registry: Registry,
}

impl Stage {
    async fn new() -> Self {
        let clock = ManualClock::new("2027-01-01T08:00:00Z".parse().unwrap());
        let (shared, random) = (Arc::new(clock.clone()) as Arc<dyn Clock>, Arc::new(SeededRandom::new(1)));
        let store: Arc<dyn Store> =
            Arc::new(MemoryStore::new(MemoryConfig::default(), Arc::clone(&shared), random.clone()));
        let kinds = Arc::new(kinds(KindRegistry::new()));
        let resources = ResourceStore::new(Arc::clone(&store), kinds, Arc::clone(&shared), random, "test");
        let mut registry = Registry::with_prefix("roa");
        let metrics = RuntimeMetrics::register(registry.sub_registry_with_prefix("runtime"));
        let clocks = Clocks::same(Arc::clone(&shared));
        let manager = Manager::new(store, resources.clone(), clocks, ManagerConfig::new(Mode::Single)).await.unwrap();
        let mut manager = manager.with_metrics(metrics.clone());
        let onlooker = Arc::new(Onlooker::default());
        manager.cache::<LabTemplate>().unwrap();
        let labs = manager.cache::<LabInstance>().unwrap();
        labs.listen(onlooker.clone());
        let settings = settings(&shared, &metrics);
        let (policy, sweep) = (settings.policy.clone(), settings.policy.sweep);
        let controller = LabController::new(settings.clone()).following(&labs);
        manager.add_controller(controller, ControllerConfig::default()).unwrap();
        let sweeps = ReconcilerConfig { interval: sweep, ..ReconcilerConfig::default() };
        manager.add_reconciler(LabReconciler::new(settings), sweeps).unwrap();
        Self { clock, resources, manager, policy, onlooker, metrics, registry }
    }

    /// Lets time pass until each lab has its end.
    async fn play(clock: &ManualClock, onlooker: &Onlooker) {
        // On tokio's paused clock a tick comes when all else waits.
        let mut idle = interval(Duration::from_millis(1));
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begin = clock.now();
        while onlooker.ended.load(Ordering::Acquire) < LABS {
            idle.tick().await;
            clock.timers_pending(1).await;
            clock.advance_to_next_timer();
            let passed = clock.now().duration_since(begin);
            assert!(passed < LIMIT, "{} labs after {passed:?}", onlooker.ended.load(Ordering::Acquire));
        }
    }
}

fn settings(clock: &Arc<dyn Clock>, metrics: &RuntimeMetrics) -> LabSettings {
    let simulated = SimulatedProvisioner::new(Arc::clone(clock), LABS);
    let provisioners = Provisioners::new().with(Arc::new(simulated));
    let provisioners = provisioners.behind_breakers(&Provisioners::default_breaker(), clock, metrics);
    let mut settings = LabSettings::new("here", provisioners);
    settings.capacity = Capacity { cpu: Quantity::whole(1000), memory: Quantity::mebi(1 << 20), labs: LABS };
    settings.policy = LabPolicy::production();
    // What failed is to be there in the end.
    settings.policy.cleanup_grace = LIMIT * 2;
    settings.policy.default_duration = LIMIT * 2;
    settings.policy.max_provisionings = AT_ONCE;
    settings
}

async fn create(resources: &ResourceStore) {
    let template =
        json!({"provisioner": "simulated", "simulated": shaky(), "resources": {"cpu": "1m", "memory": "1Mi"}});
    let template = Object::<LabTemplate>::new("storm", "shaky", serde_json::from_value(template).unwrap());
    resources.api::<LabTemplate>().unwrap().create(&template).await.unwrap();
    for number in 0..LABS {
        let spec = json!({"template": "shaky", "studentEmail": "student@example.com"});
        let lab = Lab::new("storm", format!("lab-{number:04}"), serde_json::from_value(spec).unwrap());
        resources.api::<LabInstance>().unwrap().create(&lab).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_provisioner_that_fails_and_hangs_loses_no_lab_and_its_breaker_opens_and_recovers() {
    let Stage { clock, resources, manager, policy, onlooker, metrics, registry } = Stage::new().await;
    create(&resources).await;
    let stop = CancellationSource::new();
    let (ran, ()) = tokio::join!(manager.run(stop.token(), || ()), async {
        Stage::play(&clock, &onlooker).await;
        stop.cancel();
    });
    ran.unwrap();

    let (labs, _) = resources.api::<LabInstance>().unwrap().list(&ListOptions::everywhere()).await.unwrap();
    assert_eq!(labs.len(), LABS, "none is lost");
    let (mut times, mut failures) = (Vec::new(), BTreeMap::<String, usize>::new());
    for lab in &labs {
        let (failure, retries) = expected(lab, &policy).await;
        let status = &lab.status;
        let state = if failure.is_some() { LabState::Failed } else { LabState::Ready };
        assert_eq!((status.state(), status.retries), (state, retries), "{}: {status:?}", lab.metadata.name);
        match failure {
            Some(message) => {
                assert_eq!(status.message, message, "{}", lab.metadata.name);
                *failures.entry(message).or_default() += 1;
            }
            None => times.push(status.ready_at.unwrap().duration_since(lab.metadata.creation_timestamp.unwrap())),
        }
    }
    let breaker = metrics.dependency("provisioner-simulated");
    let waited = onlooker.waited.lock().unwrap();
    let opened = breaker.changes("open");
    report(&times, &failures, &breaker_line(opened, breaker.changes("closed"), waited.len()));
    assert!(opened >= 1 && breaker.changes("half_open") >= 1 && breaker.changes("closed") >= 1);
    assert!(waited.values().any(|state| *state == LabState::Pending), "some waited before they had a place");
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(text.contains("roa_runtime_breaker_transitions_total{dependency=\"provisioner-simulated\",to=\"open\"}"));
}

fn breaker_line(opened: u64, closed: u64, waited: usize) -> String {
    format!("breaker opened {opened} times, closed again {closed} times; {waited} labs waited for it")
}

/// Figures for people, with `--nocapture`.
fn report(times: &[Duration], failures: &BTreeMap<String, usize>, breaker: &str) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs();
    println!("{} labs ready, {} failed: {failures:?}", times.len(), failures.values().sum::<usize>());
    println!("time to ready: p50 {} s, p90 {} s, p99 {} s, max {} s", at(50), at(90), at(99), at(100));
    println!("{breaker}");
}
