//! Which fields an object has, and in which two objects differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::Writer;
use super::element::Element;
use super::field_set::FieldSet;
use crate::schema::{ListKind, Node};

/// Fields of `metadata` that nobody owns: they are what the object is, or what the server says.
const UNOWNED_METADATA: [&str; 11] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
    "lastModified",
];

/// How a value is owned.
pub(super) enum Shape<'a> {
    /// As a whole.
    Leaf,
    /// Field by field.
    Fields(&'a Map<String, Json>),
    /// Element by element.
    Elements(&'a [Json], &'a Node),
}

impl<'a> Shape<'a> {
    /// What no schema speaks of is owned field by field, its lists as a whole.
    pub(super) fn of(node: Option<&'a Node>, value: &'a Json) -> Self {
        match (node, value) {
            (Some(node), _) if node.is_whole() => Self::Leaf,
            (_, Json::Object(fields)) => Self::Fields(fields),
            (Some(node), Json::Array(items)) if node.list != ListKind::Atomic => Self::Elements(items, node),
            _ => Self::Leaf,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf => false,
            Self::Fields(fields) => fields.is_empty(),
            Self::Elements(items, _) => items.is_empty(),
        }
    }
}

/// What tells an element of a list apart; `None` if a key is missing.
pub(super) fn identity(list: &Node, item: &Json) -> Option<Element> {
    let ListKind::Map(keys) = &list.list else { return Some(Element::value(item)) };
    let default = |key: &str| list.items.as_ref()?.properties.get(key)?.default.as_ref();
    let value = |key: &'_ String| item.get(key).or_else(|| default(key));
    let values: Option<Vec<_>> = keys.iter().map(value).collect();
    Some(Element::key(keys.iter().map(String::as_str).zip(values?)))
}

/// All fields of a value.
pub(super) fn fields_of(node: Option<&Node>, value: &Json) -> FieldSet {
    let mut set = FieldSet::default();
    collect(node, value, &mut Vec::new(), &mut set);
    set
}

fn collect(node: Option<&Node>, value: &Json, path: &mut Vec<Element>, set: &mut FieldSet) {
    match Shape::of(node, value) {
        Shape::Leaf => set.insert(path),
        shape if shape.is_empty() => set.insert(path),
        Shape::Fields(fields) => {
            for (name, value) in fields {
                path.push(Element::field(name));
                if !is_declared(node, name) {
                    set.insert(path);
                }
                collect(node.and_then(|node| node.field(name)), value, path, set);
                path.pop();
            }
        }
        Shape::Elements(items, list) => {
            for item in items {
                let Some(element) = identity(list, item) else { continue };
                path.push(element);
                set.insert(path);
                collect(list.items.as_deref(), item, path, set);
                path.pop();
            }
        }
    }
}

/// Whether a field is one that its schema names: those come and go with what is in them.
pub(super) fn is_declared(node: Option<&Node>, name: &str) -> bool {
    node.is_some_and(|node| node.properties.contains_key(name))
}

