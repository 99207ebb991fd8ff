//! A lab's own environment variables: which are allowed, and how the secret ones stay secret.

use std::collections::BTreeMap;
use std::fmt;

use roa_core::Violations;

/// How many variables a lab may have.
const MAX_VARIABLES: usize = 128;
/// How many bytes their names and values may have together.
const MAX_BYTES: usize = 64 << 10;
/// Variables with such an ending hold secrets.
const SECRET_ENDINGS: [&str; 4] = ["PASSWORD", "TOKEN", "SECRET", "KEY"];
/// What decides which code runs belongs to the operator, and `ROA_` to us.
const RESERVED_PREFIXES: [&str; 3] = ["DYLD_", "LD_", "ROA_"];
const RESERVED: &str = "PATH";

/// What is wrong with a lab's `environment`. Values are never repeated.
#[must_use]
pub fn validate_environment(environment: &BTreeMap<String, String>) -> Violations {
    let mut found = Violations::none();
    if environment.len() > MAX_VARIABLES {
        found.push("", format!("has {} variables, expected at most {MAX_VARIABLES}", environment.len()));
    }
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_BYTES {
        found.push("", format!("has {bytes} bytes, expected at most {MAX_BYTES}"));
    }
    for (name, value) in environment {
        found.merge(validate_variable(name, value));
    }
    found
}

fn validate_variable(name: &str, value: &str) -> Violations {
    let upper = name.to_ascii_uppercase();
    let reserved = upper == RESERVED || RESERVED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    let mut found = Violations::unless(
        is_variable_name(name),
        "",
        format!("name {name:?}: expected letters, digits and '_', not beginning with a digit"),
    );
    found.merge(Violations::unless(
        !reserved,
        name,
        "is reserved: PATH and names beginning with LD_, DYLD_ or ROA_ are",
    ));
    found.merge(Violations::unless(!value.contains('\0'), name, "must not contain a NUL character"));
    found
}

/// Whether it can name a variable, as shells see it.
pub(super) fn is_variable_name(name: &str) -> bool {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    name.chars().all(plain) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Whether a variable of this name holds a secret: what it holds is never shown.
#[must_use]
pub fn is_secret_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// What stands in the place of a secret.
pub(super) const REDACTED: &str = "<redacted>";

/// The values of secret variables, and the single lines of them; the longest first, since one may be part of another.
pub(super) fn secrets(environment: &BTreeMap<String, String>) -> Vec<&str> {
    let values = environment.iter().filter(|(name, _)| is_secret_variable(name)).map(|(_, value)| value.as_str());
    let mut secrets: Vec<&str> = values.flat_map(|value| std::iter::once(value).chain(value.lines())).collect();
    secrets.retain(|secret| !secret.trim().is_empty());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

/// Shows variables, and of secret ones only the name.
pub(super) struct Redacted<'a>(pub(super) &'a BTreeMap<String, String>);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| (name, if is_secret_variable(name) { REDACTED } else { value })))
            .finish()
    }
}

/// The text without the values of secret variables, and without single lines of them.
pub(super) fn scrub(text: &str, environment: &BTreeMap<String, String>) -> String {
    secrets(environment).iter().fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn plain_variables_are_allowed() {
        let found = validate_environment(&variables(&[("PYTHON_VERSION", "3.11"), ("_x", ""), ("PATHS", "a:b")]));
        assert_eq!(found.to_string(), "");
    }

    #[test]
    fn what_could_change_which_code_runs_is_refused() {
        for name in ["PATH", "path", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "ROA_LAB_UID"] {
            let found = validate_environment(&variables(&[(name, "canary")])).to_string();
            assert!(found.contains("reserved") && found.contains(name) && !found.contains("canary"), "{found}");
        }
    }

    #[test]
    fn names_that_no_process_could_read_are_refused() {
        for name in ["", "1A", "A-B", "A=B", "Ä"] {
            assert!(!validate_environment(&variables(&[(name, "")])).is_empty(), "{name:?}");
        }
        assert!(!validate_environment(&variables(&[("A", "\0")])).is_empty());
    }

    #[test]
    fn every_bound_is_kept_and_named() {
        let many = (0..=MAX_VARIABLES).map(|number| (format!("V{number}"), String::new())).collect();
        assert!(validate_environment(&many).to_string().contains("at most 128"));
        let large = variables(&[("LARGE", &"x".repeat(MAX_BYTES))]);
        assert!(validate_environment(&large).to_string().contains("at most 65536"));
    }

    #[test]
    fn t14_scrubbing_leaves_no_part_of_a_secret() {
        let environment =
            variables(&[("A_TOKEN", "abc"), ("B_SECRET", "abcdef"), ("PEM_KEY", "line-1\nline-2"), ("C", "keep")]);
        let scrubbed = scrub("abcdef abc keep line-2", &environment);
        assert_eq!(scrubbed, "<redacted> <redacted> keep <redacted>");
        assert_eq!(scrub("unchanged", &variables(&[("EMPTY_KEY", "")])), "unchanged");
    }
}
