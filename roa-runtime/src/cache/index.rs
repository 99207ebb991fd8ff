//! [`Indexes`]: which objects have which value, kept with each change.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use roa_core::Key;

/// Gives each value of an object to the function that it is handed.
pub(crate) type Values<R> = dyn Fn(&R, &mut dyn FnMut(&str)) + Send + Sync;

/// The indexes of one cache. A few, so that they are looked for one by one.
pub(super) struct Indexes<R>(Vec<Kept<R>>);

struct Kept<R> {
    name: Arc<str>,
    values: Arc<Values<R>>,
    keys: HashMap<Box<str>, BTreeSet<Key>>,
}

impl<R> Indexes<R> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an index over what is there; `None` if there is one of this name.
    pub(super) fn add<'a>(
        &mut self,
        name: &str,
        values: Arc<Values<R>>,
        objects: impl Iterator<Item = (&'a Key, &'a Arc<R>)>,
    ) where
        R: 'a,
    {
        if self.get(name).is_some() {
            return;
        }
        let mut kept = Kept { name: name.into(), values, keys: HashMap::new() };
        objects.for_each(|(key, object)| kept.update(key, None, Some(object)));
        self.0.push(kept);
    }

    pub(super) fn update(&mut self, key: &Key, before: Option<&R>, after: Option<&R>) {
        self.0.iter_mut().for_each(|index| index.update(key, before, after));
    }

    /// The keys of a value, in order; `None` if there is no such index.
    pub(super) fn keys(&self, index: &str, value: &str) -> Option<impl Iterator<Item = &Key>> {
        Some(self.get(index)?.keys.get(value).into_iter().flatten())
    }

    /// At most `limit` keys of a value after one, in order.
    pub(super) fn keys_after(&self, index: &str, value: &str, after: Option<&Key>, limit: usize) -> Vec<Key> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.get(index).and_then(|index| index.keys.get(value));
        keys.map(|keys| keys.range::<Key, _>((from, Bound::Unbounded)).take(limit).cloned().collect())
            .unwrap_or_default()
    }

    fn get(&self, name: &str) -> Option<&Kept<R>> {
        self.0.iter().find(|index| &*index.name == name)
    }
}

impl<R> Kept<R> {
    /// First what is new, so that what stays is touched and not taken out and put in.
    fn update(&mut self, key: &Key, before: Option<&R>, after: Option<&R>) {
        let Self { name, values, keys } = self;
        let values = |object: &R, value: &mut dyn FnMut(&str)| {
            // The author's code must not take the cache with it.
            if catch_unwind(AssertUnwindSafe(|| values(object, value))).is_err() {
                tracing::error!(index = &**name, %key, "an index's function panicked: the object may not be found by it");
            }
        };
        if let Some(after) = after {
            values(after, &mut |value| match keys.get_mut(value) {
                Some(found) => _ = found.insert(key.clone()),
                None => _ = keys.insert(value.into(), BTreeSet::from([key.clone()])),
            });
        }
        let Some(before) = before else { return };
        let mut left = Vec::new();
        values(before, &mut |value| left.push(Box::<str>::from(value)));
        if let Some(after) = after {
            values(after, &mut |value| left.retain(|left| &**left != value));
        }
        for value in left {
            if let Some(found) = keys.get_mut(&value) {
                found.remove(key);
                if found.is_empty() {
                    keys.remove(&value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("g", "texts", "n", name).unwrap()
    }

    fn words() -> Indexes<String> {
        let mut indexes = Indexes::new();
        let values = |text: &String, value: &mut dyn FnMut(&str)| {
            text.split(' ').for_each(&mut *value);
            assert!(!text.ends_with('!'), "boom");
        };
        indexes.add("word", Arc::new(values), std::iter::empty());
        indexes
    }

    fn found(indexes: &Indexes<String>, value: &str) -> Vec<String> {
        indexes.keys("word", value).unwrap().map(|key| key.name().to_owned()).collect()
    }

    #[test]
    fn c1_an_object_is_found_by_the_values_that_it_has_now() {
        let mut indexes = words();
        let [first, second] = ["to be", "be not"].map(str::to_owned);
        indexes.update(&key("a"), None, Some(&first));
        indexes.update(&key("b"), None, Some(&first));
        indexes.update(&key("a"), Some(&first), Some(&second));
        assert_eq!(
            [found(&indexes, "to"), found(&indexes, "be"), found(&indexes, "not")],
            [vec!["b".to_owned()], vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned()]]
        );
        indexes.update(&key("b"), Some(&first), None);
        assert!(found(&indexes, "to").is_empty() && indexes.0[0].keys.len() == 2, "no value is kept without objects");
        assert!(indexes.keys("letter", "t").is_none());
    }

    #[test]
    fn c11_a_function_that_panics_takes_nobody_with_it() {
        let mut indexes = words();
        let (bad, good) = ("boom!".to_owned(), "calm".to_owned());
        indexes.update(&key("a"), None, Some(&bad));
        indexes.update(&key("b"), None, Some(&good));
        indexes.update(&key("a"), Some(&bad), None);
        assert_eq!((found(&indexes, "boom!"), found(&indexes, "calm")), (vec![], vec!["b".to_owned()]));
    }
}
