//! [`Rewind`]: rows as they are now, put back to what they were at an earlier revision.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::{Batch, Entry, Key, KeyPrefix, Revision};

/// How a backend without old versions lists a past revision: it reads the rows as they are now and the log since then.
/// Each key that changed since is put back to what it was before the first of its changes.
///
/// Rows may be read in steps, with the log read on after each step: then they are as of the revision, whatever was
/// committed between the steps.
///
/// ```
/// use roa_core::{KeyPrefix, Revision, Rewind};
/// let mut rows = Vec::new(); // as they are now
/// let rewind = Rewind::new(KeyPrefix::everything(), Revision::new(7)?);
/// // ... here the log is read, from 7 on: `rewind.read(&batch)`
/// rewind.restore(&mut rows, 0, None, None);
/// assert!(rows.is_empty());
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug)]
pub struct Rewind {
    prefix: KeyPrefix,
    revision: Revision,
    /// The last revision whose changes are in `before`.
    read: Revision,
    before: BTreeMap<Key, Option<Arc<Entry>>>,
}

impl Rewind {
    /// Back to `revision`, for the keys of a prefix.
    #[must_use]
    pub const fn new(prefix: KeyPrefix, revision: Revision) -> Self {
        Self { prefix, revision, read: revision, before: BTreeMap::new() }
    }

    /// Where it leads back to.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The last revision that was read: go on after it.
    #[must_use]
    pub const fn read_until(&self) -> Revision {
        self.read
    }

    /// Reads the next batch of the log.
    pub fn read(&mut self, batch: &Batch) {
        self.read = batch.revision;
        for change in batch.changes.iter().filter(|change| self.prefix.contains(change.key())) {
            self.before.entry(change.key().clone()).or_insert_with(|| change.previous().cloned());
        }
    }

    /// Puts the rows from `start` on back to what they were. They are all that there are after one key and up to
    /// another, in key order.
    pub fn restore(&self, entries: &mut Vec<Arc<Entry>>, start: usize, after: Option<&Key>, reached: Option<&Key>) {
        if self.before.is_empty() {
            return;
        }
        let mut rows = entries.split_off(start);
        rows.retain(|row| !self.before.contains_key(&row.key));
        let range =
            (after.map_or(Bound::Unbounded, Bound::Excluded), reached.map_or(Bound::Unbounded, Bound::Included));
        rows.extend(self.before.range::<Key, _>(range).filter_map(|(_, entry)| entry.clone()));
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        entries.append(&mut rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, TxnId, Value};

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn entry(name: &str, at: u64) -> Arc<Entry> {
        let key = Key::new("g", "things", "n", name).unwrap();
        Entry::created(key, Value::opaque(at.to_string()), revision(at), TxnId::none(), "test".into()).into()
    }

    fn batch(at: u64, change: Change) -> Batch {
        let (txn, committed_at) = (TxnId::none(), "2027-01-02T03:04:05Z".parse().unwrap());
        Batch { revision: revision(at), txn, previous_txn: txn, committed_at, changes: change.into() }
    }

    #[test]
    fn s8_rows_are_put_back_to_what_they_were_before_their_first_change() {
        let things = KeyPrefix::resource("g", "things").unwrap();
        let mut rewind = Rewind::new(things, revision(4));
        rewind.read(&batch(5, Change::Put { entry: entry("b", 5), previous: Some(entry("b", 2)) }));
        rewind.read(&batch(6, Change::Put { entry: entry("b", 6), previous: Some(entry("b", 5)) }));
        rewind.read(&batch(7, Change::Delete { previous: entry("c", 3) }));
        rewind.read(&batch(8, Change::Put { entry: entry("d", 8), previous: None }));
        let mut rows = vec![entry("a", 1), entry("b", 6), entry("d", 8)];
        rewind.restore(&mut rows, 0, None, None);
        let found: Vec<_> = rows.iter().map(|row| (row.key.name().to_owned(), row.revision.get())).collect();
        assert_eq!(found, [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)]);
        assert_eq!(rewind.read_until(), revision(8));
    }
}