/// In which fields two objects differ.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Difference {
    pub(super) fn between(node: &Node, before: &Json, after: &Json, writer: &Writer<'_>) -> Self {
        let mut this = Self::default();
        this.compare(Some(node), Some(before), Some(after), &mut Vec::new());
        for set in [&mut this.added, &mut this.modified, &mut this.removed] {
            strip(set, writer);
        }
        this
    }

    /// What the write took.
    pub(super) fn taken(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    fn compare(&mut self, node: Option<&Node>, before: Option<&Json>, after: Option<&Json>, path: &mut Vec<Element>) {
        if before == after {
            return;
        }
        match (before, after) {
            (Some(left), Some(right)) if Shape::of(node, left).is_like(&Shape::of(node, right)) => {
                match Shape::of(node, left) {
                    Shape::Leaf => self.modified.insert(path),
                    _ => self.inside(node, before, after, path),
                }
            }
            // Another shape altogether: what was inside is gone, what is inside is new.
            (Some(_), Some(_)) => {
                self.modified.insert(path);
                self.inside(node, before, None, path);
                self.inside(node, None, after, path);
            }
            (None, _) => {
                self.added.insert(path);
                self.inside(node, None, after, path);
            }
            (Some(_), None) => {
                self.removed.insert(path);
                self.inside(node, before, None, path);
            }
        }
    }

    /// What is in two values of one shape, or in the one that there is.
    fn inside(&mut self, node: Option<&Node>, before: Option<&Json>, after: Option<&Json>, path: &mut Vec<Element>) {
        match before.or(after).map(|value| Shape::of(node, value)) {
            Some(Shape::Fields(_)) => self.compare_fields(node, before, after, path),
            Some(Shape::Elements(..)) => self.compare_elements(node, before, after, path),
            Some(Shape::Leaf) | None => {}
        }
    }

    fn compare_fields(
        &mut self,
        node: Option<&Node>,
        before: Option<&Json>,
        after: Option<&Json>,
        path: &mut Vec<Element>,
    ) {
        let objects = [before, after].into_iter().flatten().filter_map(Json::as_object);
        let names: BTreeSet<&String> = objects.flat_map(Map::keys).collect();
        for name in names {
            path.push(Element::field(name));
            let (before, after) = (before.and_then(|value| value.get(name)), after.and_then(|value| value.get(name)));
            self.compare(node.and_then(|node| node.field(name)), before, after, path);
            path.pop();
        }
    }

    fn compare_elements(
        &mut self,
        node: Option<&Node>,
        before: Option<&Json>,
        after: Option<&Json>,
        path: &mut Vec<Element>,
    ) {
        let Some(list) = node else { return };
        let (before, after) = (by_identity(list, before), by_identity(list, after));
        let elements: BTreeSet<&Element> = before.keys().chain(after.keys()).collect();
        for element in elements {
            path.push(element.clone());
            self.compare(list.items.as_deref(), before.get(element).copied(), after.get(element).copied(), path);
            path.pop();
        }
    }
}

/// The elements of a list by what tells them apart; of several that are the same, the first.
pub(super) fn by_identity<'a>(list: &Node, value: Option<&'a Json>) -> BTreeMap<Element, &'a Json> {
    let mut elements = BTreeMap::new();
    for item in value.and_then(Json::as_array).into_iter().flatten() {
        if let Some(element) = identity(list, item) {
            elements.entry(element).or_insert(item);
        }
    }
    elements
}

/// Takes away what nobody owns, and what the path of the write can't change.
pub(super) fn strip(set: &mut FieldSet, writer: &Writer<'_>) {
    set.retain(|element| match element {
        Element::Field(name) => !matches!(name.as_str(), "apiVersion" | "kind") && writer.can_write(name),
        _ => true,
    });
    let metadata = Element::field("metadata");
    for name in UNOWNED_METADATA {
        set.remove_all(&[metadata.clone(), Element::field(name)]);
    }
    set.remove(&metadata);
}

/// The same set, with those fields in it that the schema names and that have fields below them in it.
pub(super) fn with_declared_parents(node: Option<&Node>, set: &FieldSet) -> FieldSet {
    set.map(|element, member, below| {
        let (child, declared) = descend(node, element);
        (member || (declared && !below.is_empty()), with_declared_parents(child, below))
    })
}

/// The same set under a schema that may have changed since: what is now owned as a whole is in it as a whole.
pub(super) fn with_whole_leaves(node: Option<&Node>, set: &FieldSet) -> FieldSet {
    set.map(|element, member, below| match descend(node, element).0 {
        Some(child) if child.is_whole() && !below.is_empty() => (true, FieldSet::default()),
        child => (member, with_whole_leaves(child, below)),
    })
}

fn descend<'a>(node: Option<&'a Node>, element: &Element) -> (Option<&'a Node>, bool) {
    match element {
        Element::Field(name) => (node.and_then(|node| node.field(name)), is_declared(node, name)),
        _ => (node.and_then(|node| node.items.as_deref()), false),
    }
}
