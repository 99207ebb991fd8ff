//! Strategic merge patch, as far as the kinds of Kubernetes' own that are served here need it: `kubectl apply`, `patch` and
//! `edit` send nothing else for those. Kinds of users have none.

use serde_json::{Map, Value as Json};

use super::measure::depth;
use super::{MAX_DEPTH, PatchError};

/// Lists whose elements are merged, by where they stand and what tells elements apart; nothing does if they are plain
/// values. All other lists are replaced.
const MERGED: &[(&[&str], Option<&str>)] = &[
    (&["metadata", "finalizers"], None),
    (&["metadata", "ownerReferences"], Some("uid")),
    (&["status", "conditions"], Some("type")),
];
/// What says how a mapping or an element is patched.
const DIRECTIVE: &str = "$patch";
/// The fields that a mapping keeps at most.
const RETAIN: &str = "$retainKeys";
/// Plain values that a list loses.
const DELETE: &str = "$deleteFromPrimitiveList/";
/// The order of a list's elements.
const ORDER: &str = "$setElementOrder/";
/// Elements of a list that is merged, or of a directive: each is looked for among those of the object.
const MAX_ELEMENTS: usize = 1_000;

/// Applies a strategic merge patch: as a JSON merge patch, but that some lists are merged, and that directives say
/// otherwise: `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
///
/// ```
/// use roa_server::patch::strategic_merge_patch;
/// use serde_json::json;
///
/// let mut object = json!({"metadata": {"finalizers": ["a"]}, "rules": [1]});
/// strategic_merge_patch(&mut object, &json!({"metadata": {"finalizers": ["b"]}, "rules": [2]}))?;
/// assert_eq!(object, json!({"metadata": {"finalizers": ["a", "b"]}, "rules": [2]}));
/// # Ok::<(), roa_server::patch::PatchError>(())
/// ```
///
/// # Errors
/// [`PatchError::Malformed`] if it is no mapping or a directive means nothing; then the object may be changed in part.
/// [`PatchError::TooLarge`] if it nests too deep, or has too many elements to look for.
pub fn strategic_merge_patch(object: &mut Json, patch: &Json) -> Result<(), PatchError> {
    let levels = depth(patch);
    if levels > MAX_DEPTH {
        return Err(PatchError::TooLarge { what: format!("the patch nests {levels} levels deep"), max: MAX_DEPTH });
    }
    match (object, patch) {
        (Json::Object(object), Json::Object(patch)) => merge(object, patch, &mut Vec::new()),
        _ => Err(malformed("a merge patch of an object must be a mapping")),
    }
}

fn malformed(reason: impl Into<String>) -> PatchError {
    PatchError::Malformed { reason: reason.into() }
}

fn merge<'a>(
    object: &mut Map<String, Json>,
    patch: &'a Map<String, Json>,
    path: &mut Vec<&'a str>,
) -> Result<(), PatchError> {
    match patch.get(DIRECTIVE).map(Json::as_str) {
        None | Some(Some("merge")) => {}
        Some(Some("replace")) => {
            object.clear();
        }
        Some(Some("delete")) => {
            object.clear();
            return Ok(());
        }
        Some(other) => return Err(malformed(format!("{DIRECTIVE} is {other:?}, expected merge, replace or delete"))),
    }
    for (field, value) in patch.iter().filter(|(field, _)| !field.starts_with('$')) {
        if value.is_null() {
            object.remove(field);
            continue;
        }
        path.push(field);
        let before = object.remove(field);
        let after = merged(before, value, path)?;
        path.pop();
        object.insert(field.clone(), after);
    }
    for (directive, value) in patch {
        if let Some(field) = directive.strip_prefix(DELETE) {
            let gone = list(directive, value)?;
            if let Some(Json::Array(items)) = object.get_mut(field) {
                items.retain(|item| !gone.contains(item));
            }
        } else if let Some(field) = directive.strip_prefix(ORDER) {
            path.push(field);
            let (key, order) = (how_merged(path), list(directive, value)?);
            path.pop();
            if let (Some(Json::Array(items)), Some(key)) = (object.get_mut(field), key) {
                sort(items, order, key);
            }
        } else if directive == RETAIN {
            let kept = list(directive, value)?;
            object.retain(|field, _| kept.iter().any(|kept| kept == field));
        }
    }
    Ok(())
}

/// What a field holds afterwards.
fn merged<'a>(before: Option<Json>, patch: &'a Json, path: &mut Vec<&'a str>) -> Result<Json, PatchError> {
    match (before, patch) {
        (Some(Json::Object(mut object)), Json::Object(patch)) => {
            merge(&mut object, patch, path)?;
            Ok(Json::Object(object))
        }
        // What was there before does not count, but directives are none of what is written.
        (_, Json::Object(patch)) => {
            let mut object = Map::new();
            merge(&mut object, patch, path)?;
            Ok(Json::Object(object))
        }
        (before, Json::Array(patch)) => match (before, how_merged(path)) {
            (_, None) => Ok(Json::Array(patch.clone())),
            (Some(Json::Array(items)), Some(key)) => merge_lists(items, bounded(patch)?, key, path),
            (_, Some(key)) => merge_lists(Vec::new(), bounded(patch)?, key, path),
        },
        (_, patch) => Ok(patch.clone()),
    }
}

/// By what the elements of a list are merged; `None` if they are not.
fn how_merged(path: &[&str]) -> Option<Option<&'static str>> {
    MERGED.iter().find(|(known, _)| *known == path).map(|(_, key)| *key)
}

