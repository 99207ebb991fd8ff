//! [`Quarantine`]: keys whose calls panic again and again are left alone.

use std::collections::HashMap;
use std::sync::Mutex;

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
}

impl Quarantine {
    /// A call for a key panicked. Gives how many in a row that were.
    pub(crate) fn panicked(&self, key: &Key) -> u32 {
        let mut panics = locks::lock(&self.panics);
        let count = panics.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// A call for a key ended otherwise, or the object is gone.
    pub(crate) fn forget(&self, key: &Key) {
        locks::lock(&self.panics).remove(key);
    }
}
