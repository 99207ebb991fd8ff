//! `roa get` and its like: over a running server, over a restart of it, and over the store itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::control_plane::{Roa, command};
use crate::onlooker::Onlooker;
use crate::run::{Place, Ran};

/// No line is awaited longer.
const BOUND: Duration = Duration::from_secs(30);

pub const TEMPLATES: &str = r#"
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: short, namespace: default, labels: { team: a } }
spec: { provisioner: simulated, description: "課題 one", simulated: { provisionTime: 10ms } }
---
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: a-longer-name, namespace: default }
spec: { provisioner: simulated, maxDuration: 2h }
"#;

const LAB: &str = r#"
apiVersion: lab.neuroglia.com/v1
kind: LabInstance
metadata: { name: mine, namespace: default }
spec:
  template: short
  studentEmail: a@example.com
  duration: 60m
  environment: { API_TOKEN: canary-token, COURSE: rust }
"#;

/// A place with a store that nobody serves.
fn with_store() -> Place {
    let place =
        Place::empty().variable("ROA_SERVER__LISTEN", "").file("templates.yaml", TEMPLATES).file("lab.yaml", LAB);
    std::fs::create_dir(place.path().join("roa-data")).unwrap();
    drop(Onlooker::open(place.path().join("roa-data/roa.db").to_str().unwrap()));
    place
}

#[track_caller]
pub fn good(ran: &Ran) -> &str {
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{ran:?}");
    &ran.stdout
}

#[track_caller]
pub fn bad(ran: &Ran, status: i32, parts: &[&str]) {
    assert_eq!(ran.status, Some(status), "{ran:?}");
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} is missing: {ran:?}");
    }
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
}

/// A table with its last column, which is an age, masked.
fn masked(table: &str) -> Vec<String> {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((rest, "AGE")) => format!("{rest} AGE"),
        Some((rest, _)) => format!("{rest} #"),
        None => line.to_owned(),
    };
    table.lines().map(line).collect()
}

#[test]
fn without_a_server_the_store_itself_is_shown_and_changed() {
    let place = with_store();
    let applied = good(&place.roa(&["apply", "-f", "templates.yaml"])).to_owned();
    assert_eq!(
        applied,
        "labtemplate.lab.neuroglia.com/short created\nlabtemplate.lab.neuroglia.com/a-longer-name created\n"
    );
    let again = place.roa(&["apply", "-f", "templates.yaml"]);
    assert_eq!(good(&again), applied.replace("created", "unchanged"));
    let table = place.roa(&["get", "labtemplates"]);
    let expected = [
        "NAME            PROVISIONER   MAX-DURATION   DESCRIPTION   AGE",
        "a-longer-name   simulated     2h             -             #",
        "short           simulated     -              課題 one      #",
    ];
    assert_eq!(masked(good(&table)), expected);
    let everywhere = place.roa(&["get", "labtemplates", "-A", "-l", "team=a", "--no-headers"]);
    assert_eq!(masked(good(&everywhere)), ["default   short   simulated   -   課題 one   #"]);
    let names = place.roa(&["get", "labtemplates", "-o", "name"]);
    assert_eq!(good(&names), "labtemplate.lab.neuroglia.com/a-longer-name\nlabtemplate.lab.neuroglia.com/short\n");
    let json: serde_json::Value =
        serde_json::from_str(good(&place.roa(&["get", "labtemplate/short", "-o", "json"]))).unwrap();
    assert_eq!((&json["kind"], &json["spec"]["description"]), (&"LabTemplate".into(), &"課題 one".into()));
    let yaml = place.roa(&["get", "labtemplates", "short", "-o", "yaml"]);
    assert!(good(&yaml).contains("kind: LabTemplate\n"), "{yaml:?}");
    let list: serde_json::Value =
        serde_json::from_str(good(&place.roa(&["get", "labtemplates", "-o", "json"]))).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&"List".into(), 2));
    let changed = TEMPLATES.replace("maxDuration: 2h", "maxDuration: 3h");
    std::fs::write(place.path().join("templates.yaml"), changed).unwrap();
    let configured = place.roa(&["apply", "-f", "templates.yaml", "--dry-run"]);
    let expected = "labtemplate.lab.neuroglia.com/short unchanged (dry run)\n\
                    labtemplate.lab.neuroglia.com/a-longer-name configured (dry run)\n";
    assert_eq!(good(&configured), expected);
    let deleted = place.roa(&["delete", "labtemplates", "short", "a-longer-name"]);
    assert_eq!(
        good(&deleted),
        "labtemplate.lab.neuroglia.com/short deleted\nlabtemplate.lab.neuroglia.com/a-longer-name deleted\n"
    );
    let nothing = place.roa(&["get", "labtemplates"]);
    assert_eq!((good(&nothing), nothing.stderr.as_str()), ("", "no labtemplates in namespace default\n"));
}

