//! What a store of an older version holds, so that it can be seen that a newer one still reads it.
//!
//! When a schema is released, its backend [`write()`]s this into a store once and keeps the files. From then on its
//! factory opens a copy of them for [`Fixture::Version1`](crate::Fixture::Version1).

use roa_core::{CommitError, Key, KeyError, Revision, Store, SystemRandom, Txn, TxnId, Value};
use thiserror::Error;

use crate::client::{Client, key, key_in, text};
use crate::failure::{Outcome, ensure};
use crate::feed::ensure_dense;

/// Why the fixture could not be written.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum FixtureError {
    /// A commit failed.
    #[error("write the fixture: {0}")]
    Commit(#[from] CommitError),
    /// A key is none.
    #[error("write the fixture: {0}")]
    Key(#[from] KeyError),
}

/// Writes it into an empty store: a key that was updated, one that was deleted, one without a value, and two of one
/// transaction in a namespace of their own.
///
/// # Errors
/// [`FixtureError`] if the store refuses a commit.
///
/// # Cancel safety
/// Dropping the future leaves a part of it written.
pub async fn write(store: &dyn Store) -> Result<(), FixtureError> {
    let updated = commit(store, |txn| txn.create(key("updated"), text("one"))).await?;
    let deleted = commit(store, |txn| txn.create(key("deleted"), text("gone"))).await?;
    commit(store, |txn| txn.update(key("updated"), text("two"), updated)).await?;
    commit(store, |txn| txn.delete(key("deleted"), deleted)).await?;
    commit(store, |txn| txn.create(key("empty"), Value::opaque(""))).await?;
    commit(store, |txn| txn.create(pair("left"), text("l")).create(pair("right"), text("r"))).await?;
    Ok(())
}

async fn commit(store: &dyn Store, fill: impl FnOnce(Txn) -> Txn) -> Result<Revision, CommitError> {
    store.commit(fill(Txn::new(TxnId::random(&SystemRandom), "fixture"))).await
}

fn pair(name: &str) -> Key {
    key_in("pair", name)
}

/// Checks that a store holds it and goes on from there.
pub(crate) async fn check(client: &Client) -> Outcome {
    let mut seen = Vec::new();
    for key in [key("updated"), key("deleted"), key("empty"), pair("left"), pair("right")] {
        let entry = client.get(&key).await?.entry;
        let facts = |entry: &roa_core::Entry| (entry.value.clone(), entry.version, entry.writer.to_string());
        seen.push(entry.as_deref().map(facts));
    }
    let expected = [Some(("two", 2)), None, Some(("", 1)), Some(("l", 1)), Some(("r", 1))];
    let expected = expected.map(|facts| facts.map(|(value, version)| (text(value), version, "fixture".to_owned())));
    ensure::equal("what the fixture holds", seen, expected.to_vec())?;
    let [left, right] = [client.get(&pair("left")).await?.entry, client.get(&pair("right")).await?.entry];
    let revisions = [left, right].map(|entry| entry.map(|entry| entry.revision));
    ensure::equal("the revision of the pair", revisions[0], revisions[1])?;
    goes_on(client).await
}

async fn goes_on(client: &Client) -> Outcome {
    let before = client.state().await?;
    let log =
        if before.floor < before.head { client.feed(before.floor).await?.until(before.head).await? } else { vec![] };
    ensure_dense("the fixture's log", &log, before.floor, before.head)?;
    let next = client.create("new", "new").await?;
    client.follows("the first commit after the fixture", before.head, next)
}
