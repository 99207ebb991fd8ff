//! What the API tells of objects that no object holds: `labinstances/log`, and `why` of every kind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Output, Stdio};
use std::rc::Rc;

use roa_server::auth::NewToken;
use serde_json::Value as Json;

use crate::access::write_private;
use crate::client::{Served, bad, free_port, good};
use crate::control_plane::{Roa, command, ready_labs};
use crate::logs::TALKER;
use crate::store::SHORT;

/// A running control plane with these manifests, and where its API is.
fn serve(manifests: &[(&str, &str)]) -> (Roa, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let variables = [SHORT, &[("ROA_SERVER__LISTEN", address.as_str())]].concat();
    let roa = Roa::start_with(manifests, &variables);
    roa.until("the API answers", || TcpStream::connect(&address).ok());
    (roa, address)
}

/// From a place where neither the store nor the labs' directories are.
fn elsewhere(roa: &Roa, address: &str, arguments: &[&str]) -> Output {
    let mut command = command(roa.dir.path());
    command.args(arguments).args(["--data-dir", "elsewhere", "--server", &format!("http://{address}")]);
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_output_of_a_lab_is_told_by_the_api_to_who_has_no_access_to_its_disk() {
    let (roa, address) = serve(&[("talker.yaml", TALKER)]);
    let logs = |arguments: &[&str]| elsewhere(&roa, &address, &[&["logs", "-n", "labs"], arguments].concat());
    let told = roa.until("it talks", || {
        let output = logs(&["talker"]);
        Some(text(&output.stdout)).filter(|told| output.status.success() && told.contains("line 3"))
    });
    assert!(told.starts_with("hello from talker\nline 1\n"), "{told}");
    assert_eq!(text(&logs(&["talker", "--tail", "2"]).stdout).lines().count(), 2);
    for (arguments, expected) in [
        (&["talker", "--previous"][..], "it was brought up once only"),
        (&["nobody"], "labinstance/nobody in namespace labs not found"),
        (&["unreal"], "lab unreal has no output here: it is a \"simulated\" lab"),
        (&["later"], "lab later has no output here: it is pending and does not run"),
    ] {
        let refused = roa.until(expected, || {
            let output = logs(arguments);
            Some(output).filter(|output| text(&output.stderr).contains(expected))
        });
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{arguments:?}");
    }

    let mut follow = command(roa.dir.path());
    follow.args(["logs", "-n", "labs", "-f", "talker", "--tail", "1", "--data-dir", "elsewhere"]);
    follow.args(["--server", &format!("http://{address}")]);
    let mut follower = follow.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(follower.stdout.take().unwrap());
    let (mut first, mut rest) = (String::new(), String::new());
    told.read_line(&mut first).unwrap();
    assert!(first.starts_with("line "), "it follows: {first}");
    roa.store().delete("labs", "talker");
    told.read_to_string(&mut rest).unwrap();
    assert!(follower.wait().unwrap().success() && rest.ends_with("bye\n"), "{rest}");
}

const ROBOT: &str = r#"{
  "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
  "metadata": { "name": "robots.example.com" },
  "spec": {
    "group": "example.com", "scope": "Namespaced", "names": { "plural": "robots", "singular": "robot", "kind": "Robot" },
    "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }]
  }
}
"#;

fn get(address: &str, path: &str) -> Json {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn why_is_told_by_the_api_of_kinds_in_rust_and_of_declared_ones() {
    let lab = include_str!("../../../roa-lab/manifests/python-basics-lab.json");
    let (roa, address) = serve(&[("lab.json", lab)]);
    roa.until("the lab is ready", || ready_labs(&roa));
    let why = |arguments: &[&str]| elsewhere(&roa, &address, &[&["why"], arguments].concat());
    let told = why(&["labs/python-basics-lab", "-n", "student-labs"]);
    for part in ["LabInstance student-labs/python-basics-lab", "state         ready", "last write    by lab"] {
        assert!(text(&told.stdout).contains(part), "{part:?} is not in {told:?}");
    }
    assert!(!text(&told.stdout).contains("note:"), "{told:?}");
    let path = "/apis/lab.neuroglia.com/v1/namespaces/student-labs/labinstances/python-basics-lab/why";
    let json = get(&address, path);
    assert_eq!(
        (&json["object"]["state"], &json["owner"]["isSelf"]),
        (&Json::from("ready"), &Json::Bool(true)),
        "{json}"
    );
    let near = why(&["lab", "python-basic-lab", "-n", "student-labs"]);
    assert_eq!(near.status.code(), Some(1));
    assert!(text(&near.stderr).contains("did you mean python-basics-lab?"), "{near:?}");

    std::fs::write(roa.dir.path().join("robot.json"), ROBOT).unwrap();
    assert!(elsewhere(&roa, &address, &["apply", "-f", "robot.json"]).status.success());
    let one = r#"{"apiVersion":"example.com/v1","kind":"Robot","metadata":{"name":"r2"}}"#;
    std::fs::write(roa.dir.path().join("r2.json"), one).unwrap();
    roa.until("the kind is served", || {
        elsewhere(&roa, &address, &["apply", "-f", "r2.json"]).status.success().then_some(())
    });
    let declared = why(&["robot/r2"]);
    assert!(text(&declared.stdout).contains("Robot default/r2"), "{declared:?}");
}

#[test]
fn who_is_not_known_to_the_server_may_still_ask_the_process_on_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    std::fs::write(dir.path().join("manifests/talker.yaml"), TALKER).unwrap();
    let token = NewToken::generate("ann", &["system:masters".to_owned()]).unwrap();
    write_private(&dir.path().join("tokens"), &format!("{}\n", token.line));
    let address = format!("127.0.0.1:{}", free_port());
    let variables = [("ROA_SERVER__LISTEN", address.as_str()), ("ROA_SERVER__AUTH__TOKENS_FILE", "tokens")];
    let roa = Roa::start_in(Rc::new(dir), "data", &variables);
    roa.until("the API answers", || TcpStream::connect(&address).ok());
    let run = |arguments: &[&str]| {
        let mut command = command(roa.dir.path());
        command.args(arguments).args(["-n", "labs"]).envs(variables).env("ROA_DATA_DIR", "data");
        let output = command.stdin(Stdio::null()).output().unwrap();
        crate::run::Ran { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    };
    roa.until("it talks", || Some(run(&["logs", "talker"])).filter(|ran| ran.stdout.contains("line 1")));
    assert!(good(&run(&["why", "lab/talker"])).contains("LabInstance labs/talker"));
    let named = format!("http://{address}");
    for command in [["why", "lab/talker"], ["logs", "talker"]] {
        let refused = run(&[&command[..], &["--server", &named]].concat());
        bad(&refused, 1, &["Unauthorized", "hint: show who you are"]);
    }
}

#[test]
fn kinds_are_printed_as_definitions_that_a_server_takes() {
    let served = Served::start();
    let printed = served.roa(&["crd", "labs"]);
    assert!(good(&printed).starts_with("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"));
    let elsewhere = printed.stdout.replace("lab.neuroglia.com", "lab.example.com");
    std::fs::write(served.roa.dir.path().join("crd.yaml"), elsewhere).unwrap();
    assert!(good(&served.roa(&["apply", "-f", "crd.yaml"])).contains("created"));
    let established = ["wait", "crd/labinstances.lab.example.com", "--for=condition=Established"];
    good(&served.roa(&established));
    let kinds = served.roa(&["get", "--kinds"]);
    assert!(good(&kinds).contains("lab.example.com/v1"), "{}", kinds.stdout);
}
