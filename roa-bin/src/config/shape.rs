//! [`Shape`]: what a key may hold. It checks values and says what was expected.

use std::fmt;
use std::time::Duration;

use figment::value::Value;
use roa_core::HumanDuration;
use tracing_subscriber::EnvFilter;

use super::listen::{self, ListenAddress};
use super::setting::Raw;

/// The type and the range of a key's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A path, not empty.
    Path,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of the stores in this binary.
    Backend,
    /// Directives of a log filter.
    Filter,
    /// A duration from `min` to `max`.
    Duration { min: Duration, max: Duration },
    /// A whole number from `min` to `max`, in `unit`.
    Count { min: u64, max: u64, unit: &'static str },
    /// `true` or `false`.
    Switch,
    /// Any text.
    Text { example: &'static str },
    /// Where a Redis is. It may hold a password, so a refusal does not show it.
    RedisUrl,
    /// Where to listen: an address and a port, or a Unix socket; or nothing.
    Address,
    /// Where something listens. It may hold a secret, so a refusal does not show it.
    HttpUrl,
    /// A text that no refusal shows.
    Secret,
    /// An amount of a resource as Kubernetes writes it.
    Quantity { example: &'static str },
}

/// The stores that this binary contains.
const BUILT_IN_STORES: &[&str] = &["sqlite", "redis", "memory"];
/// How the address of a Redis begins.
pub(crate) const REDIS_SCHEMES: &[&str] = &["redis://", "rediss://", "unix://"];
/// What may follow the number of a quantity.
const QUANTITY_SUFFIXES: &[&str] = &["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Shape {
    /// The value as the configuration takes it; else why not, a fragment that begins with `expected …`.
    pub(super) fn check(self, raw: &Raw) -> Result<Value, String> {
        self.value(raw).ok_or_else(|| match self {
            Self::RedisUrl | Self::HttpUrl | Self::Secret => format!("{self} (what was found is not shown)"),
            _ => format!("{self}, found {raw}"),
        })
    }

    /// The same for a value that came as text: from a variable or a flag.
    pub(super) fn parse(self, text: &str) -> Raw {
        let number = match self {
            Self::Count { .. } => text.parse().map(Raw::Integer).ok(),
            Self::Switch => text.parse().map(Raw::Switch).ok(),
            _ => None,
        };
        number.unwrap_or_else(|| Raw::Text(text.to_owned()))
    }

    fn value(self, raw: &Raw) -> Option<Value> {
        match (self, raw) {
            (Self::Switch, Raw::Switch(on)) => Some(Value::from(*on)),
            (Self::Count { min, max, .. }, Raw::Integer(number)) => {
                u64::try_from(*number).ok().filter(|count| (min..=max).contains(count)).map(Value::from)
            }
            (_, Raw::Text(text)) => self.admits(text).then(|| Value::from(text.as_str())),
            _ => None,
        }
    }

    fn admits(self, text: &str) -> bool {
        match self {
            Self::Path => !text.is_empty(),
            Self::OneOf(words) => words.contains(&text),
            Self::Backend => BUILT_IN_STORES.contains(&text),
            Self::Filter => !text.is_empty() && EnvFilter::try_new(text).is_ok(),
            Self::Duration { min, max } => {
                text.parse().is_ok_and(|duration: HumanDuration| (min..=max).contains(&duration.0))
            }
            Self::Quantity { .. } => is_quantity(text),
            Self::Text { .. } | Self::Secret => !text.is_empty(),
            Self::HttpUrl => text.starts_with("http://"),
            Self::RedisUrl => REDIS_SCHEMES.iter().any(|scheme| text.starts_with(scheme)),
            Self::Address => text.is_empty() || text.parse::<ListenAddress>().is_ok(),
            Self::Count { .. } | Self::Switch => false,
        }
    }
}

/// Whether `text` is a positive decimal number and a suffix.
fn is_quantity(text: &str) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    number.parse().is_ok_and(|number: f64| number > 0.0) && QUANTITY_SUFFIXES.contains(&suffix)
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("expected a path"),
            Self::OneOf(words) => write_words(f, words),
            Self::Backend => write_words(f, BUILT_IN_STORES),
            Self::Filter => f.write_str("expected log directives such as \"info\" or \"info,roa=debug\""),
            Self::Duration { min, max } => {
                let (min, max) = (HumanDuration(*min), HumanDuration(*max));
                write!(f, "expected a duration from {min} to {max} such as \"90s\" or \"1h30m\"")
            }
            Self::Count { min, max, unit } => write!(f, "expected a whole number of {unit} from {min} to {max}"),
            Self::Switch => f.write_str("expected true or false"),
            Self::Text { example } => write!(f, "expected a text such as {example}"),
            Self::RedisUrl => {
                f.write_str("expected a URL such as \"redis://localhost:6379\", \"rediss://...\" or \"unix:///...\"")
            }
            Self::Address => f.write_str(listen::EXPECTED),
            Self::HttpUrl => f.write_str("expected a URL such as \"http://localhost:8080/events\""),
            Self::Secret => f.write_str("expected a text in quotes"),
            Self::Quantity { example } => write!(f, "expected a quantity such as {example}"),
        }
    }
}

