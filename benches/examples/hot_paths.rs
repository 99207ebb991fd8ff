//! What the hot paths cost, for `cargo xtask bench --regressions`.
//!
//! `hot_paths allocations` counts those of each path; `hot_paths run PATH COUNT` does one so many times, for an instruction
//! counter around it.

use std::alloc::System;
use std::process::ExitCode;

use roa_benches::HotPath;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool of the command line speaks there")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["allocations"] => {
            for path in HotPath::ALL {
                println!("{} {}", path.name, path.allocations(ALLOCATOR));
            }
            return ExitCode::SUCCESS;
        }
        ["run", name, count] => {
            let path = HotPath::ALL.into_iter().find(|path| path.name == *name);
            if let (Some(path), Ok(count)) = (path, count.parse()) {
                path.run(count);
                return ExitCode::SUCCESS;
            }
        }
        _ => {}
    }
    eprintln!("usage: hot_paths allocations | run PATH COUNT");
    ExitCode::from(2)
}