#[test]
fn what_is_wrong_is_told_in_one_line_with_a_way_out() {
    let place = with_store();
    good(&place.roa(&["apply", "-f", "templates.yaml"]));
    let near = "error: labtemplate/shrt in namespace default not found\nhint: did you mean short?\n";
    let missing = place.roa(&["get", "labtemplate", "shrt"]);
    assert_eq!((missing.status, missing.stderr.as_str()), (Some(1), near));
    let elsewhere = place.roa(&["get", "labtemplate/short", "-n", "labs"]);
    bad(&elsewhere, 1, &["in namespace labs not found", "hint: there is one in namespace default: -n default"]);
    bad(
        &place.roa(&["get", "labtemplats"]),
        1,
        &["kind \"labtemplats\" not found", "hint: did you mean labtemplates?"],
    );
    bad(&place.roa(&["get"]), 2, &["required"]);
    bad(&place.roa(&["describe", "labtemplate/"]), 2, &["expected KIND/NAME"]);
    bad(&place.roa(&["delete", "labtemplates"]), 2, &["hint: give names, a selector with -l, or --all"]);
    bad(&place.roa(&["wait", "labtemplate/short", "--for=ready"]), 2, &["hint: expected condition="]);
    let late = place.roa(&["wait", "labtemplate/short", "--for=condition=Ready", "--timeout=50ms"]);
    bad(&late, 1, &["labtemplate/short is not as awaited in time: it has no condition Ready", "hint: `roa why"]);
    bad(&place.roa(&["get", "labs", "--server", "ftp://x"]), 2, &["expected http://HOST:PORT"]);
    bad(&place.roa(&["get", "labs", "--server", "http://127.0.0.1:1"]), 1, &["no server answers at", "hint: start"]);
}

#[test]
fn a_store_that_only_another_process_has_is_not_shown_empty() {
    let memory = Place::empty().variable("ROA_SERVER__LISTEN", "").variable("ROA_STORE__BACKEND", "memory");
    bad(&memory.roa(&["get", "labinstances"]), 1, &["store.backend is \"memory\"", "hint: start `roa run`"]);
    let nothing = Place::empty().variable("ROA_SERVER__LISTEN", "");
    bad(&nothing.roa(&["get", "labinstances"]), 1, &["there is no store at roa-data/roa.db", "hint: start `roa run`"]);
    assert!(!nothing.path().join("roa-data").exists());
}

#[test]
fn one_bad_manifest_of_several_keeps_all_out() {
    let place = with_store();
    let bad_one = TEMPLATES.replace("maxDuration: 2h", "maxDuration: 2h, colour: red");
    std::fs::write(place.path().join("bad.yaml"), bad_one).unwrap();
    let refused = place.roa(&["apply", "-f", "bad.yaml"]);
    bad(&refused, 1, &["bad.yaml#2", "colour", "1 manifest can't be applied; nothing was written"]);
    assert_eq!(refused.stdout, "");
    assert_eq!(good(&place.roa(&["get", "labtemplates", "-o", "name"])), "");
    std::fs::write(place.path().join("broken.yaml"), "a: [\n").unwrap();
    bad(&place.roa(&["apply", "-f", "broken.yaml"]), 2, &["broken.yaml#1: line"]);
}

#[test]
fn d1_a_deletion_that_waits_says_for_what() {
    let held = TEMPLATES.replace("name: short,", "name: short, finalizers: [example.com/hold],");
    let place = with_store().file("held.yaml", &held);
    good(&place.roa(&["apply", "-f", "held.yaml"]));
    let waiting = place.roa(&["delete", "labtemplate/short", "--timeout=50ms"]);
    assert_eq!(waiting.stdout, "labtemplate.lab.neuroglia.com/short deleted\n");
    bad(&waiting, 1, &["labtemplate/short is not gone yet: the finalizer example.com/hold is still there", "hint: "]);
    let described = place.roa(&["describe", "labtemplate/short"]);
    assert!(good(&described).contains("Finalizer:   example.com/hold, for "), "{}", described.stdout);
    good(&place.roa(&["delete", "labtemplate/short", "--wait=false"]));
    let gone = place.roa(&["delete", "labtemplate", "nothing", "--ignore-not-found"]);
    assert_eq!(good(&gone), "");
    let several = place.roa(&["get", "labtemplates", "short", "nothing", "-o", "name"]);
    bad(&several, 1, &["error: labtemplate/nothing in namespace default not found"]);
    assert_eq!((several.stdout.lines().count(), several.stderr.lines().count()), (1, 1), "{several:?}");
}

