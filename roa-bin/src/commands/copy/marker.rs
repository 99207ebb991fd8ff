//! The record in a target that a copy is under way: it is made first and removed last.

use std::sync::Arc;

use roa_core::{
    CommitError, Entry, Key, KeyPrefix, ListRequest, Random, Result, SYSTEM_GROUP, Store, Txn, TxnId, Value,
};

use super::writes::WRITER;

/// The resource of the keys that markers are kept under: no kind's watcher sees them.
pub(super) const RESOURCE: &str = "copies";

/// The markers of a store: of copies into it that are not complete.
pub(super) async fn all(store: &dyn Store) -> Result<Vec<Arc<Entry>>> {
    let prefix = KeyPrefix::resource(SYSTEM_GROUP, RESOURCE)?;
    Ok(store.list(ListRequest::new(prefix)).await?.entries)
}

/// Which store this one is an unfinished copy of, if it is one.
///
/// # Errors
/// As [`Store::list`].
pub(crate) async fn unfinished(store: &dyn Store) -> Result<Option<String>> {
    let markers = all(store).await?;
    Ok(markers.first().map(|marker| String::from_utf8_lossy(&marker.value.bytes).into_owned()))
}

/// The key of the marker of a copy of `source`.
pub(super) fn key(source: &dyn Store) -> Result<Key> {
    Ok(Key::system(RESOURCE, &source.id().to_string())?)
}

/// Marks `target` as a copy of `source` that is not complete.
pub(super) async fn make(
    key: Key,
    source: &dyn Store,
    target: &dyn Store,
    random: &dyn Random,
) -> Result<(), CommitError> {
    let txn = Txn::new(TxnId::random(random), WRITER).create(key, Value::opaque(source.to_string()));
    target.commit(txn).await.map(|_| ())
}

/// Removes `markers` in one transaction.
pub(super) async fn remove(markers: &[Arc<Entry>], target: &dyn Store, random: &dyn Random) -> Result<(), CommitError> {
    let txn = Txn::new(TxnId::random(random), WRITER);
    let txn = markers.iter().fold(txn, |txn, marker| txn.delete(marker.key.clone(), marker.revision));
    target.commit(txn).await.map(|_| ())
}
