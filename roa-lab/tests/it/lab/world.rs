//! A store, a clock, the controller and the reconciler, and what drives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{
    Action, Api, At, Context, Controller, Error, Event, EventSink, KindRegistry, ListOptions, ManualClock, Object,
    ReconcileError, Reconciler, ResourceStore, Revision, SeededRandom, Spec, Timestamp,
};
use roa_lab::{
    FINALIZER, Lab, LabController, LabInstance, LabPolicy, LabReconciler, LabSettings, LabState, LabStatus,
    LabTemplate, Provisioners, Template, conditions, kinds,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde_json::{Value, json};

use super::fake::{Fake, fake};
use super::unclear::Unclear;

pub const NAMESPACE: &str = "student-labs";
/// No driver calls more often for one change.
const MAX_STEPS: usize = 30;

/// What happened to labs, for people.
#[derive(Debug, Default)]
pub struct Recorded(Mutex<Vec<Event>>);

impl EventSink for Recorded {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

pub struct World {
    pub clock: ManualClock,
    pub resources: ResourceStore,
    /// What the resources are kept in.
    pub unclear: Arc<Unclear>,
    pub fake: Arc<Fake>,
    pub settings: LabSettings,
    pub controller: LabController,
    pub reconciler: LabReconciler,
    events: Arc<Recorded>,
    /// Before anything was written.
    pub begin: Revision,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A world whose settings were changed before anything happened in it.
    pub fn with(change: impl FnOnce(&mut LabSettings)) -> Self {
        let clock = ManualClock::new("2027-01-01T08:00:00Z".parse().unwrap());
        let random = Arc::new(SeededRandom::new(42));
        let unclear = Unclear::over(MemoryStore::new(MemoryConfig::default(), Arc::new(clock.clone()), random.clone()));
        let kinds = Arc::new(kinds(KindRegistry::new()));
        let resources = ResourceStore::new(unclear.clone(), kinds, Arc::new(clock.clone()), random, "test");
        let fake = fake();
        let provisioners = Provisioners::new().with(fake.clone());
        let mut settings = LabSettings::new("node-1", provisioners);
        change(&mut settings);
        let (controller, reconciler) = (LabController::new(settings.clone()), LabReconciler::new(settings.clone()));
        let begin = Revision::opening(roa_core::Clock::now(&clock));
        Self { clock, resources, unclear, fake, settings, controller, reconciler, events: Arc::default(), begin }
    }

    /// As after a restart of the process: nothing is remembered but what is stored and what is outside.
    pub fn restart(&mut self) {
        self.controller = LabController::new(self.settings.clone());
        self.reconciler = LabReconciler::new(self.settings.clone());
    }

    pub fn policy(&self) -> &LabPolicy {
        &self.settings.policy
    }

    pub fn context(&self, component: &str) -> Context {
        Context::new(component, self.resources.clone()).with_events(self.events.clone())
    }

    pub fn labs(&self) -> Api<Lab> {
        self.resources.api::<LabInstance>().unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.context("test").now()
    }

    pub async fn create<S: Spec>(&self, name: &str, spec: Value) -> Object<S> {
        let object = Object::<S>::new(NAMESPACE, name, serde_json::from_value(spec).unwrap());
        self.resources.api::<S>().unwrap().create(&object).await.unwrap()
    }

    /// The template `course`, whose labs the fake provisioner brings up.
    pub async fn course(&self) -> Template {
        self.create::<LabTemplate>("course", json!({"provisioner": "fake"})).await
    }

    /// A lab of the template `course`.
    pub async fn lab(&self, name: &str) -> Lab {
        self.create(name, json!({"template": "course", "studentEmail": "student@example.com"})).await
    }

    /// A lab of the template `course` that is ready.
    pub async fn ready_lab(&self, name: &str) -> Lab {
        self.course().await;
        let uid = self.lab(name).await.metadata.uid;
        self.run(name).await;
        self.fake.answers(&uid);
        self.run(name).await;
        let lab = self.get(name).await;
        assert_eq!(lab.status.state(), LabState::Ready, "{:?}", lab.status);
        lab
    }

    pub async fn get(&self, name: &str) -> Lab {
        self.find(name).await.unwrap_or_else(|| panic!("lab {name} should be there"))
    }

    pub async fn find(&self, name: &str) -> Option<Lab> {
        let labs = self.labs();
        labs.find(&labs.key(NAMESPACE, name).unwrap()).await.unwrap()
    }

    pub async fn status(&self, name: &str) -> LabStatus {
        self.get(name).await.status
    }

    pub async fn edit(&self, name: &str, change: impl Fn(&mut LabInstance) + Send + Sync) {
        self.labs().patch(NAMESPACE, name, |lab| change(&mut lab.spec)).await.unwrap();
    }

    pub async fn delete(&self, name: &str) {
        self.labs().delete(NAMESPACE, name, &DeleteOptions::default()).await.unwrap();
    }

    /// One call, as a driver makes it: the finalizer goes on first and off last. `None` if there is no such lab.
    pub async fn call(&self, name: &str) -> Option<Result<Action, ReconcileError>> {
        let (lab, cx) = (Arc::new(self.find(name).await?), self.context(self.controller.name()));
        let finalizer = self.controller.finalizer().unwrap();
        let has_it = lab.metadata.has_finalizer(finalizer);
        Some(match (lab.metadata.is_deleting(), has_it) {
            (true, true) => {
                let outcome = self.controller.finalize(lab, &cx).await;
                if matches!(outcome, Ok(Action::Done)) {
                    self.set_finalizers(name, Vec::new()).await;
                }
                outcome
            }
            (true, false) => Ok(Action::Done),
            (false, false) => {
                self.set_finalizers(name, vec![finalizer.to_owned()]).await;
                Ok(Action::Done)
            }
            (false, true) => self.controller.reconcile(lab, &cx).await,
        })
    }

    async fn set_finalizers(&self, name: &str, finalizers: Vec<String>) {
        assert!(finalizers.iter().all(|finalizer| finalizer == FINALIZER));
        self.labs().patch(NAMESPACE, name, |lab| lab.metadata.finalizers.clone_from(&finalizers)).await.unwrap();
    }

    /// Calls until nothing changes any more without time passing. Gives what the last call said.
    pub async fn run(&self, name: &str) -> Action {
        for _ in 0..MAX_STEPS {
            let before = self.find(name).await.map(|lab| lab.metadata.resource_version);
            let action = match self.call(name).await {
                None => return Action::Done,
                Some(Ok(action)) => action,
                Some(Err(ReconcileError::Resource(Error::Conflict { .. }))) => continue,
                Some(Err(error)) => panic!("lab {name}: {error}"),
            };
            if self.find(name).await.map(|lab| lab.metadata.resource_version) == before {
                return action;
            }
        }
        panic!("lab {name} changes for ever: {:?}", self.find(name).await);
    }

    /// Lets time pass, and then calls.
    pub async fn run_after(&self, time: Duration, name: &str) -> Action {
        self.clock.advance(time);
        self.run(name).await
    }

    /// One sweep over all labs, as a driver makes it. Gives what was found, by name and reason, and how many orphans
    /// were ended.
    pub async fn sweep(&self) -> (Vec<(String, &'static str)>, usize) {
        let cx = self.context(self.reconciler.name());
        let (labs, _) = self.labs().list(&ListOptions::everywhere()).await.unwrap();
        let labs: Vec<Arc<Lab>> = labs.into_iter().map(Arc::new).collect();
        let mut found = Vec::new();
        for lab in &labs {
            let observed = self.reconciler.observe(lab, &cx).await.unwrap();
            if let Some(drift) = self.reconciler.drift(lab, &observed, cx.now()) {
                found.push((lab.metadata.name.clone(), drift.reason));
                self.reconciler.correct(Arc::clone(lab), drift, &cx).await.unwrap();
            }
        }
        (found, self.reconciler.after_sweep(&labs, &cx).await.unwrap())
    }

    /// What one sweep finds wrong with labs.
    pub async fn found(&self) -> Vec<(String, &'static str)> {
        self.sweep().await.0
    }

    /// The reasons of all events of a component.
    pub fn events(&self, component: &str) -> Vec<String> {
        let events = self.events.0.lock().unwrap();
        events.iter().filter(|event| &*event.component == component).map(|event| event.reason.clone()).collect()
    }

    /// The message of the last event with this reason.
    pub fn message(&self, reason: &str) -> String {
        let events = self.events.0.lock().unwrap();
        let event = events.iter().rev().find(|event| event.reason == reason);
        event.unwrap_or_else(|| panic!("no event {reason} among {events:?}")).message.clone()
    }

    /// The lab as it was after each write since a revision, and the newest revision.
    pub async fn written_since(&self, name: &str, since: Revision) -> (Vec<Lab>, Revision) {
        let (_, head) = self.labs().list(&ListOptions::everywhere()).await.unwrap();
        let mut versions: Vec<Lab> = Vec::new();
        for number in since.get()..=head.get() {
            let then = ListOptions::everywhere().at(At::Exact(Revision::new(number).unwrap()));
            let (labs, _) = self.labs().list(&then).await.unwrap();
            let lab = labs.into_iter().find(|lab| lab.metadata.name == name);
            versions.extend(lab.filter(|lab| lab.metadata.resource_version.is_some_and(|at| at.get() == number)));
        }
        (versions, head)
    }

    /// Each state that was written, whether anybody saw it or not.
    pub async fn states_written(&self, name: &str) -> Vec<LabState> {
        let (versions, _) = self.written_since(name, self.begin).await;
        let mut states: Vec<LabState> = versions.iter().filter_map(|lab| lab.status.state).collect();
        states.dedup();
        states
    }

    /// The states that the lab went through, by its own account.
    pub async fn history(&self, name: &str) -> Vec<LabState> {
        self.status(name).await.history.iter().map(|change| change.to).collect()
    }

    /// Writes a status as anybody could, through the status path.
    pub async fn write_status(&self, name: &str, status: Value) -> Result<(), Error> {
        let labs = self.labs();
        let key = labs.key(NAMESPACE, name)?;
        let mut object = self.resources.get(&key).await?;
        object.body.insert("status".to_owned(), status);
        self.resources.update_status(object).await.map(|_| ())
    }

    /// Applies a manifest strictly, as the command line does.
    pub async fn apply(&self, manifest: Value) -> Result<roa_core::DynamicObject, Error> {
        let object = roa_core::DynamicObject::from_json(manifest)?;
        self.resources.apply(object, FieldValidation::Strict).await
    }
}

/// Status, reason and message of a condition.
pub fn condition(status: &LabStatus, kind: &str) -> (bool, String, String) {
    let condition = status.conditions.get(kind).unwrap_or_else(|| panic!("no condition {kind} in {status:?}"));
    (status.conditions.is_true(kind), condition.reason.clone(), condition.message.clone())
}

/// What a lab that waits is waiting for.
pub fn waits_for(status: &LabStatus) -> (String, String) {
    assert_eq!(status.state(), LabState::Pending, "{status:?}");
    let (scheduled, reason, message) = condition(status, conditions::SCHEDULED);
    assert!(!scheduled);
    (reason, message)
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn environment(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
