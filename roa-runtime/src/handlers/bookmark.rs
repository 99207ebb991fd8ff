//! [`Bookmarks`]: where a handler stopped, kept in the store, so that a restart goes on there.

use std::sync::Arc;

use roa_core::{
    CommitError, Entry, Error, Expect, Key, Op, Position, Random, ResourceStore, Result, Store, Txn, TxnId, Value,
};

/// The resource of the keys that bookmarks are kept under.
const RESOURCE: &str = "bookmarks";

/// Keeps one position for each name, among the store's own records: no kind's watcher sees them.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Position, Result, Store, SystemRandom};
/// # use roa_runtime::Bookmarks;
/// async fn keep(store: Arc<dyn Store>, position: Position) -> Result<()> {
///     let bookmarks = Bookmarks::new(store, Arc::new(SystemRandom));
///     bookmarks.save("mailer", position).await?;
///     assert_eq!(bookmarks.load("mailer").await?, Some(position));
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Bookmarks(Place);

#[derive(Debug, Clone)]
enum Place {
    Store(Arc<dyn Store>, Arc<dyn Random>),
    /// Under their fences.
    Resources(ResourceStore),
}

impl Bookmarks {
    /// Bookmarks in `store`, of a handler that no other process runs too.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>, random: Arc<dyn Random>) -> Self {
        Self(Place::Store(store, random))
    }

    /// Bookmarks that are written under the fences of `resources`: who has lost what it owned moves none of them.
    #[must_use]
    pub const fn under(resources: ResourceStore) -> Self {
        Self(Place::Resources(resources))
    }

    /// The position kept under `name`; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Corrupt`] if what is kept is no position; [`Error::Invalid`] for a name that
    /// makes no key.
    pub async fn load(&self, name: &str) -> Result<Option<Position>> {
        let entry = self.entry(&key(name)?).await?;
        entry.map(|entry| parse(&entry)).transpose()
    }

    /// Keeps a position under `name`; never moves it back within one history.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Ambiguous`]; [`Error::Fenced`] if another process has taken over;
    /// [`Error::Invalid`] for a name that makes no key.
    ///
    /// # Cancel safety
    /// Dropping it leaves the old position or the new one.
    pub async fn save(&self, name: &str, position: Position) -> Result<()> {
        let key = key(name)?;
        let entry = self.entry(&key).await?;
        if let Some(kept) = entry.as_deref().map(parse).transpose()?
            && (kept.store, kept.epoch) == (position.store, position.epoch)
            && kept.revision >= position.revision
        {
            return Ok(());
        }
        let value = serde_json::to_vec(&position).map_err(|error| Error::corrupt(error.to_string()))?;
        let expect = entry.map_or(Expect::Absent, |entry| Expect::At(entry.revision));
        match self.write(name, Op::Put { key, value: Value::opaque(value), expect }).await {
            // Somebody else moved it meanwhile: it is ahead, or will be moved again.
            Ok(()) | Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn entry(&self, key: &Key) -> Result<Option<Arc<Entry>>> {
        match &self.0 {
            Place::Store(store, _) => Ok(store.get(key).await?.entry),
            Place::Resources(resources) => Ok(resources.entry(key).await?.0),
        }
    }

    async fn write(&self, name: &str, op: Op) -> Result<()> {
        let (store, random) = match &self.0 {
            Place::Store(store, random) => (store, random),
            Place::Resources(resources) => return resources.write_record(op).await,
        };
        match store.commit(Txn::new(TxnId::random(&**random), name).op(op)).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(CommitError::Ambiguous { txn, reason }) => Err(Error::Ambiguous { txn, reason }),
            Err(error) => Err(Error::unavailable(error.to_string())),
        }
    }
}

fn key(name: &str) -> Result<Key> {
    Ok(Key::system(RESOURCE, name)?)
}

fn parse(entry: &Entry) -> Result<Position> {
    serde_json::from_slice(&entry.value.bytes)
        .map_err(|error| Error::corrupt(format!("bookmark {}: {error}", entry.key.name())))
}
