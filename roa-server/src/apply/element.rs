//! [`Element`]: one step of the path to a field, as `managedFields` writes it.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value as Json};
use thiserror::Error;

/// One step of the path to a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// A field of a mapping: `f:name`.
    Field(String),
    /// An element of a list, by the values of its keys as JSON: `k:{"type":"Ready"}`.
    Key(Vec<(String, String)>),
    /// An element of a set, by its value as JSON: `v:"a"`.
    Value(String),
    /// An element of a list, by its place: `i:0`.
    Index(u64),
}

/// Text that is no [`Element`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no field, expected one that begins with f:, k:, v: or i:")]
pub struct ElementError {
    /// The text, or its begin.
    pub text: String,
}

impl Element {
    pub(super) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// The element of a set with this value.
    pub(super) fn value(value: &Json) -> Self {
        Self::Value(canonical(value))
    }

    /// The element of a list with these keys.
    pub(super) fn key<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Json)>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().map(|(name, value)| (name.to_owned(), canonical(value))).collect();
        keys.sort();
        Self::Key(keys)
    }
}

/// A value as JSON; a number without a fraction in one form, however it came.
fn canonical(value: &Json) -> String {
    match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within what an i64 holds exactly")]
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < 9e15 => (number as i64).to_string(),
        _ => value.to_string(),
    }
}

impl FromStr for Element {
    type Err = ElementError;

    fn from_str(text: &str) -> Result<Self, ElementError> {
        let parsed = match text.split_once(':') {
            Some(("f", name)) => Some(Self::field(name)),
            Some(("v", value)) => serde_json::from_str(value).ok().map(|value: Json| Self::value(&value)),
            Some(("k", keys)) => serde_json::from_str(keys)
                .ok()
                .map(|keys: Map<String, Json>| Self::key(keys.iter().map(|(name, value)| (name.as_str(), value)))),
            Some(("i", index)) => index.parse().ok().map(Self::Index),
            _ => None,
        };
        parsed.ok_or_else(|| ElementError { text: text.chars().take(64).collect() })
    }
}

/// As `managedFields` writes it.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "f:{name}"),
            Self::Value(value) => write!(f, "v:{value}"),
            Self::Index(index) => write!(f, "i:{index}"),
            Self::Key(keys) => {
                f.write_str("k:{")?;
                for (position, (name, value)) in keys.iter().enumerate() {
                    let comma = if position > 0 { "," } else { "" };
                    write!(f, "{comma}{}:{value}", Json::from(name.as_str()))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A path as messages write it: `.spec.list[name="a"].size`.
pub(super) fn path_text(path: &[Element]) -> String {
    let step = |element: &Element| match element {
        Element::Field(name) => format!(".{name}"),
        Element::Value(value) => format!("[={value}]"),
        Element::Index(index) => format!("[{index}]"),
        Element::Key(keys) => {
            let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
    };
    path.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_read_and_written_in_one_form() {
        for (text, written) in [
            ("f:a.b/c:d", "f:a.b/c:d"),
            ("f:", "f:"),
            ("v:\"a\"", "v:\"a\""),
            ("v:1.0", "v:1"),
            ("i:3", "i:3"),
            (r#"k:{"port": 80, "name":"a"}"#, r#"k:{"name":"a","port":80}"#),
        ] {
            assert_eq!(text.parse::<Element>().unwrap().to_string(), written);
        }
        for bad in ["", ".", "x:a", "v:", "v:{", "k:[]", "k:1", "i:-1", "i:a", "name"] {
            assert!(bad.parse::<Element>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_are_written_as_messages_have_them() {
        let path: Vec<Element> = ["f:status", "f:conditions", r#"k:{"type":"Ready"}"#, "f:x"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(path_text(&path), r#".status.conditions[type="Ready"].x"#);
        assert_eq!(path_text(&[Element::value(&Json::from("a")), Element::Index(1)]), r#"[="a"][1]"#);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[fkvi]:.{0,20}") {
            if let Ok(element) = text.parse::<Element>() {
                prop_assert_eq!(element.to_string().parse::<Element>().unwrap(), element);
            }
        }
    }
}
