//! `roa completions`: what completes commands in a shell.

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};
use crate::report::{Failure, is_broken_pipe};
use crate::show::say_all;

/// Prints the script to stdout.
///
/// # Errors
/// Stdout can't be written.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "roa", &mut script);
    match say_all(&String::from_utf8_lossy(&script)) {
        Err(error) if !is_broken_pipe(&error) => Err(error.into()),
        _ => Ok(()),
    }
}
