//! [`FieldSelector`]: by the value of fields that a kind declares.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use super::{MAX_REQUIREMENTS, SelectorError, check_length, malformed};
use crate::{Error, Result, Violations};

/// Selects objects by fields: `metadata.name=a,status.state!=ready`. A field that is not there is empty. In a value, `\`
/// stands before `,`, `=` and `\`, as in Kubernetes; space around a value does not count.
///
/// ```
/// use roa_core::FieldSelector;
/// let selector: FieldSelector = "status.state!=ready".parse()?;
/// assert!(selector.matches(|_path| Some("failed".into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Selects everything.
    #[must_use]
    pub const fn everything() -> Self {
        Self { requirements: Vec::new() }
    }

    /// Whether it selects everything.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// And the field at `path` is `value`.
    #[must_use]
    pub fn eq(mut self, path: impl Into<String>, value: impl Into<String>) -> Self {
        self.requirements.push(Requirement { path: path.into(), value: value.into(), equal: true });
        self
    }

    /// And the field at `path` is not `value`.
    #[must_use]
    pub fn not_eq(mut self, path: impl Into<String>, value: impl Into<String>) -> Self {
        self.requirements.push(Requirement { path: path.into(), value: value.into(), equal: false });
        self
    }

    /// Each requirement: the field's path, the value, and whether the field must be that value (else it must not).
    pub fn requirements(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.requirements.iter().map(|Requirement { path, value, equal }| (path.as_str(), value.as_str(), *equal))
    }

    /// Whether an object whose fields `field` gives fulfils all requirements.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let found = field(&requirement.path).unwrap_or(Cow::Borrowed(""));
            (found == requirement.value) == requirement.equal
        })
    }

    /// Whether a kind that declares `declared` can be selected so.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names each field that it can't be selected by, and those that it can.
    pub fn check(&self, declared: &[Arc<str>]) -> Result<()> {
        let mut found = Violations::none();
        for Requirement { path, .. } in &self.requirements {
            if !declared.iter().any(|known| **known == **path) {
                found.push(path, format!("can't be selected by, expected one of {}", declared.join(", ")));
            }
        }
        found.into_result().map_err(|found| Error::invalid("field selector", found))
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        check_length(text)?;
        let mut requirements = Vec::new();
        for (at, part) in parts(text) {
            if !part.trim().is_empty() {
                requirements.push(parse(part).map_err(|reason| malformed(text, at, reason))?);
            } else if text.contains(',') {
                return Err(malformed(text, at, "a requirement is missing"));
            }
        }
        if requirements.len() > MAX_REQUIREMENTS {
            let what = format!("{} requirements", requirements.len());
            return Err(SelectorError::TooLarge { what, max: MAX_REQUIREMENTS });
        }
        Ok(Self { requirements })
    }
}

/// What stands between commas, each with its place; a comma after `\` belongs to a value.
fn parts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut escaped, mut next) = (false, 0);
    let ends = move |c| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    text.split(ends).map(move |part| {
        let at = next;
        next += part.len() + 1;
        (at, part)
    })
}

fn parse(part: &str) -> Result<Requirement, &'static str> {
    let no_operator = "expected '=', '==' or '!='";
    let (path, rest) = part.split_at(part.find(['=', '!']).ok_or(no_operator)?);
    let (value, equal) = match (rest.strip_prefix("!="), rest.strip_prefix("==")) {
        (Some(value), _) => (value, false),
        (None, Some(value)) => (value, true),
        (None, None) => (rest.strip_prefix('=').ok_or(no_operator)?, true),
    };
    let path = path.trim().to_owned();
    if path.is_empty() || !path.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) {
        return Err("expected a field such as status.state");
    }
    Ok(Requirement { path, value: unescape(value.trim())?, equal })
}

const ESCAPED: [char; 3] = [',', '=', '\\'];

fn unescape(text: &str) -> Result<String, &'static str> {
    let (mut value, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        value.push(match c {
            '\\' => chars.next().filter(|c| ESCAPED.contains(c)).ok_or("expected ',', '=' or '\\' after '\\'")?,
            '=' => return Err("expected a value in which '\\' stands before '='"),
            c => c,
        });
    }
    Ok(value)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Requirement { path, value, equal }) in self.requirements.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            let operator = if *equal { "=" } else { "!=" };
            write!(f, "{comma}{path}{operator}")?;
            for c in value.chars() {
                if ESCAPED.contains(&c) {
                    f.write_char('\\')?;
                }
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(path: &str) -> Option<Cow<'static, str>> {
        match path {
            "metadata.name" => Some("a".into()),
            "status.state" => Some("ready".into()),
            _ => None,
        }
    }

    #[test]
    fn fields_compare_and_absent_ones_are_empty() {
        let cases = [
            ("", true),
            ("metadata.name=a", true),
            ("metadata.name==a,status.state!=failed", true),
            ("status.state=failed", false),
            ("status.other=", true),
            ("status.other!=", false),
            ("status.state!=a!b", true),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<FieldSelector>().unwrap().matches(fields), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for bad in ["a", "=b", "a=b=c", "a=b,,c=d", "a b=c", ",", "a!b", "a=b!=c", "a=\\", "a=\\n", "a\\,b"] {
            assert!(bad.parse::<FieldSelector>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_field_that_is_not_declared_is_named_with_those_that_are() {
        let selector: FieldSelector = "spec.secret=1,metadata.name=a".parse().unwrap();
        let message = selector.check(&["metadata.name".into()]).unwrap_err().to_string();
        assert!(message.contains("spec.secret: can't be selected by, expected one of metadata.name"), "{message}");
    }

    #[test]
    fn a_value_can_not_become_a_requirement() {
        let selector = FieldSelector::everything().eq("metadata.name", r"a,status.state!=b\").not_eq("spec.x", "1=1");
        assert_eq!(selector.to_string(), r"metadata.name=a\,status.state!\=b\\,spec.x!=1\=1");
        let read: FieldSelector = selector.to_string().parse().unwrap();
        let requirements: Vec<_> = read.requirements().collect();
        assert_eq!(requirements, [("metadata.name", r"a,status.state!=b\", true), ("spec.x", "1=1", false)]);
    }

    proptest! {
        #[test]
        fn text_round_trips(pairs in prop::collection::vec(("[a-z.]{1,8}", "[a-z0-9,=!\\\\ä]{0,6}", any::<bool>()), 0..8)) {
            let selector = pairs.into_iter().fold(FieldSelector::everything(), |selector, (path, value, equal)| {
                if equal { selector.eq(path, value) } else { selector.not_eq(path, value) }
            });
            prop_assert_eq!(selector.to_string().parse::<FieldSelector>().unwrap(), selector);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-z,=! \\\\ä]{0,40}") {
            if let Ok(selector) = text.parse::<FieldSelector>() {
                prop_assert_eq!(selector.to_string().parse::<FieldSelector>().unwrap(), selector);
            }
        }
    }
}
