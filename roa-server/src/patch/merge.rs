//! JSON merge patch, as RFC 7396 says.

use serde_json::Value as Json;

use super::measure::depth;
use super::{MAX_DEPTH, PatchError};

/// Applies a JSON merge patch: what is null in it goes, mappings are merged, all else is replaced.
///
/// ```
/// use roa_server::patch::merge_patch;
/// use serde_json::json;
///
/// let mut object = json!({"spec": {"size": 1, "note": "x"}});
/// merge_patch(&mut object, &json!({"spec": {"note": null, "tags": ["a"]}}))?;
/// assert_eq!(object, json!({"spec": {"size": 1, "tags": ["a"]}}));
/// # Ok::<(), roa_server::patch::PatchError>(())
/// ```
///
/// # Errors
/// [`PatchError::Malformed`] if the patch is no mapping, since an object can't become anything else;
/// [`PatchError::TooLarge`] if it nests too deep.
pub fn merge_patch(object: &mut Json, patch: &Json) -> Result<(), PatchError> {
    if !patch.is_object() {
        let reason = "a merge patch of an object must be a mapping".to_owned();
        return Err(PatchError::Malformed { reason });
    }
    let levels = depth(patch);
    if levels > MAX_DEPTH {
        return Err(PatchError::TooLarge { what: format!("the patch nests {levels} levels deep"), max: MAX_DEPTH });
    }
    json_patch::merge(object, patch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_merges_as_rfc_7396_says() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": 1}), json!({"a": null}), json!({"b": 1})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (mut object, patch, expected) in cases {
            merge_patch(&mut object, &patch).unwrap();
            assert_eq!(object, expected, "{patch}");
        }
    }

    #[test]
    fn an_object_stays_an_object() {
        for patch in [json!(null), json!([]), json!("a"), json!(1)] {
            let mut object = json!({"a": 1});
            let error = merge_patch(&mut object, &patch).unwrap_err();
            assert_eq!((error.status(), object), (400, json!({"a": 1})), "{patch}");
        }
    }

    #[test]
    fn t7_a_patch_that_nests_too_deep_is_refused() {
        let mut patch = json!(1);
        for _ in 0..=MAX_DEPTH {
            patch = json!({ "a": patch });
        }
        assert_eq!(merge_patch(&mut json!({}), &patch).unwrap_err().status(), 413);
        assert!(merge_patch(&mut json!({}), &patch["a"]).is_ok());
    }
}
