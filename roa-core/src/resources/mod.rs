//! [`ResourceStore`]: objects over a store. The only door for controllers, servers and command lines alike: it applies
//! the lifecycle rules of registered kinds, then commits with compare-and-swap.

mod api;
mod child;
mod condition;
mod list;
mod namespaces;
mod outbox;
mod transaction;
mod unit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

pub use api::Api;
pub use list::{ListOptions, ObjectList};
pub use namespaces::NamespaceContent;
pub use outbox::{Effect, EffectState};
pub use transaction::Transaction;
pub(crate) use unit::NotedCache;
pub use unit::UnitOfWork;

use namespaces::Namespaces;

use crate::lifecycle::{DeleteOptions, FieldValidation};
use crate::{
    Clock, DynamicObject, Entry, Epoch, Error, Expect, Fence, Key, KindDescriptor, KindRegistry, Object, Random,
    Result, Revision, Spec, Store, Txn,
};

/// How often a read-change-write is tried when others write in between.
pub const MAX_CONFLICTS: usize = 5;

/// What a process must still own for its writes to go through. Each write carries a guard on it, in its transaction.
///
/// ```
/// # use roa_core::{Ownership, ResourceStore};
/// fn fenced(resources: ResourceStore, ownership: Ownership) -> ResourceStore {
///     resources.fenced_by(ownership)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The ownership key: it changes only with the owner.
    pub key: Key,
    /// Its revision when it was acquired: the fencing token.
    pub revision: Revision,
    /// The store's epoch at that time.
    pub epoch: Epoch,
}

/// Whether a process still has what its writes are fenced by, as far as it knows by itself: by a clock that goes on while
/// the machine sleeps, without the store (L4). Asked right before each write.
///
/// ```
/// # use roa_core::Tenure;
/// /// Never ends.
/// #[derive(Debug)]
/// struct ForEver;
///
/// impl Tenure for ForEver {
///     fn is_current(&self) -> bool {
///         true
///     }
/// }
/// ```
pub trait Tenure: std::fmt::Debug + Send + Sync + 'static {
    /// Whether it may write.
    fn is_current(&self) -> bool;
}

/// The greatest revision that somebody wrote: what a cache must reach before they may read it again. And how many of their
/// writes changed nothing, so that there was nothing to write.
///
/// ```
/// use roa_core::{Revision, WriteMark};
/// let mark = WriteMark::default();
/// mark.note(Revision::new(7)?);
/// assert_eq!((mark.get(), mark.is_clean()), (Some(Revision::new(7)?), false));
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug, Default)]
pub struct WriteMark {
    greatest: AtomicU64,
    unchanged: AtomicU64,
}

impl WriteMark {
    /// Notes a write.
    pub fn note(&self, revision: Revision) {
        self.greatest.fetch_max(revision.get(), Ordering::AcqRel);
    }

    /// The greatest one; `None` if nothing was written.
    #[must_use]
    pub fn get(&self) -> Option<Revision> {
        Revision::new(self.greatest.load(Ordering::Acquire)).ok()
    }

    /// Whether no write was noted, not even one that changed nothing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.get().is_none() && self.unchanged() == 0
    }

    /// Notes a write that changed nothing.
    pub fn note_unchanged(&self) {
        self.unchanged.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes changed nothing.
    #[must_use]
    pub fn unchanged(&self) -> u64 {
        self.unchanged.load(Ordering::Relaxed)
    }
}

/// Objects of registered kinds over a store. A clone shares all of it.
///
/// ```
/// # use roa_core::{DynamicObject, ResourceStore, Result, lifecycle::FieldValidation};
/// /// Makes it what the manifest says, under a name of its own.
/// async fn apply(resources: &ResourceStore, manifest: DynamicObject) -> Result<DynamicObject> {
///     resources.clone().writing_as("importer").apply(manifest, FieldValidation::Strict).await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ResourceStore {
    store: Arc<dyn Store>,
    kinds: Arc<KindRegistry>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    writer: Arc<str>,
    ownerships: Arc<[Ownership]>,
    tenure: Option<Arc<dyn Tenure>>,
    mark: Option<Arc<WriteMark>>,
    unit: Option<Arc<UnitOfWork>>,
    /// `None` where the kind is not registered: then a namespace is but a part of a key.
    namespaces: Option<Namespaces>,
    dry_run: bool,
}

impl ResourceStore {
    /// Objects of `kinds` over `store`; `writer` is kept with each write.
    pub fn new(
        store: Arc<dyn Store>,
        kinds: Arc<KindRegistry>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        writer: impl Into<Arc<str>>,
    ) -> Self {
        let namespaces = Namespaces::of(&kinds);
        Self {
            store,
            kinds,
            clock,
            random,
            writer: writer.into(),
            ownerships: Arc::new([]),
            tenure: None,
            mark: None,
            unit: None,
            namespaces,
            dry_run: false,
        }
    }

    /// The same over other kinds: where they change at run time, each request takes those of the moment.
    #[must_use]
    pub fn with_kinds(mut self, kinds: Arc<KindRegistry>) -> Self {
        self.kinds = kinds;
        self
    }

