//! JSON patch, as RFC 6902 says, with one difference that clients of Kubernetes count on.

use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value as Json;

use super::measure::{depth, size_and_depth};
use super::{MAX_COPIED_BYTES, MAX_DEPTH, MAX_OPERATIONS, Operation, PatchError};

/// Applies a JSON patch, all of it or nothing. A `test` for null also holds where the member is absent: the library that
/// Kubernetes uses does so, and kube-rs' finalizers begin with it.
///
/// ```
/// use roa_server::patch::json_patch;
/// use serde_json::json;
///
/// let mut object = json!({"metadata": {}});
/// let patch = json!([
///     {"op": "test", "path": "/metadata/finalizers", "value": null},
///     {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/a"]},
/// ]);
/// json_patch(&mut object, patch)?;
/// assert_eq!(object, json!({"metadata": {"finalizers": ["example.com/a"]}}));
/// # Ok::<(), roa_server::patch::PatchError>(())
/// ```
///
/// # Errors
/// [`PatchError`]; the object is then as it was.
pub fn json_patch(object: &mut Json, patch: Json) -> Result<(), PatchError> {
    let operations = parse(patch)?;
    let mut next = object.clone();
    let mut limits = Limits { copied: 0, depth: depth(&next) };
    for (index, operation) in operations.iter().enumerate() {
        apply(&mut next, operation, &mut limits).map_err(|failure| failure.at(index, operation))?;
    }
    if !next.is_object() {
        return Err(PatchError::Malformed { reason: "the patch makes something else of an object".to_owned() });
    }
    *object = next;
    Ok(())
}

fn parse(patch: Json) -> Result<Vec<PatchOperation>, PatchError> {
    let Json::Array(operations) = patch else {
        return Err(PatchError::Malformed { reason: "expected a list of operations".to_owned() });
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge { what: format!("{} operations", operations.len()), max: MAX_OPERATIONS });
    }
    let parse_one = |(index, operation)| {
        serde_json::from_value(operation)
            .map_err(|error| PatchError::Malformed { reason: format!("operation {index}: {error}") })
    };
    operations.into_iter().enumerate().map(parse_one).collect()
}

/// What the operations so far may have come to.
struct Limits {
    /// Bytes that were copied, or measured before they were moved.
    copied: usize,
    /// At least as deep as the object nests.
    depth: usize,
}

enum Failure {
    Inapplicable(String),
    TooLarge(String, usize),
}

impl Failure {
    fn at(self, index: usize, operation: &PatchOperation) -> PatchError {
        let at = Operation { index, name: name_of(operation), path: operation.path().to_string() };
        match self {
            Self::Inapplicable(reason) => PatchError::Inapplicable { at, reason },
            Self::TooLarge(what, max) => PatchError::TooLarge { what: format!("{at}: {what}"), max },
        }
    }
}

fn apply(object: &mut Json, operation: &PatchOperation, limits: &mut Limits) -> Result<(), Failure> {
    let levels = |pointer: &str| pointer.matches('/').count();
    let to = levels(operation.path().as_str());
    match operation {
        PatchOperation::Test(test) if test.value.is_null() && object.pointer(test.path.as_str()).is_none() => {
            return Ok(());
        }
        PatchOperation::Add(add) => limits.reach(to + depth(&add.value))?,
        PatchOperation::Replace(replace) => limits.reach(to + depth(&replace.value))?,
        PatchOperation::Copy(copy) => {
            if let Some(value) = object.pointer(copy.from.as_str()) {
                let depth = limits.copy(value)?;
                limits.reach(to + depth)?;
            }
        }
        PatchOperation::Move(moved) => {
            let at_most = to + limits.depth.saturating_sub(levels(moved.from.as_str()));
            match object.pointer(moved.from.as_str()) {
                Some(value) if at_most > MAX_DEPTH => {
                    let depth = limits.copy(value)?;
                    limits.reach(to + depth)?;
                }
                _ => limits.reach(at_most)?,
            }
        }
        PatchOperation::Test(_) | PatchOperation::Remove(_) => {}
    }
    json_patch::patch_unsafe(object, std::slice::from_ref(operation))
        .map_err(|error| Failure::Inapplicable(reason(&error.kind, object, operation)))
}

