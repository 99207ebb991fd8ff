//! `roa why`: told by the process that handles an object, whichever is asked, and by the store when none runs.

use serde_json::Value;

use crate::control_plane::{Roa, command, ready_labs};
use crate::store::{SHORT, leads, place};

const LAB: &str = "labinstance/python-basics-lab";

fn why(roa: &Roa, data: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let mut why = command(roa.dir.path());
    why.args(["why", LAB, "-n", "student-labs", "--data-dir", data]).args(more);
    // Whichever is asked, the store is that of the first.
    why.env("ROA_STORE__SQLITE__PATH", "data/roa.db");
    let output = why.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(roa: &Roa, data: &str) -> Value {
    let (status, stdout, stderr) = why(roa, data, &["-o", "json"]);
    assert_eq!(status, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn the_process_that_handles_a_lab_tells_about_it_also_when_another_is_asked() {
    let dir = place();
    let first = Roa::start_in(dir.clone(), "data", SHORT);
    first.until("the first leads", || leads(&first));
    first.until("the lab is ready", || ready_labs(&first));
    let shared = [SHORT, &[("ROA_STORE__SQLITE__PATH", "data/roa.db")]].concat();
    let second = Roa::start_in(dir, "second", &shared);
    second.until("it stands by", || second.ask("/readyz")?.starts_with("HTTP/1.1 200").then_some(()));

    let told = json(&first, "data");
    assert_eq!(told["object"]["state"], "ready", "{told}");
    assert_eq!((&told["owner"]["isSelf"], &told["owner"]["process"]), (&Value::Bool(true), &told["process"]));
    assert!(told["lastWrite"]["writer"].as_str().unwrap().starts_with("lab"), "{told}");
    assert!(told["finalizers"][0]["owner"].is_string(), "{told}");
    assert!(told["controllers"][0]["phase"]["is"].is_string(), "{told}");

    let second_asked = json(&second, "second");
    assert_eq!(second_asked["process"], told["process"], "the leader was asked instead: {second_asked}");

    let (status, text, _) = why(&first, "data", &[]);
    assert_eq!(status, Some(0));
    for part in [
        "LabInstance student-labs/python-basics-lab",
        "state         ready",
        "last write    by lab",
        "handled by    roa-",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn when_no_process_runs_the_store_alone_tells_and_that_is_said() {
    let mut roa = Roa::start_in(place(), "data", SHORT);
    roa.until("the lab is ready", || ready_labs(&roa));
    assert!(roa.terminate().success(), "{}", roa.log());
    let (status, text, stderr) = why(&roa, "data", &[]);
    assert_eq!(status, Some(0), "{stderr}");
    for part in [
        "this is what the store alone tells",
        "state         ready",
        "waits for     no process has the lease of controllers",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let mut unknown = command(roa.dir.path());
    let output = unknown.args(["why", "unicorn/a", "--data-dir", "data"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unicorn"), "{output:?}");
}
