//! A commit whose answer is lost: what became of it is found out, and it is not done twice.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use roa_core::lifecycle::FieldValidation;
use roa_core::{
    Capabilities, CommitError, DynamicObject, Epoch, Error, Health, Key, ListOptions, ListRequest, Op, Page, Read,
    ResourceStore, Result, Revision, Store, StoreId, StoreState, StoredObject, SystemRandom, Tail, Txn, TxnId,
    UnitOfWork,
};

use crate::support::{Thing, World, thing};

/// What happens to a commit whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// It is done, and somebody changes the objects before it is looked for.
    Overtaken,
    /// It is done, and nothing can be read afterwards.
    Dark,
}

#[derive(Debug)]
struct Unclear {
    inner: Arc<dyn Store>,
    next: Mutex<Option<Lost>>,
    is_dark: AtomicBool,
}

impl Unclear {
    /// Objects over a store that loses the answer to the first commit.
    fn over(world: &World, lost: Lost) -> ResourceStore {
        let store = Self { inner: world.store.clone(), next: Mutex::new(Some(lost)), is_dark: AtomicBool::new(false) };
        let kinds = roa_core::KindRegistry::new().with::<Thing>().with::<crate::support::Part>();
        ResourceStore::new(Arc::new(store), Arc::new(kinds), world.clock.clone(), Arc::new(SystemRandom), "test")
    }

    async fn overtake(&self, put: &[Op]) -> Result<(), CommitError> {
        for op in put {
            let entry = self.inner.get(op.key()).await.unwrap().entry.unwrap();
            let mut object = entry.object().unwrap().to_dynamic().unwrap();
            object.metadata.finalizers.push("example.com/x".into());
            let txn = Txn::new(TxnId::random(&SystemRandom), "controller");
            let value = StoredObject::encode(&object).unwrap();
            self.inner.commit(txn.update(op.key().clone(), value, entry.revision)).await?;
        }
        Ok(())
    }
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Store for Unclear {
    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        if self.is_dark.load(Ordering::SeqCst) {
            return Err(Error::unavailable("dark"));
        }
        self.inner.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let (id, ops) = (txn.id, txn.ops.clone());
        let revision = self.inner.commit(txn).await?;
        let lost = self.next.lock().unwrap().take();
        match lost {
            None => return Ok(revision),
            Some(Lost::Overtaken) => self.overtake(&ops).await?,
            Some(Lost::Dark) => self.is_dark.store(true, Ordering::SeqCst),
        }
        Err(CommitError::Ambiguous { txn: id, reason: "the answer is lost".into() })
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        self.inner.tail(after).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.inner.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.inner.fence(expected, highest).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.inner.state().await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}

fn of_a_generated_name() -> DynamicObject {
    let mut thing = thing("", 1).to_dynamic().unwrap();
    thing.metadata.generate_name = "thing-".into();
    thing
}

async fn count(world: &World) -> usize {
    world.api().list(&ListOptions::default()).await.unwrap().0.len()
}

#[tokio::test]
async fn s5_what_was_created_is_known_by_its_uid_and_not_created_again_under_another_name() {
    let world = World::new().await;
    let created = Unclear::over(&world, Lost::Overtaken).create(of_a_generated_name(), FieldValidation::Ignore).await;
    let created = created.unwrap();
    assert_eq!(count(&world).await, 1);
    let stored = world.api().get("test", &created.metadata.name).await.unwrap();
    assert_eq!((&stored.metadata.uid, stored.metadata.finalizers.len()), (&created.metadata.uid, 1));
    let key = world.api().key("test", &created.metadata.name).unwrap();
    let entry = world.store.get(&key).await.unwrap().entry.unwrap();
    assert_eq!(created.metadata.resource_version, Some(entry.create_revision));
}

#[tokio::test]
async fn s5_a_creation_in_a_unit_of_work_is_known_by_its_uid() {
    let world = World::new().await;
    world.create("there", 1).await;
    let resources = Unclear::over(&world, Lost::Overtaken);
    let unit = Arc::new(UnitOfWork::new());
    let within = resources.clone().in_unit(Arc::clone(&unit));
    within.api::<Thing>().unwrap().create(&thing("a", 1)).await.unwrap();
    let committed = unit.commit(&resources).await.unwrap();
    let entry = world.store.get(&world.api().key("test", "a").unwrap()).await.unwrap().entry.unwrap();
    assert_eq!(committed, Some(entry.create_revision));
}

#[tokio::test]
async fn s5_what_cannot_be_looked_for_stays_unclear() {
    let world = World::new().await;
    let resources = Unclear::over(&world, Lost::Dark);
    let created = resources.create(of_a_generated_name(), FieldValidation::Ignore).await;
    assert!(matches!(created, Err(Error::Ambiguous { .. })), "{created:?}");
    assert_eq!(count(&world).await, 1);

    let resources = Unclear::over(&world, Lost::Dark);
    let unit = Arc::new(UnitOfWork::new());
    // What it reads is read before the store goes dark.
    resources.clone().in_unit(Arc::clone(&unit)).api::<Thing>().unwrap().create(&thing("a", 1)).await.unwrap();
    let committed = unit.commit(&resources).await;
    assert!(matches!(committed, Err(Error::Ambiguous { .. })), "{committed:?}");
}
