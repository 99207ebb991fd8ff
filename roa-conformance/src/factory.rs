//! [`StoreFactory`]: what a backend gives to the suite.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use roa_core::{Capabilities, Error, Revision, Store, StoreId};
use thiserror::Error;

/// Makes the stores that the suite tests. Each case gets stores of its own; cases run at the same time.
#[async_trait]
pub trait StoreFactory: fmt::Debug + Send + Sync + 'static {
    /// The backend's name, for reports.
    fn name(&self) -> &str;

    /// What the backend's stores promise. Cases that need more are skipped.
    fn capabilities(&self) -> Capabilities;

    /// What the factory can do besides making stores. Cases that need more are skipped.
    fn facilities(&self) -> &[Facility] {
        &[]
    }

    /// How much of the work of the heavy cases to do: 1 for a store in memory, less for one that waits for a disk.
    fn scale(&self) -> f64 {
        1.0
    }

    /// A new, empty store.
    ///
    /// # Errors
    /// [`FactoryError`], which fails the case.
    async fn fresh(&self, options: FreshOptions) -> Result<Arc<dyn Store>, FactoryError>;

    /// Closes a store: its change feeds end with [`TailEnd::Closed`](roa_core::TailEnd), and further calls are refused.
    /// Needed for [`Facility::Closes`].
    ///
    /// # Errors
    /// [`FactoryError`], which fails the case.
    async fn close(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        Err(FactoryError::unsupported(self.name(), store, "close"))
    }

    /// Closes a store properly and opens it again. Needed if the store [reopens](Capabilities::reopens).
    ///
    /// # Errors
    /// [`FactoryError`], which fails the case.
    async fn reopen(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        Err(FactoryError::unsupported(self.name(), &store, "reopen"))
    }

    /// Opens a store again whose process was ended at this moment, without closing it. Needed if the store
    /// [reopens](Capabilities::reopens).
    ///
    /// # Errors
    /// [`FactoryError`], which fails the case.
    async fn crash(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        Err(FactoryError::unsupported(self.name(), &store, "crash"))
    }

    /// Copies a store to a safe place. Needed for [`Facility::Backups`].
    ///
    /// # Errors
    /// [`FactoryError`], which fails the case.
    async fn backup(&self, store: &Arc<dyn Store>) -> Result<Backup, FactoryError> {
        Err(FactoryError::unsupported(self.name(), store, "backup"))
    }

    /// Closes a store, puts a copy of it in its place and opens that. Needed for [`Facility::Backups`].
    ///
    /// # Errors
    /// [`FactoryError`], which fails the case.
    async fn restore(&self, store: Arc<dyn Store>, _backup: Backup) -> Result<Arc<dyn Store>, FactoryError> {
        Err(FactoryError::unsupported(self.name(), &store, "restore"))
    }

    /// Opens what the suite asks for. Needed for [`Facility::Fixtures`].
    ///
    /// # Errors
    /// [`FactoryError`] if that could not be tried, which fails the case.
    async fn open(&self, _fixture: Fixture) -> Result<Opened, FactoryError> {
        Err(FactoryError::Unsupported { factory: self.name().to_owned(), operation: "open" })
    }

    /// Sees to it that the reply to the store's next commit is lost on the way. Needed for [`Facility::Cuts`].
    ///
    /// # Errors
    /// [`FactoryError`], which fails the case.
    async fn cut_next_reply(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        Err(FactoryError::unsupported(self.name(), store, "cut a reply"))
    }
}

/// What a factory can do besides making stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Facility {
    /// It honours [`FreshOptions::opening`].
    Opening,
    /// [`StoreFactory::close`].
    Closes,
    /// [`StoreFactory::backup`] and [`StoreFactory::restore`].
    Backups,
    /// [`StoreFactory::open`].
    Fixtures,
    /// [`StoreFactory::cut_next_reply`].
    Cuts,
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening => "a factory that chooses the opening revision",
            Self::Closes => "a factory that closes stores",
            Self::Backups => "a factory that makes backups",
            Self::Fixtures => "a factory that opens fixtures",
            Self::Cuts => "a factory that cuts connections",
        })
    }
}

/// What a case asks of a new store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FreshOptions {
    /// Where its history begins; `None` for where it always does.
    pub opening: Option<Revision>,
    /// How many of the newest revisions a compaction keeps; 0, so that it can reach the head, unless a case asks for
    /// more. The store's log must not forget anything else while a case runs.
    pub min_retain: u64,
}

impl FreshOptions {
    /// Where its history begins.
    #[must_use]
    pub const fn opening(mut self, revision: Revision) -> Self {
        self.opening = Some(revision);
        self
    }

