//! What the README and the pipeline run: `cargo xtask test`, `cargo xtask tidy` as a part of it, `cargo xtask chaos` and
//! `cargo xtask bench`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool of the command line speaks there")]

mod bench;
mod chaos;
mod command;
mod tally;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask test | tidy | chaos | bench

  test   everything that must hold before a change lands: format, lints, documentation, layers, tidy, tests
  tidy   the rules about files alone
  chaos  several roa on one store, added, stopped, killed and paused at random: [--time SECONDS] [--labs COUNT]
         [--members COUNT] [--seed NUMBER] [--backend sqlite|redis] [--mode leader|sharded]
  bench  how fast ROA is, beside the raw limit and peers in one run; writes docs/benchmarks: [--quick] [--rounds COUNT]
         [--only BENCH,BENCH] [--filter ID] [--program FILE] [--peers | --no-peers]; --render: again from figures.json;
         --regressions compares allocations and instructions of the hot paths with what is recorded: [--update]";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => test::run(&root()),
        ["tidy"] => tidy::run(&root()),
        ["chaos", options @ ..] => chaos::run(&root(), options),
        ["bench", options @ ..] => bench::run(&root(), options),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace: where this crate's folder stands.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
