//! [`Scratch`]: the place in the store that a bench writes to, and leaves as it found it.

use anyhow::{Context as _, bail};
use roa_core::{Entry, Key, KeyPrefix, ListRequest, Random, RandomExt, Store, Txn, TxnId};

/// No kind is of this group, so no controller and no watch of a kind sees what is written.
const GROUP: &str = "bench.roa.invalid";
const RESOURCE: &str = "writes";
/// How many entries are removed in one transaction.
const TOGETHER: usize = 100;

/// One run's own place.
pub(super) struct Scratch {
    run: String,
    pub(super) prefix: KeyPrefix,
}

impl Scratch {
    pub(super) fn new(random: &dyn Random) -> anyhow::Result<Self> {
        let run = random.uuid().to_string();
        Ok(Self { prefix: KeyPrefix::namespace(GROUP, RESOURCE, &run)?, run })
    }

    /// The key of a writer's so-and-so-manieth object.
    pub(super) fn key(&self, writer: usize, object: u64) -> anyhow::Result<Key> {
        Ok(Key::new(GROUP, RESOURCE, &self.run, &format!("writer-{writer}-{object}"))?)
    }

    /// Removes what is left of runs, of this one and of those that were cut off; gives how many entries that were.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub(super) async fn clear(&self, store: &dyn Store, random: &dyn Random) -> anyhow::Result<usize> {
        let left = store.list(ListRequest::new(place()?)).await.context("failed to look for what the bench left")?;
        for entries in left.entries.chunks(TOGETHER) {
            let txn = Txn::new(TxnId::random(random), "roa-bench");
            let txn = entries.iter().fold(txn, |txn, entry| txn.delete(entry.key.clone(), entry.revision));
            store.commit(txn).await.context("failed to clear what the bench left")?;
        }
        Ok(left.entries.len())
    }
}

fn place() -> anyhow::Result<KeyPrefix> {
    Ok(KeyPrefix::resource(GROUP, RESOURCE)?)
}

/// A store that holds something is somebody's: writing to it as fast as it can take slows them down, and pushes the
/// history out of its log from which their watches resume.
///
/// # Errors
/// It holds something, and `in_use` does not say that this is fine.
pub(super) async fn check(store: &dyn Store, in_use: bool) -> anyhow::Result<()> {
    if in_use {
        return Ok(());
    }
    let (everything, place) = (store.list(ListRequest::new(KeyPrefix::everything())).await?.entries, place()?);
    let others = |entry: &&std::sync::Arc<Entry>| !place.contains(&entry.key);
    match everything.iter().filter(others).count() {
        0 => Ok(()),
        count => bail!(
            "{store} holds {count} entries, expected none: a bench slows down whoever works on it, and their watches may have to list again; hint: --in-use does it nevertheless, or point --data-dir at an empty directory"
        ),
    }
}
