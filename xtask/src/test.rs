//! `cargo xtask test`: one step after the other, and an end at the first that fails.

use std::path::Path;
use std::time::Instant;

use crate::bench;
use crate::chaos;
use crate::command::Run;
use crate::tally::Tally;
use crate::tidy;

/// One step: its name, and what it does in the workspace.
type Step = (&'static str, fn(&Path) -> Result<(), String>);

/// What needs no build comes first: it fails soonest.
const STEPS: &[Step] = &[
    ("format", |root| Run::cargo(root, &["fmt", "--all", "--check"]).run()),
    ("tidy", tidy::run),
    ("layers", layers),
    ("clippy", |root| {
        Run::cargo(root, &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()
    }),
    ("documentation", |root| {
        let doc = Run::cargo(root, &["doc", "--workspace", "--no-deps", "--locked"]);
        doc.variable("RUSTDOCFLAGS", "-D warnings").run()
    }),
    ("programs", programs),
    ("examples", examples),
];

/// Runs every step, then the tests and a short chaos; the sum of the tests is the last line.
///
/// # Errors
/// The first step that failed, and why.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    for (name, step) in STEPS {
        timed(name, || step(root))?;
    }
    let mut tally = Tally::default();
    let result = timed("tests", || tests(root, &mut tally));
    let result = result.and_then(|()| timed("regressions", || bench::regressions(root)));
    let result = result.and_then(|()| timed("chaos", || chaos::short(root)));
    println!("{tally}");
    result
}

fn timed(name: &str, step: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    println!("== {name}");
    let begin = Instant::now();
    let result = step();
    println!("== {name}: {} in {:.1}s", if result.is_ok() { "ok" } else { "FAILED" }, begin.elapsed().as_secs_f64());
    result.map_err(|reason| format!("step {name} failed: {reason}"))
}

/// `roa-core` has no tasks and no timers: whoever writes a controller picks neither a runtime nor a store.
fn layers(root: &Path) -> Result<(), String> {
    let tree =
        Run::cargo(root, &["tree", "--package", "roa-core", "--edges", "normal", "--prefix", "none", "--locked"]);
    match runtimes(&tree.output()?).as_slice() {
        [] => Ok(()),
        found => Err(format!("roa-core depends on {}", found.join(", "))),
    }
}

/// The crates in `tree`, one a line, that belong to an asynchronous runtime.
fn runtimes(tree: &str) -> Vec<&str> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name == "tokio" || name.starts_with("tokio-") || name.starts_with("roa-runtime")).collect()
}

/// Programs that tests run, and Debian's packages that have them: a built-in lab template runs `python3`, the tests of
/// the Redis store start servers of their own, make a cluster with `redis-cli` and certificates with `openssl`. Those of
/// clients install Python packages from PyPI in an environment of their own below `target`.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("python3", "--version", "python3"),
    ("python3", "-cimport ensurepip, venv", "python3-venv"),
    ("redis-server", "--version", "redis-server"),
    ("redis-cli", "--version", "redis-tools"),
    ("openssl", "version", "openssl"),
    ("kubectl", "--help", "kubernetes-client"),
];

/// Installs the programs that are missing.
fn programs(root: &Path) -> Result<(), String> {
    let missing =
        PROGRAMS.iter().filter(|(program, version, _)| Run::program(root, program, &[version]).run().is_err());
    let packages: Vec<_> = missing.map(|(_, _, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    println!("tests need {}: installing with apt-get", packages.join(", "));
    Run::program(root, "apt-get", &["update"]).run()?;
    let install = [&["install", "--yes", "--no-install-recommends"], &*packages].concat();
    Run::program(root, "apt-get", &install).run()
}

/// The examples that end by themselves do what they show.
fn examples(root: &Path) -> Result<(), String> {
    for (package, example) in [
        ("roa-core", "greeting"),
        ("roa-runtime", "greeter"),
        ("roa-runtime", "workflow"),
        ("roa-runtime", "directory"),
        ("roa-runtime", "replicas"),
    ] {
        Run::cargo(root, &["run", "--locked", "--package", package, "--example", example]).run()?;
    }
    Ok(())
}

/// How many tests of a program run at once: most of them wait for a process, a time or a disk, and two cores serve more.
const THREADS: &str = "4";

/// Unit, integration and documentation tests of every crate. A run without any test is a failure.
fn tests(root: &Path, tally: &mut Tally) -> Result<(), String> {
    let run = Run::cargo(root, &["test", "--workspace", "--locked", "--no-fail-fast"]);
    run.variable("RUST_TEST_THREADS", THREADS).each_line(|line| {
        println!("{line}");
        tally.read(line);
    })?;
    if *tally == Tally::default() { Err("no test ran".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_found_wherever_they_stand_in_a_tree() {
        let tree = "roa-core v0.1.0\nbytes v1.12.2\ntokio-util v0.7.20\ntokio v1.54.1 (*)\ntokioish v1.0.0\n\n";
        assert_eq!(runtimes(tree), ["tokio-util", "tokio"]);
        assert!(runtimes("roa-core v0.1.0\nbytes v1.12.2\n").is_empty());
    }
}
