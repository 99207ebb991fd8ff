//! A store with labs in it, a clock that stands still, and a provisioner that does as it is told: one step at a time.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{
    Action, Api, At, CacheReader, Caches, Clock, Condition, Context, Controller, DynamicObject, Error, Event,
    EventSink, Key, KindRegistry, ListOptions, ManualClock, ReconcileError, Reconciler, ResourceStore, Revision,
    SeededRandom, Store, Timestamp,
};
use roa_lab::provision::{LabIdentity, Observation, ProvisionError, ProvisionRequest, Provisioner, StopProgress};
use roa_lab::{
    Capacity, FINALIZER, Lab, LabController, LabInstance, LabMetrics, LabPolicy, LabReconciler, LabSettings, LabState,
    LabTemplate, Provisioners, Template,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde_json::json;

/// Where the labs of these tests are.
pub const NAMESPACE: &str = "student-labs";
/// The machine whose `roa` acts here.
pub const NODE: &str = "here";
/// Longer than any lab here takes to come to rest.
const MAX_STEPS: usize = 100;

/// What becomes of an attempt to bring a lab up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Works,
    Hangs,
    Exits,
    /// It can't be begun, for now.
    Refused,
    /// It can't be begun, ever.
    Invalid,
}

#[derive(Debug)]
struct Outside {
    lab: LabIdentity,
    seen: Observation,
}

#[derive(Debug, Default)]
struct FakeState {
    outside: BTreeMap<String, Outside>,
    fates: VecDeque<Fate>,
    lasting: Option<Fate>,
    begun: Vec<ProvisionRequest>,
    stops: usize,
    slow_stops: usize,
}

/// A provisioner that does as it is told, and counts.
#[derive(Debug)]
pub struct Fake {
    name: &'static str,
    state: Mutex<FakeState>,
}

impl Fake {
    pub fn new(name: &'static str) -> Self {
        Self { name, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap()
    }

    /// What becomes of the next attempts; those after them work.
    pub fn script(&self, fates: &[Fate]) {
        self.lock().fates = fates.iter().copied().collect();
    }

    /// What becomes of all attempts from now on.
    pub fn always(&self, fate: Fate) {
        self.lock().lasting = Some(fate);
    }

    /// How many times something was begun outside.
    pub fn begun(&self) -> usize {
        self.lock().begun.len()
    }

    pub fn requests(&self) -> Vec<ProvisionRequest> {
        self.lock().begun.clone()
    }

    pub fn stops(&self) -> usize {
        self.lock().stops
    }

    /// How many stops are answered with "not yet".
    pub fn stop_slowly(&self, steps: usize) {
        self.lock().slow_stops = steps;
    }

    pub fn holds(&self) -> usize {
        self.lock().outside.len()
    }

    /// What is seen of every lab from now on.
    pub fn all_are(&self, seen: &Observation) {
        self.lock().outside.values_mut().for_each(|outside| outside.seen = seen.clone());
    }

    /// Something outside that was not asked for here.
    pub fn put(&self, uid: &str) {
        let lab = LabIdentity { uid: uid.into(), namespace: String::new(), name: String::new() };
        self.lock().outside.insert(uid.into(), Outside { lab, seen: Observation::Starting });
    }

    /// Whoever runs the machine ends everything.
    pub fn kill_all(&self) {
        self.lock().outside.clear();
    }
}

pub fn exited() -> Observation {
    Observation::Exited { code: Some(3), signal: None, message: "exited with code 3".into() }
}

pub fn answers() -> Observation {
    Observation::Ready { endpoint: "http://127.0.0.1:4711".into() }
}

#[async_trait]
impl Provisioner for Fake {
    fn name(&self) -> &str {
        self.name
    }

