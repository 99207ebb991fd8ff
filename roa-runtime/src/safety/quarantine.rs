//! [`Quarantine`]: keys whose calls panic again and again are left alone.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use roa_core::{Key, Metadata, Timestamp};

use crate::locks;

/// An object that was given up is tried again when this annotation is set, or set to another value, such as the time.
pub const RELEASE_ANNOTATION: &str = "roa.dev/release";

/// What must differ for an object that was given up to be tried again.
pub(crate) fn what_frees(metadata: &Metadata) -> (u64, Option<Timestamp>, Option<&str>) {
    let release = metadata.annotations.get(RELEASE_ANNOTATION).map(String::as_str);
    (metadata.generation, metadata.deletion_timestamp, release)
}

/// Counts the panics of each key in a row. Only keys whose last call panicked are known.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    panics: Mutex<HashMap<Key, u32>>,
    /// How many keys are known: almost always none, which each call finds out without the lock.
    known: AtomicUsize,
}

impl Quarantine {
    /// A call for a key panicked. Gives how many in a row that were.
    pub(crate) fn panicked(&self, key: &Key) -> u32 {
        self.with(|panics| {
            let count = panics.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            *count
        })
    }

    /// A call for a key ended otherwise, or the object is gone.
    pub(crate) fn forget(&self, key: &Key) {
        if self.known.load(Ordering::Acquire) > 0 {
            self.with(|panics| panics.remove(key));
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<Key, u32>) -> T) -> T {
        let mut panics = locks::lock(&self.panics);
        let result = change(&mut panics);
        self.known.store(panics.len(), Ordering::Release);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c11_only_panics_in_a_row_count_and_only_they_are_known() {
        let (quarantine, key) = (Quarantine::default(), |name| Key::new("g", "things", "n", name).unwrap());
        let [a, b] = ["a", "b"].map(key);
        assert_eq!([quarantine.panicked(&a), quarantine.panicked(&b), quarantine.panicked(&a)], [1, 1, 2]);
        quarantine.forget(&a);
        assert_eq!((quarantine.panicked(&a), quarantine.panicked(&b)), (1, 2));
        [&a, &b].into_iter().for_each(|key| quarantine.forget(key));
        assert_eq!((quarantine.known.load(Ordering::Relaxed), locks::lock(&quarantine.panics).len()), (0, 0));
    }

    #[test]
    fn an_object_is_freed_by_its_spec_its_deletion_and_its_annotation_and_by_nothing_else() {
        let before = Metadata::named("n", "a");
        let change = |change: fn(&mut Metadata)| {
            let mut after = before.clone();
            change(&mut after);
            what_frees(&after) != what_frees(&before)
        };
        assert!(change(|metadata| metadata.generation += 1));
        assert!(change(|metadata| metadata.deletion_timestamp = Timestamp::from_unix_seconds(1)));
        assert!(change(|metadata| _ = metadata.annotations.insert(RELEASE_ANNOTATION.into(), "now".into())));
        assert!(!change(|metadata| _ = metadata.labels.insert("a".into(), "b".into())));
        assert!(!change(|metadata| _ = metadata.annotations.insert("a".into(), "b".into())));
    }
}
