//! `cargo xtask tidy`: rules about the files themselves.

mod cargo;
mod files;
mod rules;

use std::path::Path;

use files::SourceFile;

/// What breaks a rule: the line, counted from 1, and why.
type Finding = (usize, String);

/// A rule about one file.
type Rule = fn(&SourceFile) -> Vec<Finding>;

const RULES: &[Rule] = &[
    rules::whitespace,
    rules::absolute_paths,
    rules::short_lib,
    rules::no_ignored_tests,
    rules::no_ignored_examples,
    rules::examples,
    cargo::described,
    cargo::reasons,
    cargo::public_registry,
];

/// Checks every file against every rule.
///
/// # Errors
/// How many findings there are; each is printed.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let files = files::walk(root).map_err(|error| format!("failed to read the files: {error}"))?;
    let mut findings = 0;
    for file in &files {
        for (line, reason) in RULES.iter().flat_map(|rule| rule(file)) {
            findings += 1;
            println!("{}:{line}: {reason}", file.path);
        }
    }
    match (files.len(), findings) {
        (0, _) => Err("no files to check".to_owned()),
        (_, 0) => Ok(()),
        (_, findings) => Err(format!("{findings} findings, each named above")),
    }
}
