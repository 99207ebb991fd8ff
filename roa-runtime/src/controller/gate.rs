//! [`WriteGate`]: which revision a key's next call must see at least. [`Parked`]: which keys were given up.
//! [`Cleared`]: which objects are known not to say that they were.

use std::collections::HashMap;
use std::sync::Mutex;

use roa_core::{Key, Revision};

use super::sparse::Sparse;
use crate::locks;

/// Remembers what was written while a key was handled, until its next call has seen it. As many keys as objects.
#[derive(Debug, Default)]
pub(super) struct WriteGate {
    written: Sparse<Revision>,
}

impl WriteGate {
    pub(super) fn note(&self, key: &Key, revision: Option<Revision>) {
        if let Some(revision) = revision {
            self.written.with(|written| {
                let known = written.entry(key.clone()).or_insert(revision);
                *known = revision.max(*known);
            });
        }
    }

    pub(super) fn needed(&self, key: &Key) -> Option<Revision> {
        self.written.with_any(|written| written.get(key).copied()).flatten()
    }

    pub(super) fn forget(&self, key: &Key) {
        self.written.remove(key);
    }
}

/// The objects that were given up until they change. As many as objects.
#[derive(Debug, Default)]
pub(super) struct Parked {
    keys: Sparse<()>,
}

impl Parked {
    pub(super) fn park(&self, key: &Key) {
        self.keys.with(|keys| keys.insert(key.clone(), ()));
    }

    /// Takes a key out; gives whether it was in.
    pub(super) fn release(&self, key: &Key) -> bool {
        self.keys.remove(key).is_some()
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.keys.with_any(|keys| keys.contains_key(key)).unwrap_or(false)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// The objects that are known not to carry the condition that they were given up, neither by this process nor by one
/// that worked before it: found once for each object and term of ownership. As many as objects.
#[derive(Debug, Default)]
pub(super) struct Cleared {
    keys: Mutex<HashMap<Key, Option<Revision>>>,
}

impl Cleared {
    /// `term` is the revision of what the process owned then.
    pub(super) fn note(&self, key: &Key, term: Option<Revision>) {
        locks::lock(&self.keys).insert(key.clone(), term);
    }

    pub(super) fn is_known(&self, key: &Key, term: Option<Revision>) -> bool {
        locks::lock(&self.keys).get(key) == Some(&term)
    }

    pub(super) fn forget(&self, key: &Key) {
        locks::lock(&self.keys).remove(key);
    }
}
