//! [`FieldPath`]: where in an object a field stands, in the part of JSONPath that printer columns use.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;
use thiserror::Error;

/// Where in an object a field stands: `status.state`, `.spec.ports[0].number`, `.metadata.annotations.example\.com/a`,
/// `.status.conditions[?(@.type=="Ready")].status`, `.spec.list[*].name`.
///
/// The part of JSONPath that columns of Kubernetes use; a leading `.` or `$` and surrounding `{}` may be left out.
///
/// ```
/// use roa_core::FieldPath;
/// use serde_json::json;
///
/// let path: FieldPath = r#".status.conditions[?(@.type=="Ready")].status"#.parse()?;
/// let object = json!({"status": {"conditions": [{"type": "Idle"}, {"type": "Ready", "status": "True"}]}});
/// assert_eq!(path.first(&object), Some(&json!("True")));
/// # Ok::<(), roa_core::FieldPathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    steps: Vec<Step>,
}

/// Text that is no path of a field.
///
/// ```
/// use roa_core::FieldPath;
/// let error = "spec.[".parse::<FieldPath>().unwrap_err();
/// assert_eq!(error.text, "spec.[");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("field path {text:?}: {reason}")]
pub struct FieldPathError {
    /// The text, or its begin.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    /// From the end, if negative.
    Index(i64),
    Each,
    Matching {
        field: Vec<String>,
        equal: bool,
        value: Json,
    },
}

impl FieldPath {
    /// How long a path may be, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// The first value that stands there.
    #[must_use]
    pub fn first<'a>(&self, object: &'a Json) -> Option<&'a Json> {
        self.all(object).into_iter().next()
    }

    /// All values that stand there, in order: more than one where a step fits several elements of a list.
    #[must_use]
    pub fn all<'a>(&self, object: &'a Json) -> Vec<&'a Json> {
        Rest(&self.steps).all(object)
    }

    /// The field at the top that it begins with, and the rest.
    pub(crate) fn split_first(&self) -> Option<(&str, Rest<'_>)> {
        let (first, rest) = self.steps.split_first()?;
        Some((first.name()?, Rest(rest)))
    }

    /// The names of the fields on the way, if it names fields alone: a path at which a value can be set.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<&str>> {
        let name = |step: &'_ Step| matches!(step, Step::Field(_));
        let all = self.steps.iter().all(name);
        all.then(|| self.steps.iter().filter_map(|step| step.name()).collect())
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Steps on the way to a field.
pub(crate) struct Rest<'s>(&'s [Step]);

impl Rest<'_> {
    pub(crate) fn all<'a>(&self, from: &'a Json) -> Vec<&'a Json> {
        self.0.iter().fold(vec![from], |found, step| found.into_iter().flat_map(|json| step.of(json)).collect())
    }
}

impl Step {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Field(name) => Some(name),
            _ => None,
        }
    }

    fn of<'a>(&self, json: &'a Json) -> Vec<&'a Json> {
        match (self, json) {
            (Self::Field(name), Json::Object(fields)) => fields.get(name).into_iter().collect(),
            (Self::Index(index), Json::Array(items)) => at(items, *index).into_iter().collect(),
            (Self::Each, Json::Array(items)) => items.iter().collect(),
            (Self::Each, Json::Object(fields)) => fields.values().collect(),
            (Self::Matching { field, equal, value }, Json::Array(items)) => {
                let holds = |item: &&Json| (walk(item, field) == Some(value)) == *equal;
                items.iter().filter(holds).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn at(items: &[Json], index: i64) -> Option<&Json> {
    let place = match usize::try_from(index) {
        Ok(place) => place,
        Err(_) => items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    items.get(place)
}

fn walk<'a>(from: &'a Json, names: &[String]) -> Option<&'a Json> {
    names.iter().try_fold(from, |json, name| json.get(name))
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        let failed = |reason| FieldPathError { text: text.chars().take(64).collect(), reason };
        if text.len() > Self::MAX_BYTES {
            return Err(failed("longer than 1024 bytes"));
        }
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(inner);
        let mut rest = inner.strip_prefix('$').unwrap_or(inner);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = next_step(rest, steps.is_empty()).map_err(failed)?;
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            return Err(failed("empty, expected a field such as .status.state"));
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

fn next_step(text: &str, first: bool) -> Result<(Step, &str), &'static str> {
    if let Some(inner) = text.strip_prefix('[') {
        let (inner, rest) = until_bracket(inner)?;
        return Ok((bracketed(inner.trim())?, rest));
    }
    let text = match text.strip_prefix('.') {
        Some(text) => text,
        None if first => text,
        None => return Err("expected '.' or '['"),
    };
    let (name, rest) = field_name(text)?;
    let step = if name == "*" { Step::Each } else { Step::Field(name) };
    Ok((step, rest))
}

/// What stands before the `]` that is not in quotes, and what comes after it.
fn until_bracket(text: &str) -> Result<(&str, &str), &'static str> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ']') => return Ok((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    Err("'[' without ']'")
}

