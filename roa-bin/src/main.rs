//! `roa`: the control plane in one binary.

#![expect(dead_code, unused_imports, reason = "`roa run` and `roa demo` use the rest")]

mod admin;
mod cli;
mod commands;
mod config;
mod logging;
mod manifest;
mod report;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::report::Failure;

fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Config { command } => commands::config::run(&command, &cli.log),
        Command::Demo(_) | Command::Run(_) | Command::LabShim(_) | Command::StaticSite(_) => {
            Err(anyhow::anyhow!("this command is not part of this build").into())
        }
    }
}
