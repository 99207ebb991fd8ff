//! The test's own look at a store that several `roa run` share: it makes labs, and sees what becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roa_core::{
    HumanDuration, Key, KindRegistry, ListOptions, Object, ResourceStore, Store, SystemRandom, Txn, TxnId, Value,
};
use roa_lab::provision::SimulatedTemplate;
use roa_lab::{Lab, LabInstance, LabState, LabTemplate};
use roa_runtime::SystemClock;
use roa_store_redis::{RedisConfig, RedisStore};
use roa_store_sqlite::{SqliteConfig, SqliteStore};
use tokio::runtime::Runtime;

/// Where the labs are.
const NAMESPACE: &str = "labs";
/// A file that is not free for so long is locked by somebody who does not go on.
const LOCKED: Duration = Duration::from_millis(500);
/// How long a process may take to stop when it is told to.
const STOPPED: Duration = Duration::from_secs(5);

pub struct Onlooker {
    runtime: Runtime,
    pub store: Arc<dyn Store>,
    pub resources: ResourceStore,
}

impl Onlooker {
    /// Opens the store in this file or at this Redis URL, as another process would.
    pub fn open(place: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let store: Arc<dyn Store> = if place.starts_with("redis") {
            let open = RedisStore::open(RedisConfig::new(place), clock.clone(), random.clone());
            Arc::new(runtime.block_on(open).unwrap())
        } else {
            let open = SqliteStore::open(SqliteConfig::new(place), clock.clone(), random.clone());
            Arc::new(runtime.block_on(open).unwrap())
        };
        let kinds = Arc::new(roa_lab::kinds(KindRegistry::new()));
        let resources = ResourceStore::new(Arc::clone(&store), kinds, clock, random, "onlooker");
        Self { runtime, store, resources }
    }

    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A template whose labs are ready in a moment.
    pub fn create_template(&self, provision_time: Duration) {
        let simulated =
            SimulatedTemplate { provision_time: HumanDuration(provision_time), ..SimulatedTemplate::default() };
        let quick = LabTemplate { simulated: Some(simulated), ..roa_lab::builtin("simulated").unwrap() };
        let api = self.resources.api::<LabTemplate>().unwrap();
        self.wait(api.create(&Object::new(NAMESPACE, "quick", quick))).unwrap();
    }

    pub fn create_labs(&self, names: impl Iterator<Item = String>) {
        let api = self.resources.api::<LabInstance>().unwrap();
        for name in names {
            self.wait(api.create(&lab(&name))).unwrap();
        }
    }

    /// Pauses a process between its writes: one that is stopped in the middle of a write keeps the file locked, and
    /// nobody can write, be replaced or replace until it goes on. That is the file's limit, not what is tested.
    pub fn pause_between_writes(&self, process: Pid) {
        for _ in 0..100 {
            kill(process, Signal::SIGSTOP).unwrap();
            await_stopped(process);
            if self.can_write() {
                return;
            }
            kill(process, Signal::SIGCONT).unwrap();
        }
        panic!("{process} was writing whenever it was paused");
    }

    fn can_write(&self) -> bool {
        let id = TxnId::random(&SystemRandom);
        let key = Key::new("test.example.com", "probes", "", &id.to_string()).unwrap();
        let commit = self.store.commit(Txn::new(id, "onlooker").create(key, Value::opaque("")));
        self.wait(async { tokio::time::timeout(LOCKED, commit).await.is_ok_and(|answer| answer.is_ok()) })
    }

    pub fn labs(&self) -> Vec<Lab> {
        let api = self.resources.api::<LabInstance>().unwrap();
        self.wait(api.list(&ListOptions::everywhere())).unwrap().0
    }

    pub fn count_ready(&self) -> usize {
        self.labs().iter().filter(|lab| lab.status.state() == LabState::Ready).count()
    }

    /// The nodes that placed labs, and how many each.
    pub fn nodes(&self) -> BTreeMap<String, usize> {
        let mut nodes = BTreeMap::new();
        for lab in self.labs() {
            *nodes.entry(node(&lab)).or_default() += 1;
        }
        nodes
    }
}

/// Waits until no thread of the process runs any more: a signal to stop is taken by one of them, which stops the others
/// when it gets a processor; until then they go on, also with writes.
fn await_stopped(process: Pid) {
    let begun = Instant::now();
    let is_stopped = |stat: &str| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'));
    let all_stopped = || {
        let mut threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap().path());
        threads.all(|thread| fs::read_to_string(thread.join("stat")).is_ok_and(|stat| is_stopped(&stat)))
    };
    while !all_stopped() {
        assert!(begun.elapsed() < STOPPED, "{process} goes on although it was told to pause");
        std::thread::park_timeout(Duration::from_micros(100));
    }
}

/// Where a lab was placed, which is done by whoever has its shard.
pub fn node(lab: &Lab) -> String {
    lab.status.allocation.as_ref().map(|allocation| allocation.node.clone()).unwrap_or_default()
}

fn lab(name: &str) -> Lab {
    let spec = LabInstance {
        template: "quick".into(),
        student_email: "student@example.com".into(),
        duration: None,
        environment: BTreeMap::new(),
        scheduled_start: None,
        resources: None,
        track: None,
    };
    Object::new(NAMESPACE, name, spec)
}
