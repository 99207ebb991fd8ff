//! [`Selection`]: which objects a watcher wants to see, and how it sees their changes.

use std::sync::Arc;

use roa_core::{Change, ChangeKind, Entry, FieldSelector, Key, KeyPrefix, LabelSelector};

use super::sketch::Sketch;

/// What a selection covers of a kind's objects, going by their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    Nothing,
    /// Each key must be looked at.
    Part,
    Everything,
}

/// Which objects a watcher wants to see: those below a prefix, or one, with these labels and fields.
///
/// ```
/// # use roa_core::{DynamicObject, Entry, Key, KeyPrefix, Revision, StoredObject, TxnId};
/// # use roa_runtime::Selection;
/// let labs = KeyPrefix::resource("lab.example.com", "labs")?;
/// let python = Selection::prefix(labs).labels("course=python".parse()?);
///
/// let lab = DynamicObject::from_json(serde_json::json!({
///     "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": "one", "labels": { "course": "python" } }
/// }))?;
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// let (value, first) = (StoredObject::encode(&lab)?, Revision::new(1)?);
/// let entry = Entry::created(key.clone(), value, first, TxnId::none(), "docs".into());
/// assert!(python.matches(&entry) && Selection::key(key).matches(&entry));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Selection {
    prefix: KeyPrefix,
    key: Option<Key>,
    labels: LabelSelector,
    fields: FieldSelector,
    /// What each object that it selects has of labels.
    needed: Option<Sketch>,
    /// Whether the key alone decides; then no value is looked into.
    by_key: bool,
}

impl Selection {
    /// All objects below a prefix.
    #[must_use]
    pub fn prefix(prefix: KeyPrefix) -> Self {
        let (labels, fields) = (LabelSelector::default(), FieldSelector::default());
        Self { prefix, key: None, labels, fields, needed: None, by_key: true }
    }

    /// One object.
    #[must_use]
    pub fn key(key: Key) -> Self {
        let prefix = KeyPrefix::exactly(&key);
        Self { key: Some(key), ..Self::prefix(prefix) }
    }

    /// Only those with these labels.
    #[must_use]
    pub fn labels(mut self, labels: LabelSelector) -> Self {
        self.by_key &= labels.is_everything();
        self.needed = Sketch::needed_by(&labels);
        self.labels = labels;
        self
    }

    /// Only those with these fields.
    #[must_use]
    pub fn fields(mut self, fields: FieldSelector) -> Self {
        self.by_key &= fields.is_everything();
        self.fields = fields;
        self
    }

    pub(crate) const fn list_prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    /// Whether an object that is there is selected. One that can't be read matches no selector.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.covers(&entry.key) && self.accepts(entry)
    }

    fn covers(&self, key: &Key) -> bool {
        self.prefix.contains(key) && self.key.as_ref().is_none_or(|only| only == key)
    }

    /// What it covers of the kind whose keys begin so.
    pub(super) fn coverage(&self, kind: &str) -> Coverage {
        let prefix = self.prefix.encoded();
        match (kind.starts_with(prefix), prefix.starts_with(kind)) {
            (true, _) if self.key.is_none() => Coverage::Everything,
            (false, false) => Coverage::Nothing,
            _ => Coverage::Part,
        }
    }

    /// What each object that it selects has of labels, if there is such a thing.
    pub(super) const fn needed(&self) -> Option<Sketch> {
        self.needed
    }

    /// Whether a key that it covers is all that it asks for.
    pub(super) const fn is_by_key(&self) -> bool {
        self.by_key
    }

    fn accepts(&self, entry: &Entry) -> bool {
        self.by_key || entry.object().is_ok_and(|object| object.is_selected(&self.labels, &self.fields))
    }

    /// How a change looks through the selection: what happened, and the entry to show. An object that leaves the
    /// selection is deleted, as it last was in it (W12).
    pub(super) fn see<'a>(&self, change: &'a Change) -> Option<(ChangeKind, &'a Arc<Entry>)> {
        if self.covers(change.key()) { self.see_covered(change) } else { None }
    }

    /// As [`Selection::see`], of a change whose key it covers.
    #[inline]
    pub(super) fn see_covered<'a>(&self, change: &'a Change) -> Option<(ChangeKind, &'a Arc<Entry>)> {
        if self.by_key {
            return Some(match change {
                Change::Put { entry, previous: None } => (ChangeKind::Added, entry),
                Change::Put { entry, previous: Some(_) } => (ChangeKind::Modified, entry),
                Change::Delete { previous } => (ChangeKind::Deleted, previous),
            });
        }
        self.see_selected(change)
    }

    /// As [`Selection::see_covered`], of a selection that looks into values.
    fn see_selected<'a>(&self, change: &'a Change) -> Option<(ChangeKind, &'a Arc<Entry>)> {
        let accepted = |entry: &&Arc<Entry>| self.accepts(entry);
        match (change.previous().filter(accepted), change.current().filter(accepted)) {
            (None, None) => None,
            (None, Some(current)) => Some((ChangeKind::Added, current)),
            (Some(_), Some(current)) => Some((ChangeKind::Modified, current)),
            (Some(previous), None) => Some((ChangeKind::Deleted, previous)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_of_a_kind_is_known_without_a_key() {
        let key = Key::new("g", "things", "n", "one").unwrap();
        let of = |selection: Selection| {
            let kinds = [("g", "things"), ("g", "thingses"), ("gg", "things")];
            kinds.map(|(group, resource)| selection.coverage(KeyPrefix::resource(group, resource).unwrap().encoded()))
        };
        use Coverage::{Everything, Nothing, Part};
        assert_eq!(of(Selection::prefix(KeyPrefix::everything())), [Everything; 3]);
        assert_eq!(of(Selection::prefix(KeyPrefix::resource("g", "things").unwrap())), [Everything, Nothing, Nothing]);
        assert_eq!(of(Selection::prefix(KeyPrefix::namespace("g", "things", "n").unwrap())), [Part, Nothing, Nothing]);
        assert_eq!(of(Selection::key(key)), [Part, Nothing, Nothing]);
    }
}
