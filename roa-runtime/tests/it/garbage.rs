//! Garbage collection of owner references (D6 to D10).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use roa_core::lifecycle::{DeleteOptions, FOREGROUND_FINALIZER, FieldValidation, ORPHAN_FINALIZER, Propagation};
use roa_core::{
    CancellationSource, Capabilities, CommitError, Context, DynamicObject, Epoch, Health, Key, KindDescriptor,
    KindRegistry, ListOptions, ListRequest, Metadata, OwnerReference, Page, Read, ResourceStore, Revision, Scope,
    Store, StoreId, StoreState, SystemRandom, Tail, Txn,
};
use roa_runtime::{
    ChannelSink, GarbageCollector, GarbageCollectorConfig, HubConfig, Runnable, RuntimeMetrics, SystemClock, Tasks,
    WatchHub,
};
use roa_store_memory::{MemoryConfig, MemoryStore};
use tokio::sync::mpsc;

use crate::support::soon;

/// A store of nodes (in namespaces) and roots (of cluster scope), and a collector over it.
struct Yard {
    store: Arc<dyn Store>,
    resources: ResourceStore,
    collector: Arc<GarbageCollector>,
    metrics: RuntimeMetrics,
    events: mpsc::Receiver<roa_core::Event>,
    sink: Arc<ChannelSink>,
    tasks: Tasks,
    stop: CancellationSource,
}

fn kind_of(name: &str) -> (&'static str, Scope) {
    if name.starts_with("root") { ("Root", Scope::Cluster) } else { ("Node", Scope::Namespaced) }
}

impl Yard {
    async fn new() -> Self {
        Self::seen_through(|store| store).await
    }

    /// A yard whose collector sees changes only as the store around the store shows them.
    async fn seen_through(around: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
        let kinds = KindRegistry::new()
            .with_kind(KindDescriptor::dynamic("test.example.com", "v1", "Node", "nodes", Scope::Namespaced))
            .with_kind(KindDescriptor::dynamic("test.example.com", "v1", "Root", "roots", Scope::Cluster));
        let resources = ResourceStore::new(store.clone(), Arc::new(kinds), clock.clone(), random, "test");
        let hub = WatchHub::start(around(store.clone()), clock.clone(), HubConfig::default()).await.unwrap();
        let metrics = RuntimeMetrics::unregistered();
        let collector = GarbageCollector::new(hub, clock, GarbageCollectorConfig::default(), &metrics);
        let (sink, events) = ChannelSink::new(100);
        let (tasks, stop) = (Tasks::new("yard", 4), CancellationSource::new());
        Self { store, resources, collector: Arc::new(collector), metrics, events, sink: Arc::new(sink), tasks, stop }
    }

    fn collect(&mut self) {
        self.stop = CancellationSource::new();
        let cx = Context::new("garbage-collector", self.resources.clone()).with_events(self.sink.clone());
        let (cx, collector) = (cx.with_cancellation(self.stop.token()), Arc::clone(&self.collector));
        self.tasks.spawn_draining("collector", move |_| async move { collector.run(&cx).await }).unwrap();
    }

    async fn collecting() -> Self {
        let mut yard = Self::new().await;
        yard.collect();
        yard
    }

    async fn stop(&self) {
        self.stop.cancel();
        soon("the collector ends", async {
            while !self.tasks.is_empty() {
                crate::support::pause().await;
            }
        })
        .await;
    }

    fn key(&self, namespace: &str, name: &str) -> Key {
        self.resources
            .kinds()
            .by_manifest("test.example.com/v1", kind_of(name).0)
            .unwrap()
            .key(namespace, name)
            .unwrap()
    }

    async fn create_in(&self, namespace: &str, name: &str, owners: &[OwnerReference]) -> OwnerReference {
        let (kind, scope) = kind_of(name);
        let mut metadata = Metadata::named(if scope == Scope::Cluster { "" } else { namespace }, name);
        metadata.owner_references = owners.to_vec();
        let api_version = "test.example.com/v1".to_owned();
        let object = DynamicObject { api_version, kind: kind.to_owned(), metadata, ..DynamicObject::default() };
        let created = self.resources.create(object, FieldValidation::Ignore).await.unwrap();
        OwnerReference {
            api_version: created.api_version,
            kind: created.kind,
            name: name.to_owned(),
            uid: created.metadata.uid,
            controller: None,
            block_owner_deletion: Some(true),
        }
    }

