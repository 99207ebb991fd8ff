//! `roa logs`: what a lab's process wrote, or why there is nothing to show.

use std::process::{Output, Stdio};

use crate::control_plane::{Roa, command};

pub const TALKER: &str = r#"
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: talker, namespace: labs }
spec:
  provisioner: process
  process:
    command: ["sh", "-c", "echo hello from {name}; trap 'echo bye; exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done"]
    files: { index.html: hi }
    readiness: { tcp: false }
---
apiVersion: lab.neuroglia.com/v1
kind: LabInstance
metadata: { name: talker, namespace: labs }
spec: { template: talker, studentEmail: a@example.com, duration: 1m }
---
apiVersion: lab.neuroglia.com/v1
kind: LabInstance
metadata: { name: unreal, namespace: labs }
spec: { template: simulated, studentEmail: a@example.com }
---
apiVersion: lab.neuroglia.com/v1
kind: LabInstance
metadata: { name: later, namespace: labs }
spec: { template: simulated, studentEmail: a@example.com, scheduledStart: "2999-01-01T00:00:00Z" }
"#;

fn logs(roa: &Roa, arguments: &[&str]) -> Output {
    let mut logs = command(roa.dir.path());
    logs.args(["logs", "--data-dir", "data", "-n", "labs"]).args(arguments);
    logs.stdin(Stdio::null()).output().unwrap()
}

fn shown(roa: &Roa, arguments: &[&str]) -> Option<String> {
    let output = logs(roa, arguments);
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap()).filter(|text| !text.is_empty())
}

#[track_caller]
fn refused(roa: &Roa, arguments: &[&str], expected: &str) {
    let output = logs(roa, arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{told}");
    assert!(told.contains(expected), "{expected:?} is not in {told}");
}

#[test]
fn a_lab_s_output_is_shown_and_followed_until_the_lab_is_gone() {
    let roa = Roa::start(&[("talker.yaml", TALKER)]);
    let text = roa.until("it talks", || shown(&roa, &["talker"]).filter(|text| text.contains("line 3")));
    assert!(text.starts_with("hello from talker\nline 1\nline 2\n"), "{text}");
    let tail = shown(&roa, &["talker", "--tail", "2"]).unwrap();
    assert!(tail.lines().count() == 2 && tail.starts_with("line "), "{tail}");
    refused(&roa, &["talker", "--previous"], "it was brought up once only; hint: without --previous");

    let mut follow = command(roa.dir.path());
    follow.args(["logs", "--data-dir", "data", "-n", "labs", "-f", "talker", "--tail", "0"]);
    let follower = follow.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let uid = roa.store().labs()["talker"].metadata.uid.clone();
    roa.store().delete("labs", "talker");
    let output = follower.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.ends_with("bye\n"), "{text}");
    assert!(!roa.dir.path().join("data/labs").join(uid).exists());
    refused(&roa, &["talker"], "there is no lab talker in namespace labs");
}

#[test]
fn why_there_is_nothing_to_show_is_said() {
    let roa = Roa::start(&[("talker.yaml", TALKER)]);
    roa.until("it talks", || shown(&roa, &["talker"]));
    refused(&roa, &["nobody"], "there is no lab nobody in namespace labs");
    roa.until("the simulated one has its place", || {
        let told = String::from_utf8(logs(&roa, &["unreal"]).stderr).unwrap();
        told.contains("it is a \"simulated\" lab, and only \"process\" labs write any").then_some(())
    });
    refused(&roa, &["later"], "it is pending and does not run; it is brought up from 2998-12-31T23:55:00Z on");
    // Another data directory is another node.
    let mut elsewhere = command(roa.dir.path());
    elsewhere.args(["logs", "--data-dir", "elsewhere", "-n", "labs", "talker"]);
    let output = elsewhere.env("ROA_STORE__SQLITE__PATH", "data/roa.db").stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("it is on node ") && told.contains("hint: run this there"), "{told}");
    let mut volatile = command(roa.dir.path());
    volatile.args(["logs", "--data-dir", "elsewhere", "--store-backend", "memory", "talker"]);
    let told = String::from_utf8(volatile.output().unwrap().stderr).unwrap();
    assert!(told.contains("which only the process that has it can read"), "{told}");
}
