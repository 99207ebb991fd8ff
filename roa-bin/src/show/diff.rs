//! [`diff`]: what changed in an object, field by field.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::safe;

/// Fields that change with every write, and say nothing by that.
const NOISE: [&str; 3] = ["metadata.resourceVersion", "metadata.managedFields", "metadata.generation"];
/// Characters of a value that are shown.
const MAX_VALUE: usize = 60;

/// What changed, such as `status.state: Pending -> Ready`: at most `most` fields, then how many more.
pub(crate) fn diff(old: &Json, new: &Json, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    let more = found.len().saturating_sub(most);
    found.truncate(most);
    if more > 0 {
        found.push(format!("{more} more fields"));
    }
    found
}

fn compare(path: &str, old: &Json, new: &Json, found: &mut Vec<String>) {
    if old == new || NOISE.contains(&path) {
        return;
    }
    match (old, new) {
        (Json::Object(before), Json::Object(after)) => {
            let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&path, before.get(name).unwrap_or(&Json::Null), after.get(name).unwrap_or(&Json::Null), found);
            }
        }
        (Json::Array(before), Json::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                compare(&format!("{path}[{index}]"), before, after, found);
            }
        }
        (Json::Array(before), Json::Array(after)) => {
            found.push(format!("{path}: {} -> {} items", before.len(), after.len()));
        }
        _ => found.push(format!("{}: {} -> {}", safe(path), value(old), value(new))),
    }
}

fn value(value: &Json) -> String {
    let text = match value {
        Json::Null => "none".to_owned(),
        Json::String(text) => safe(text).into_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_changed_are_named_with_what_they_were() {
        let old = json!({"metadata": {"resourceVersion": "1"}, "status": {"state": "Pending", "list": [1]}});
        let new =
            json!({"metadata": {"resourceVersion": "2"}, "status": {"state": "Ready", "list": [1, 2], "url": "u"}});
        let expected = ["status.list: 1 -> 2 items", "status.state: Pending -> Ready", "status.url: none -> u"];
        assert_eq!(diff(&old, &new, 9), expected);
        assert_eq!(diff(&old, &new, 1), ["status.list: 1 -> 2 items", "2 more fields"]);
        assert_eq!(diff(&old, &old, 9), [""; 0]);
    }

    #[test]
    fn a_long_value_is_cut() {
        let told = diff(&json!({"a": "x".repeat(500)}), &json!({"a": 1}), 9);
        assert!(told[0].chars().count() < 80, "{told:?}");
    }
}
