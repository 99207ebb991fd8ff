//! The `kubernetes` client of Python and a `kopf` operator, as PyPI has them: programs in `python/`, run over a port.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::support::{Backend, End, Roa, target, until};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python");

/// A Python with the packages of `requirements.txt`, made once below `target`. `None`, with the reason on the standard
/// error, where they can't be had.
fn python() -> Option<&'static PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| install().inspect_err(|reason| eprintln!("skipped: {reason}")).ok());
    python.as_ref()
}

fn install() -> Result<PathBuf, String> {
    let place = target().join("python-clients");
    let python = place.join("bin/python");
    let done = place.join("done");
    let requirements = Path::new(SCRIPTS).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).unwrap();
    if std::fs::read_to_string(&done).is_ok_and(|has| has == wanted) {
        return Ok(python);
    }
    must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place), "python3 can make no environment")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    must(&mut pip, "PyPI can't be reached")?;
    std::fs::write(done, wanted).unwrap();
    Ok(python)
}

fn must(command: &mut Command, otherwise: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{otherwise}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{otherwise}: {said}")) }
}

fn script(python: &Path, arguments: &[&str], roa: &Roa) -> Command {
    let mut command = Command::new(python);
    command.args(arguments).current_dir(SCRIPTS).env("ROA", roa.url()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// One case of `client.py`.
#[track_caller]
fn case(name: &str, roa: &Roa) {
    let Some(python) = python() else { return };
    let output = script(python, &["client.py", name], roa).output().unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output), roa.log());
}

#[test]
fn python_discovers_with_a_slash_at_the_end() {
    case("discovery", &Roa::serve(Backend::Memory));
}

#[test]
fn python_writes_and_reads_custom_objects() {
    case("objects", &Roa::serve(Backend::Sqlite));
}

#[test]
fn python_patches_in_each_way() {
    case("patches", &Roa::serve(Backend::Sqlite));
}

#[test]
fn python_lists_in_pages_and_deletes_collections() {
    case("pages", &Roa::serve(Backend::Sqlite));
}

#[test]
fn python_resumes_watches() {
    case("watches", &Roa::serve(Backend::Sqlite));
}

#[test]
fn w6_python_is_told_that_the_history_is_gone() {
    let short = [
        ("ROA_STORE__MEMORY__LOG_MAX_BATCHES", "16"),
        ("ROA_STORE__MEMORY__LOG_MIN_AGE", "0s"),
        ("ROA_WATCH__RING_MAX_BATCHES", "16"),
    ];
    case("gone", &Roa::start("serve", Backend::Memory, &short));
}

#[test]
fn python_has_namespaces_and_events() {
    case("namespaces", &Roa::run(Backend::Sqlite));
}

#[test]
fn python_takes_leases_with_an_optimistic_lock() {
    case("leases", &Roa::serve(Backend::redis()));
}

/// Twenty objects, a server that ends in the middle, and finalizers that let go at the end.
#[test]
fn kopf_runs_an_operator_that_survives_a_restart() {
    let Some(python) = python() else { return };
    let mut roa = Roa::run(Backend::Sqlite);
    case("declare", &roa);
    let log = roa.dir.path().join("kopf.log");
    let operator = ["-m", "kopf", "run", "--standalone", "--all-namespaces", "robots.py"];
    let mut kopf = script(python, &operator, &roa);
    let output = std::fs::File::create(&log).unwrap();
    kopf.stdout(output.try_clone().unwrap()).stderr(output);
    let kopf = Ended(kopf.spawn().unwrap());
    let said = |what: &str| until(what, || std::fs::read_to_string(&log).ok()?.contains(what).then_some(()));
    said("operator started");
    case("first", &roa);
    roa.restart(End::Killed);
    case("second", &roa);
    case("delete", &roa);
    drop(kopf);
}

/// Ended with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