fn merge_lists<'a>(
    mut items: Vec<Json>,
    patch: &'a [Json],
    key: Option<&str>,
    path: &mut Vec<&'a str>,
) -> Result<Json, PatchError> {
    let Some(key) = key else {
        patch.iter().for_each(|item| {
            if !items.contains(item) {
                items.push(item.clone());
            }
        });
        return Ok(Json::Array(items));
    };
    for element in patch {
        let Json::Object(fields) = element else {
            return Err(malformed(format!("{}: an element is no mapping", path.join("."))));
        };
        let directive = fields.get(DIRECTIVE).and_then(Json::as_str);
        let Some(name) = fields.get(key) else {
            // A list is replaced by the elements that stand beside this one.
            if directive == Some("replace") {
                items.clear();
                continue;
            }
            return Err(malformed(format!("{}: an element has no {key}", path.join("."))));
        };
        let at = items.iter().position(|item| item.get(key) == Some(name));
        match (at, directive) {
            (Some(at), Some("delete")) => _ = items.remove(at),
            (None, Some("delete")) => {}
            (Some(at), _) => {
                let before = items.get_mut(at).map(Json::take);
                let after = merged(before, element, path)?;
                if let Some(item) = items.get_mut(at) {
                    *item = after;
                }
            }
            (None, _) => items.push(merged(None, element, path)?),
        }
    }
    Ok(Json::Array(items))
}

/// Puts elements in an order; those that it does not name come after, as they were.
fn sort(items: &mut [Json], order: &[Json], key: Option<&str>) {
    let name = |item: &Json| key.map_or_else(|| Some(item.clone()), |key| item.get(key).cloned());
    items.sort_by_cached_key(|item| {
        let own = name(item);
        order.iter().position(|known| name(known) == own).unwrap_or(usize::MAX)
    });
}

fn list<'a>(directive: &str, value: &'a Json) -> Result<&'a [Json], PatchError> {
    bounded(value.as_array().ok_or_else(|| malformed(format!("{directive} is no list")))?)
}

fn bounded(elements: &[Json]) -> Result<&[Json], PatchError> {
    if elements.len() <= MAX_ELEMENTS {
        return Ok(elements);
    }
    Err(PatchError::TooLarge {
        what: format!("a list of the patch has {} elements", elements.len()),
        max: MAX_ELEMENTS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut object: Json, patch: &Json) -> Json {
        strategic_merge_patch(&mut object, patch).unwrap();
        object
    }

    #[test]
    fn mappings_are_merged_and_most_lists_replaced() {
        let role = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "rules": [{"verbs": ["get"]}]});
        let patch = json!({"metadata": {"labels": {"a": null, "c": "3"}}, "rules": [{"verbs": ["list"]}]});
        let expected = json!({"metadata": {"labels": {"b": "2", "c": "3"}}, "rules": [{"verbs": ["list"]}]});
        assert_eq!(patched(role, &patch), expected);
        assert_eq!(patched(json!({}), &json!({"a": {"b": null, "$patch": "merge"}})), json!({"a": {}}));
    }

    #[test]
    fn some_lists_are_merged_by_what_tells_their_elements_apart() {
        let object = json!({"metadata": {"finalizers": ["a", "b"], "ownerReferences": [{"uid": "1", "name": "x"}]}});
        let patch = json!({"metadata": {
            "finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b"],
            "ownerReferences": [{"uid": "1", "name": "y"}, {"uid": "2"}],
        }});
        let expected = json!({"metadata": {
            "finalizers": ["c", "b"], "ownerReferences": [{"uid": "1", "name": "y"}, {"uid": "2"}],
        }});
        let once = patched(object, &patch);
        assert_eq!(once, expected);
        let patch = json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "1"}, {"$patch": "delete", "uid": "9"}]}});
        assert_eq!(patched(once.clone(), &patch)["metadata"]["ownerReferences"], json!([{"uid": "2"}]));
        let patch = json!({"metadata": {"ownerReferences": [{"$patch": "replace"}, {"uid": "3"}]}});
        assert_eq!(patched(once, &patch)["metadata"]["ownerReferences"], json!([{"uid": "3"}]));
    }

    #[test]
    fn directives_replace_delete_and_retain() {
        let object = || json!({"spec": {"a": 1, "b": 2}});
        assert_eq!(patched(object(), &json!({"spec": {"$patch": "replace", "c": 3}})), json!({"spec": {"c": 3}}));
        assert_eq!(patched(object(), &json!({"spec": {"$patch": "delete"}})), json!({"spec": {}}));
        let retained = patched(object(), &json!({"spec": {"$retainKeys": ["b", "c"], "c": 3}}));
        assert_eq!(retained, json!({"spec": {"b": 2, "c": 3}}));
    }

    #[test]
    fn what_is_no_such_patch_is_refused() {
        let refused = |patch: &Json| strategic_merge_patch(&mut json!({}), patch).unwrap_err().status();
        assert_eq!(refused(&json!([])), 400);
        assert_eq!(refused(&json!({"$patch": "explode"})), 400);
        assert_eq!(refused(&json!({"metadata": {"ownerReferences": [1]}})), 400);
        assert_eq!(refused(&json!({"metadata": {"ownerReferences": [{"name": "x"}]}})), 400);
        assert_eq!(refused(&json!({"metadata": {"finalizers": vec!["a/b"; MAX_ELEMENTS + 1]}})), 413, "t7");
        assert_eq!(refused(&json!({"$setElementOrder/rules": vec![1; MAX_ELEMENTS + 1]})), 413, "t7");
        let deep = (0..=MAX_DEPTH).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert_eq!(refused(&deep), 413);
    }
}