impl Limits {
    /// Notes that a value is copied; gives how deep it nests.
    fn copy(&mut self, value: &Json) -> Result<usize, Failure> {
        let (bytes, depth) = size_and_depth(value);
        self.copied = self.copied.saturating_add(bytes);
        if self.copied > MAX_COPIED_BYTES {
            return Err(Failure::TooLarge(format!("{} bytes copied in all", self.copied), MAX_COPIED_BYTES));
        }
        Ok(depth)
    }

    fn reach(&mut self, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::TooLarge(format!("the object would nest {depth} levels deep"), MAX_DEPTH));
        }
        self.depth = self.depth.max(depth);
        Ok(())
    }
}

fn reason(kind: &PatchErrorKind, object: &Json, operation: &PatchOperation) -> String {
    match (kind, operation) {
        (PatchErrorKind::TestFailed, PatchOperation::Test(test)) => {
            let found = object.pointer(test.path.as_str()).map_or_else(String::new, short);
            format!("the test failed: found {found}, expected {}", short(&test.value))
        }
        (PatchErrorKind::InvalidPointer, _) => "there is nothing at this path".to_owned(),
        (kind, _) => kind.to_string(),
    }
}

/// A value as far as a message shows it.
fn short(value: &Json) -> String {
    const SHOWN: usize = 64;
    let text = match value {
        Json::Array(_) => return "a list".to_owned(),
        Json::Object(_) => return "a mapping".to_owned(),
        scalar => scalar.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

const fn name_of(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn patched(mut object: Json, patch: Json) -> Result<Json, PatchError> {
        json_patch(&mut object, patch).map(|()| object)
    }

    #[test]
    fn it_patches_as_rfc_6902_says() {
        let cases = [
            (json!({"a": 1}), json!([{"op": "add", "path": "/b", "value": 2}]), json!({"a": 1, "b": 2})),
            (json!({"a": [1, 3]}), json!([{"op": "add", "path": "/a/1", "value": 2}]), json!({"a": [1, 2, 3]})),
            (json!({"a": [1]}), json!([{"op": "add", "path": "/a/-", "value": 2}]), json!({"a": [1, 2]})),
            (json!({"a/b": 1}), json!([{"op": "replace", "path": "/a~1b", "value": 2}]), json!({"a/b": 2})),
            (json!({"a": 1, "b": 2}), json!([{"op": "remove", "path": "/a"}]), json!({"b": 2})),
            (json!({"a": {"b": 1}}), json!([{"op": "move", "from": "/a/b", "path": "/c"}]), json!({"a": {}, "c": 1})),
            (json!({"a": 1}), json!([{"op": "copy", "from": "/a", "path": "/b"}]), json!({"a": 1, "b": 1})),
            (json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 1}]), json!({"a": 1})),
            (json!({"a": 1}), json!([]), json!({"a": 1})),
        ];
        for (object, patch, expected) in cases {
            assert_eq!(patched(object, patch.clone()).unwrap(), expected, "{patch}");
        }
    }

    #[test]
    fn a_test_for_null_holds_where_the_member_is_absent_or_null() {
        let test = |path: &str| json!([{"op": "test", "path": path, "value": null}]);
        for path in ["/metadata/finalizers", "/nothing/at/all", "/list/7", "/null"] {
            assert!(patched(json!({"metadata": {}, "list": [], "null": null}), test(path)).is_ok(), "{path}");
        }
        assert!(patched(json!({"metadata": {"finalizers": ["a"]}}), test("/metadata/finalizers")).is_err());
    }

    #[test]
    fn a_failure_names_the_operation_and_leaves_the_object_as_it_was() {
        let cases = [
            (
                json!([{"op": "test", "path": "/a", "value": 2}]),
                422,
                "operation 0 (test \"/a\"): the test failed: found 1, expected 2",
            ),
            (json!([{"op": "test", "path": "/b", "value": 2}]), 422, "operation 0 (test \"/b\"): there is nothing"),
            (
                json!([{"op": "add", "path": "/b", "value": 2}, {"op": "remove", "path": "/c"}]),
                422,
                "operation 1 (remove \"/c\")",
            ),
            (json!([{"op": "move", "from": "/x", "path": "/y"}]), 422, "\"from\" path is invalid"),
            (json!([{"op": "add", "path": "/l/9", "value": 2}]), 422, "operation 0 (add \"/l/9\")"),
            (json!([{"op": "turn", "path": "/a"}]), 400, "operation 0"),
            (json!([{"op": "add", "path": "a", "value": 2}]), 400, "operation 0"),
            (json!([{"op": "replace", "path": "", "value": 2}]), 400, "something else"),
            (json!({"a": 1}), 400, "expected a list"),
        ];
        for (patch, status, message) in cases {
            let mut object = json!({"a": 1, "l": []});
            let error = json_patch(&mut object, patch.clone()).unwrap_err();
            assert_eq!((error.status(), object), (status, json!({"a": 1, "l": []})), "{patch}");
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn t7_patch_bombs_are_refused() {
        let many = vec![json!({"op": "add", "path": "/a", "value": 1}); MAX_OPERATIONS + 1];
        assert_eq!(patched(json!({}), json!(many)).unwrap_err().status(), 413);
        let doubling: Vec<_> =
            (0..64).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")})).collect();
        let error = patched(json!({"a": {"x": "y".repeat(1000)}}), json!(doubling)).unwrap_err();
        assert_eq!(error.status(), 413, "{error}");
        let deep: Vec<_> = (0..200)
            .flat_map(|n| {
                let (from, to) = (format!("/{n}"), format!("/{}", n + 1));
                [
                    json!({"op": "add", "path": to, "value": {}}),
                    json!({"op": "move", "from": from, "path": format!("{to}/x")}),
                ]
            })
            .collect();
        let error = patched(json!({"0": {}}), json!(deep)).unwrap_err();
        assert_eq!(error.status(), 413, "{error}");
        let pointer = "/a".repeat(MAX_DEPTH + 1);
        assert_eq!(patched(json!({}), json!([{"op": "add", "path": pointer, "value": 1}])).unwrap_err().status(), 413);
    }

    #[test]
    fn t7_moving_about_in_a_deep_object_costs_no_more_than_copying() {
        let mut deep = json!({"leaf": "x".repeat(1 << 16)});
        for _ in 0..MAX_DEPTH - 3 {
            deep = json!({ "d": deep });
        }
        let moves: Vec<_> = (0..5000)
            .flat_map(|_| {
                [
                    json!({"op": "move", "from": "/deep", "path": "/x/deep"}),
                    json!({"op": "move", "from": "/x/deep", "path": "/deep"}),
                ]
            })
            .collect();
        assert!(patched(json!({"deep": deep, "x": {}}), json!(moves)).is_err_and(|error| error.status() == 413));
    }

    proptest! {
        #[test]
        fn a_patch_that_is_applied_never_nests_too_deep(
            operations in prop::collection::vec(("add|remove|replace|move|copy|test", "(/[ab0-]){0,4}", "(/[ab0-]){0,4}"), 0..40)
        ) {
            let patch: Vec<_> = operations
                .iter()
                .map(|(op, path, from)| json!({"op": op, "path": path, "from": from, "value": {"a": [{}]}}))
                .collect();
            let mut object = json!({"a": {"b": [1, {"a": 2}]}, "b": []});
            let before = object.clone();
            match json_patch(&mut object, json!(patch)) {
                Ok(()) => prop_assert!(object.is_object() && depth(&object) <= MAX_DEPTH),
                Err(_) => prop_assert_eq!(object, before),
            }
        }
    }
}