    /// How many of the newest revisions a compaction keeps.
    #[must_use]
    pub const fn min_retain(mut self, revisions: u64) -> Self {
        self.min_retain = revisions;
        self
    }
}

/// A copy of a store, named as the factory likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backup(pub u64);

/// Something that is, or looks like, what a backend stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fixture {
    /// A store of a schema that this version does not know yet.
    NewerSchema,
    /// What another program stores in the same format: another database, another user's keys.
    Foreign,
    /// A store as the first released schema has it, with the content that [`fixture::write`](crate::fixture::write)
    /// makes.
    Version1,
}

/// What came of opening a [`Fixture`].
#[derive(Debug, Clone)]
pub enum Opened {
    /// It opened.
    Store(Arc<dyn Store>),
    /// It was refused, with this message.
    Refused(String),
}

/// Why a factory could not do what a case needs.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum FactoryError {
    /// It never can, though the store's capabilities or the factory's facilities say so.
    #[error("{factory} declares that it can {operation}, but its factory does not implement it")]
    Unsupported {
        /// Which factory.
        factory: String,
        /// What it was to do.
        operation: &'static str,
    },
    /// The store is not one that it made.
    #[error("{0} was not made by this factory, or has been dropped")]
    Unknown(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

impl FactoryError {
    /// It failed for this reason.
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    fn unsupported(factory: &str, store: &Arc<dyn Store>, operation: &'static str) -> Self {
        Self::Unsupported { factory: format!("{factory} ({store})"), operation }
    }
}

impl From<Error> for FactoryError {
    fn from(error: Error) -> Self {
        Self::failed(error)
    }
}

/// The stores that a factory has made, so that it finds its own type again behind an `Arc<dyn Store>`.
#[derive(Debug)]
pub struct Made<S>(Mutex<HashMap<StoreId, Weak<S>>>);

impl<S> Default for Made<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Store> Made<S> {
    /// Remembers a store, without keeping it alive. One of the same id takes its place.
    pub fn keep(&self, store: S) -> Arc<dyn Store> {
        let store = Arc::new(store);
        let mut made = self.lock();
        made.retain(|_, store| store.strong_count() > 0);
        made.insert(store.id(), Arc::downgrade(&store));
        store
    }

    /// The store with the same id.
    ///
    /// # Errors
    /// [`FactoryError::Unknown`] if there is none.
    pub fn find(&self, store: &dyn Store) -> Result<Arc<S>, FactoryError> {
        self.lock().get(&store.id()).and_then(Weak::upgrade).ok_or_else(|| FactoryError::Unknown(store.to_string()))
    }

    /// A map of weak pointers is whole whatever panicked beside it.
    fn lock(&self) -> MutexGuard<'_, HashMap<StoreId, Weak<S>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::SystemRandom;
    use roa_runtime::SystemClock;
    use roa_store_memory::{MemoryConfig, MemoryStore};

    fn memory() -> MemoryStore {
        MemoryStore::new(MemoryConfig::default(), Arc::new(SystemClock::new()), Arc::new(SystemRandom))
    }

    #[test]
    fn a_factory_finds_its_own_type_again_and_keeps_no_store_alive() {
        let made = Made::default();
        let (first, second) = (made.keep(memory()), made.keep(memory()));
        assert_eq!(made.find(&*first).unwrap().id(), first.id());
        drop(first);
        assert!(made.find(&memory()).is_err());
        let third = made.keep(memory());
        assert_eq!(made.lock().len(), 2, "the first is forgotten");
        assert!(made.find(&*second).is_ok() && made.find(&*third).is_ok());
    }

    #[derive(Debug)]
    struct Bare;

    #[async_trait]
    impl StoreFactory for Bare {
        fn name(&self) -> &str {
            "bare"
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::volatile()
        }

        async fn fresh(&self, _: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
            Ok(Arc::new(memory()))
        }
    }

    #[tokio::test]
    async fn what_a_factory_does_not_implement_is_an_error_that_says_so() {
        let store = Bare.fresh(FreshOptions::default()).await.unwrap();
        let refusals = [
            Bare.close(&store).await.unwrap_err(),
            Bare.backup(&store).await.unwrap_err(),
            Bare.cut_next_reply(&store).await.unwrap_err(),
            Bare.restore(store.clone(), Backup(1)).await.unwrap_err(),
            Bare.reopen(store.clone()).await.unwrap_err(),
            Bare.crash(store).await.unwrap_err(),
            Bare.open(Fixture::Foreign).await.unwrap_err(),
        ];
        for refusal in refusals {
            assert!(refusal.to_string().starts_with("bare"), "{refusal}");
            assert!(refusal.to_string().contains("declares that it can"), "{refusal}");
        }
    }
}
