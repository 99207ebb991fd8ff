//! The Redis store in the suite that every backend must pass, on servers that keep an append-only file.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::ExitCode;

use roa_conformance::Expected;
use roa_core::Durability;

mod suite;

fn main() -> ExitCode {
    roa_conformance::run_pinned(suite::RedisFactory::new(Durability::ProcessCrash), Expected { run: 84, skipped: 0 })
}
