//! [`tree`]: a part of an object as lines for people; secrets are left out.

use roa_lab::provision::is_secret_variable;
use serde_json::Value as Json;

use super::safe;

/// What stands in the place of a secret.
const REDACTED: &str = "<redacted>";
/// Fields that hold variables of an environment.
const ENVIRONMENTS: [&str; 2] = ["environment", "env"];

/// Replaces the values of secret variables.
pub(crate) fn redact(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Json::Object(variables) if ENVIRONMENTS.contains(&name.as_str()) => {
                        let secret = variables.iter_mut().filter(|(name, _)| is_secret_variable(name));
                        secret.for_each(|(_, value)| *value = REDACTED.into());
                    }
                    value => redact(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// The lines of a value, indented by so many blanks.
pub(crate) fn tree(value: &Json, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    match value {
        Json::Object(fields) => {
            let width = fields.iter().filter(|(_, value)| is_leaf(value)).map(|(name, _)| name.chars().count()).max();
            fields.iter().for_each(|(name, value)| field(name, value, indent, width.unwrap_or(0), &mut lines));
        }
        Json::Array(items) => items.iter().for_each(|item| element(item, indent, &mut lines)),
        leaf => lines.push(format!("{:indent$}{}", "", text(leaf))),
    }
    lines
}

fn field(name: &str, value: &Json, indent: usize, width: usize, lines: &mut Vec<String>) {
    let name = safe(name);
    if is_leaf(value) {
        let padding = width.saturating_sub(name.chars().count());
        lines.push(format!("{:indent$}{name}:{:padding$}  {}", "", "", text(value)));
    } else {
        lines.push(format!("{:indent$}{name}:", ""));
        lines.extend(tree(value, indent + 2));
    }
}

fn element(item: &Json, indent: usize, lines: &mut Vec<String>) {
    let mut below = tree(item, indent + 2);
    if let Some(first) = below.first_mut() {
        first.replace_range(indent..=indent, "-");
    }
    lines.extend(below);
}

/// Whether it fits on the line of its name.
fn is_leaf(value: &Json) -> bool {
    match value {
        Json::Object(fields) => fields.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::Null => "none".to_owned(),
        Json::String(text) if text.is_empty() => "\"\"".to_owned(),
        Json::String(text) => safe(text).into_owned(),
        Json::Object(_) | Json::Array(_) => "none".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_lines_and_lists_have_dashes() {
        let value = json!({"a": 1, "long": "x", "deep": {"b": true}, "list": [{"c": 1, "d": 2}, "e"], "none": []});
        let expected =
            ["a:     1", "deep:", "  b:  true", "list:", "  - c:  1", "    d:  2", "  - e", "long:  x", "none:  none"];
        assert_eq!(tree(&value, 0), expected);
    }

    #[test]
    fn secret_variables_keep_their_names_alone() {
        let mut value = json!({"spec": {"environment": {"API_TOKEN": "canary", "PATH": "/bin"}, "token": "kept"}});
        redact(&mut value);
        assert_eq!(
            value,
            json!({"spec": {"environment": {"API_TOKEN": "<redacted>", "PATH": "/bin"}, "token": "kept"}})
        );
    }
}
