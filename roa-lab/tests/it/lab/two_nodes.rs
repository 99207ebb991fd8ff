//! Two processes on two nodes and one store, with real labs: the lead moves, and the labs stay where they are.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Api, CancellationSource, KeyOf, KindRegistry, Object, ResourceStore, SeededRandom, Spec, Store, SystemRandom,
};
use roa_lab::provision::LabIdentity;
use roa_lab::{
    Account, Lab, LabController, LabInstance, LabReconciler, LabSettings, LabState, LabTemplate, LabWorker,
    Provisioners, Worker, WorkerPhase, kinds, worker_conditions,
};
use roa_runtime::{
    Clocks, ControllerConfig, LeaseConfig, Manager, ManagerConfig, Mode, ReconcilerConfig, SystemClock, Tasks,
    Territory,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde_json::{Value, json};

use super::world::NAMESPACE;
use crate::support::{Place, eventually, processes_of, shims_of, signal};

const SOON: Duration = Duration::from_millis(50);

struct Nodes {
    store: Arc<dyn Store>,
    resources: ResourceStore,
}

/// A process that runs.
struct Process {
    tasks: Tasks,
    stop: CancellationSource,
    territory: Territory,
}

impl Nodes {
    fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let random = Arc::new(SeededRandom::new(7));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random));
        let kinds = Arc::new(kinds(KindRegistry::new()));
        let resources = ResourceStore::new(store.clone(), kinds, clock, Arc::new(SystemRandom), "test");
        Self { store, resources }
    }

    /// Starts a process on a node, which leads if nobody does.
    async fn start(&self, node: &str, place: &Place) -> Process {
        let mut settings = LabSettings::new(node, Provisioners::new().with(Arc::new(place.provisioner())));
        (settings.policy.poll, settings.policy.sweep) = (SOON, SOON);
        let config = LeaseConfig { duration: SOON * 80, renew_deadline: SOON * 60, retry_period: SOON };
        let holder = format!("{node}-{}", roa_core::RandomExt::uuid(&SystemRandom));
        let mode = Mode::Leader { lease: "labs".into(), holder, config };
        let clocks = Clocks::same(Arc::new(SystemClock::new()));
        let manager = Manager::new(self.store.clone(), self.resources.clone(), clocks, ManagerConfig::new(mode)).await;
        let mut manager = manager.unwrap();
        manager.cache::<LabTemplate>().unwrap();
        manager.cache::<LabWorker>().unwrap();
        let labs = manager.cache::<LabInstance>().unwrap();
        let controller = LabController::new(settings.clone()).following(&labs);
        manager.add_runnable(Arc::new(controller.agent(manager.territory().clone())));
        manager.add_controller::<LabInstance, _>(controller, ControllerConfig::default()).unwrap();
        let sweeps = ReconcilerConfig { interval: SOON, ..ReconcilerConfig::default() };
        manager.add_reconciler::<LabInstance, _>(LabReconciler::new(settings), sweeps).unwrap();
        let territory = manager.territory().clone();
        let (tasks, stop) = (Tasks::new("manager", 1), CancellationSource::new());
        let token = stop.token();
        tasks.spawn_draining("manager", move |_| async move { manager.run(token, || ()).await.unwrap() }).unwrap();
        Process { tasks, stop, territory }
    }

    fn api<S: Spec>(&self) -> Api<Object<S>> {
        self.resources.api::<S>().unwrap()
    }

    async fn create<S: Spec>(&self, name: &str, spec: Value) -> Object<S> {
        let object = Object::<S>::new(NAMESPACE, name, serde_json::from_value(spec).unwrap());
        self.api::<S>().create(&object).await.unwrap()
    }

    async fn find(&self) -> Option<Lab> {
        self.api().find(KeyOf::<LabInstance>::new(NAMESPACE, "a").unwrap().key()).await.unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Lab) -> bool) -> Lab {
        eventually(what, async || self.find().await.filter(|lab| holds(lab))).await
    }

    /// A worker that is ready, by the hand of the test.
    async fn worker(&self) {
        self.create::<LabWorker>("w", json!({"capacity": {"cpu": 4, "memory": "8Gi"}})).await;
        for phase in [WorkerPhase::Provisioning, WorkerPhase::Ready] {
            let now = self.resources.clock().now();
            let change = |worker: &mut Worker| {
                worker.status.enter(phase, "", now);
                worker.status.condition(worker_conditions::ACCEPTING_LABS, true, ("Test", ""), now);
            };
            self.api::<LabWorker>().patch_status(NAMESPACE, "w", change).await.unwrap();
        }
    }

    async fn account(&self) -> Account {
        self.api::<LabWorker>().get(NAMESPACE, "w").await.unwrap().status.allocated
    }
}

impl Process {
    async fn leads(&self) {
        eventually("it leads", async || (!self.territory.held().is_empty()).then_some(())).await;
    }

    async fn end(self) {
        self.stop.cancel();
        assert!(self.tasks.shutdown(&SystemClock::new(), Duration::from_secs(20)).await.is_empty());
    }
}

fn site() -> Value {
    let command = ["{roa}", "static-site", "--dir", "{dir}", "--port", "{port}"];
    let readiness = json!({"httpGet": "/", "period": "10ms"});
    json!({"provisioner": "process",
           "process": {"command": command, "files": {"index.html": "hi"}, "readiness": readiness}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lab_whose_record_moves_to_another_node_is_mended_and_ended_where_it_is() {
    let (nodes, here, there) = (Nodes::new(), Place::new(), Place::new());
    nodes.worker().await;
    nodes.create::<LabTemplate>("real", site()).await;
    let first = nodes.start("here", &here).await;
    let lab = nodes.create::<LabInstance>("a", json!({"template": "real", "studentEmail": "a@b.c"})).await;
    let identity = LabIdentity { uid: lab.metadata.uid, namespace: NAMESPACE.into(), name: "a".into() };
    let is_well = |lab: &Lab| lab.status.state() == LabState::Ready && !lab.status.is_degraded();
    let ready = nodes.until("it is ready", is_well).await;
    assert_eq!((ready.status.allocation.unwrap().node.as_str(), nodes.account().await.labs), ("here", 1));

    let second = nodes.start("there", &there).await;
    first.end().await;
    second.leads().await;
    let first = nodes.start("here", &here).await;
    let pid = here.child(&identity).await;
    assert_eq!(processes_of(&identity), [pid], "it outlives its process");
    signal(pid, Signal::SIGKILL);
    let mended = nodes.until("it is mended", |lab| is_well(lab) && lab.status.restarts == 1).await;
    assert_eq!(mended.status.allocation.unwrap().node, "here");
    assert_ne!(here.child(&identity).await, pid);

    nodes.api::<LabInstance>().delete(NAMESPACE, "a", &DeleteOptions::default()).await.unwrap();
    eventually("its record is gone", async || nodes.find().await.is_none().then_some(())).await;
    assert!(processes_of(&identity).is_empty() && shims_of(&identity).is_empty());
    assert_eq!(nodes.account().await, Account::default());
    first.end().await;
    second.end().await;
}