    async fn start(&self, request: &ProvisionRequest) -> Result<(), ProvisionError> {
        let mut state = self.lock();
        let uid = &request.lab.uid;
        if state.outside.get(uid).is_some_and(|outside| !matches!(outside.seen, Observation::Exited { .. })) {
            return Ok(());
        }
        let lasting = state.lasting.unwrap_or(Fate::Works);
        let seen = match state.fates.pop_front().unwrap_or(lasting) {
            Fate::Works => answers(),
            Fate::Hangs => Observation::Starting,
            Fate::Exits => exited(),
            Fate::Refused => {
                let error = io::Error::other("no room on the disk");
                return Err(ProvisionError::Io { action: "write", path: "lab".into(), error });
            }
            Fate::Invalid => return Err(ProvisionError::Uid { uid: uid.clone() }),
        };
        state.begun.push(request.clone());
        state.outside.insert(uid.clone(), Outside { lab: request.lab.clone(), seen });
        Ok(())
    }

    async fn observe(&self, request: &ProvisionRequest) -> Result<Observation, ProvisionError> {
        Ok(self.lock().outside.get(&request.lab.uid).map_or(Observation::Absent, |outside| outside.seen.clone()))
    }

    async fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        let mut state = self.lock();
        state.stops += 1;
        if state.slow_stops > 0 {
            state.slow_stops -= 1;
            return Ok(StopProgress::Stopping);
        }
        state.outside.remove(&lab.uid);
        Ok(StopProgress::Gone)
    }

    async fn list(&self) -> Result<Vec<LabIdentity>, ProvisionError> {
        Ok(self.lock().outside.values().map(|outside| outside.lab.clone()).collect())
    }
}

/// Keeps all events.
#[derive(Debug, Default)]
pub struct Events(Mutex<Vec<Event>>);

impl EventSink for Events {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    pub fn reasons(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|event| event.reason.clone()).collect()
    }
}

/// A cache that shows what it was filled with.
struct Filled(Vec<Arc<Lab>>);

impl CacheReader<Lab> for Filled {
    fn get(&self, key: &Key) -> Option<Arc<Lab>> {
        self.0.iter().find(|lab| lab.metadata.name == key.name()).cloned()
    }

    fn list(&self, _namespace: Option<&str>) -> Vec<Arc<Lab>> {
        self.0.clone()
    }

    fn revision(&self) -> Option<Revision> {
        None
    }
}

/// A store with labs in it, and what drives them.
pub struct World {
    pub clock: ManualClock,
    pub store: Arc<dyn Store>,
    pub resources: ResourceStore,
    pub fake: Arc<Fake>,
    pub events: Arc<Events>,
    pub settings: LabSettings,
    pub controller: LabController,
    pub reconciler: LabReconciler,
    cx: Context,
    opened: Revision,
}

impl World {
    pub async fn new() -> Self {
        Self::with(LabPolicy::default(), Capacity::default()).await
    }

