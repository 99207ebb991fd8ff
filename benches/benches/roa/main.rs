//! ROA beside the raw limits of the machine, and, with the feature `peers`, beside others.
//!
//! `cargo xtask bench` runs it several times and makes tables of what it measures. `ROA_BENCH_ONLY` names the one part to
//! run: what the others need is not even set up. One program has all parts, since to link it takes minutes.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up must stop")]

mod deliver;
mod engine;
mod growth;
mod idle;
mod memory;
#[cfg(feature = "peers")]
mod peers;
mod process;
mod redis;
mod sqlite;
mod startup;
mod store;
mod watch;
mod writers;

use criterion::Criterion;

/// A part, and its name.
type Part = (&'static str, fn());

const PARTS: &[Part] = &[
    ("watch", watch::benches),
    ("writers", writers::run),
    ("store", store::benches),
    ("sqlite", sqlite::benches),
    ("redis", redis::benches),
    ("deliver", deliver::benches),
    ("engine", engine::benches),
    ("startup", startup::benches),
    ("idle", idle::run),
    ("memory", memory::run),
    #[cfg(feature = "peers")]
    ("peers", peers::benches),
    ("growth", growth::benches),
];

fn main() {
    if let Some((case, count)) = memory::asked() {
        return memory::hold(&case, count);
    }
    let only = std::env::var("ROA_BENCH_ONLY").ok();
    for (name, run) in PARTS {
        if only.as_ref().is_none_or(|only| only == name) {
            run();
        }
    }
    Criterion::default().configure_from_args().final_summary();
}
