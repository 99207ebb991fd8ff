//! [`Table`]: values by key, and by a number that stands for the key, so that it is hashed and looked for once.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

/// The number of a key, from when it is put in until it is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(usize);

/// Where a key is to be put that is not there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vacant {
    hash: u64,
}

#[derive(Debug)]
pub(super) struct Table<K, V> {
    slots: Slab<Slot<K, V>>,
    /// The numbers of the slots, by the hashes of their keys.
    numbers: HashTable<usize>,
    /// Its seed is random: names come from users, who can't foresee their hashes.
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Slot<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K: Eq + Hash, V> Table<K, V> {
    pub(super) fn new() -> Self {
        Self { slots: Slab::new(), numbers: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The number of a key.
    pub(super) fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Result<Id, Vacant>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let same =
            |number: &usize| self.slots.get(*number).is_some_and(|slot| slot.hash == hash && slot.key.borrow() == key);
        self.numbers.find(hash, same).map(|number| Id(*number)).ok_or(Vacant { hash })
    }

    /// Puts in a key that [`Table::find`] did not find.
    pub(super) fn insert(&mut self, vacant: Vacant, key: K, value: V) -> Id {
        let Vacant { hash } = vacant;
        let number = self.slots.insert(Slot { hash, key, value });
        let slots = &self.slots;
        self.numbers.insert_unique(hash, number, |number| slots.get(*number).map_or(0, |slot| slot.hash));
        Id(number)
    }

    pub(super) fn get(&self, id: Id) -> Option<&V> {
        self.slots.get(id.0).map(|slot| &slot.value)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<(&K, &mut V)> {
        self.slots.get_mut(id.0).map(|slot| (&slot.key, &mut slot.value))
    }

    pub(super) fn key(&self, id: Id) -> Option<&K> {
        self.slots.get(id.0).map(|slot| &slot.key)
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<(K, V)> {
        let Slot { hash, key, value } = self.slots.try_remove(id.0)?;
        if let Ok(found) = self.numbers.find_entry(hash, |number| *number == id.0) {
            found.remove();
        }
        Some((key, value))
    }

    /// Takes out all but those.
    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let left: Vec<_> = self.slots.iter().filter(|(_, slot)| !keep(&slot.value)).map(|(number, _)| number).collect();
        for number in left {
            self.remove(Id(number));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_does_what_a_map_does(steps in prop::collection::vec((0..60_u8, any::<bool>()), 0..400)) {
            let (mut table, mut map) = (Table::<String, usize>::new(), HashMap::<String, (Id, usize)>::new());
            for (number, (key, stays)) in steps.into_iter().enumerate() {
                let key = key.to_string();
                match table.find(key.as_str()) {
                    Ok(id) => {
                        let (known, value) = map[&key];
                        prop_assert_eq!((id, table.get(id), table.key(id)), (known, Some(&value), Some(&key)));
                        if stays {
                            *table.get_mut(id).unwrap().1 = number;
                            map.insert(key, (id, number));
                        } else {
                            prop_assert_eq!(table.remove(id), map.remove(&key).map(|(_, value)| (key, value)));
                            prop_assert!(table.get(id).is_none() && table.remove(id).is_none());
                        }
                    }
                    Err(vacant) => {
                        prop_assert!(!map.contains_key(&key));
                        let id = table.insert(vacant, key.clone(), number);
                        map.insert(key, (id, number));
                    }
                }
                prop_assert_eq!(table.len(), map.len());
            }
            table.retain(|value| value % 2 == 0);
            prop_assert_eq!(table.len(), map.values().filter(|(_, value)| value % 2 == 0).count());
        }
    }
}
