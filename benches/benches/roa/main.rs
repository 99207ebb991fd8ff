//! ROA beside the raw limits of the machine.
//!
//! `cargo xtask bench` runs it several times and makes tables of what it measures. `ROA_BENCH_ONLY` names the one part to
//! run: what the others need is not even set up.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up must stop")]

mod deliver;
mod growth;
mod redis;
mod sqlite;
mod startup;
mod store;
mod watch;

use criterion::Criterion;

/// A part, and its name.
type Part = (&'static str, fn());

const PARTS: &[Part] = &[
    ("watch", watch::benches),
    ("store", store::benches),
    ("sqlite", sqlite::benches),
    ("redis", redis::benches),
    ("deliver", deliver::benches),
    ("startup", startup::benches),
    ("growth", growth::benches),
];

fn main() {
    let only = std::env::var("ROA_BENCH_ONLY").ok();
    for (name, run) in PARTS {
        if only.as_ref().is_none_or(|only| only == name) {
            run();
        }
    }
    Criterion::default().configure_from_args().final_summary();
}
