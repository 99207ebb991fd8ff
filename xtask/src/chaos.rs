//! `cargo xtask chaos`: builds `roa` and the program that disturbs it, and runs that.

use std::path::Path;

use crate::command::Run;

/// Seconds that a machine which does other things besides may add to each bound.
const SLACK: &str = "10";

/// Runs it with these options, for as long as they say.
///
/// # Errors
/// What failed; the seed with which it fails again is on the terminal.
pub(crate) fn run(root: &Path, options: &[&str]) -> Result<(), String> {
    let package = ["--release", "--locked", "--package", "roa-bin"];
    Run::cargo(root, &[&["build"], &package[..], &["--bin", "roa"]].concat()).run()?;
    Run::cargo(root, &[&["run"], &package[..], &["--example", "chaos", "--"], options].concat()).run()
}

/// A few seconds of each store and mode, always the same, on what the tests have built.
///
/// # Errors
/// As [`run`].
pub(crate) fn short(root: &Path) -> Result<(), String> {
    let package = ["--locked", "--package", "roa-bin"];
    Run::cargo(root, &[&["build"], &package[..], &["--bin", "roa"]].concat()).run()?;
    for backend in ["sqlite", "redis"] {
        for mode in ["leader", "sharded"] {
            let size = ["--time", "6", "--labs", "60", "--seed", "7", "--slack", SLACK];
            let store = ["--backend", backend, "--mode", mode];
            let run = [&["run"], &package[..], &["--example", "chaos", "--"], &size, &store].concat();
            Run::cargo(root, &run).run()?;
        }
    }
    Ok(())
}
