//! [`Placeholders`]: what stands in braces in a command.

use std::collections::BTreeMap;

use crate::provision::environment::is_variable_name;
use crate::provision::process::{LabDirectory, LabRecord};

/// Names and what to put in their place.
pub(super) struct Placeholders(BTreeMap<String, String>);

impl Placeholders {
    pub(super) fn new(lab: &LabDirectory, record: &LabRecord, port: u16) -> Self {
        let mut values = record.environment.clone();
        // After the environment, so that no variable stands in for one of ours.
        values.insert("port".to_owned(), port.to_string());
        values.insert("name".to_owned(), record.lab.name.clone());
        values.insert("dir".to_owned(), lab.work().display().to_string());
        values.insert("roa".to_owned(), record.roa.display().to_string());
        Self(values)
    }

    /// Fills each `{name}` that is known. Other braces stay: they may be JSON, or a shell's. What is filled in is not
    /// looked at again.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            filled.push_str(&rest[..open]);
            rest = &rest[open..];
            match self.value_at(rest) {
                Some((value, after)) => {
                    filled.push_str(value);
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = &rest[1..];
                }
            }
        }
        filled + rest
    }

    /// The value of the placeholder that the text begins with, and the text after it.
    fn value_at<'a>(&self, text: &'a str) -> Option<(&str, &'a str)> {
        let (name, after) = text.strip_prefix('{')?.split_once('}')?;
        let value = self.0.get(name).filter(|_| is_variable_name(name))?;
        Some((value, after))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placeholders() -> Placeholders {
        let values = [("port", "80"), ("name", "{port}"), ("VERSION", "3.11")];
        Placeholders(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn known_names_are_filled_in_once_and_all_else_stays() {
        let cases = [
            ("{port}", "80"),
            ("a{port}b{VERSION}", "a80b3.11"),
            ("{name}", "{port}"),
            ("{unknown} {} {", "{unknown} {} {"),
            (r#"{"a": {port}}"#, r#"{"a": 80}"#),
            ("{{port}}", "{80}"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(placeholders().fill(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_without_placeholders_is_unchanged(text in "[^{]{0,40}\\{?[^}]{0,40}") {
            prop_assert_eq!(placeholders().fill(&text), text);
        }
    }
}