    /// The same, except that nothing is written: every write is checked in full and answered as if it had been done.
    #[must_use]
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// The same, writing under another name.
    #[must_use]
    pub fn writing_as(mut self, writer: impl Into<Arc<str>>) -> Self {
        self.writer = writer.into();
        self
    }

    /// The same, with each write under the condition that `ownership` still holds.
    #[must_use]
    pub fn fenced_by(self, ownership: Ownership) -> Self {
        self.fenced_by_all([ownership])
    }

    /// The same, with each write under the condition that all of these still hold.
    #[must_use]
    pub fn fenced_by_all(mut self, ownerships: impl Into<Arc<[Ownership]>>) -> Self {
        self.ownerships = ownerships.into();
        self
    }

    /// The same, with each write sent only if `tenure` is current: past the time that the process may count on, a write
    /// does not even reach the store, which would refuse it.
    #[must_use]
    pub fn during(mut self, tenure: Arc<dyn Tenure>) -> Self {
        self.tenure = Some(tenure);
        self
    }

    /// The same, with each write noted in `mark`.
    #[must_use]
    pub fn marking(mut self, mark: Arc<WriteMark>) -> Self {
        self.mark = Some(mark);
        self
    }

    /// The same, with reads noted in a unit of work and writes held back until [`UnitOfWork::commit`].
    #[must_use]
    pub fn in_unit(mut self, unit: Arc<UnitOfWork>) -> Self {
        self.unit = Some(unit);
        self
    }

    /// The unit of work that it reads and writes in, if there is one.
    #[must_use]
    pub const fn unit(&self) -> Option<&Arc<UnitOfWork>> {
        self.unit.as_ref()
    }

    /// The kinds that it knows.
    #[must_use]
    pub fn kinds(&self) -> &KindRegistry {
        &self.kinds
    }

    /// The clock that times its writes.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Where its random numbers come from.
    #[must_use]
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// A handle for the kind of a Rust type.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] if it is not registered.
    pub fn api<S: Spec>(&self) -> Result<Api<Object<S>>> {
        Ok(Api::new(self.clone(), Arc::clone(self.kinds.of::<S>()?)))
    }

    /// A handle for a kind that is known at run time only.
    #[must_use]
    pub fn dynamic_api(&self, kind: Arc<KindDescriptor>) -> Api<DynamicObject> {
        Api::new(self.clone(), kind)
    }

