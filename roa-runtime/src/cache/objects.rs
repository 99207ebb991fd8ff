//! [`Objects`]: all that a cache's lock guards. It knows no listener and no watch.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use roa_core::{DecodeError, Key, Resource};

use super::index::{Indexes, Values};

/// The objects of a cache. A list that is under way marks what it has; what has no mark at its end went (mark and sweep,
/// so that there is never a second copy of the objects or of their keys).
pub(super) struct Objects<R> {
    /// Looked into by each call: a fast hash with a random seed, since names come from users.
    by_key: HashMap<Key, Slot<R>, DefaultHashBuilder>,
    /// The same keys, in order.
    keys: BTreeSet<Key>,
    /// Objects that can't be read as an `R`: neither there nor gone.
    unreadable: HashMap<Key, Unreadable<R>>,
    pub(super) indexes: Indexes<R>,
    /// The number of the newest list: the mark of what it has.
    list: u32,
}

struct Slot<R> {
    object: Arc<R>,
    /// The newest list that had it, or after which it came.
    seen: u32,
}

struct Unreadable<R> {
    error: DecodeError,
    /// As it was last readable.
    last: Option<Arc<R>>,
    seen: u32,
}

impl<R: Resource> Objects<R> {
    pub(super) fn new() -> Self {
        let (by_key, keys, unreadable) = (HashMap::default(), BTreeSet::new(), HashMap::new());
        Self { by_key, keys, unreadable, indexes: Indexes::new(), list: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<R>> {
        Some(&self.by_key.get(key)?.object)
    }

    /// All objects, in the order of their keys.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&Key, &Arc<R>)> {
        self.keys.iter().filter_map(|key| Some((key, self.get(key)?)))
    }

    pub(super) fn keys_after(&self, after: Option<&Key>) -> impl Iterator<Item = &Key> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.keys.range::<Key, _>((from, Bound::Unbounded))
    }

    pub(super) fn index_by(&mut self, name: &str, values: Arc<Values<R>>) {
        self.indexes.add(name, values, self.by_key.iter().map(|(key, slot)| (key, &slot.object)));
    }

    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&Key, &DecodeError)> {
        self.unreadable.iter().map(|(key, unreadable)| (key, &unreadable.error))
    }

    /// What is known under a key, if `object` is another one of the same name: that one went, though nobody said so.
    pub(super) fn end_other_life(&mut self, key: &Key, object: &R) -> Option<Arc<R>> {
        let known = self.last_known(key)?;
        let same = known.revision() == object.revision() || known.metadata().uid == object.metadata().uid;
        if same { None } else { self.remove(key) }
    }

    fn last_known(&self, key: &Key) -> Option<&Arc<R>> {
        self.get(key).or_else(|| self.unreadable.get(key)?.last.as_ref())
    }

    /// Gives what was known under the key before. Of one revision there is one object: the first stays.
    pub(super) fn put(&mut self, key: &Key, object: &Arc<R>) -> Option<Arc<R>> {
        let before = match self.by_key.get_mut(key) {
            Some(slot) => {
                slot.seen = self.list;
                if slot.object.revision() == object.revision() {
                    return Some(Arc::clone(&slot.object));
                }
                Some(std::mem::replace(&mut slot.object, Arc::clone(object)))
            }
            None => {
                // Whoever holds the key elsewhere shares its bytes with both.
                self.by_key.insert(key.clone(), Slot { object: Arc::clone(object), seen: self.list });
                self.keys.insert(key.clone());
                None
            }
        };
        self.indexes.update(key, before.as_deref(), Some(object));
        if before.is_some() || self.unreadable.is_empty() {
            return before;
        }
        self.unreadable.remove(key).and_then(|unreadable| unreadable.last)
    }

    /// What is under the key can't be read: it is not shown, and what it was is kept for its tombstone.
    pub(super) fn set_aside(&mut self, key: &Key, error: DecodeError) {
        let last = self.take(key).or_else(|| self.unreadable.remove(key)?.last);
        self.unreadable.insert(key.clone(), Unreadable { error, last, seen: self.list });
    }

    /// Gives what was last known under the key.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<R>> {
        self.take(key).or_else(|| self.unreadable.remove(key)?.last)
    }

    fn take(&mut self, key: &Key) -> Option<Arc<R>> {
        let Slot { object, .. } = self.by_key.remove(key)?;
        self.keys.remove(key);
        self.indexes.update(key, Some(&object), None);
        Some(object)
    }

    /// From now on, what comes is of another list.
    pub(super) const fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// Which of these keys the newest list did not have.
    pub(super) fn unseen(&self, keys: &mut Vec<Key>) {
        keys.retain(|key| self.by_key.get(key).is_some_and(|slot| slot.seen != self.list));
    }

    /// The keys of what can't be read, and the newest list did not have.
    pub(super) fn unseen_unreadable(&self) -> Vec<Key> {
        let unseen = self.unreadable.iter().filter(|(_, unreadable)| unreadable.seen != self.list);
        unseen.map(|(key, _)| key.clone()).collect()
    }
}
