//! Objects made from others: a configuration laid over an object, fields taken out of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::element::Element;
use super::field_set::FieldSet;
use super::survey::{Shape, by_identity, identity};
use crate::schema::Node;

/// `live` with all that `applied` says.
pub(super) fn merge(node: Option<&Node>, live: Option<&Json>, applied: &Json) -> Json {
    let Some(live) = live else { return applied.clone() };
    match (Shape::of(node, live), Shape::of(node, applied)) {
        (Shape::Fields(live), Shape::Fields(applied)) => Json::Object(merge_fields(node, live, applied)),
        (Shape::Elements(live, list), Shape::Elements(applied, _)) => Json::Array(merge_elements(list, live, applied)),
        _ => applied.clone(),
    }
}

fn merge_fields(node: Option<&Node>, live: &Map<String, Json>, applied: &Map<String, Json>) -> Map<String, Json> {
    let mut merged = live.clone();
    for (name, value) in applied {
        let child = node.and_then(|node| node.field(name));
        merged.insert(name.clone(), merge(child, live.get(name), value));
    }
    merged
}

/// Elements that were applied stand in the order in which they were; others stay where they stood between them.
fn merge_elements(list: &Node, live: &[Json], applied: &[Json]) -> Vec<Json> {
    let whole = |items: &[Json]| Json::Array(items.to_vec());
    let (live_tree, applied_tree) = (whole(live), whole(applied));
    let (old, new) = (by_identity(list, Some(&live_tree)), by_identity(list, Some(&applied_tree)));
    let (mut merged, mut done) = (Vec::new(), BTreeSet::new());
    let mut rest = live.iter().peekable();
    for item in applied {
        let Some(element) = identity(list, item) else {
            merged.push(item.clone());
            continue;
        };
        // What only the object has, up to the next element that both have.
        while let Some(only_live) =
            rest.next_if(|live| identity(list, live).is_none_or(|live| !new.contains_key(&live)))
        {
            merged.push(only_live.clone());
        }
        if done.insert(element.clone()) {
            merged.push(merge(list.items.as_deref(), old.get(&element).copied(), item));
        }
        rest.next_if(|live| identity(list, live).is_some_and(|live| done.contains(&live)));
    }
    merged.extend(rest.filter(|live| identity(list, live).is_none_or(|live| !new.contains_key(&live))).cloned());
    merged
}

/// Takes fields out of a value.
pub(super) fn remove(node: Option<&Node>, value: &mut Json, fields: &FieldSet) {
    for (element, member, below) in fields.iter() {
        match (element, &mut *value) {
            (Element::Field(name), Json::Object(map)) if member => {
                map.remove(name);
            }
            (Element::Field(name), Json::Object(map)) => {
                if let Some(inner) = map.get_mut(name) {
                    remove(node.and_then(|node| node.field(name)), inner, below);
                }
            }
            (Element::Key(_) | Element::Value(_), Json::Array(items)) => {
                let Some(list) = node else { continue };
                let is_it = |item: &Json| identity(list, item).as_ref() == Some(element);
                if member {
                    items.retain(|item| !is_it(item));
                } else if let Some(item) = items.iter_mut().find(|item| is_it(item)) {
                    remove(list.items.as_deref(), item, below);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Structural;
    use serde_json::json;

    fn merged(live: &Json, applied: &Json) -> Json {
        let schema = Structural::compile(&json!({"type": "object", "properties": {
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "atomic": {"type": "array", "items": {"type": "string"}},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": true}
        }}))
        .unwrap();
        merge(Some(schema.root()), Some(live), applied)
    }

    #[test]
    fn what_is_applied_is_laid_over_what_is_there() {
        let cases = [
            (json!({"a": 1, "b": {"c": 1}}), json!({"b": {"d": 2}}), json!({"a": 1, "b": {"c": 1, "d": 2}})),
            (json!({"atomic": ["a", "b"]}), json!({"atomic": ["c"]}), json!({"atomic": ["c"]})),
            (json!({"whole": {"a": 1}}), json!({"whole": {"b": 1}}), json!({"whole": {"b": 1}})),
            (json!({"set": ["a", "b"]}), json!({"set": ["c"]}), json!({"set": ["a", "b", "c"]})),
            (json!({"set": ["a", "x", "b"]}), json!({"set": ["b", "a"]}), json!({"set": ["b", "a", "x"]})),
            (json!({"set": ["a", "b", "x"]}), json!({"set": ["a", "c", "b"]}), json!({"set": ["a", "c", "b", "x"]})),
            (json!({"unknown": [1, 2]}), json!({"unknown": [3]}), json!({"unknown": [3]})),
            (json!({"a": {"b": 1}}), json!({"a": 2}), json!({"a": 2})),
        ];
        for (live, applied, expected) in cases {
            assert_eq!(merged(&live, &applied), expected);
        }
    }
}
