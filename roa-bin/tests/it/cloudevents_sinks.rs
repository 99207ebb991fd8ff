//! `[cloudevents]` to the standard output and to an address.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::control_plane::command;

/// No event is awaited longer.
const BOUND: Duration = Duration::from_secs(30);

const TEMPLATE: &str = r#"
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: short, namespace: labs }
spec: { provisioner: simulated }
"#;

/// A running `roa run` with a template and no lab: so there is nothing outside that must be ended.
struct Running(Child);

impl Running {
    fn start(dir: &Path, variables: &[(&str, &str)]) -> Self {
        std::fs::write(dir.join("template.yaml"), TEMPLATE).unwrap();
        let file = |name| File::create(dir.join(name)).unwrap();
        let mut run = command(dir);
        run.args(["run", "--data-dir", "data", "-f", "template.yaml"]).envs(variables.iter().copied());
        let run = run.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        Self(run.spawn().unwrap())
    }

    fn end(mut self) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGTERM).unwrap();
        let begun = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < BOUND, "it did not end");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn of_template(event: &Value) -> bool {
    event.pointer("/data/kind").is_some_and(|kind| kind == "LabTemplate")
}

#[test]
fn each_change_is_a_line_of_the_standard_output_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &[("ROA_CLOUDEVENTS__SINK", "stdout")]);
    let begun = Instant::now();
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(dir.path().join("out")).unwrap();
        // The last may be written just now.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    };
    while !lines().iter().any(of_template) {
        let told = std::fs::read_to_string(dir.path().join("err")).unwrap();
        assert!(begun.elapsed() < BOUND, "no event of the template: {:?}\n{told}", lines());
        std::thread::park_timeout(Duration::from_millis(10));
    }
    running.end();
    let event = lines().into_iter().find(of_template).unwrap();
    assert_eq!((&event["specversion"], &event["source"]), (&"1.0".into(), &"/roa".into()), "{event}");
    assert_eq!(event.pointer("/data/metadata/name"), Some(&"short".into()), "{event}");
}

/// A request: its head in lower case, and its body.
type Request = (String, Value);

/// Answers each request on a connection; the first of all with 503.
fn receive(stream: &TcpStream, first: &mut bool, told: &Sender<Request>) -> Option<()> {
    stream.set_read_timeout(Some(BOUND)).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (reader.read_line(&mut head).ok()? > 0).then_some(())?;
        }
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        told.send((head, serde_json::from_slice(&body).ok()?)).ok()?;
        let status = if std::mem::take(first) { "503 Service Unavailable" } else { "202 Accepted" };
        let mut answer = stream;
        write!(answer, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

/// A receiver at an address; its thread ends with the test's process.
fn receiver() -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let (told, requests) = channel();
    std::thread::spawn(move || {
        let mut first = true;
        for stream in listener.incoming().map_while(Result::ok) {
            receive(&stream, &mut first, &told);
        }
    });
    (url, requests)
}

#[test]
fn each_change_is_posted_in_structured_mode_and_again_if_it_was_not_taken() {
    let (dir, (url, requests)) = (tempfile::tempdir().unwrap(), receiver());
    let variables = [("ROA_CLOUDEVENTS__SINK", "http"), ("ROA_CLOUDEVENTS__URL", url.as_str())];
    let running = Running::start(dir.path(), &variables);
    let mut posted: Vec<Request> = Vec::new();
    let again = |posted: &[Request]| posted.iter().filter(|(_, event)| event["id"] == posted[0].1["id"]).count() > 1;
    while !(posted.iter().any(|(_, event)| of_template(event)) && again(&posted)) {
        let told = || std::fs::read_to_string(dir.path().join("err")).unwrap();
        posted.push(requests.recv_timeout(BOUND).unwrap_or_else(|_| panic!("{posted:?}\n{}", told())));
    }
    running.end();
    for (head, event) in &posted {
        assert!(head.starts_with("post /events http/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/cloudevents+json"), "{head}");
        assert_eq!(event["specversion"], "1.0");
    }
    // The first was answered with 503. Each kind of object is told of for itself.
    let ids: BTreeSet<&str> = posted[1..].iter().map(|(_, event)| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), posted.len() - 1, "what was taken is not told again");
    let kind = |event: &Value| event.pointer("/data/kind").cloned();
    let same = posted[1..].iter().find(|(_, event)| kind(event) == kind(&posted[0].1)).unwrap();
    assert_eq!(same.1["id"], posted[0].1["id"], "before it is taken, nothing else of its kind is told");
}
