//! Runs the benches, round by round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::criterion;
use super::figures::Figures;
use super::machine::Machine;
use super::options::Options;
use crate::command::Run;

/// One part of the benches of `roa-benches`.
struct Bench {
    name: &'static str,
    /// Whether it is of others too: it needs the feature `peers`.
    peers: bool,
    /// Whether it starts `roa`.
    starts: bool,
    /// Whether what is measured is compared within a round. What is not is measured once.
    compared: bool,
}

const PLAIN: Bench = Bench { name: "", peers: false, starts: false, compared: true };

const BENCHES: &[Bench] = &[
    Bench { name: "watch", ..PLAIN },
    Bench { name: "writers", ..PLAIN },
    Bench { name: "store", ..PLAIN },
    Bench { name: "sqlite", ..PLAIN },
    Bench { name: "redis", ..PLAIN },
    Bench { name: "deliver", ..PLAIN },
    Bench { name: "engine", ..PLAIN },
    Bench { name: "startup", starts: true, ..PLAIN },
    Bench { name: "peers", peers: true, ..PLAIN },
    Bench { name: "idle", starts: true, compared: false, ..PLAIN },
    Bench { name: "memory", compared: false, ..PLAIN },
    Bench { name: "growth", compared: false, ..PLAIN },
];

/// How many seconds one round of one bench may take: one that hangs does not keep the others from being measured.
const LIMIT: &str = "900";

/// Runs what was asked for, puts it in the place of what was measured before, and keeps it with `keep` after each bench:
/// a run that is cut off is not lost. Gives the benches that failed; the others are measured nevertheless.
///
/// # Errors
/// What failed to build, or to be kept.
pub(super) fn run(
    root: &Path,
    options: &Options,
    figures: &mut Figures,
    keep: impl Fn(&Figures) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    let benches = chosen(options)?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => build(root, &benches)?,
    };
    let (begun, before) = (Instant::now(), figures.clone());
    let mut fresh = Figures { machine: Machine::look(root), ..Figures::default() };
    let mut failed: BTreeMap<&str, String> = BTreeMap::new();
    for round in 0..options.rounds {
        for bench in benches.iter().filter(|bench| bench.compared || round == 0) {
            let name = bench.name;
            println!("== {name} round {} of {}, {:.0} s", round + 1, options.rounds, begun.elapsed().as_secs_f64());
            if let Err(reason) = take(root, &program, name, round, options, &mut fresh) {
                println!("== {name} FAILED: {reason}");
                failed.insert(name, reason);
            }
            let mut all = before.clone();
            all.failed.retain(|bench, _| benches.iter().all(|chosen| chosen.name != bench));
            fresh.failed = failed.iter().map(|(name, reason)| ((*name).to_owned(), reason.clone())).collect();
            all.renew(fresh.clone());
            keep(&all)?;
            *figures = all;
        }
    }
    println!("== measured in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(failed.into_iter().map(|(name, reason)| format!("{name}: {reason}")).collect())
}

fn chosen(options: &Options) -> Result<Vec<&'static Bench>, String> {
    let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
    if let Some(unknown) = options.only.iter().find(|only| !names.contains(&only.as_str())) {
        return Err(format!("no bench {unknown}, expected one of {}", names.join(", ")));
    }
    let wanted = |bench: &&Bench| match options.only.as_slice() {
        [] => options.peers || !bench.peers,
        only => only.iter().any(|only| only == bench.name),
    };
    Ok(BENCHES.iter().filter(wanted).collect())
}

/// Builds what the benches need, and says where their program is.
fn build(root: &Path, benches: &[&Bench]) -> Result<String, String> {
    if benches.iter().any(|bench| bench.starts) {
        // As people build it: how large it is, and how fast it starts, is that of the program they have.
        Run::cargo(root, &["build", "--locked", "--release", "--package", "roa-bin"]).run()?;
    }
    let features: &[&str] =
        if benches.iter().any(|bench| bench.peers) { &["--features", "roa-benches/peers"] } else { &[] };
    let build =
        ["bench", "--locked", "--no-run", "--message-format=json-render-diagnostics", "--package", "roa-benches"];
    let messages = Run::cargo(root, &[&build[..], &["--bench", "roa"], features].concat()).output()?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(message.get("executable")?.as_str()?.to_owned())
    });
    executables.next_back().ok_or_else(|| "cargo does not say where the benches are".to_owned())
}

/// One round of one bench. A failure leaves nothing of it.
fn take(
    root: &Path,
    program: &str,
    name: &str,
    round: usize,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), String> {
    let home = root.join("target/bench").join(name);
    clear(&home)?;
    let arguments = ["--kill-after=10", LIMIT, program, "--bench", "--noplot"];
    let run = Run::program(root, "timeout", &[&arguments[..], options.filter.as_deref().as_slice()].concat());
    let run = run.variable("CRITERION_HOME", &home.to_string_lossy());
    let run = run.variable("ROA_BENCH_PACE", if options.quick { "quick" } else { "full" });
    let run = run.variable("ROA_BENCH_ONLY", name);
    let run = run.variable("ROA_BENCH_PROGRAM", &roa(root).to_string_lossy());
    let mut found = Vec::new();
    run.each_line(|line| {
        match Line::read(line) {
            Line::Other if !line.contains("time:") => return,
            Line::Other => {}
            told => found.push(told),
        }
        println!("{line}");
    })?;
    for line in found {
        match line {
            Line::Measured(id, value) => figures.add(id, None, round, value),
            Line::Skipped(id, reason) => _ = figures.skipped.insert(id, reason),
            Line::Other => {}
        }
    }
    criterion::collect(&home, round, figures)
}

/// Where `roa` is, if it is built.
fn roa(root: &Path) -> PathBuf {
    root.join("target/release/roa")
}

fn clear(folder: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("failed to clear {}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// What a line of a bench tells.
#[derive(Debug, PartialEq)]
enum Line {
    /// A figure that is no time of criterion's.
    Measured(String, f64),
    /// Why there is none.
    Skipped(String, String),
    Other,
}

impl Line {
    fn read(line: &str) -> Self {
        let measured = || {
            let (id, value) = line.strip_prefix("measured: ")?.rsplit_once(' ')?;
            Some(Self::Measured(id.to_owned(), value.parse().ok()?))
        };
        let skipped = || {
            let (id, reason) = line.strip_prefix("skipped: ")?.split_once(": ")?;
            Some(Self::Skipped(id.to_owned(), reason.to_owned()))
        };
        measured().or_else(skipped).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_excuses_are_read_from_lines() {
        assert_eq!(Line::read("measured: memory/bytes 1023.5"), Line::Measured("memory/bytes".into(), 1023.5));
        assert_eq!(
            Line::read("skipped: peers/put/etcd/1: etcd is not installed"),
            Line::Skipped("peers/put/etcd/1".into(), "etcd is not installed".into())
        );
        assert_eq!(Line::read("measured: nothing"), Line::Other);
    }

    #[test]
    fn peers_are_measured_where_they_are_asked_for() {
        let names = |arguments: &[&str]| {
            let benches = chosen(&Options::parse(arguments)?)?;
            Ok::<Vec<_>, String>(benches.iter().map(|bench| bench.name).collect())
        };
        assert!(names(&[]).unwrap().contains(&"peers"));
        assert!(!names(&["--quick"]).unwrap().contains(&"peers"));
        assert_eq!(names(&["--quick", "--only", "peers,idle"]).unwrap(), ["peers", "idle"]);
        assert!(names(&["--only", "pears"]).unwrap_err().contains("no bench pears"));
    }
}
