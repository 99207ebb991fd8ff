//! [`Sketch`]: which labels a batch may have to do with, in one word, so that most batches that a selector passes over are
//! passed over without a look at them.
//!
//! Each label sets a bit for its key and two for its key and value, as in a Bloom filter. A batch's sketch has those of all
//! labels of what it changes, as it was before and as it is after. A selector needs those of the labels that whatever it
//! selects has: where one is missing, nothing of the batch was or is selected. Where none is missing, the labels are
//! compared.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use roa_core::{Batch, Entry, LabelSelector, StoredObject};

/// The bits of some labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sketch(u64);

/// Set in each sketch that is known.
const KNOWN: u64 = 1 << 63;
/// How many bits there are for labels.
const BITS: u64 = 63;

impl Sketch {
    /// Whatever there may be.
    const EVERYTHING: Self = Self(u64::MAX);

    /// What each object has that a selector selects, if there is such a thing.
    pub(super) fn needed_by(selector: &LabelSelector) -> Option<Self> {
        let of = |(key, value): (&str, Option<&str>)| value.map_or_else(|| key_bit(key), |value| bits(key, value));
        selector.needs().map(of).reduce(|all, bits| all | bits).map(Self)
    }

    /// What the objects have that a batch changes.
    fn of(batch: &Batch) -> Self {
        let entries = batch.changes.iter().flat_map(|change| [change.previous(), change.current()]).flatten();
        let sketches = entries.map(|entry| Self::of_entry(entry));
        Self(sketches.fold(KNOWN, |all, Self(bits)| all | bits))
    }

    fn of_entry(entry: &Entry) -> Self {
        match StoredObject::labels(&entry.value) {
            Ok(labels) => Self(labels.iter().fold(0, |all, (key, value)| all | bits(key, value))),
            // Whether it is selected is for others to say.
            Err(_) => Self::EVERYTHING,
        }
    }

    /// Whether all that is needed may be there.
    const fn may_have(self, Self(needed): Self) -> bool {
        self.0 & needed == needed
    }
}

fn bits(key: &str, value: &str) -> u64 {
    let hash = hash((key, value));
    key_bit(key) | 1 << (hash % BITS) | 1 << ((hash >> 32) % BITS)
}

fn key_bit(key: &str) -> u64 {
    1 << (hash(key) % BITS)
}

fn hash(label: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    label.hash(&mut hasher);
    hasher.finish()
}

/// The sketch of a batch, made when a watcher with a selector first asks.
#[derive(Debug, Default)]
pub(super) struct LazySketch(AtomicU64);

impl LazySketch {
    /// Whether something of this batch may have been, or be, selected by a selector that needs this.
    pub(super) fn may_have(&self, needed: Sketch, batch: &Batch) -> bool {
        let sketch = match self.0.load(Ordering::Relaxed) {
            0 => self.make(batch),
            known => Sketch(known),
        };
        sketch.may_have(needed)
    }

    /// Whoever else makes it at the same time makes the same.
    #[cold]
    fn make(&self, batch: &Batch) -> Sketch {
        let sketch = Sketch::of(batch);
        self.0.store(sketch.0, Ordering::Relaxed);
        sketch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use proptest::prelude::*;
    use roa_core::{Change, Key, KeyPrefix, Revision, Timestamp, TxnId, Value};

    use crate::Selection;

    fn entry(labels: &[(String, String)]) -> Arc<Entry> {
        let labels: serde_json::Map<_, _> = labels.iter().cloned().map(|(key, value)| (key, value.into())).collect();
        let json = format!(r#"{{"metadata":{{"name":"a","labels":{}}}}}"#, serde_json::Value::from(labels));
        entry_of(Value::json(json))
    }

    fn entry_of(value: Value) -> Arc<Entry> {
        let key = Key::new("g", "things", "n", "a").unwrap();
        Entry::created(key, value, Revision::new(7).unwrap(), TxnId::none(), "t".into()).into()
    }

    fn batch(changes: Vec<Change>) -> Batch {
        Batch {
            revision: Revision::new(7).unwrap(),
            txn: TxnId::none(),
            previous_txn: TxnId::none(),
            committed_at: Timestamp::from_unix_seconds(0).unwrap(),
            changes: changes.into(),
        }
    }

    fn selection(selector: &str) -> Selection {
        Selection::prefix(KeyPrefix::everything()).labels(selector.parse().unwrap())
    }

    #[test]
    fn most_of_what_is_not_selected_is_passed_over() {
        let needed = Sketch::needed_by(&"rare=yes".parse().unwrap()).unwrap();
        let passed_over = (0..1_000).filter(|number| {
            let labels = [("tier", "web"), ("rare", "no"), ("app", "shop"), ("number", &number.to_string())];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let change = Change::Put { entry: entry(&labels), previous: None };
            !LazySketch::default().may_have(needed, &batch(vec![change]))
        });
        assert!(passed_over.count() > 900);
    }

    #[test]
    fn of_what_can_not_be_read_nothing_is_known() {
        let change = Change::Put { entry: entry_of(Value::opaque("v")), previous: None };
        let needed = Sketch::needed_by(&"a=b,c".parse().unwrap()).unwrap();
        assert!(LazySketch::default().may_have(needed, &batch(vec![change])));
    }

    fn some_labels() -> impl Strategy<Value = Vec<(String, String)>> {
        prop::collection::btree_map("[a-d]", "[a-c]", 0..4).prop_map(|labels| labels.into_iter().collect())
    }

    proptest! {
        #[test]
        fn w12_nothing_that_is_seen_through_a_selector_is_passed_over(
            changes in prop::collection::vec((some_labels(), some_labels(), 0..3_u8), 1..4),
            selector in "[a-d](=[a-c]|!=[a-c]| in \\([a-c]\\)| in \\([ab],[bc]\\)| notin \\([a-c]\\)|)(,!?[a-d](=[a-c]|)|)",
        ) {
            // `!a=b` is no selector.
            prop_assume!(selector.parse::<LabelSelector>().is_ok());
            let selection = selection(&selector);
            let change = |(before, after, kind): (Vec<_>, Vec<_>, u8)| match kind {
                0 => Change::Put { entry: entry(&after), previous: None },
                1 => Change::Put { entry: entry(&after), previous: Some(entry(&before)) },
                _ => Change::Delete { previous: entry(&before) },
            };
            let batch = batch(changes.into_iter().map(change).collect());
            let seen = batch.changes.iter().any(|change| selection.see(change).is_some());
            let needed = Sketch::needed_by(&selector.parse().unwrap());
            let passed_over = needed.is_some_and(|needed| !LazySketch::default().may_have(needed, &batch));
            prop_assert!(!(seen && passed_over), "{}", selector);
        }
    }
}
