//! `cargo xtask bench --regressions`: what the hot paths cost in allocations and instructions, beside what is recorded.
//!
//! Neither depends on how busy the machine is. Allocations must be the same; instructions may differ by a little, since a
//! hash map's order is random, and are compared only under the compiler that they were recorded with, and where valgrind
//! is. Both are counted in the build that the tests have made anyway: an optimised one would take longer to build than all
//! that is checked here. A clone, a lock or an allocation more shows in either; how fast a path is, only in the benches.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::command::Run;

const FILE: &str = "benches/regressions.json";
const PROGRAM: &str = "target/debug/examples/hot_paths";
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
    /// Of one operation; none where they can't be counted.
    instructions: Option<BTreeMap<String, u64>>,
}

/// Counts, and compares with what is recorded.
///
/// # Errors
/// What differs, or what could not be counted.
pub(crate) fn compare(root: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(root.join(FILE)).map_err(|error| format!("failed to read {FILE}: {error}"))?;
    let recorded: Record =
        serde_json::from_str(&text).map_err(|error| format!("failed to understand {FILE}: {error}"))?;
    let counted = count(root, recorded.rustc == compiler(root)?)?;
    print(&recorded, &counted);
    match differences(&recorded, &counted).as_slice() {
        [] => Ok(()),
        found => Err(format!(
            "hot paths cost other than recorded; `cargo xtask bench --regressions --update` records anew:\n  {}",
            found.join("\n  ")
        )),
    }
}

/// Counts, and records.
///
/// # Errors
/// What could not be counted, or written.
pub(super) fn record(root: &Path) -> Result<(), String> {
    let counted = count(root, true)?;
    if counted.instructions.is_none() {
        return Err("instructions can't be counted: Debian's package valgrind is not installed".to_owned());
    }
    let text = serde_json::to_string_pretty(&counted).map_err(|error| error.to_string())?;
    std::fs::write(root.join(FILE), text + "\n").map_err(|error| format!("failed to write {FILE}: {error}"))
}

fn compiler(root: &Path) -> Result<String, String> {
    Run::program(root, "rustc", &["--version"]).output()
}

fn count(root: &Path, instructions: bool) -> Result<Record, String> {
    // With the features that the tests of the whole workspace have: so nothing is built twice.
    Run::cargo(root, &["build", "--locked", "--workspace", "--example", "hot_paths"]).run()?;
    let program = root.join(PROGRAM);
    let program = program.to_string_lossy();
    let lines = Run::program(root, &program, &["allocations"]).output()?;
    let allocations: BTreeMap<String, u64> = lines.lines().filter_map(named_count).collect();
    let counts = instructions && Run::program(root, "valgrind", &["--version"]).output().is_ok();
    let instructions = counts.then(|| allocations.keys().map(|name| executed(root, &program, name)).collect());
    Ok(Record { rustc: compiler(root)?, allocations, instructions: instructions.transpose()? })
}

/// How many instructions one operation of a path takes.
fn executed(root: &Path, program: &str, name: &str) -> Result<(String, u64), String> {
    let [few, many] = COUNTS.map(|operations| collected(root, program, name, operations));
    Ok((name.to_owned(), many?.saturating_sub(few?) / (COUNTS[1] - COUNTS[0])))
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
    let of = |counts: Option<&BTreeMap<String, u64>>, name: &String| {
        counts.and_then(|counts| counts.get(name)).map(u64::to_string).unwrap_or_default()
    };
    for name in counted.allocations.keys() {
        println!(
            "{name:<24}{:>16}{:>10}{:>16}{:>10}",
            of(Some(&counted.allocations), name),
            of(Some(&recorded.allocations), name),
            of(counted.instructions.as_ref(), name),
            of(recorded.instructions.as_ref(), name)
        );
    }
    if recorded.rustc != counted.rustc {
        println!("instructions are not compared: recorded with {}, this is {}", recorded.rustc, counted.rustc);
    } else if counted.instructions.is_none() {
        println!("instructions are not compared: valgrind is not installed");
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
    if let (Some(before), Some(now)) = (&recorded.instructions, &counted.instructions)
        && recorded.rustc == counted.rustc
    {
        for (name, was) in before {
            let is = now.get(name);
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
        Record { rustc: rustc.to_owned(), allocations: named(allocations), instructions: Some(named(instructions)) }
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
        let without = Record { instructions: None, ..record("1", 10, 1_000) };
        assert!(differences(&recorded, &without).is_empty(), "no valgrind");
        let nothing = Record { rustc: "1".into(), instructions: Some(BTreeMap::new()), ..Record::default() };
        assert_eq!(differences(&recorded, &nothing).len(), 2);
    }
}
