//! The hot paths allocate as often as is recorded: no more, since that is slower, and no less, since then the record is
//! to be tightened with `cargo xtask bench --regressions --update`.
//!
//! It is alone in its program: what other tests allocate would be counted too.

use std::alloc::System;
use std::collections::BTreeMap;

use roa_benches::HotPath;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn hot_paths_allocate_as_often_as_is_recorded() {
    let recorded: serde_json::Value = serde_json::from_str(include_str!("../regressions.json")).unwrap();
    let recorded: BTreeMap<String, u64> = serde_json::from_value(recorded["allocations"].clone()).unwrap();
    // The program that runs tests has a thread of its own, which may allocate in between: the least is what is ours.
    let count = |path: HotPath| (0..3).map(|_| path.allocations(ALLOCATOR)).min().unwrap() as u64;
    let counted: BTreeMap<_, _> = HotPath::ALL.into_iter().map(|path| (path.name.to_owned(), count(path))).collect();
    assert_eq!(counted, recorded, "allocations of 1,024 operations");
}