    async fn create(&self, name: &str, owners: &[&OwnerReference]) -> OwnerReference {
        self.create_in("test", name, &owners.iter().map(|owner| (*owner).clone()).collect::<Vec<_>>()).await
    }

    async fn own(&self, name: &str, owners: &[OwnerReference]) {
        let mut object = self.get(name).await.unwrap();
        object.metadata.owner_references = owners.to_vec();
        self.resources.update(object, FieldValidation::Ignore).await.unwrap();
    }

    async fn get(&self, name: &str) -> Option<DynamicObject> {
        self.resources.get(&self.key("test", name)).await.ok()
    }

    async fn delete(&self, name: &str, propagation: Propagation) {
        let options = DeleteOptions { propagation, ..DeleteOptions::default() };
        self.resources.delete(&self.key("test", name), &options).await.unwrap();
    }

    /// Waits until the collector has seen all, and does nothing more.
    async fn settle(&self) {
        soon("the collector settles", async {
            loop {
                let head = self.store.state().await.unwrap().head;
                self.collector.settled(head).await;
                if self.store.state().await.unwrap().head == head {
                    return;
                }
            }
        })
        .await;
    }

    /// The names that are there, each with the names of its owners.
    async fn left(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut left = BTreeMap::new();
        for kind in self.resources.kinds().iter() {
            for entry in self.resources.list(kind, &ListOptions::everywhere()).await.unwrap().entries {
                let metadata = &entry.object().unwrap().metadata;
                let owners = metadata.owner_references.iter().map(|owner| owner.name.clone()).collect();
                left.insert(metadata.name.clone(), owners);
            }
        }
        left
    }

