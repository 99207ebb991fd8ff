//! [`FieldSet`]: a set of fields, as a trie.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::element::{Element, ElementError};

/// A set of fields. A field may be in it with or without what is below it.
///
/// ```
/// use roa_server::apply::FieldSet;
/// use serde_json::json;
///
/// let written = json!({"f:spec": {".": {}, "f:size": {}}});
/// let set = FieldSet::parse(&written)?;
/// assert_eq!(set.paths(), [".spec", ".spec.size"]);
/// assert_eq!(set.to_json(), written);
/// # Ok::<(), roa_server::apply::ElementError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    below: BTreeMap<Element, Node>,
}

/// A field that is in the set, or on the way to one. A set has none that is neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    set: FieldSet,
}

impl FieldSet {
    /// One field of the object itself, without what is below it.
    pub(super) fn of_field(name: &str) -> Self {
        let node = Node { member: true, set: Self::default() };
        Self { below: BTreeMap::from([(Element::Field(name.to_owned()), node)]) }
    }

    /// Reads what `managedFields` has as `fieldsV1`.
    ///
    /// # Errors
    /// [`ElementError`] that names what is no field.
    pub fn parse(json: &Json) -> Result<Self, ElementError> {
        let mut set = Self::default();
        let fields =
            json.as_object().ok_or_else(|| ElementError { text: json.to_string().chars().take(64).collect() })?;
        for (text, inner) in fields.iter().filter(|(text, _)| *text != ".") {
            let below = Self::parse(inner)?;
            let member = below.is_empty() || inner.get(".").is_some();
            set.below.insert(text.parse()?, Node { member, set: below });
        }
        Ok(set)
    }

    /// Writes it as `managedFields` has it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let write = |(element, node): (&Element, &Node)| {
            let mut inner = node.set.to_json();
            if let (true, false, Some(fields)) = (node.member, node.set.is_empty(), inner.as_object_mut()) {
                fields.insert(".".to_owned(), Json::Object(Map::new()));
            }
            (element.to_string(), inner)
        };
        Json::Object(self.below.iter().map(write).collect())
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.below.is_empty()
    }

    /// The paths of all fields in it, in order, as messages write them.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.visit(&mut Vec::new(), &mut |path| paths.push(super::element::path_text(path)));
        paths
    }

    fn visit(&self, path: &mut Vec<Element>, each: &mut dyn FnMut(&[Element])) {
        for (element, node) in &self.below {
            path.push(element.clone());
            if node.member {
                each(path);
            }
            node.set.visit(path, each);
            path.pop();
        }
    }

    pub(super) fn insert(&mut self, path: &[Element]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.below.entry(first.clone()).or_default();
            if rest.is_empty() {
                node.member = true;
            } else {
                node.set.insert(rest);
            }
        }
    }

    /// Takes fields away whose path begins so.
    pub(super) fn remove_all(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [only] => {
                self.below.remove(only);
            }
            [first, rest @ ..] => self.change(first, |node| node.set.remove_all(rest)),
        }
    }

    /// Takes one field away, not what is below it.
    pub(super) fn remove(&mut self, element: &Element) {
        self.change(element, |node| node.member = false);
    }

    fn change(&mut self, element: &Element, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.below.get_mut(element) {
            change(node);
            if node.is_nothing() {
                self.below.remove(element);
            }
        }
    }

    /// Keeps only what begins with elements that `keep` wants.
    pub(super) fn retain(&mut self, keep: impl Fn(&Element) -> bool) {
        self.below.retain(|element, _| keep(element));
    }

    /// Each first element, whether that field is itself in the set, and what is below it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Element, bool, &Self)> {
        self.below.iter().map(|(element, node)| (element, node.member, &node.set))
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (element, node) in &other.below {
            let mine = both.below.entry(element.clone()).or_default();
            *mine = Node { member: mine.member || node.member, set: mine.set.union(&node.set) };
        }
        both
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let common = |(element, node): (&Element, &Node)| {
            let theirs = other.below.get(element)?;
            let both = Node { member: node.member && theirs.member, set: node.set.intersection(&theirs.set) };
            (!both.is_nothing()).then(|| (element.clone(), both))
        };
        Self { below: self.below.iter().filter_map(common).collect() }
    }

    pub(super) fn difference(&self, other: &Self) -> Self {
        let rest = |(element, node): (&Element, &Node)| {
            let rest = match other.below.get(element) {
                None => node.clone(),
                Some(theirs) => Node { member: node.member && !theirs.member, set: node.set.difference(&theirs.set) },
            };
            (!rest.is_nothing()).then(|| (element.clone(), rest))
        };
        Self { below: self.below.iter().filter_map(rest).collect() }
    }

    /// The same, each field replaced by what `change` makes of it: its membership and what is below it.
    pub(super) fn map(&self, mut change: impl FnMut(&Element, bool, &Self) -> (bool, Self)) -> Self {
        let changed = |(element, node): (&Element, &Node)| {
            let (member, set) = change(element, node.member, &node.set);
            let node = Node { member, set };
            (!node.is_nothing()).then(|| (element.clone(), node))
        };
        Self { below: self.below.iter().filter_map(changed).collect() }
    }
}

impl Node {
    fn is_nothing(&self) -> bool {
        !self.member && self.set.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_no_set_is_refused() {
        for bad in [json!(1), json!({"a": {}}), json!({"f:a": 1}), json!({"f:a": {"k:x": {}}})] {
            assert!(FieldSet::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_field_may_be_in_it_with_or_without_what_is_below() {
        let set = FieldSet::parse(&json!({"f:a": {"f:b": {}}, "f:c": {".": {}, "v:1": {}}, "f:d": {".": {}}})).unwrap();
        assert_eq!(set.paths(), [".a.b", ".c", ".c[=1]", ".d"]);
        assert_eq!(set.to_json(), json!({"f:a": {"f:b": {}}, "f:c": {".": {}, "v:1": {}}, "f:d": {}}));
    }

    fn path() -> impl Strategy<Value = Vec<Element>> {
        prop::collection::vec("[fv]:[123]", 1..4)
            .prop_map(|path| path.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn set_of(paths: &BTreeSet<Vec<Element>>) -> FieldSet {
        let mut set = FieldSet::default();
        paths.iter().for_each(|path| set.insert(path));
        set
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets(left in prop::collection::btree_set(path(), 0..12), right in prop::collection::btree_set(path(), 0..12)) {
            let (a, b) = (set_of(&left), set_of(&right));
            prop_assert_eq!(a.union(&b), set_of(&left.union(&right).cloned().collect()));
            prop_assert_eq!(a.intersection(&b), set_of(&left.intersection(&right).cloned().collect()));
            prop_assert_eq!(a.difference(&b), set_of(&left.difference(&right).cloned().collect()));
            prop_assert_eq!(FieldSet::parse(&a.to_json()).unwrap(), a.clone());
            prop_assert_eq!(a.paths().len(), left.len());
        }
    }
}