    /// A transaction over several objects, to be staged and committed.
    #[must_use]
    pub fn transaction(&self) -> Transaction<'_> {
        Transaction::new(self)
    }

    /// The transaction under the condition that all that the process must own is still its own.
    fn fence(&self, txn: Txn) -> Txn {
        self.ownerships.iter().fold(txn, |txn, Ownership { key, revision, epoch }| {
            txn.guard(key.clone(), Expect::At(*revision)).expect_epoch(*epoch)
        })
    }

    /// Looks at the clock alone, right before a commit: after all that could have taken time.
    fn check_tenure(&self) -> Result<()> {
        match &self.tenure {
            Some(tenure) if !tenure.is_current() => Err(Error::Fenced(Fence::Lapsed)),
            _ => Ok(()),
        }
    }

    /// What is stored under a key, and the revision at which that is true.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn entry(&self, key: &Key) -> Result<(Option<Arc<Entry>>, Revision)> {
        let Some(unit) = &self.unit else {
            let read = self.store.get(key).await?;
            return Ok((read.entry, read.revision));
        };
        if let Some(seen) = unit.seen(key, &self.writer)? {
            return Ok(seen);
        }
        let read = self.store.get(key).await?;
        unit.take(key, read.entry.clone(), read.revision)?;
        Ok((read.entry, read.revision))
    }

    /// An object.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Unavailable`].
    pub async fn get(&self, key: &Key) -> Result<DynamicObject> {
        match self.entry(key).await? {
            (Some(entry), _) => Ok(entry.object().map_err(Clone::clone)?.to_dynamic()?),
            (None, _) => Err(Error::NotFound { key: key.clone() }),
        }
    }

    /// Creates an object; a `generateName` is made a name.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::AlreadyExists`], [`Error::UnknownKind`], [`Error::Fenced`], [`Error::Ambiguous`],
    /// [`Error::Unavailable`].
    ///
    /// # Cancel safety
    /// Dropping it leaves the object created or not, never half.
    pub async fn create(&self, object: DynamicObject, fields: FieldValidation) -> Result<DynamicObject> {
        let generated = object.metadata.name.is_empty() && !object.metadata.generate_name.is_empty();
        for _ in 1..MAX_CONFLICTS {
            let mut txn = self.transaction();
            let index = txn.create(object.clone(), fields)?;
            match txn.commit().await {
                Err(Error::AlreadyExists { .. }) if generated => {}
                outcome => return outcome.map(|mut objects| objects.swap_remove(index)),
            }
        }
        let mut txn = self.transaction();
        let index = txn.create(object, fields)?;
        Ok(txn.commit().await?.swap_remove(index))
    }

    /// Changes an object, except its status. Nothing is written if nothing differs.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it has changed since it was read, [`Error::NotFound`], and as [`ResourceStore::create`].
    ///
    /// # Cancel safety
    /// As [`ResourceStore::create`].
    pub async fn update(&self, object: DynamicObject, fields: FieldValidation) -> Result<DynamicObject> {
        let mut txn = self.transaction();
        let index = txn.update(object, fields).await?;
        Ok(txn.commit().await?.swap_remove(index))
    }

    /// Changes an object's status and nothing else. Nothing is written if nothing differs.
    ///
    /// # Errors
    /// [`Error::Transition`] for a change of state that is not allowed, and as [`ResourceStore::update`].
    ///
    /// # Cancel safety
    /// As [`ResourceStore::create`].
    pub async fn update_status(&self, object: DynamicObject) -> Result<DynamicObject> {
        let mut txn = self.transaction();
        let index = txn.update_status(object).await?;
        Ok(txn.commit().await?.swap_remove(index))
    }

    /// Deletes an object, or marks it if it has finalizers. Gives the object as it is then, or as it last was.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a precondition does not hold, [`Error::NotFound`], and as [`ResourceStore::create`].
    ///
    /// # Cancel safety
    /// As [`ResourceStore::create`].
    pub async fn delete(&self, key: &Key, options: &DeleteOptions) -> Result<DynamicObject> {
        for _ in 1..MAX_CONFLICTS {
            match self.delete_once(key, options).await {
                Err(Error::Conflict { .. }) if options.preconditions.resource_version.is_none() => {}
                outcome => return outcome,
            }
        }
        self.delete_once(key, options).await
    }

    async fn delete_once(&self, key: &Key, options: &DeleteOptions) -> Result<DynamicObject> {
        let mut txn = self.transaction();
        let index = txn.delete(key, options).await?;
        Ok(txn.commit().await?.swap_remove(index))
    }

    /// Makes an object what a manifest says: creates it, or puts the manifest's fields over what is there. Fields that
    /// the manifest does not name stay. Nothing is written if nothing differs.
    ///
    /// # Errors
    /// As [`ResourceStore::update`].
    ///
    /// # Cancel safety
    /// As [`ResourceStore::create`].
    pub async fn apply(&self, manifest: DynamicObject, fields: FieldValidation) -> Result<DynamicObject> {
        let kind = self.kinds.by_manifest(&manifest.api_version, &manifest.kind)?;
        let key = kind.key(&manifest.metadata.namespace, &manifest.metadata.name)?;
        let mut last = None;
        for _ in 0..MAX_CONFLICTS {
            let attempt = match self.entry(&key).await? {
                (None, _) => self.create(manifest.clone(), fields).await,
                (Some(entry), _) => {
                    let current = entry.object().map_err(Clone::clone)?.to_dynamic()?;
                    self.update(overlay(current, &manifest), fields).await
                }
            };
            match attempt {
                Err(error @ (Error::Conflict { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. })) => {
                    last = Some(error);
                }
                outcome => return outcome,
            }
        }
        Err(last.unwrap_or(Error::NotFound { key }))
    }
}

/// Reads, changes, writes: again from the read when somebody else wrote in between, at most [`MAX_CONFLICTS`] times.
pub(crate) async fn retry_conflicts<T, F, Fut>(mut attempt: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    for _ in 1..MAX_CONFLICTS {
        match attempt().await {
            Err(Error::Conflict { .. }) => {}
            outcome => return outcome,
        }
    }
    attempt().await
}

fn overlay(mut current: DynamicObject, manifest: &DynamicObject) -> DynamicObject {
    for (name, value) in manifest.body.iter().filter(|(name, _)| name.as_str() != "status") {
        current.body.insert(name.clone(), value.clone());
    }
    current.metadata.labels.extend(manifest.metadata.labels.clone());
    current.metadata.annotations.extend(manifest.metadata.annotations.clone());
    current
}

/// The sugar that any store has, made once.
///
/// ```
/// # use roa_core::{Key, Result, Store, StoreExt};
/// async fn exists(store: &dyn Store, key: &Key) -> Result<bool> {
///     Ok(store.entry(key).await?.is_some())
/// }
/// ```
#[async_trait]
pub trait StoreExt {
    /// The entry of a key; `None` if absent.
    ///
    /// # Errors
    /// As [`Store::get`].
    async fn entry(&self, key: &Key) -> Result<Option<Arc<Entry>>>;

    /// The newest revision.
    ///
    /// # Errors
    /// As [`Store::state`].
    async fn head(&self) -> Result<Revision>;
}

#[async_trait]
impl<T: Store + ?Sized> StoreExt for T {
    async fn entry(&self, key: &Key) -> Result<Option<Arc<Entry>>> {
        Ok(self.get(key).await?.entry)
    }

    async fn head(&self) -> Result<Revision> {
        Ok(self.state().await?.head)
    }
}
