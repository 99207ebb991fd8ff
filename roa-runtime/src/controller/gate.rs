//! [`WriteGate`]: which revision a key's next call must see at least. [`Parked`]: which keys were given up.
//! [`Unchecked`]: which objects may say that they were.

use std::sync::atomic::{AtomicU64, Ordering};

use roa_core::{Key, Revision};

use super::sparse::Sparse;

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

/// The objects that may say that they were given up: those that came, or came to this process, and have not been looked at
/// since. None, once each was handled well.
#[derive(Debug, Default)]
pub(super) struct Unchecked {
    keys: Sparse<Doubt>,
    noted: AtomicU64,
}

/// That an object may say that it was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubt {
    number: u64,
    /// Whether this process tried to write so: how that ended may not be known, and the cache not show it yet.
    pub(super) own: bool,
}

impl Unchecked {
    /// From now on, it is to be looked at: somebody else may have written so before.
    pub(super) fn note(&self, key: &Key) {
        self.doubt(key, false);
    }

    /// From now on, it is to be looked at: this process is about to write so.
    pub(super) fn note_own(&self, key: &Key) {
        self.doubt(key, true);
    }

    fn doubt(&self, key: &Key, own: bool) {
        let number = self.noted.fetch_add(1, Ordering::Relaxed);
        self.keys.with(|keys| {
            let own = own || keys.get(key).is_some_and(|doubt| doubt.own);
            keys.insert(key.clone(), Doubt { number, own })
        });
    }

    /// Whether it is to be looked at.
    pub(super) fn doubt_of(&self, key: &Key) -> Option<Doubt> {
        self.keys.with_any(|keys| keys.get(key).copied()).flatten()
    }

    /// It was looked at, unless it was noted again meanwhile.
    pub(super) fn checked(&self, key: &Key, doubt: Doubt) {
        self.keys.with_any(|keys| {
            if keys.get(key) == Some(&doubt) {
                keys.remove(key);
            }
        });
    }

    pub(super) fn forget(&self, key: &Key) {
        self.keys.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An owner before may have given it up while it was not this process's.
    #[test]
    fn what_is_noted_again_while_it_is_looked_at_is_looked_at_again() {
        let (unchecked, key) = (Unchecked::default(), Key::new("g", "things", "n", "a").unwrap());
        assert_eq!(unchecked.doubt_of(&key), None);
        unchecked.note(&key);
        let first = unchecked.doubt_of(&key).unwrap();
        unchecked.note_own(&key);
        unchecked.note(&key);
        unchecked.checked(&key, first);
        let second = unchecked.doubt_of(&key).unwrap();
        assert_eq!((first.own, second.own), (false, true), "an own one counts until it was looked at");
        unchecked.checked(&key, second);
        assert_eq!((unchecked.doubt_of(&key), unchecked.keys.len()), (None, 0));
    }
}
