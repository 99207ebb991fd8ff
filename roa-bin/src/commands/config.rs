//! `roa config show` and `roa config check`.

use std::io::{self, Write};

use crate::cli::{ConfigArgs, ConfigCommand, LogArgs};
use crate::config::{Inputs, Loaded, Problems, load, render};
use crate::engine::store;
use crate::report::Failure;

/// Runs the command and prints to stdout.
///
/// # Errors
/// Everything that is wrong with the configuration; or stdout can't be written.
pub(crate) fn run(command: &ConfigCommand, log: &LogArgs) -> Result<(), Failure> {
    let text = match command {
        ConfigCommand::Show(args) => render(&load_from(args, log)?),
        ConfigCommand::Check(args) => {
            store::check(&load_from(args, log)?.config.store)?;
            "ok\n".to_owned()
        }
    };
    print(&text)
}

/// The configuration that the command line, the environment and the file give.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(crate) fn load_from(args: &ConfigArgs, log: &LogArgs) -> Result<Loaded, Problems> {
    load(Inputs { file: args.file(), variables: std::env::vars_os().collect(), flags: args.flags(log) })
}

/// Prints `text`. A reader that has left is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Run(anyhow::Error::new(error).context("failed to write to stdout")))
        }
        _ => Ok(()),
    }
}
