//! A kind, a store, and bounded waits.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{
    Api, KindDescriptor, KindRegistry, ManualClock, Object, ResourceStore, Revision, Scope, Spec, StateMachine, Store,
    SystemRandom, Timestamp, Transition, Violations, When,
};
use roa_runtime::{HubConfig, Selection, SystemClock, WatchHub};
use roa_store_memory::{MemoryConfig, MemoryStore};
use serde::{Deserialize, Serialize};

/// No condition is awaited longer.
pub const BOUND: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    pub size: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThingStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    pub observed_generation: u64,
    pub note: String,
}

static MACHINE: StateMachine = StateMachine {
    name: "Thing",
    initial: "new",
    states: &["new", "done"],
    transitions: &[
        Transition { from: "new", to: "done", when: When::Always },
        Transition { from: "done", to: "new", when: When::SpecChanged },
    ],
    terminal: &[],
};

impl Spec for Thing {
    type Status = ThingStatus;
    const GROUP: &'static str = "test.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Thing";
    const PLURAL: &'static str = "things";
    const SCOPE: Scope = Scope::Namespaced;
    const SELECTABLE_FIELDS: &'static [&'static str] = &["status.state"];
    const ABNORMAL_CONDITIONS: &'static [&'static str] = &["Broken"];

    fn validate(&self) -> Violations {
        Violations::unless(self.size < 1_000_000, "size", "must be below 1000000")
    }

    fn state_machine() -> Option<&'static StateMachine> {
        Some(&MACHINE)
    }
}

/// What things are made of: owned by them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub weight: u32,
}

impl Spec for Part {
    type Status = ThingStatus;
    const GROUP: &'static str = "test.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Part";
    const PLURAL: &'static str = "parts";
    const SCOPE: Scope = Scope::Namespaced;
}

/// What things are made after: of cluster scope, named by the size of those that refer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: u32,
}

impl Spec for Plan {
    type Status = ThingStatus;
    const GROUP: &'static str = "test.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Plan";
    const PLURAL: &'static str = "plans";
    const SCOPE: Scope = Scope::Cluster;
}

/// A store, objects over it, and a hub.
pub struct World {
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub resources: ResourceStore,
    pub hub: WatchHub,
}

impl World {
    pub async fn new() -> Self {
        Self::with(MemoryConfig::default(), HubConfig::default()).await
    }

    pub async fn with(memory: MemoryConfig, hub: HubConfig) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap()));
        let random = Arc::new(SystemRandom);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(memory, clock.clone(), random.clone()));
        let kinds = Arc::new(KindRegistry::new().with::<Thing>().with::<Part>().with::<Plan>());
        let resources = ResourceStore::new(store.clone(), kinds, clock.clone(), random, "test");
        let hub = WatchHub::start(store.clone(), Arc::new(SystemClock::new()), hub).await.unwrap();
        Self { store, clock, resources, hub }
    }

    pub fn api(&self) -> Api<Object<Thing>> {
        self.resources.api::<Thing>().unwrap()
    }

    pub fn selection(&self) -> Selection {
        Selection::prefix(KindDescriptor::of::<Thing>().prefix(None).unwrap())
    }

    pub async fn create(&self, name: &str, size: u32) -> Object<Thing> {
        self.api().create(&thing(name, size)).await.unwrap()
    }

    pub async fn resize(&self, name: &str, size: u32) -> Object<Thing> {
        self.api().patch("test", name, |thing| thing.spec.size = size).await.unwrap()
    }

    pub async fn delete(&self, name: &str) {
        self.api().delete("test", name, &roa_core::lifecycle::DeleteOptions::default()).await.unwrap();
    }

    pub async fn head(&self) -> Revision {
        self.store.state().await.unwrap().head
    }
}

pub fn thing(name: &str, size: u32) -> Object<Thing> {
    Object::new("test", name, Thing { size })
}

/// What a future gives, within [`BOUND`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(BOUND, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {BOUND:?}"),
    }
}

/// Waits until something holds, letting others run in between.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        while !holds() {
            pause().await;
        }
    })
    .await;
}

/// Lets others run before a condition is looked at again.
pub async fn pause() {
    let _ = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
}
