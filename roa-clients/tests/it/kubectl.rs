//! `kubectl` against each store, for the commands that everybody uses.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::{Backend, Roa};

const LAB: &str = "\
apiVersion: lab.neuroglia.com/v1
kind: LabInstance
metadata: {name: a, namespace: school}
spec: {template: rehearsal, studentEmail: student@example.com, duration: 30m}
";

fn kubectl(roa: &Roa, arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.current_dir(roa.dir.path()).env("HOME", roa.dir.path()).env("KUBECONFIG", "none");
    command.args(["--server", &roa.url(), "--cache-dir", "cache", "--namespace", "school"]).args(arguments);
    command.stdin(Stdio::null());
    command
}

#[track_caller]
fn good(roa: &Roa, arguments: &[&str]) -> String {
    let output = kubectl(roa, arguments).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}\n{}", text(&output.stderr), roa.log());
    text(&output.stdout)
}

fn everyday(backend: Backend) {
    if Command::new("kubectl").arg("--help").output().is_err() {
        eprintln!("skipped: there is no kubectl");
        return;
    }
    let roa = Roa::run(backend);
    std::fs::write(roa.dir.path().join("lab.yaml"), LAB).unwrap();
    assert_eq!(good(&roa, &["apply", "-f", "lab.yaml"]), "labinstance.lab.neuroglia.com/a created\n");
    assert_eq!(good(&roa, &["apply", "-f", "lab.yaml"]), "labinstance.lab.neuroglia.com/a unchanged\n");
    let table = good(&roa, &["get", "labs"]);
    assert!(table.starts_with("NAME") && table.contains("\na "), "{table}");
    // What was applied by the client moves to the server whole.
    let moving = ["apply", "--server-side", "--force-conflicts", "--field-manager", "other", "-f", "lab.yaml"];
    let moved = kubectl(&roa, &moving).output().unwrap();
    let told = String::from_utf8_lossy(&moved.stderr).into_owned();
    assert!(moved.status.success() && !told.contains("Warning"), "{told}");
    let all = good(&roa, &["get", "all"]);
    assert!(all.contains("labinstance.lab.neuroglia.com/a "), "{all}");
    let namespaces = good(&roa, &["get", "namespaces", "-o", "name"]);
    assert_eq!(namespaces, "namespace/default\nnamespace/school\n");
    let raw = "/apis/lab.neuroglia.com/v1/namespaces/school/labinstances/a/why";
    assert!(good(&roa, &["get", "--raw", raw]).contains("\"waitsFor\":"));
    let mut watch = kubectl(&roa, &["get", "labs", "--watch", "-o", "name"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "labinstance.lab.neuroglia.com/a");
    std::fs::write(roa.dir.path().join("lab.yaml"), LAB.replace("name: a", "name: b")).unwrap();
    good(&roa, &["apply", "--server-side", "-f", "lab.yaml"]);
    // The controllers may change the first one meanwhile.
    let second = lines.map(Result::unwrap).find(|line| line.ends_with("/b"));
    assert!(second.is_some());
    watch.kill().unwrap();
    watch.wait().unwrap();
    good(&roa, &["delete", "labs", "--all", "--timeout=60s"]);
    assert_eq!(good(&roa, &["get", "labs", "-o", "name"]), "");
}

#[test]
fn kubectl_works_over_memory() {
    everyday(Backend::Memory);
}

#[test]
fn kubectl_works_over_sqlite() {
    everyday(Backend::Sqlite);
}

#[test]
fn kubectl_works_over_redis() {
    everyday(Backend::redis());
}
