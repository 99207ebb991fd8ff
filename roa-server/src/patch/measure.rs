//! How large and how deep a tree is.

use serde_json::Value as Json;

/// How deep a tree nests: 0 for what is no list and no mapping.
pub(super) fn depth(json: &Json) -> usize {
    // By a list of its own: a tree that is too deep must not be walked by recursion.
    let (mut deepest, mut open) = (0, vec![(json, 0)]);
    while let Some((json, depth)) = open.pop() {
        deepest = deepest.max(depth);
        match json {
            Json::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Json::Object(fields) => open.extend(fields.values().map(|field| (field, depth + 1))),
            _ => {}
        }
    }
    // An empty list or mapping nests as deep as one with a scalar in it.
    match json {
        Json::Array(_) | Json::Object(_) => deepest.max(1),
        _ => deepest,
    }
}

/// About how many bytes a tree has as JSON, and how deep it nests.
pub(super) fn size_and_depth(json: &Json) -> (usize, usize) {
    let (mut bytes, mut open) = (0, vec![json]);
    while let Some(json) = open.pop() {
        bytes += match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => 5,
            Json::String(text) => text.len() + 3,
            Json::Array(items) => {
                open.extend(items);
                2
            }
            Json::Object(fields) => {
                open.extend(fields.values());
                2 + fields.keys().map(|name| name.len() + 4).sum::<usize>()
            }
        };
    }
    (bytes, depth(json))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trees_are_measured() {
        for (tree, expected) in
            [(json!(1), 0), (json!([]), 1), (json!({"a": 1}), 1), (json!({"a": [1], "b": {"c": {"d": 1}}}), 3)]
        {
            assert_eq!(depth(&tree), expected, "{tree}");
        }
        let tree = json!({"name": "x".repeat(100), "list": [true, null]});
        let (bytes, depth) = size_and_depth(&tree);
        assert!(bytes.abs_diff(tree.to_string().len()) < 20, "{bytes}");
        assert_eq!(depth, 2);
    }
}