fn bracketed(inner: &str) -> Result<Step, &'static str> {
    if inner == "*" {
        return Ok(Step::Each);
    }
    if let Some(name) = quoted(inner) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
        return matching(condition);
    }
    inner.parse().map(Step::Index).map_err(|_| "expected a number, '*', a quoted name or ?(@.field==\"value\") in [ ]")
}

fn matching(condition: &str) -> Result<Step, &'static str> {
    const EXPECTED: &str = "expected a condition such as @.type==\"Ready\"";
    let (field, value, equal) = match (condition.split_once("=="), condition.split_once("!=")) {
        (Some((field, value)), _) => (field, value, true),
        (None, Some((field, value))) => (field, value, false),
        (None, None) => return Err(EXPECTED),
    };
    let mut rest = field.trim().strip_prefix('@').ok_or(EXPECTED)?;
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (name, after) = field_name(rest.strip_prefix('.').ok_or(EXPECTED)?)?;
        names.push(name);
        rest = after;
    }
    let value = value.trim();
    let value = match quoted(value) {
        Some(text) => Json::from(text),
        None => serde_json::from_str(value).map_err(|_| EXPECTED)?,
    };
    Ok(Step::Matching { field: names, equal, value })
}

fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

/// A name up to `.` or `[`; a character after `\` belongs to it.
fn field_name(text: &str) -> Result<(String, &str), &'static str> {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            c if escaped => {
                name.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' if name.is_empty() => return Err("a name is missing"),
            '.' | '[' => return Ok((name, &text[at..])),
            ']' | '(' | ')' | '{' | '}' | '\'' | '"' => return Err("expected a name"),
            c => name.push(c),
        }
    }
    if name.is_empty() || escaped { Err("a name is missing") } else { Ok((name, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn fields_are_found() {
        let object = json!({
            "metadata": {"annotations": {"example.com/a": "x"}},
            "spec": {"ports": [{"number": 1}, {"number": 2}], "size": 3},
            "status": {"conditions": [{"type": "Ready", "status": "True", "at": {"node": 7}}, {"type": "Idle", "status": "False"}]}
        });
        let cases = [
            ("spec.size", vec![json!(3)]),
            (".spec.size", vec![json!(3)]),
            ("{.spec.size}", vec![json!(3)]),
            ("$.spec.size", vec![json!(3)]),
            (".spec['size']", vec![json!(3)]),
            (".spec.ports[1].number", vec![json!(2)]),
            (".spec.ports[-1].number", vec![json!(2)]),
            (".spec.ports[7].number", vec![]),
            (".spec.ports[*].number", vec![json!(1), json!(2)]),
            (r".metadata.annotations.example\.com/a", vec![json!("x")]),
            (".metadata.annotations['example.com/a']", vec![json!("x")]),
            (r#".status.conditions[?(@.type=="Ready")].status"#, vec![json!("True")]),
            (".status.conditions[?(@.type == 'Idle')].status", vec![json!("False")]),
            (".status.conditions[?(@.type!='Idle')].status", vec![json!("True")]),
            (".status.conditions[?(@.at.node==7)].type", vec![json!("Ready")]),
            (".status.nothing[0].here", vec![]),
        ];
        for (text, expected) in cases {
            let path: FieldPath = text.parse().unwrap();
            assert_eq!(path.all(&object).into_iter().cloned().collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            ".",
            "..a",
            "a.",
            "a[",
            "a[x]",
            "a[?(x)]",
            "a[?(@.b=c)]",
            "a]b",
            "{.a",
            "a[0]b",
            "a\\",
            &"a".repeat(2000),
        ] {
            assert!(text.parse::<FieldPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_of_fields_alone_says_so() {
        assert_eq!(".spec.replicas".parse::<FieldPath>().unwrap().fields(), Some(vec!["spec", "replicas"]));
        assert_eq!(".spec.list[0]".parse::<FieldPath>().unwrap().fields(), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[ab.\[\]?(@)=!'"*0\\{}$ä-]{0,40}"#) {
            if let Ok(path) = text.parse::<FieldPath>() {
                let _found = path.all(&json!({"a": [{"b": 1}], "b": {"a": []}}));
            }
        }
    }
}
