//! `roa run`: manifests in, labs up, SIGTERM drains.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// No condition is awaited longer.
const BOUND: Duration = Duration::from_secs(30);

/// The format that users have.
const LAB: &str = include_str!("../../../roa-lab/manifests/python-basics-lab.json");

/// A running `roa run`, ended and cleaned up after whatever happens.
struct Roa {
    child: Child,
    dir: TempDir,
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roa"));
    command.current_dir(dir).env_remove("ROA_CONFIG").env("NO_COLOR", "1");
    command
}

impl Roa {
    fn start(manifests: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("manifests");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in manifests {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = command(dir.path())
            .args(["run", "--data-dir", "data", "--log-format", "json", "-f", "manifests"])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.dir.path().join("data/admin.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: roa\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The record of the only lab's process.
    fn state(&self) -> Option<serde_json::Value> {
        let labs = std::fs::read_dir(self.dir.path().join("data/labs")).ok()?;
        let lab = labs.filter_map(Result::ok).next()?;
        serde_json::from_slice(&std::fs::read(lab.path().join("state.json")).ok()?).ok()
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn terminate(&mut self) -> std::process::ExitStatus {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < BOUND, "it did not end\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

impl Drop for Roa {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(state) = self.state() {
            for pointer in ["/shim/pid", "/child/process/pid"] {
                if let Some(pid) = state.pointer(pointer).and_then(serde_json::Value::as_i64) {
                    let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
                }
            }
        }
    }
}

/// The first lab's endpoint, from the record of its process.
fn port(state: &serde_json::Value) -> Option<u16> {
    let port = state.pointer("/child/port").or_else(|| state.pointer("/port"))?;
    u16::try_from(port.as_u64()?).ok()
}

fn visit(port: u16) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.contains("200").then_some(answer)
}

fn ready_labs(roa: &Roa) -> Option<()> {
    roa.ask("/metrics")?.contains("roa_lab_labs{state=\"ready\"} 1").then_some(())
}

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

#[test]
fn the_sample_manifests_are_taken_as_they_are() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../roa-lab/manifests");
    let files: Vec<(String, String)> = std::fs::read_dir(samples)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("python-basics-lab.json"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    let manifests: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut roa = Roa::start(&manifests);
    roa.until("the lab is ready", || ready_labs(&roa));
    assert!(roa.log().contains("manifests applied"), "{}", roa.log());
    assert!(roa.terminate().success());
}