    async fn names(&self) -> Vec<String> {
        self.settle().await;
        self.left().await.into_keys().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d8_in_the_background_the_owner_goes_first_and_all_that_nobody_else_keeps_after_it() {
    let yard = Yard::collecting().await;
    let (a, keeper) = (yard.create("a", &[]).await, yard.create("keeper", &[]).await);
    let b = yard.create("b", &[&a]).await;
    yard.create("c", &[&b]).await;
    yard.create("kept", &[&a, &keeper]).await;
    yard.create("free", &[]).await;
    yard.delete("a", Propagation::Background).await;
    assert!(yard.get("a").await.is_none(), "at once");
    assert_eq!(yard.names().await, ["free", "keeper", "kept"]);
    assert_eq!(yard.left().await["kept"], BTreeSet::from(["keeper".to_owned()]), "the reference to what is gone goes");
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d8_in_the_foreground_the_owner_goes_after_all_that_block_it() {
    let yard = Yard::collecting().await;
    let a = yard.create("a", &[]).await;
    let b = yard.create("b", &[&a]).await;
    let held = yard.create("held", &[&b]).await;
    let mut object = yard.get("held").await.unwrap();
    object.metadata.finalizers.push("test.example.com/hold".into());
    yard.resources.update(object, FieldValidation::Ignore).await.unwrap();
    let loose = OwnerReference { block_owner_deletion: None, ..a.clone() };
    yard.create("loose", &[&loose]).await;
    yard.delete("a", Propagation::Foreground).await;
    assert_eq!(yard.names().await, ["a", "b", "held"], "each waits for the one below it");
    let mut object = yard.get("held").await.unwrap();
    assert!(object.metadata.is_deleting() && object.metadata.uid == held.uid);
    object.metadata.finalizers.retain(|name| name != "test.example.com/hold");
    yard.resources.update(object, FieldValidation::Ignore).await.unwrap();
    assert!(yard.names().await.is_empty());
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d8_orphans_stay_and_lose_their_reference_before_the_owner_goes() {
    let yard = Yard::collecting().await;
    let a = yard.create("a", &[]).await;
    let b = yard.create("b", &[&a]).await;
    yard.create("c", &[&b]).await;
    yard.delete("a", Propagation::Orphan).await;
    assert_eq!(yard.names().await, ["b", "c"]);
    assert!(yard.left().await["b"].is_empty());
    assert_eq!(yard.left().await["c"], BTreeSet::from(["b".to_owned()]));
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_d6_owners_match_by_identity_not_by_name() {
    let yard = Yard::collecting().await;
    let a = yard.create("a", &[]).await;
    yard.create("b", &[&a]).await;
    yard.delete("a", Propagation::Background).await;
    yard.create("a", &[]).await;
    assert_eq!(yard.names().await, ["a"]);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d6_an_owner_in_another_namespace_is_none_and_one_of_cluster_scope_is_one() {
    let mut yard = Yard::collecting().await;
    let elsewhere = yard.create_in("elsewhere", "a", &[]).await;
    let root = yard.create("root-a", &[]).await;
    yard.create("misled", &[&elsewhere]).await;
    yard.create("b", &[&root]).await;
    yard.create("root-b", &[&elsewhere]).await;
    let unknown = OwnerReference { kind: "Unheard".into(), uid: "someone".into(), ..root.clone() };
    yard.create("waits", &[&unknown]).await;
    assert_eq!(yard.names().await, ["a", "b", "root-a", "root-b", "waits"]);
    let mut reasons = BTreeSet::new();
    while let Ok(event) = yard.events.try_recv() {
        reasons.insert((event.object.name().to_owned(), event.reason));
    }
    let told = [
        ("misled", "OwnerRefInvalidNamespace"),
        ("root-b", "OwnerRefInvalidNamespace"),
        ("waits", "OwnerRefUnknownKind"),
    ];
    assert_eq!(reasons, told.map(|(name, reason)| (name.to_owned(), reason.to_owned())).into());
    yard.delete("root-a", Propagation::Background).await;
    assert_eq!(yard.names().await, ["a", "root-b", "waits"]);
    yard.stop().await;
}

/// Does not list what is called `hidden`.
#[derive(Debug)]
struct Blind(Arc<dyn Store>);

impl std::fmt::Display for Blind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, blind", self.0)
    }
}

#[async_trait]
impl Store for Blind {
    fn id(&self) -> StoreId {
        self.0.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn get(&self, key: &Key) -> roa_core::Result<Read> {
        self.0.get(key).await
    }

    async fn list(&self, request: ListRequest) -> roa_core::Result<Page> {
        let mut page = self.0.list(request).await?;
        page.entries.retain(|entry| entry.key.name() != "hidden");
        Ok(page)
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        self.0.commit(txn).await
    }

    async fn tail(&self, after: Revision) -> roa_core::Result<Tail> {
        self.0.tail(after).await
    }

    async fn compact(&self, to: Revision) -> roa_core::Result<Revision> {
        self.0.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> roa_core::Result<StoreState> {
        self.0.fence(expected, highest).await
    }

    async fn state(&self) -> roa_core::Result<StoreState> {
        self.0.state().await
    }

    async fn health(&self) -> Health {
        self.0.health().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_an_owner_that_only_the_graph_lacks_keeps_its_dependents() {
    let mut yard = Yard::seen_through(|store| Arc::new(Blind(store))).await;
    let hidden = yard.create("hidden", &[]).await;
    yard.create("kept", &[&hidden]).await;
    let gone = OwnerReference { uid: "another".into(), ..hidden.clone() };
    yard.create("lost", &[&gone]).await;
    yard.collect();
    assert_eq!(yard.names().await, ["hidden", "kept"]);
    yard.stop().await;
}

/// Collectors that stand by have not seen what happened: how things are is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d8_d10_what_happened_while_nobody_collected_is_made_up_for() {
    let mut yard = Yard::new().await;
    let (a, b, c) = (yard.create("a", &[]).await, yard.create("b", &[]).await, yard.create("c", &[]).await);
    for (name, owner) in [("of-a", &a), ("of-b", &b), ("of-c", &c)] {
        yard.create(name, &[owner]).await;
    }
    yard.delete("a", Propagation::Background).await;
    yard.delete("b", Propagation::Foreground).await;
    yard.delete("c", Propagation::Orphan).await;
    yard.collect();
    assert_eq!(yard.names().await, ["of-c"]);
    yard.stop().await;
    yard.create("d", &[&a]).await;
    yard.collect();
    assert_eq!(yard.names().await, ["of-c"], "also by the next one");
    assert_eq!(yard.metrics.collected("deleted"), 3);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d10_owners_in_a_circle_do_not_wait_for_each_other_for_ever() {
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let yard = Yard::collecting().await;
        let a = yard.create("a", &[]).await;
        let b = yard.create("b", &[&a]).await;
        let c = yard.create("c", &[&b]).await;
        yard.own("a", std::slice::from_ref(&c)).await;
        assert_eq!(yard.names().await, ["a", "b", "c"], "a circle that nobody deletes stays");
        yard.delete("a", propagation).await;
        assert!(yard.names().await.is_empty(), "{propagation:?}");
        yard.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d8_in_the_foreground_a_long_chain_goes_from_its_end() {
    let yard = Yard::collecting().await;
    let mut owner = yard.create("n0", &[]).await;
    for number in 1..6 {
        owner = yard.create(&format!("n{number}"), &[&owner]).await;
    }
    let begin = yard.store.state().await.unwrap().head;
    yard.delete("n0", Propagation::Foreground).await;
    assert!(yard.names().await.is_empty());
    let mut tail = yard.store.tail(begin).await.unwrap();
    let mut gone = Vec::new();
    while gone.len() < 6 {
        let batches = soon("the log", futures_util::StreamExt::next(&mut tail)).await.unwrap().unwrap();
        let changes = batches.iter().flat_map(|batch| batch.changes.iter());
        gone.extend(changes.filter(|change| change.current().is_none()).map(|change| change.key().name().to_owned()));
    }
    assert_eq!(gone, ["n5", "n4", "n3", "n2", "n1", "n0"]);
    assert_eq!(yard.metrics.collected("unblocked"), 0, "a chain is no circle");
    yard.stop().await;
}

/// What must be left: an object that has owners stays as long as one of them does; one that never had any, stays.
#[derive(Debug, Clone)]
struct Model(BTreeMap<usize, BTreeSet<usize>>);

impl Model {
    fn delete(&mut self, name: usize, propagation: Propagation) {
        if self.0.remove(&name).is_none() {
            return;
        }
        if propagation == Propagation::Orphan {
            for owners in self.0.values_mut() {
                owners.remove(&name);
            }
        }
        self.collect();
    }

    fn collect(&mut self) {
        loop {
            let there: BTreeSet<usize> = self.0.keys().copied().collect();
            let lost = |owners: &BTreeSet<usize>| !owners.is_empty() && owners.is_disjoint(&there);
            let Some(doomed) = self.0.iter().find(|(_, owners)| lost(owners)).map(|(name, _)| *name) else {
                for owners in self.0.values_mut() {
                    owners.retain(|owner| there.contains(owner));
                }
                return;
            };
            self.0.remove(&doomed);
        }
    }
}

const NAMES: usize = 8;

async fn check(graph: &[BTreeSet<usize>], blocking: bool, deletes: &[(usize, Propagation)], late: bool) {
    let mut yard = Yard::new().await;
    let mut model = Model(graph.iter().cloned().enumerate().collect());
    let mut references = Vec::new();
    for name in 0..graph.len() {
        let reference = yard.create(&format!("n{name}"), &[]).await;
        references.push(OwnerReference { block_owner_deletion: Some(blocking), ..reference });
    }
    for (name, owners) in graph.iter().enumerate() {
        let owners: Vec<_> = owners.iter().map(|owner| references[*owner].clone()).collect();
        yard.own(&format!("n{name}"), &owners).await;
    }
    if !late {
        yard.collect();
        yard.settle().await;
    }
    for (name, propagation) in deletes {
        if yard.get(&format!("n{name}")).await.is_some() {
            yard.delete(&format!("n{name}"), *propagation).await;
        }
        model.delete(*name, *propagation);
        if late {
            yard.collect();
        }
        yard.settle().await;
        let left = yard.left().await;
        let expected: BTreeMap<_, _> = model
            .0
            .iter()
            .map(|(name, owners)| {
                (format!("n{name}"), owners.iter().map(|owner| format!("n{owner}")).collect::<BTreeSet<_>>())
            })
            .collect();
        assert_eq!(left, expected, "after {name} went by {propagation:?}");
        if late {
            yard.stop().await;
        }
    }
    for entry in yard.left().await.keys() {
        let finalizers = yard.get(entry).await.unwrap().metadata.finalizers;
        assert!(!finalizers.iter().any(|name| name == FOREGROUND_FINALIZER || name == ORPHAN_FINALIZER));
    }
    yard.stop().await;
}

fn propagation() -> impl Strategy<Value = Propagation> {
    prop_oneof![Just(Propagation::Background), Just(Propagation::Foreground), Just(Propagation::Orphan)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Circles, self-owners, several owners; a collector that sees each change, or one that comes after it.
    #[test]
    fn d8_d10_random_graphs_of_owners_end_as_the_rules_say(
        graph in prop::collection::vec(prop::collection::btree_set(0..NAMES, 0..3), NAMES),
        blocking: bool, late: bool,
        deletes in prop::collection::vec((0..NAMES, propagation()), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), check(&graph, blocking, &deletes, late)).await.unwrap();
        });
    }
}
