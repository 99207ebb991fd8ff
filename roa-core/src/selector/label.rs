//! [`LabelSelector`]: Kubernetes' query syntax, compiled once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::{MAX_REQUIREMENTS, MAX_VALUES, SelectorError, check_length, malformed};
use crate::names;

/// Selects objects by their labels: `tier=web,env in (test,prod),!broken`.
///
/// ```
/// use roa_core::LabelSelector;
/// let selector: LabelSelector = "tier=web, env in (test,prod), !broken".parse()?;
/// let labels = [("tier", "web"), ("env", "test")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
/// assert!(selector.matches(&labels));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Equals(String),
    NotEquals(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    Absent,
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        match &self.test {
            Test::Equals(value) => found == Some(value),
            Test::NotEquals(value) => found != Some(value),
            Test::In(values) => found.is_some_and(|found| values.contains(found)),
            Test::NotIn(values) => found.is_none_or(|found| !values.contains(found)),
            Test::Exists => found.is_some(),
            Test::Absent => found.is_none(),
        }
    }
}

impl LabelSelector {
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

    /// Whether labels fulfil all requirements. Allocates nothing.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }

    /// The labels that each object has that it selects: the key, and the value where only one will do.
    ///
    /// ```
    /// use roa_core::LabelSelector;
    /// let selector: LabelSelector = "tier=web,env in (test,prod),!broken".parse()?;
    /// assert!(selector.needs().eq([("tier", Some("web")), ("env", None)]));
    /// # Ok::<(), roa_core::SelectorError>(())
    /// ```
    pub fn needs(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.requirements.iter().filter_map(|Requirement { key, test }| match test {
            Test::Equals(value) => Some((key.as_str(), Some(value.as_str()))),
            Test::In(values) => Some((key.as_str(), values.first().filter(|_| values.len() == 1).map(String::as_str))),
            Test::Exists => Some((key.as_str(), None)),
            Test::NotEquals(_) | Test::NotIn(_) | Test::Absent => None,
        })
    }

    /// And the label `key` is `value`.
    #[must_use]
    pub fn eq(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.and(key, Test::Equals(value.into()))
    }

    /// And there is no label `key` with this value.
    #[must_use]
    pub fn not_eq(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.and(key, Test::NotEquals(value.into()))
    }

    /// And the label `key` is one of `values`.
    #[must_use]
    pub fn is_in<V: Into<String>>(self, key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        self.and(key, Test::In(values.into_iter().map(Into::into).collect()))
    }

    /// And there is no label `key` with one of `values`.
    #[must_use]
    pub fn not_in<V: Into<String>>(self, key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        self.and(key, Test::NotIn(values.into_iter().map(Into::into).collect()))
    }

    /// And there is no label `key`.
    #[must_use]
    pub fn absent(self, key: impl Into<String>) -> Self {
        self.and(key, Test::Absent)
    }

    /// And there is a label `key`.
    #[must_use]
    pub fn exists(self, key: impl Into<String>) -> Self {
        self.and(key, Test::Exists)
    }

    fn and(mut self, key: impl Into<String>, test: Test) -> Self {
        self.requirements.push(Requirement { key: key.into(), test });
        self
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_length(text)?;
        let mut parser = Parser { text, at: 0, values: 0 };
        let mut requirements = Vec::new();
        parser.skip_spaces();
        while parser.at < text.len() {
            requirements.push(parser.requirement()?);
            if requirements.len() > MAX_REQUIREMENTS {
                let what = format!("more than {MAX_REQUIREMENTS} requirements");
                return Err(SelectorError::TooLarge { what, max: MAX_REQUIREMENTS });
            }
            parser.skip_spaces();
            if parser.at < text.len() {
                parser.expect(",")?;
                parser.skip_spaces();
                if parser.at == text.len() {
                    return Err(parser.error("a requirement is missing after ','"));
                }
            }
        }
        Ok(Self { requirements })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.take("!") {
            return Ok(Requirement { key: self.key()?, test: Test::Absent });
        }
        let key = self.key()?;
        self.skip_spaces();
        let test = if self.take("!=") {
            Test::NotEquals(self.value()?)
        } else if self.take("==") || self.take("=") {
            Test::Equals(self.value()?)
        } else if self.take_word("notin") {
            Test::NotIn(self.set()?)
        } else if self.take_word("in") {
            Test::In(self.set()?)
        } else {
            Test::Exists
        };
        Ok(Requirement { key, test })
    }

