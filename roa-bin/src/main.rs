//! `roa`: the control plane in one binary.

mod admin;
mod cli;
mod commands;
mod config;
mod engine;
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
        Command::Bench(args) => commands::bench::run(&args, &cli.log),
        Command::Config { command } => commands::config::run(&command, &cli.log),
        Command::Demo(args) => commands::demo::run(&args, &cli.log),
        Command::Logs(args) => commands::logs::run(&args, &cli.log),
        Command::Run(args) => commands::run::run(&args, &cli.log),
        Command::Store { command } => commands::store::run(&command, &cli.log),
        Command::Why(args) => commands::why::run(&args, &cli.log),
        Command::LabShim(args) => commands::outside::lab_shim(&args.dir),
        Command::StaticSite(args) => commands::outside::static_site(&args.dir, args.port),
    }
}
