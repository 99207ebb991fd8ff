//! `roa`: the control plane in one binary. A library, so that it is compiled while the crates that it needs still are; its
//! program only calls [`main`].

mod admin;
mod cli;
mod client;
mod commands;
mod config;
mod engine;
mod logging;
mod manifest;
mod report;
mod show;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::report::Failure;

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Apply(args) => commands::apply::run(&args, &cli.log),
        Command::Bench(args) => commands::bench::run(&args, &cli.log),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Config { command } => commands::config::run(&command, &cli.log),
        Command::Crd(args) => commands::crd::run(&args),
        Command::Delete(args) => commands::delete::run(&args, &cli.log),
        Command::Demo(args) => commands::demo::run(&args, &cli.log),
        Command::Describe(args) => commands::describe::run(&args, &cli.log),
        Command::Explain(args) => commands::explain::run(&args, &cli.log),
        Command::Get(args) => commands::get::run(&args, &cli.log),
        Command::History(args) => commands::history::run(&args, &cli.log),
        Command::Logs(args) => commands::logs::run(&args, &cli.log),
        Command::Kubeconfig(args) => commands::kubeconfig::run(&args, &cli.log),
        Command::Run(args) => commands::run::run(&args, &cli.log),
        Command::Serve(args) => commands::serve::run(&args, &cli.log),
        Command::Store { command } => commands::store::run(&command, &cli.log),
        Command::Token(args) => commands::token::run(&args),
        Command::Wait(args) => commands::wait::run(&args, &cli.log),
        Command::Watch(args) => commands::watch::run(&args, &cli.log),
        Command::Why(args) => commands::why::run(&args, &cli.log),
        Command::LabShim(args) => commands::outside::lab_shim(&args.dir),
        Command::StaticSite(args) => commands::outside::static_site(&args.dir, args.port),
    }
}
