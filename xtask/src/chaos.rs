//! `cargo xtask chaos`: builds `roa` and the program that disturbs it, and runs that.

use std::path::Path;

use crate::command::Run;

/// Runs it with these options, for as long as they say.
///
/// # Errors
/// What failed; the seed with which it fails again is on the terminal.
pub(crate) fn run(root: &Path, options: &[&str]) -> Result<(), String> {
    let package = ["--release", "--locked", "--package", "roa-bin"];
    Run::cargo(root, &[&["build"], &package[..], &["--bin", "roa"]].concat()).run()?;
    Run::cargo(root, &[&["run"], &package[..], &["--example", "chaos", "--"], options].concat()).run()
}
