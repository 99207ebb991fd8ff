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

/// A few seconds of each store and mode, always the same, on what the tests have built.
///
/// # Errors
/// As [`run`].
pub(crate) fn short(root: &Path) -> Result<(), String> {
    let package = ["--locked", "--package", "roa-bin"];
    Run::cargo(root, &[&["build"], &package[..], &["--bin", "roa"]].concat()).run()?;
    for backend in ["sqlite", "redis"] {
        for mode in ["leader", "sharded"] {
            let options = ["--time", "6", "--labs", "60", "--seed", "7", "--backend", backend, "--mode", mode];
            let run = [&["run"], &package[..], &["--example", "chaos", "--"], &options].concat();
            Run::cargo(root, &run).run()?;
        }
    }
    Ok(())
}
