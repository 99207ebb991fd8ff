//! [`State`]: all entries of a store at one revision.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use roa_core::{At, Batch, Change, Entry, Key, KeyPrefix, ListRequest, Result, Revision, Store, TxnId};

/// All entries of a store at one revision.
#[derive(Debug, Clone)]
pub struct State {
    /// Which revision.
    pub revision: Revision,
    /// The transaction of that revision, if it is known: what the next batch names as its predecessor.
    pub txn: Option<TxnId>,
    entries: BTreeMap<Key, Arc<Entry>>,
}

impl State {
    /// A store without entries.
    #[must_use]
    pub const fn empty(revision: Revision) -> Self {
        Self { revision, txn: None, entries: BTreeMap::new() }
    }

    /// The state with these entries.
    #[must_use]
    pub fn new(revision: Revision, txn: Option<TxnId>, entries: impl IntoIterator<Item = Arc<Entry>>) -> Self {
        let entries = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        Self { revision, txn, entries }
    }

    /// Reads all entries of a store, page by page.
    ///
    /// # Errors
    /// As [`Store::list`].
    ///
    /// # Cancel safety
    /// Safe: nothing changes.
    pub async fn read(store: &dyn Store, at: At) -> Result<Self> {
        let everything = ListRequest::new(KeyPrefix::everything());
        let mut page = store.list(everything.clone().at(at)).await?;
        let mut entries = page.entries;
        while let Some(next) = page.next {
            page = store.list(everything.clone().resume(next)).await?;
            entries.append(&mut page.entries);
        }
        Ok(Self::new(page.revision, None, entries))
    }

    /// The entry of a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// The entries below a prefix that come after a key, in key order.
    pub fn below<'a>(&'a self, prefix: &'a KeyPrefix, after: Option<&'a Key>) -> impl Iterator<Item = &'a Arc<Entry>> {
        let start = match after {
            Some(key) => Bound::Excluded(key.encoded()),
            None => Bound::Included(prefix.encoded()),
        };
        let range = self.entries.range::<str, _>((start, Bound::Unbounded));
        range.map(|(_, entry)| entry).take_while(|entry| prefix.contains(&entry.key))
    }

    /// All entries, in key order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// Does what a batch says, whatever was there before.
    pub fn apply(&mut self, batch: &Batch) {
        for change in batch.changes.iter() {
            self.apply_change(change);
        }
        self.revision = batch.revision;
        self.txn = Some(batch.txn);
    }

    fn apply_change(&mut self, change: &Change) {
        match change {
            Change::Put { entry, .. } => self.entries.insert(entry.key.clone(), Arc::clone(entry)),
            Change::Delete { previous } => self.entries.remove(&previous.key),
        };
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision && self.entries == other.entries
    }
}

impl Eq for State {}

/// Whether two entries are the same in all that is stored.
pub(super) fn same(left: Option<&Arc<Entry>>, right: Option<&Arc<Entry>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left == right && left.writer == right.writer,
        (None, None) => true,
        _ => false,
    }
}
