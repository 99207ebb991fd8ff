//! [`Sparse`]: what is known of few keys, and mostly of none.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use roa_core::Key;

use crate::locks;

/// A map that is mostly empty, which each call finds out without its lock. What a call does with its own key happens
/// before the next call for it begins, so none is missed.
#[derive(Debug)]
pub(super) struct Sparse<V> {
    values: Mutex<HashMap<Key, V>>,
    len: AtomicUsize,
}

impl<V> Default for Sparse<V> {
    fn default() -> Self {
        Self { values: Mutex::default(), len: AtomicUsize::new(0) }
    }
}

impl<V> Sparse<V> {
    /// Looks at it or changes it.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut HashMap<Key, V>) -> T) -> T {
        let mut values = locks::lock(&self.values);
        let result = change(&mut values);
        self.len.store(values.len(), Ordering::Release);
        result
    }

    /// The same, unless it is empty.
    pub(super) fn with_any<T>(&self, change: impl FnOnce(&mut HashMap<Key, V>) -> T) -> Option<T> {
        (self.len() > 0).then(|| self.with(change))
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// What was known of the key.
    pub(super) fn remove(&self, key: &Key) -> Option<V> {
        self.with_any(|values| values.remove(key)).flatten()
    }
}