    pub async fn with(policy: LabPolicy, capacity: Capacity) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let random = Arc::new(SeededRandom::new(7));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), shared.clone(), random.clone()));
        let kinds = Arc::new(roa_lab::kinds(KindRegistry::new()));
        let resources = ResourceStore::new(store.clone(), kinds, shared, random, "student");
        let (fake, events) = (Arc::new(Fake::new("process")), Arc::new(Events::default()));
        let settings = LabSettings {
            policy,
            capacity,
            node: NODE.into(),
            provisioners: Provisioners::default().with(fake.clone()),
            metrics: LabMetrics::unregistered(),
        };
        let cx = Context::new("lab-controller", resources.clone()).with_events(events.clone());
        let (controller, reconciler) = (LabController::new(settings.clone()), LabReconciler::new(settings.clone()));
        let opened = store.state().await.unwrap().head;
        Self { clock, store, resources, fake, events, settings, controller, reconciler, cx, opened }
    }

    pub fn labs(&self) -> Api<Lab> {
        self.resources.api::<LabInstance>().unwrap()
    }

    pub async fn lab(&self, name: &str) -> Lab {
        self.labs().get(NAMESPACE, name).await.unwrap()
    }

    pub async fn find(&self, name: &str) -> Option<Lab> {
        self.labs().find(&self.labs().key(NAMESPACE, name).unwrap()).await.unwrap()
    }

    pub async fn state(&self, name: &str) -> LabState {
        self.lab(name).await.status.state()
    }

    /// A lab of the built-in template `python-basics`.
    pub async fn create(&self, name: &str) -> Lab {
        self.labs().create(&Lab::new(NAMESPACE, name, spec("python-basics"))).await.unwrap()
    }

    pub async fn create_with(&self, name: &str, change: impl FnOnce(&mut LabInstance)) -> Lab {
        let mut wanted = spec("python-basics");
        change(&mut wanted);
        self.labs().create(&Lab::new(NAMESPACE, name, wanted)).await.unwrap()
    }

    pub async fn change(&self, name: &str, change: impl Fn(&mut LabInstance) + Send + Sync) -> Lab {
        self.labs().patch(NAMESPACE, name, |lab| change(&mut lab.spec)).await.unwrap()
    }

    pub async fn delete(&self, name: &str) {
        self.labs().delete(NAMESPACE, name, &DeleteOptions::default()).await.unwrap();
    }

    /// A template like the built-in `static-site`, after a change.
    pub async fn template(&self, name: &str, change: impl FnOnce(&mut LabTemplate)) {
        let mut wanted = roa_lab::builtin("static-site").unwrap();
        change(&mut wanted);
        let api = self.resources.api::<LabTemplate>().unwrap();
        api.create(&Template::new(NAMESPACE, name, wanted)).await.unwrap();
    }

    /// The controller dies, and another begins, whose cache is filled with what the store has.
    pub async fn restart(&mut self) {
        self.settings.metrics = LabMetrics::unregistered();
        self.controller = LabController::new(self.settings.clone());
        let labs = self.all().await;
        self.cx = self.cx.clone().with_caches(Caches::default().with::<Lab>(Arc::new(Filled(labs))));
    }

    pub async fn all(&self) -> Vec<Arc<Lab>> {
        let (labs, _) = self.labs().list(&ListOptions::everywhere()).await.unwrap();
        labs.into_iter().map(Arc::new).collect()
    }

    /// One call of the controller for a lab as it is stored, with its finalizer put on and taken off around it.
    pub async fn step(&self, name: &str) -> Result<Action, ReconcileError> {
        self.step_by(&self.controller, name).await
    }

    pub async fn step_by(&self, controller: &LabController, name: &str) -> Result<Action, ReconcileError> {
        let Some(lab) = self.find(name).await else { return Ok(Action::Done) };
        let cx = &self.cx;
        let (deleting, finalizer) = (lab.metadata.is_deleting(), lab.metadata.has_finalizer(FINALIZER));
        match (deleting, finalizer) {
            (true, true) => {
                let action = controller.finalize(Arc::new(lab), cx).await?;
                if action == Action::Done {
                    self.finalizer(name, false).await?;
                }
                Ok(action)
            }
            (true, false) => Ok(Action::Done),
            (false, false) => self.finalizer(name, true).await.map(|()| Action::Done),
            (false, true) => controller.reconcile(Arc::new(lab), cx).await,
        }
    }

    async fn finalizer(&self, name: &str, on: bool) -> Result<(), ReconcileError> {
        let mut lab = self.lab(name).await;
        lab.metadata.finalizers.retain(|finalizer| finalizer != FINALIZER);
        if on {
            lab.metadata.finalizers.push(FINALIZER.into());
        }
        self.cx.api::<LabInstance>()?.update(&lab).await?;
        Ok(())
    }

    /// Steps until a step changes nothing, and says for how long that stays so.
    pub async fn settle(&self, name: &str) -> Option<Duration> {
        for _ in 0..MAX_STEPS {
            let before = self.head().await;
            let action = self.step(name).await.unwrap();
            match action {
                _ if self.head().await != before => {}
                Action::Done => return None,
                Action::RequeueAfter(wait) if !wait.is_zero() => return Some(wait),
                Action::Requeue | Action::RequeueAfter(_) => {}
            }
        }
        panic!("{name} does not come to rest within {MAX_STEPS} steps: {:?}", self.find(name).await);
    }

    /// One attempt to bring a lab up: begins it, and looks what became of it.
    pub async fn attempt(&self, name: &str) -> Option<Duration> {
        let wait = self.settle(name).await;
        if wait != Some(self.settings.policy.poll) {
            return wait;
        }
        self.clock.advance(self.settings.policy.poll);
        self.settle(name).await
    }

    /// Settles, and lets time go by as the controller asks for, until the lab is in a state (`None`: gone).
    pub async fn reach(&self, name: &str, wanted: impl Into<Option<LabState>>) {
        let wanted = wanted.into();
        for _ in 0..MAX_STEPS {
            let wait = self.settle(name).await;
            if self.find(name).await.map(|lab| lab.status.state()) == wanted {
                return;
            }
            self.clock.advance(wait.unwrap_or_else(|| panic!("{name} rests before it is {wanted:?}")));
        }
        panic!("{name} is not {wanted:?} within {MAX_STEPS} waits: {:?}", self.find(name).await);
    }

    /// Steps without time going by, until the lab is in a state.
    pub async fn step_to(&self, name: &str, wanted: LabState) {
        for _ in 0..MAX_STEPS {
            if self.state(name).await == wanted && self.lab(name).await.status.state.is_some() {
                return;
            }
            self.step(name).await.unwrap();
        }
        panic!("{name} is not {wanted}: {:?}", self.lab(name).await);
    }

    /// One sweep over all that the store has; how many things it corrected.
    pub async fn sweep(&self) -> usize {
        self.sweep_over(&self.all().await).await
    }

    /// One sweep over these labs.
    pub async fn sweep_over(&self, labs: &[Arc<Lab>]) -> usize {
        let mut corrected = 0;
        for lab in labs {
            let seen = self.reconciler.observe(lab, &self.cx).await.unwrap();
            if let Some(drift) = self.reconciler.drift(lab, &seen, self.cx.now()) {
                self.reconciler.correct(lab.clone(), drift, &self.cx).await.unwrap();
                corrected += 1;
            }
        }
        corrected + self.reconciler.after_sweep(labs, &self.cx).await.unwrap()
    }

    /// A sweep over labs as they were. As with its driver, what it can't do now is left for the next.
    pub async fn late_sweep(&self, labs: &[Arc<Lab>]) {
        for lab in labs {
            let seen = self.reconciler.observe(lab, &self.cx).await.unwrap();
            if let Some(drift) = self.reconciler.drift(lab, &seen, self.cx.now()) {
                match self.reconciler.correct(lab.clone(), drift, &self.cx).await {
                    Ok(_) | Err(ReconcileError::Transient { .. }) => {}
                    Err(ReconcileError::Resource(Error::Conflict { .. } | Error::NotFound { .. })) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        self.reconciler.after_sweep(labs, &self.cx).await.unwrap();
    }

    pub async fn head(&self) -> Revision {
        self.store.state().await.unwrap().head
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The lab at each revision at which the store had it, oldest first.
    pub async fn past(&self, name: &str) -> Vec<Lab> {
        let mut past: Vec<Lab> = Vec::new();
        for revision in self.opened.get()..=self.head().await.get() {
            let at = ListOptions::namespace(NAMESPACE).at(At::Exact(Revision::new(revision).unwrap()));
            let (labs, _) = self.labs().list(&at).await.unwrap();
            let lab = labs.into_iter().find(|lab| lab.metadata.name == name);
            let known = |lab: &Lab| past.last().is_some_and(|last| last.metadata == lab.metadata);
            past.extend(lab.filter(|lab| !known(lab)));
        }
        past
    }

    /// The states that a lab was in, each once in a row.
    pub async fn states(&self, name: &str) -> Vec<LabState> {
        let mut states: Vec<_> = self.past(name).await.iter().filter_map(|lab| lab.status.state).collect();
        states.dedup();
        states
    }

    /// A manifest, as a user writes it.
    pub async fn apply(&self, manifest: serde_json::Value) -> Result<DynamicObject, Error> {
        self.resources.create(DynamicObject::from_json(manifest).unwrap(), FieldValidation::Strict).await
    }

    pub async fn condition(&self, name: &str, kind: &str) -> Condition {
        let lab = self.lab(name).await;
        lab.status.conditions.get(kind).unwrap_or_else(|| panic!("no condition {kind}: {:?}", lab.status)).clone()
    }
}

pub fn spec(template: &str) -> LabInstance {
    serde_json::from_value(json!({"template": template, "studentEmail": "student@example.com"})).unwrap()
}

pub fn minutes(count: u64) -> roa_core::HumanDuration {
    roa_core::HumanDuration(Duration::from_secs(count * 60))
}
