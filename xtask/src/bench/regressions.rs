//! `cargo xtask bench --regressions`: what the hot paths cost in allocations and instructions, beside what is recorded.
//!
//! Neither depends on how busy the machine is. Allocations must be the same; instructions may differ by a little, since a
//! hash map's order is random, and are compared only under the compiler that they were recorded with.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::command::Run;

const FILE: &str = "benches/regressions.json";
const PROGRAM: &str = "target/release/examples/hot_paths";
/// Two runs that differ in their number of operations alone: what one costs is a part of the difference.
const COUNTS: [u64; 2] = [1_024, 3_072];
/// How far instructions may be apart.
const TOLERANCE: f64 = 0.03;

/// What is recorded.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    /// Under which compiler.
    rustc: String,
    /// Of 1,024 operations.
    allocations: BTreeMap<String, u64>,
    /// Of one operation.
    instructions: BTreeMap<String, u64>,
}

/// Counts, and compares or records.
///
/// # Errors
/// What differs, or what could not be counted.
pub(super) fn run(root: &Path, update: bool) -> Result<(), String> {
    let build = ["build", "--locked", "--profile", "bench", "--package", "roa-benches", "--example", "hot_paths"];
    Run::cargo(root, &build).run()?;
    let counted = count(root)?;
    let path = root.join(FILE);
    if update {
        let text = serde_json::to_string_pretty(&counted).map_err(|error| error.to_string())?;
        return std::fs::write(&path, text + "\n").map_err(|error| format!("failed to write {FILE}: {error}"));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("failed to read {FILE}: {error}"))?;
    let recorded: Record =
        serde_json::from_str(&text).map_err(|error| format!("failed to understand {FILE}: {error}"))?;
    print(&recorded, &counted);
    match differences(&recorded, &counted).as_slice() {
        [] => Ok(()),
        found => Err(format!("hot paths cost other than recorded; `--update` records anew:\n  {}", found.join("\n  "))),
    }
}

fn count(root: &Path) -> Result<Record, String> {
    let rustc = Run::program(root, "rustc", &["--version"]).output()?;
    let program = root.join(PROGRAM);
    let program = program.to_string_lossy();
    let lines = Run::program(root, &program, &["allocations"]).output()?;
    let allocations: BTreeMap<String, u64> = lines.lines().filter_map(named_count).collect();
    let mut instructions = BTreeMap::new();
    for name in allocations.keys() {
        let mut counts = [0; 2];
        for (count, operations) in counts.iter_mut().zip(COUNTS) {
            *count = collected(root, &program, name, operations)?;
        }
        instructions.insert(name.clone(), counts[1].saturating_sub(counts[0]) / (COUNTS[1] - COUNTS[0]));
    }
    Ok(Record { rustc, allocations, instructions })
}

fn named_count(line: &str) -> Option<(String, u64)> {
    let (name, count) = line.split_once(' ')?;
    Some((name.to_owned(), count.parse().ok()?))
}

/// How many instructions a run takes, its start and end included.
fn collected(root: &Path, program: &str, name: &str, operations: u64) -> Result<u64, String> {
    let options = ["--tool=callgrind", "--log-fd=1", "--callgrind-out-file=/dev/null"];
    let output =
        Run::program(root, "valgrind", &[&options[..], &[program, "run", name, &operations.to_string()]].concat());
    let output = output.output().map_err(|error| format!("{error}; hint: Debian's package valgrind has it"))?;
    let found = output.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    found.ok_or_else(|| format!("callgrind does not say how many instructions {name} takes"))
}

fn print(recorded: &Record, counted: &Record) {
    println!("{:<24}{:>16}{:>10}{:>16}{:>10}", "path", "allocations", "recorded", "instructions", "recorded");
    let of = |counts: &BTreeMap<String, u64>, name: &String| counts.get(name).map(u64::to_string).unwrap_or_default();
    for name in counted.allocations.keys() {
        println!(
            "{name:<24}{:>16}{:>10}{:>16}{:>10}",
            of(&counted.allocations, name),
            of(&recorded.allocations, name),
            of(&counted.instructions, name),
            of(&recorded.instructions, name)
        );
    }
    if recorded.rustc != counted.rustc {
        println!("instructions are not compared: recorded with {}, this is {}", recorded.rustc, counted.rustc);
    }
}

fn differences(recorded: &Record, counted: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for name in recorded
        .allocations
        .keys()
        .chain(counted.allocations.keys().filter(|name| !recorded.allocations.contains_key(*name)))
    {
        let (was, is) = (recorded.allocations.get(name), counted.allocations.get(name));
        if was != is {
            found.push(format!("{name}: {} allocations of 1,024 operations, recorded {}", told(is), told(was)));
        }
    }
    if recorded.rustc == counted.rustc {
        for (name, was) in &recorded.instructions {
            let is = counted.instructions.get(name);
            if is.is_none_or(|is| (*is as f64 / *was as f64 - 1.0).abs() > TOLERANCE) {
                found.push(format!("{name}: {} instructions, recorded {was}", told(is)));
            }
        }
    }
    found
}

fn told(count: Option<&u64>) -> String {
    count.map_or_else(|| "no".to_owned(), u64::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rustc: &str, allocations: u64, instructions: u64) -> Record {
        let named = |count| BTreeMap::from([("commit".to_owned(), count)]);
        Record { rustc: rustc.to_owned(), allocations: named(allocations), instructions: named(instructions) }
    }

    #[test]
    fn one_allocation_more_or_less_is_a_difference_and_a_few_instructions_are_none() {
        let recorded = record("1", 10, 1_000);
        assert!(differences(&recorded, &record("1", 10, 1_000)).is_empty());
        assert!(differences(&recorded, &record("1", 10, 1_029)).is_empty());
        for other in [record("1", 11, 1_000), record("1", 9, 1_000), record("1", 10, 1_031), record("1", 10, 969)] {
            assert_eq!(differences(&recorded, &other).len(), 1, "{other:?}");
        }
        assert!(differences(&recorded, &record("2", 10, 5_000)).is_empty(), "another compiler");
        assert_eq!(differences(&recorded, &Record { rustc: "1".into(), ..Record::default() }).len(), 2);
    }
}