#[test]
fn completions_are_there_for_each_shell() {
    let place = Place::empty();
    for (shell, part) in [("bash", "_roa()"), ("zsh", "#compdef roa"), ("fish", "complete -c roa")] {
        assert!(good(&place.roa(&["completions", shell])).contains(part), "{shell}");
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running control plane whose API is served.
pub struct Served {
    pub roa: Roa,
    pub port: u16,
}

impl Served {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("manifests")).unwrap();
        std::fs::write(dir.path().join("templates.yaml"), TEMPLATES).unwrap();
        std::fs::write(dir.path().join("lab.yaml"), LAB).unwrap();
        Self::start_in(Rc::new(dir), free_port())
    }

    pub fn start_in(dir: Rc<tempfile::TempDir>, port: u16) -> Self {
        let roa = Roa::start_in(dir, "data", &[("ROA_SERVER__LISTEN", &format!("127.0.0.1:{port}"))]);
        roa.until("the API answers", || {
            let answer = roa.ask("/readyz")?;
            answer.starts_with("HTTP/1.1 200").then_some(())?;
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { roa, port }
    }

    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut roa = command(self.roa.dir.path());
        roa.args(arguments).env("ROA_SERVER__LISTEN", format!("127.0.0.1:{}", self.port)).env("ROA_DATA_DIR", "data");
        roa.stdin(Stdio::null());
        roa
    }

    pub fn roa(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What another client of the API writes, in its own name.
    fn apply_as_other(&self, name: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let path =
            format!("/apis/lab.neuroglia.com/v1/namespaces/default/labtemplates/{name}?fieldManager=other&force=true");
        let length = body.len();
        write!(
            stream,
            "PATCH {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/apply-patch+yaml\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn a_lab_is_applied_awaited_described_and_deleted_over_the_api() {
    let served = Served::start();
    good(&served.roa(&["apply", "-f", "templates.yaml", "-f", "lab.yaml"]));
    let waited = served.roa(&["wait", "labinstance/mine", "--for=jsonpath=.status.state=ready"]);
    assert_eq!(good(&waited), "labinstance.lab.neuroglia.com/mine condition met\n");
    let table = served.roa(&["get", "labinstances"]);
    assert!(good(&table).starts_with("NAME   STATE   TEMPLATE   STUDENT"), "{table:?}");
    assert!(table.stdout.contains("mine   ready   short      a@example.com"), "{table:?}");
    let described = served.roa(&["describe", "labinstance/mine"]);
    for part in
        ["Name:        mine\n", "API_TOKEN:  <redacted>", "COURSE:     rust", "Finalizer:   ", "Conditions:", "Events:"]
    {
        assert!(good(&described).contains(part), "{part:?} is missing: {}", described.stdout);
    }
    assert!(!described.stdout.contains("canary"), "{}", described.stdout);
    let history = served.roa(&["history", "labinstance/mine"]);
    assert!(good(&history).contains("provisioning -> ready"), "{}", history.stdout);
    let explained = served.roa(&["explain", "labinstance.spec.duration"]);
    assert!(good(&explained).contains("spec.duration <string>"), "{}", explained.stdout);
    bad(&served.roa(&["explain", "labinstance.spec.durration"]), 1, &["hint: did you mean duration?"]);
    let kinds = served.roa(&["get", "--kinds"]);
    assert!(good(&kinds).contains("labtemplates"), "{}", kinds.stdout);
    let gone = served.roa(&["delete", "-f", "lab.yaml"]);
    assert_eq!(good(&gone), "labinstance.lab.neuroglia.com/mine deleted\n");
    bad(&served.roa(&["get", "labinstance/mine"]), 1, &["labinstance/mine in namespace default not found"]);
}

#[test]
fn a_field_of_somebody_else_is_named_and_taken_over_only_by_force() {
    let served = Served::start();
    good(&served.roa(&["apply", "-f", "templates.yaml"]));
    let other = r#"{"apiVersion":"lab.neuroglia.com/v1","kind":"LabTemplate","metadata":{"name":"a-longer-name"},
        "spec":{"provisioner":"simulated","maxDuration":"5h"}}"#;
    let answer = served.apply_as_other("a-longer-name", other);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let conflict = served.roa(&["apply", "-f", "templates.yaml"]);
    bad(&conflict, 1, &["templates.yaml#2", ".spec.maxDuration", "other", "--force-conflicts"]);
    assert_eq!(conflict.stdout, "", "nothing is written");
    let forced = served.roa(&["apply", "-f", "templates.yaml", "--force-conflicts"]);
    assert!(good(&forced).ends_with("a-longer-name configured\n"), "{forced:?}");
}

/// A command that goes on, and its lines on stdout and stderr.
struct Running {
    child: Child,
    lines: Receiver<String>,
    notes: Receiver<String>,
}

impl Running {
    fn start(mut command: std::process::Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let ((sender, lines), (noting, notes)) = (channel(), channel());
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        std::thread::spawn(move || send(BufReader::new(stdout), &sender));
        std::thread::spawn(move || send(BufReader::new(stderr), &noting));
        Self { child, lines, notes }
    }

    /// The next line that is about this object.
    #[track_caller]
    fn until(&self, part: &str) -> String {
        until(&self.lines, part)
    }

    /// The next line on stderr with this.
    #[track_caller]
    fn until_noted(&self, part: &str) {
        until(&self.notes, part);
    }
}

#[track_caller]
fn until(lines: &Receiver<String>, part: &str) -> String {
    let begun = std::time::Instant::now();
    loop {
        match lines.recv_timeout(BOUND.saturating_sub(begun.elapsed())) {
            Ok(line) if line.contains(part) => return line,
            Ok(_) => {}
            Err(error) => panic!("{part:?} did not come: {error}"),
        }
    }
}

fn send(lines: impl BufRead, sender: &Sender<String>) {
    // The test may have ended.
    let _ = lines.lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn template(name: &str, hours: u32) -> String {
    format!(
        "{{apiVersion: lab.neuroglia.com/v1, kind: LabTemplate, metadata: {{name: {name}, namespace: default}}, \
         spec: {{provisioner: simulated, maxDuration: {hours}h}}}}\n"
    )
}

#[test]
fn w6_a_watch_goes_on_over_a_restart_of_the_server_and_loses_no_change() {
    let mut served = Served::start();
    good(&served.roa(&["apply", "-f", "templates.yaml"]));
    let rows = Running::start(served.command(&["get", "labtemplates", "-w"]));
    let changes = Running::start(served.command(&["watch", "labtemplates"]));
    rows.until("short");
    changes.until_noted("watching labtemplates from version");
    let dir = Rc::clone(&served.roa.dir);
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    assert!(served.roa.terminate().success());
    // Nobody serves: these go to the store itself.
    for (name, hours) in [("first", 1), ("first", 2), ("second", 3)] {
        write("down.yaml", &template(name, hours));
        good(&served.roa(&["apply", "-f", "down.yaml"]));
    }
    good(&served.roa(&["delete", "labtemplate", "second"]));
    let port = served.port;
    drop(served);
    let served = Served::start_in(dir, port);
    for (part, row) in [("first", "1h"), ("first", "2h"), ("second", "3h"), ("second", "(deleted)")] {
        assert!(rows.until(part).contains(row), "{part} {row}");
    }
    let expected =
        [("first", "ADDED"), ("first", "spec.maxDuration: 1h -> 2h"), ("second", "ADDED"), ("second", "DELETED")];
    for (part, change) in expected {
        let line = changes.until(part);
        assert!(line.contains(change), "{change}: {line}");
    }
    drop(served);
}

#[test]
fn w7_a_watch_whose_history_is_gone_lists_again_and_says_so() {
    let mut served = Served::start();
    good(&served.roa(&["apply", "-f", "templates.yaml"]));
    let rows = Running::start(served.command(&["get", "labtemplates", "-w"]));
    rows.until("short");
    let dir = Rc::clone(&served.roa.dir);
    assert!(served.roa.terminate().success());
    std::fs::write(dir.path().join("new.yaml"), template("new", 1)).unwrap();
    good(&served.roa(&["apply", "-f", "new.yaml"]));
    good(&served.roa(&["delete", "labtemplate", "short"]));
    // A store that was put back has another history: watches of before are told to list.
    good(&served.roa(&["store", "backup", "copy.db"]));
    good(&served.roa(&["store", "restore", "copy.db"]));
    let port = served.port;
    drop(served);
    let _served = Served::start_in(dir, port);
    rows.until_noted("listed again");
    rows.until("new");
    assert!(rows.until("short").ends_with("(deleted)"));
}