    fn set(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        self.skip_spaces();
        self.expect("(")?;
        let mut values = BTreeSet::new();
        loop {
            values.insert(self.value()?);
            self.skip_spaces();
            if self.take(")") {
                return Ok(values);
            }
            self.expect(",")?;
        }
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        self.skip_spaces();
        let from = self.at;
        let key = self.word();
        names::qualified_name(key).map_err(|reason| malformed(self.text, from, format!("key {reason}")))?;
        Ok(key.to_owned())
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(SelectorError::TooLarge { what: format!("more than {MAX_VALUES} values"), max: MAX_VALUES });
        }
        self.skip_spaces();
        let from = self.at;
        let value = self.word();
        names::label_value(value).map_err(|reason| malformed(self.text, from, format!("value {reason}")))?;
        Ok(value.to_owned())
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "=!,()".contains(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let after = self.rest().strip_prefix(word);
        after.is_some_and(|after| after.starts_with(|c: char| c.is_whitespace() || c == '(')) && self.take(word)
    }

    fn expect(&mut self, token: &str) -> Result<(), SelectorError> {
        if self.take(token) { Ok(()) } else { Err(self.error(format!("expected {token:?}"))) }
    }

    fn error(&self, reason: impl Into<String>) -> SelectorError {
        malformed(self.text, self.at, reason)
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        for (position, Requirement { key, test }) in self.requirements.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::Equals(value) => write!(f, "{key}={value}"),
                Test::NotEquals(value) => write!(f, "{key}!={value}"),
                Test::In(values) => write!(f, "{key} in ({})", joined(values)),
                Test::NotIn(values) => write!(f, "{key} notin ({})", joined(values)),
                Test::Exists => f.write_str(key),
                Test::Absent => write!(f, "!{key}"),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(',').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn requirements_hold_as_kubernetes_says() {
        let cases = [
            ("", "", true),
            ("a=b", "a=b", true),
            ("a==b", "a=c", false),
            ("a!=b", "", true),
            ("a in (b, c)", "a=c", true),
            ("a in (b)", "", false),
            ("a notin (b,c)", "", true),
            ("a notin (b)", "a=b", false),
            ("a", "a=", true),
            ("!a", "a=x", false),
            ("a=,b", "a=,b=1", true),
            ("in in (in)", "in=in", true),
            (" a = b , c ", "a=b,c=d", true),
        ];
        for (selector, given, expected) in cases {
            let parsed: LabelSelector = selector.parse().unwrap();
            assert_eq!(parsed.matches(&labels(given)), expected, "{selector:?} on {given:?}");
        }
    }

    #[test]
    fn what_is_built_is_what_is_read() {
        let built = LabelSelector::everything().eq("a", "1").not_eq("b", "2").is_in("c", ["3", "4"]).not_in("d", ["5"]);
        let built = built.exists("e").absent("f");
        assert_eq!("a=1,b!=2,c in (3,4),d notin (5),e,!f".parse(), Ok(built));
    }

    #[test]
    fn what_is_selected_has_the_labels_that_are_needed() {
        let selector: LabelSelector = "a=1,b!=2,c in (3,4),d in (5),e notin (6),f,!g".parse().unwrap();
        let needs: Vec<_> = selector.needs().collect();
        assert_eq!(needs, [("a", Some("1")), ("c", None), ("d", Some("5")), ("f", None)]);
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_place() {
        for bad in ["=a", "a=b=c", "a,", ",a", "a in b", "a in (b", "a b", "!", "a in (b c)", "ä=1", "a!b", "a=b,,c"] {
            let message = bad.parse::<LabelSelector>().unwrap_err().to_string();
            assert!(message.contains("at byte"), "{bad:?}: {message}");
        }
    }

    #[test]
    fn t8_selectors_are_bounded() {
        let many = |count: usize| (0..count).map(|i| format!("k{i}")).collect::<Vec<_>>().join(",");
        assert!(many(MAX_REQUIREMENTS).parse::<LabelSelector>().is_ok());
        assert!(matches!(many(MAX_REQUIREMENTS + 1).parse::<LabelSelector>(), Err(SelectorError::TooLarge { .. })));
        let values = (0..300).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        assert!(matches!(format!("a in ({values})").parse::<LabelSelector>(), Err(SelectorError::TooLarge { .. })));
        assert!(matches!("a".repeat(20_000).parse::<LabelSelector>(), Err(SelectorError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn text_round_trips(pairs in prop::collection::vec(("[a-z]{1,5}", "[a-z0-9]{0,5}", 0..6_u8), 0..8)) {
            let selector = pairs.into_iter().fold(LabelSelector::everything(), |selector, (key, value, test)| {
                let set = BTreeSet::from([value.clone(), "z".to_owned()]);
                let tests = [Test::Equals(value.clone()), Test::NotEquals(value), Test::In(set.clone()), Test::NotIn(set), Test::Exists, Test::Absent];
                selector.and(key, tests[usize::from(test)].clone())
            });
            prop_assert_eq!(selector.to_string().parse::<LabelSelector>().unwrap(), selector);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<LabelSelector>();
        }
    }
}
