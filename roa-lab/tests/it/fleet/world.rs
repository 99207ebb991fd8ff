//! A store, a clock, all controllers and reconcilers of labs, workers and pools, and what drives them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Action, Api, Batch, CacheReader, Caches, Clock, Context, Controller, Error, Event, EventSink, Key, KindRegistry,
    ListOptions, ManualClock, Object, ReconcileError, Reconciler, ResourceStore, Revision, SeededRandom, Spec, Store,
    StoreExt,
};
use roa_lab::{
    Account, Lab, LabController, LabInstance, LabReconciler, LabSettings, LabTemplate, LabWorker, LabWorkerPool, Pool,
    PoolController, Provisioners, SimulatedWorkers, Worker, WorkerController, WorkerProvisioners, WorkerReconciler,
    kinds,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde_json::{Value, json};

use crate::lab::fake::{Fake, fake};

pub const NAMESPACE: &str = "school";

/// Rounds in which something may still change.
const MAX_ROUNDS: usize = 200;

#[derive(Debug, Default)]
pub struct Recorded(Mutex<Vec<Event>>);

impl EventSink for Recorded {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

pub struct Fleet {
    pub clock: ManualClock,
    pub store: Arc<dyn Store>,
    pub resources: ResourceStore,
    pub fake: Arc<Fake>,
    pub settings: LabSettings,
    pub labs: LabController,
    pub lab_sweep: LabReconciler,
    pub workers: WorkerController,
    pub worker_sweep: WorkerReconciler,
    pub pools: PoolController,
    pub simulated: SimulatedWorkers,
    events: Arc<Recorded>,
    /// Before anything was written.
    pub begin: Revision,
}

impl Fleet {
    /// Over a store in memory.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut LabSettings)) -> Self {
        let clock = ManualClock::new("2027-01-01T08:00:00Z".parse().unwrap());
        let random = Arc::new(SeededRandom::new(42));
        let store = MemoryStore::new(MemoryConfig::default(), Arc::new(clock), random);
        Self::over(Arc::new(store), change).await
    }

    pub async fn over(store: Arc<dyn Store>, change: impl FnOnce(&mut LabSettings)) -> Self {
        let clock = ManualClock::new("2027-01-01T08:00:00Z".parse().unwrap());
        let (kinds, random) = (Arc::new(kinds(KindRegistry::new())), Arc::new(roa_core::SystemRandom));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let resources = ResourceStore::new(Arc::clone(&store), kinds, shared, random, "test");
        let fake = fake();
        let mut settings = LabSettings::new("node-1", Provisioners::new().with(fake.clone()));
        settings.policy.max_provisionings = 10_000;
        let simulated = SimulatedWorkers::new(settings.policy.heartbeat);
        settings.workers = WorkerProvisioners::new().with(Arc::new(simulated));
        change(&mut settings);
        let begin = store.head().await.unwrap();
        let fleet = Self {
            clock,
            store,
            resources,
            fake,
            labs: LabController::new(settings.clone()),
            lab_sweep: LabReconciler::new(settings.clone()),
            workers: WorkerController::new(settings.clone()),
            worker_sweep: WorkerReconciler::new(settings.clone()),
            pools: PoolController::new(settings.clone()),
            simulated,
            settings,
            events: Arc::default(),
            begin,
        };
        fleet.create::<LabTemplate>("course", json!({"provisioner": "fake"})).await;
        fleet
    }

    /// As after a restart, or as another process sees it: nothing is remembered.
    pub fn restart(&mut self) {
        self.labs = LabController::new(self.settings.clone());
        self.lab_sweep = LabReconciler::new(self.settings.clone());
        self.workers = WorkerController::new(self.settings.clone());
        self.worker_sweep = WorkerReconciler::new(self.settings.clone());
        self.pools = PoolController::new(self.settings.clone());
    }

    pub fn context(&self, component: &str) -> Context {
        Context::new(component, self.resources.clone()).with_events(self.events.clone())
    }

    pub fn api<S: Spec>(&self) -> Api<Object<S>> {
        self.resources.api::<S>().unwrap()
    }

    pub async fn create<S: Spec>(&self, name: &str, spec: Value) -> Object<S> {
        let object = Object::<S>::new(NAMESPACE, name, serde_json::from_value(spec).unwrap());
        self.api::<S>().create(&object).await.unwrap()
    }

    pub async fn lab(&self, name: &str) -> Lab {
        self.lab_with(name, json!({})).await
    }

    pub async fn lab_with(&self, name: &str, more: Value) -> Lab {
        let mut spec = json!({"template": "course", "studentEmail": "a@b.c", "duration": "8h"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.create::<LabInstance>(name, spec).await
    }

    /// A worker of so many processors and Gi.
    pub async fn worker(&self, name: &str, size: u32) -> Worker {
        let capacity = json!({"cpu": size, "memory": format!("{size}Gi")});
        self.create::<LabWorker>(name, json!({"capacity": capacity})).await
    }

    /// A worker that is ready.
    pub async fn ready_worker(&self, name: &str, size: u32) {
        self.worker(name, size).await;
        self.settle().await;
        self.clock.advance(seconds(5));
        self.settle().await;
    }

    pub async fn find<S: Spec>(&self, name: &str) -> Option<Object<S>> {
        let api = self.api::<S>();
        api.find(&api.key(NAMESPACE, name).unwrap()).await.unwrap()
    }

    pub async fn get_lab(&self, name: &str) -> Lab {
        self.find::<LabInstance>(name).await.unwrap_or_else(|| panic!("lab {name} should be there"))
    }

    pub async fn get_worker(&self, name: &str) -> Worker {
        self.find::<LabWorker>(name).await.unwrap_or_else(|| panic!("worker {name} should be there"))
    }

    pub async fn get_pool(&self, name: &str) -> Pool {
        self.find::<LabWorkerPool>(name).await.unwrap_or_else(|| panic!("pool {name} should be there"))
    }

    pub async fn all<S: Spec>(&self) -> Vec<Object<S>> {
        self.api::<S>().list(&ListOptions::everywhere()).await.unwrap().0
    }

    pub async fn delete<S: Spec>(&self, name: &str) {
        self.api::<S>().delete(NAMESPACE, name, &DeleteOptions::default()).await.unwrap();
    }

    /// One call, as a driver makes it: the finalizer goes on first and off last. `None` if there is no such object.
    pub async fn call<S, C>(&self, controller: &C, name: &str) -> Option<Result<Action, ReconcileError>>
    where
        S: Spec,
        C: Controller<Resource = Object<S>>,
    {
        let (object, cx) = (Arc::new(self.find::<S>(name).await?), self.context(controller.name()));
        let finalizer = controller.finalizer().unwrap().to_owned();
        let has_it = object.metadata.has_finalizer(&finalizer);
        Some(match (object.metadata.is_deleting(), has_it) {
            (true, true) => match controller.finalize(object, &cx).await {
                Ok(Action::Done) => self.set_finalizers::<S>(name, Vec::new()).await,
                outcome => outcome,
            },
            (true, false) => Ok(Action::Done),
            (false, false) => self.set_finalizers::<S>(name, vec![finalizer]).await,
            (false, true) => controller.reconcile(object, &cx).await,
        })
    }

    async fn set_finalizers<S: Spec>(&self, name: &str, to: Vec<String>) -> Result<Action, ReconcileError> {
        let api = self.api::<S>();
        match api.patch(NAMESPACE, name, |object| object.metadata.finalizers.clone_from(&to)).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(Action::Done),
            Err(error) => Err(error.into()),
        }
    }

    async fn call_all<S, C>(&self, controller: &C)
    where
        S: Spec,
        C: Controller<Resource = Object<S>>,
    {
        for object in self.all::<S>().await {
            match self.call::<S, C>(controller, &object.metadata.name).await {
                Some(Err(error)) if !error.is_retryable() => panic!("{}: {error}", object.metadata.name),
                _ => {}
            }
        }
    }

    /// What is begun outside answers at once.
    pub fn answer(&self) {
        self.fake.uids().iter().for_each(|uid| self.fake.answers(uid));
    }

    /// Calls all controllers for all objects, until nothing changes any more without time passing.
    pub async fn settle(&self) {
        for _ in 0..MAX_ROUNDS {
            let before = self.store.head().await.unwrap();
            self.call_all::<LabWorkerPool, _>(&self.pools).await;
            self.call_all::<LabWorker, _>(&self.workers).await;
            self.call_all::<LabInstance, _>(&self.labs).await;
            self.answer();
            self.call_all::<LabInstance, _>(&self.labs).await;
            if self.store.head().await.unwrap() == before {
                return;
            }
        }
        panic!("something changes for ever");
    }

    /// One sweep over all objects of a kind, as a driver makes it. Gives what was found.
    pub async fn sweep<S, R>(&self, reconciler: &R) -> Vec<(String, &'static str)>
    where
        S: Spec,
        R: Reconciler<Resource = Object<S>>,
    {
        let cx = self.context(reconciler.name());
        let objects: Vec<Arc<Object<S>>> = self.all::<S>().await.into_iter().map(Arc::new).collect();
        let mut found = Vec::new();
        for object in &objects {
            let seen = reconciler.observe(object, &cx).await.unwrap();
            if let Some(drift) = reconciler.drift(object, &seen, cx.now()) {
                found.push((object.metadata.name.clone(), drift.reason));
                reconciler.correct(Arc::clone(object), drift, &cx).await.unwrap();
            }
        }
        reconciler.after_sweep(&objects, &cx).await.unwrap();
        found
    }

    /// What one sweep finds wrong with workers.
    pub async fn found(&self) -> Vec<(String, &'static str)> {
        self.sweep::<LabWorker, _>(&self.worker_sweep).await
    }

    pub async fn beat(&self) {
        self.simulated.beat(&self.context("simulated-workers")).await.unwrap();
    }

    /// Lets time pass in steps of ten seconds: workers give signs of life, controllers act, sweeps look.
    pub async fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs().div_ceil(10) {
            self.clock.advance(seconds(10));
            self.beat().await;
            self.settle().await;
            self.found().await;
            self.sweep::<LabInstance, _>(&self.lab_sweep).await;
            self.settle().await;
        }
    }

    /// The last message of an event with this reason.
    pub fn message(&self, reason: &str) -> String {
        let events = self.events.0.lock().unwrap();
        let event = events.iter().rev().find(|event| event.reason == reason);
        event.unwrap_or_else(|| panic!("no event {reason} among {events:?}")).message.clone()
    }

    /// Each worker's account is the sum of its labs, and no more than it can take.
    pub async fn check_accounts(&self) {
        let labs = self.all::<LabInstance>().await;
        for worker in self.all::<LabWorker>().await {
            let real = Account::of(&worker.metadata.uid, labs.iter());
            let (said, capacity) = (worker.status.allocated, worker.spec.capacity());
            assert_eq!(said, real, "{}", worker.metadata.name);
            assert!(said.cpu <= capacity.cpu && said.memory <= capacity.memory, "{said:?} of {capacity:?}");
            assert!(usize::try_from(said.labs).unwrap() <= capacity.labs, "{said:?} of {capacity:?}");
        }
    }

    /// All that was written since the begin.
    pub async fn log(&self) -> Vec<Arc<Batch>> {
        let head = self.store.head().await.unwrap();
        let mut tail = self.store.tail(self.begin).await.unwrap();
        let mut batches: Vec<Arc<Batch>> = Vec::new();
        while batches.last().is_none_or(|batch| batch.revision < head) {
            batches.extend(tail.next().await.unwrap().unwrap().iter().cloned());
        }
        batches
    }
}

/// A cache of labs that shows none, as new as nobody can ask for: what a scheduler that is far behind sees.
pub struct Blind;

impl CacheReader<Lab> for Blind {
    fn get(&self, _: &Key) -> Option<Arc<Lab>> {
        None
    }

    fn list(&self, _: Option<&str>) -> Vec<Arc<Lab>> {
        Vec::new()
    }

    fn revision(&self) -> Option<Revision> {
        Revision::new(1).ok()
    }
}

/// Caches of a scheduler that sees no other labs.
pub fn blind() -> Caches {
    Caches::default().with(Arc::new(Blind) as Arc<dyn CacheReader<Lab>>)
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}
