//! [`Bookmarks`]: where a handler stopped, kept in the store, so that a restart goes on there.

use std::sync::Arc;

use roa_core::{CommitError, Entry, Error, Key, Position, Random, Result, Store, Txn, TxnId, Value};

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
pub struct Bookmarks {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
}

impl Bookmarks {
    /// Bookmarks in `store`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>, random: Arc<dyn Random>) -> Self {
        Self { store, random }
    }

    /// The position kept under `name`; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Corrupt`] if what is kept is no position; [`Error::Invalid`] for a name that
    /// makes no key.
    pub async fn load(&self, name: &str) -> Result<Option<Position>> {
        let entry = self.store.get(&key(name)?).await?.entry;
        entry.map(|entry| parse(&entry)).transpose()
    }

    /// Keeps a position under `name`; never moves it back within one history.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Ambiguous`]; [`Error::Invalid`] for a name that makes no key.
    ///
    /// # Cancel safety
    /// Dropping it leaves the old position or the new one.
    pub async fn save(&self, name: &str, position: Position) -> Result<()> {
        let key = key(name)?;
        let entry = self.store.get(&key).await?.entry;
        if let Some(kept) = entry.as_deref().map(parse).transpose()?
            && (kept.store, kept.epoch) == (position.store, position.epoch)
            && kept.revision >= position.revision
        {
            return Ok(());
        }
        let value = serde_json::to_vec(&position).map_err(|error| Error::corrupt(error.to_string()))?;
        let txn = Txn::new(TxnId::random(&*self.random), name);
        let txn = match entry {
            Some(entry) => txn.update(key, Value::opaque(value), entry.revision),
            None => txn.create(key, Value::opaque(value)),
        };
        match self.store.commit(txn).await {
            // Somebody else moved it meanwhile: it is ahead, or will be moved again.
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
