//! [`Entries`]: the live keys, found by hash and walked in order.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use roa_core::{Entry, Key, KeyPrefix};

/// The live entries.
///
/// Both indexes lead to a slot that stays a key's for its life. An update changes the slot alone, so that it costs one
/// hash and no comparison of keys; only the first and the last write of a life touch the ordered index.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// A fast hash with a random seed, since names come from users.
    by_hash: HashMap<Key, usize, DefaultHashBuilder>,
    in_order: BTreeMap<Key, usize>,
    slots: Vec<Option<Arc<Entry>>>,
    /// Slots of removed keys, for the next new keys.
    vacant: Vec<usize>,
}

/// Where a key's entry is. It stays there until the key is removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(usize);

impl Entries {
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.at(self.find(key)?)
    }

    /// Where a key's entry is: looked for once, then it costs no more than an index.
    pub(crate) fn find(&self, key: &Key) -> Option<Place> {
        self.by_hash.get(key).copied().map(Place)
    }

    /// The entry at a place.
    pub(crate) fn at(&self, Place(slot): Place) -> Option<&Arc<Entry>> {
        self.slots.get(slot)?.as_ref()
    }

    /// The entry at a place, to be replaced by another of the same key.
    pub(crate) fn at_mut(&mut self, Place(slot): Place) -> Option<&mut Arc<Entry>> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Adds the entry of a key that has none.
    pub(crate) fn insert(&mut self, entry: Arc<Entry>) {
        let slot = self.vacant.pop().unwrap_or(self.slots.len());
        self.by_hash.insert(entry.key.clone(), slot);
        self.in_order.insert(entry.key.clone(), slot);
        match self.slots.get_mut(slot) {
            Some(vacant) => *vacant = Some(entry),
            None => self.slots.push(Some(entry)),
        }
    }

    /// Takes a key's entry out.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let slot = self.by_hash.remove(key)?;
        self.in_order.remove(key);
        self.vacant.push(slot);
        self.slots.get_mut(slot)?.take()
    }

    /// The entries below a prefix, in key order, beginning after a key if one is given.
    pub(crate) fn range<'a>(
        &'a self,
        prefix: &'a KeyPrefix,
        after: Option<&Key>,
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let start = after.map_or(Bound::Included(prefix.encoded()), |after| Bound::Excluded(after.encoded()));
        self.in_order
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| prefix.contains(key))
            .filter_map(|(_, slot)| self.at(Place(*slot)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roa_core::{Revision, TxnId, Value};

    fn key(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    fn entry(name: &str, revision: u64) -> Arc<Entry> {
        let revision = Revision::new(revision).unwrap();
        Entry::created(key(name), Value::opaque("v"), revision, TxnId::none(), "test".into()).into()
    }

    fn put_entry(entries: &mut Entries, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        if let Some(place) = entries.find(&entry.key) {
            return entries.at_mut(place).map(|current| std::mem::replace(current, entry));
        }
        entries.insert(entry);
        None
    }

    #[test]
    fn a_removed_keys_slot_serves_the_next_key() {
        let mut entries = Entries::default();
        for revision in 1..100 {
            entries.insert(entry(&revision.to_string(), revision));
            assert!(entries.remove(&key(&revision.to_string())).is_some());
        }
        assert_eq!(entries.slots.len(), 1, "memory follows the live keys, not the history");
    }

    #[test]
    fn s7_a_range_begins_after_a_key_that_need_not_exist() {
        let mut entries = Entries::default();
        for (revision, name) in (1..).zip(["d", "a", "c"]) {
            entries.insert(entry(name, revision));
        }
        let names = |after: &str| {
            let prefix = KeyPrefix::resource("g", "things").unwrap();
            entries.range(&prefix, Some(&key(after))).map(|entry| entry.key.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names("a"), names("b"), names("d")),
            (vec!["c".into(), "d".into()], vec!["c".into(), "d".into()], vec![])
        );
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(writes in prop::collection::vec(("[a-e]{1,2}", any::<bool>()), 0..100)) {
            let (mut entries, mut model) = (Entries::default(), BTreeMap::new());
            for (revision, (name, put)) in (1..).zip(writes) {
                let previous = if put { put_entry(&mut entries, entry(&name, revision)) } else { entries.remove(&key(&name)) };
                let expected = if put { model.insert(key(&name), revision) } else { model.remove(&key(&name)) };
                prop_assert_eq!(previous.map(|entry| entry.revision.get()), expected);
                prop_assert_eq!(entries.get(&key(&name)).map(|entry| entry.revision.get()), put.then_some(revision));
            }
            let everything = KeyPrefix::everything();
            let listed = entries.range(&everything, None).map(|entry| (entry.key.clone(), entry.revision.get()));
            prop_assert_eq!(listed.collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
