//! `roa run`: manifests in, labs up, SIGTERM drains.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::control_plane::{Roa, command, port, ready_labs, visit};

/// The format that users have.
pub const LAB: &str = include_str!("../../../roa-lab/manifests/python-basics-lab.json");

#[test]
fn the_manifest_that_users_have_ends_ready_with_an_endpoint_that_answers() {
    let mut roa = Roa::start(&[("lab.json", LAB)]);
    roa.until("readyz", || roa.ask("/readyz")?.starts_with("HTTP/1.1 200").then_some(()));
    let answer = roa.until("the lab answers", || visit(port(&roa.state()?)?));
    assert!(answer.contains("Your lab is ready"), "{answer}");
    roa.until("the lab is ready", || ready_labs(&roa));
    assert!(roa.ask("/metrics").unwrap().contains("roa_runtime_reconciles_total"), "{}", roa.ask("/metrics").unwrap());
    assert!(roa.terminate().success());
    let port = port(&roa.state().unwrap()).unwrap();
    assert!(visit(port).is_some(), "a ready lab lives on when roa ends");
}

#[test]
fn sigterm_during_provisioning_leaves_no_orphan_and_nothing_half_written() {
    let slow = r#"
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: slow, namespace: labs }
spec:
  provisioner: process
  process:
    command: ["{roa}", "static-site", "--port", "{port}", "--dir", "/nowhere-at-all"]
    readiness: { httpGet: / }
---
apiVersion: lab.neuroglia.com/v1
kind: LabInstance
metadata: { name: slow, namespace: labs }
spec: { template: slow, studentEmail: a@example.com }
"#;
    for _ in 0..3 {
        let mut roa = Roa::start(&[("lab.yaml", slow)]);
        roa.until("provisioning begins", || {
            std::fs::read_dir(roa.dir.path().join("data/labs")).ok()?.next().map(|_| ())
        });
        assert!(roa.terminate().success(), "{}", roa.log());
        for lab in std::fs::read_dir(roa.dir.path().join("data/labs")).unwrap().filter_map(Result::ok) {
            let record = lab.path().join("lab.json");
            let text = std::fs::read_to_string(&record).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        for directory in directories_of_shims(roa.dir.path()) {
            assert!(
                directory.join("lab.json").exists(),
                "a process runs for {}, which has no record",
                directory.display()
            );
        }
    }
}

/// The labs' directories below `root` that processes say to run for.
fn directories_of_shims(root: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let arguments = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let below_root = |line: Vec<u8>| {
        let parts: Vec<String> =
            line.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        let shim = parts.iter().any(|part| part == "lab-shim");
        parts.into_iter().map(PathBuf::from).find(|part| shim && part.starts_with(root))
    };
    arguments.filter_map(below_root).collect()
}

fn refused(name: &str, text: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), text).unwrap();
    command(dir.path()).args(["run", "--data-dir", "data", "-f", name]).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn bad_manifests_are_refused_with_every_reason_and_nothing_is_written() {
    let long = "x".repeat(300);
    let large = "y".repeat(300 << 10);
    let lab = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json: serde_json::Value = serde_json::from_str(LAB).unwrap();
        change(&mut json);
        json.to_string()
    };
    let cases: [(String, &[&str]); 9] = [
        (lab(&|json| json["spec"]["colour"] = "red".into()), &["spec.colour: unknown field"]),
        (lab(&|json| json["kind"] = "LabInstanz".into()), &["LabInstanz", "expected one of", "LabInstance"]),
        (lab(&|json| json["spec"]["studentEmail"] = 7.into()), &["spec.studentEmail", "expected a string"]),
        (
            lab(&|json| json["spec"]["duration"] = "soon".into()),
            &["spec.duration", "soon", "expected a number and a unit"],
        ),
        (lab(&|json| json["spec"]["studentEmail"] = "nobody".into()), &["spec.studentEmail: \"nobody\" is no address"]),
        (
            lab(&|json| json["metadata"]["name"] = long.clone().into()),
            &["metadata.name", "300 characters, expected at most 253"],
        ),
        (
            lab(&|json| json["metadata"]["annotations"] = serde_json::json!({"a": large.clone()})),
            &["metadata.annotations", "expected at most 262144 bytes"],
        ),
        (
            lab(&|json| {
                json["spec"]["duration"] = "10h".into();
                json["spec"]["studentEmail"] = "x".into();
            }),
            &["spec.duration: is 10h", "spec.studentEmail"],
        ),
        ("{ \"apiVersion\": \"v1\", ".to_owned(), &["lab.json", "line 1"]),
    ];
    for (text, expected) in &cases {
        let output = refused("lab.json", text);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        for part in *expected {
            assert!(told.contains(part), "{part:?} is missing in: {told}");
        }
        assert!(told.contains("none of the manifests was applied"), "{told}");
    }
}

#[test]
fn one_bad_manifest_of_two_keeps_the_good_one_out() {
    let bad = LAB.replace("student@example.com", "nobody").replace("python-basics-lab", "other");
    let output = refused("labs.yaml", &format!("{LAB}\n---\n{bad}\n"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("labs.yaml") && told.contains("none of the manifests was applied"), "{told}");
}
