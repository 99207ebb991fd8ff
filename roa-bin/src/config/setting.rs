//! [`Setting`]: one value for one key, and the [`Source`] that gave it.

use std::fmt;
use std::path::PathBuf;

/// A value as it was written, before it is known to be right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    Text(String),
    Integer(i64),
    Float(f64),
    Switch(bool),
    Datetime,
    Array,
    Table,
    /// Bytes that are not text.
    Binary,
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It may have a password in it: one of `store.redis.url`, in the wrong place.
            Self::Text(text) if text.contains("://") => f.write_str("a URL"),
            Self::Text(text) if text.chars().count() > LONGEST_ECHO => {
                write!(f, "{:?}…", text.chars().take(LONGEST_ECHO).collect::<String>())
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Datetime => f.write_str("a date"),
            Self::Array => f.write_str("an array"),
            Self::Table => f.write_str("a table"),
            Self::Binary => f.write_str("bytes that are not UTF-8"),
        }
    }
}

/// Characters of a wrong value that a message repeats.
const LONGEST_ECHO: usize = 60;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A line of a configuration file.
    File { path: PathBuf, line: Option<usize> },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One value for one key, as a source gave it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// The key's path, its parts joined by dots; it may name no key at all.
    pub(crate) path: String,
    pub(crate) raw: Raw,
    pub(crate) source: Source,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_as_a_person_would_look_for_it() {
        let file = |line| Source::File { path: "roa.toml".into(), line }.to_string();
        assert_eq!(file(Some(3)), "roa.toml:3");
        assert_eq!(file(None), "roa.toml");
        assert_eq!(Source::Variable("ROA_X".into()).to_string(), "environment variable ROA_X");
        assert_eq!(Source::Flag("--data-dir").to_string(), "flag --data-dir");
    }

    #[test]
    fn a_long_wrong_value_is_not_repeated_in_full() {
        assert_eq!(Raw::Text("ab\n".into()).to_string(), "\"ab\\n\"");
        let shown = Raw::Text("é".repeat(1000)).to_string();
        assert_eq!(shown, format!("\"{}\"…", "é".repeat(60)));
    }

    #[test]
    fn t15_a_url_in_the_wrong_place_is_not_repeated() {
        assert_eq!(Raw::Text("redis://ann:canary@host".into()).to_string(), "a URL");
    }
}