fn write_words(f: &mut fmt::Formatter<'_>, words: &[&str]) -> fmt::Result {
    f.write_str(if words.len() == 1 { "expected " } else { "expected one of " })?;
    for (position, word) in words.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        write!(f, "{separator}\"{word}\"")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Shape = Shape::Duration { min: Duration::from_secs(1), max: Duration::from_secs(60) };
    const COUNT: Shape = Shape::Count { min: 1, max: 10, unit: "labs" };

    fn text(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    fn refusal(shape: Shape, raw: &Raw) -> String {
        shape.check(raw).unwrap_err()
    }

    #[test]
    fn ranges_include_their_ends() {
        for good in ["1s", "60s", "1m", "1000ms"] {
            assert!(SECONDS.check(&text(good)).is_ok(), "{good}");
        }
        for bad in ["999ms", "61s", "0s", "", "1", "1 fortnight", "-1s"] {
            assert!(SECONDS.check(&text(bad)).is_err(), "{bad}");
        }
        for (number, good) in [(0, false), (1, true), (10, true), (11, false), (-1, false), (i64::MIN, false)] {
            assert_eq!(COUNT.check(&Raw::Integer(number)).is_ok(), good, "{number}");
        }
        assert!(COUNT.check(&Raw::Float(2.5)).is_err());
    }

    #[test]
    fn a_refusal_says_what_was_expected_and_what_was_found() {
        let expected = "expected a duration from 1s to 1m such as \"90s\" or \"1h30m\", found 5";
        assert_eq!(refusal(SECONDS, &Raw::Integer(5)), expected);
        assert_eq!(refusal(COUNT, &text("x")), "expected a whole number of labs from 1 to 10, found \"x\"");
        assert_eq!(refusal(Shape::OneOf(&["a", "b"]), &text("c")), "expected one of \"a\", \"b\", found \"c\"");
        assert_eq!(refusal(Shape::Switch, &text("yes")), "expected true or false, found \"yes\"");
        assert_eq!(refusal(Shape::Path, &Raw::Array), "expected a path, found an array");
    }

    #[test]
    fn an_unknown_store_is_refused_with_those_that_there_are() {
        let expected = "expected one of \"sqlite\", \"redis\", \"memory\", found \"mysql\"";
        assert_eq!(refusal(Shape::Backend, &text("mysql")), expected);
    }

    #[test]
    fn t15_a_refusal_of_a_secret_does_not_show_it() {
        for (shape, raw) in [(Shape::RedisUrl, text("http://ann:canary@host")), (Shape::Secret, Raw::Integer(4711))] {
            let refused = refusal(shape, &raw);
            assert!(!refused.contains("canary") && !refused.contains("4711"), "{refused}");
        }
    }

    #[test]
    fn quantities_are_positive_numbers_with_a_known_suffix() {
        let shape = Shape::Quantity { example: "\"8\"" };
        for good in ["8", "0.5", "500m", "16Gi", "1k"] {
            assert!(shape.check(&text(good)).is_ok(), "{good}");
        }
        for bad in ["", "0", "-1", "8 GB", "Gi", "1.2.3", "inf", "1ki"] {
            assert!(shape.check(&text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_becomes_what_the_key_wants_and_stays_text_otherwise() {
        assert_eq!(COUNT.parse("7"), Raw::Integer(7));
        assert_eq!(COUNT.parse("seven"), text("seven"));
        assert_eq!(Shape::Switch.parse("false"), Raw::Switch(false));
        assert_eq!(Shape::Path.parse("123"), text("123"), "a directory may be named by digits");
    }
}
