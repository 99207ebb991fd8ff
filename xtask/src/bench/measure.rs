//! Runs the benches, round by round, and reads what criterion leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::figures::Figures;
use super::options::Options;
use crate::command::Run;

/// One part of the benches of `roa-benches`.
struct Bench {
    name: &'static str,
    /// The program that it is in.
    program: &'static str,
    /// The feature that it needs.
    feature: Option<&'static str>,
    /// Whether what is measured is compared within a round. What is only charted is measured once.
    compared: bool,
}

const BENCHES: &[Bench] = &[
    Bench { name: "watch", program: "roa", feature: None, compared: true },
    Bench { name: "store", program: "roa", feature: None, compared: true },
    Bench { name: "sqlite", program: "roa", feature: None, compared: true },
    Bench { name: "redis", program: "roa", feature: None, compared: true },
    Bench { name: "deliver", program: "roa", feature: None, compared: true },
    Bench { name: "engine", program: "engine", feature: None, compared: true },
    Bench { name: "startup", program: "roa", feature: None, compared: true },
    Bench { name: "peers", program: "peers", feature: Some("peers"), compared: true },
    Bench { name: "growth", program: "roa", feature: None, compared: false },
];

/// Runs what was asked for, and puts it in the place of what was measured before.
///
/// # Errors
/// What failed to build or to run.
pub(super) fn run(root: &Path, options: &Options, figures: &mut Figures) -> Result<(), String> {
    let benches = chosen(root, options)?;
    let home = root.join("target/bench");
    let mut programs = BTreeMap::new();
    for bench in &benches {
        if !programs.contains_key(bench.program) {
            let built = options.program.clone().map_or_else(|| build(root, bench), Ok)?;
            programs.insert(bench.program, built);
        }
    }
    if options.program.is_none() && benches.iter().any(|bench| bench.name == "startup") {
        Run::cargo(root, &["build", "--locked", "--profile", "bench", "--package", "roa-bin"]).run()?;
    }
    let (begun, mut fresh) = (Instant::now(), Figures::default());
    for round in 0..options.rounds {
        for bench in benches.iter().filter(|bench| bench.compared || round == 0) {
            println!("== {} round {} of {}, {:.0} s", bench.name, round + 1, options.rounds, seconds(begun));
            take(root, (&home, &programs[bench.program]), bench, options, &mut fresh)?;
        }
    }
    println!("== measured in {:.0} s", seconds(begun));
    for id in fresh.measured.keys() {
        figures.skipped.remove(id);
    }
    figures.measured.append(&mut fresh.measured);
    figures.skipped.append(&mut fresh.skipped);
    Ok(())
}

fn seconds(begun: Instant) -> f64 {
    begun.elapsed().max(Duration::ZERO).as_secs_f64()
}

fn chosen<'a>(root: &Path, options: &Options) -> Result<Vec<&'a Bench>, String> {
    let there = |bench: &&Bench| {
        let program = root.join("benches/benches").join(bench.program);
        program.exists() || program.with_extension("rs").exists()
    };
    let wanted = |bench: &&Bench| match &options.only {
        Some(only) => bench.name == only,
        None => options.peers || bench.feature.is_none(),
    };
    let chosen: Vec<_> = BENCHES.iter().filter(there).filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(format!("no such bench, expected one of {}", names.join(", ")));
    }
    Ok(chosen)
}

/// Builds the program of a bench, and says where it is.
fn build(root: &Path, bench: &Bench) -> Result<String, String> {
    let features = bench.feature.into_iter().flat_map(|feature| ["--features", feature]);
    let build =
        ["bench", "--locked", "--no-run", "--message-format=json-render-diagnostics", "--package", "roa-benches"];
    let chosen = ["--bench", bench.program].into_iter().chain(features);
    let messages = Run::cargo(root, &build.into_iter().chain(chosen).collect::<Vec<_>>()).output()?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(message.get("executable")?.as_str()?.to_owned())
    });
    executables.next_back().ok_or_else(|| format!("cargo does not say where the bench {} is", bench.program))
}

/// One round of one bench.
fn take(
    root: &Path,
    (home, program): (&Path, &str),
    bench: &Bench,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), String> {
    let home = home.join(bench.name);
    match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("failed to clear {}: {error}", home.display()));
        }
        _ => {}
    }
    let filter = options.filter.as_deref();
    let run = Run::program(root, program, &[&["--bench", "--noplot"], filter.as_slice()].concat());
    let run = run.variable("CRITERION_HOME", &home.to_string_lossy());
    let run = run.variable("ROA_BENCH_PACE", if options.quick { "quick" } else { "full" });
    let run = run.variable("ROA_BENCH_ONLY", bench.name);
    let roa = root.join("target/release/roa");
    let run = run.variable("ROA_BENCH_PROGRAM", &roa.to_string_lossy());
    run.each_line(|line| {
        if let Some((id, reason)) = line.strip_prefix("skipped: ").and_then(|rest| rest.split_once(": ")) {
            figures.skipped.insert(id.to_owned(), reason.to_owned());
        }
        if line.contains("time:") || line.starts_with("skipped: ") {
            println!("{line}");
        }
    })?;
    collect(&home, figures)
}

/// What criterion says of a benchmark.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Benchmark {
    fn id(&self) -> String {
        let parts = [Some(&self.group_id), self.function_id.as_ref(), self.value_str.as_ref()];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
    }

    fn elements(&self) -> Option<u64> {
        self.throughput.as_ref()?.get("Elements")?.as_u64()
    }
}

/// Adds the round that stands below `folder`.
fn collect(folder: &Path, figures: &mut Figures) -> Result<(), String> {
    for new in folders_named_new(folder) {
        let benchmark: Benchmark = json(&new.join("benchmark.json"))?;
        let estimates: Estimates = json(&new.join("estimates.json"))?;
        let measured = figures.measured.entry(benchmark.id()).or_default();
        measured.elements = benchmark.elements();
        measured.nanos.push(estimates.median.point_estimate);
    }
    Ok(())
}

fn folders_named_new(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = entries.filter(|path| path.is_dir());
    folders.flat_map(|path| if path.ends_with("new") { vec![path] } else { folders_named_new(&path) }).collect()
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("failed to understand {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_counts_are_read_as_criterion_writes_them() {
        let text = r#"{"group_id":"sqlite/commit/16","function_id":"raw","value_str":null,
            "throughput":{"Elements":16},"full_id":"x","directory_name":"y","title":"z"}"#;
        let benchmark: Benchmark = serde_json::from_str(text).unwrap();
        assert_eq!((benchmark.id().as_str(), benchmark.elements()), ("sqlite/commit/16/raw", Some(16)));
        let text = r#"{"group_id":"g","function_id":"f","value_str":"10","throughput":{"Bytes":16}}"#;
        let benchmark: Benchmark = serde_json::from_str(text).unwrap();
        assert_eq!((benchmark.id().as_str(), benchmark.elements()), ("g/f/10", None));
    }
}
