//! `[cloudevents]`: every change reaches the file, also those around a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::control_plane::{Roa, ready_labs};
use crate::store::{SHORT, leads, place};

/// The lines so far; what a crash cut in half is the last and is left out.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn states(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.pointer("/data/status/state")?.as_str()).collect()
}

#[test]
fn lesson_28_each_change_is_told_at_least_once_and_after_kill_9_it_goes_on_from_its_bookmark() {
    let dir = place();
    let file = dir.path().join("events.jsonl");
    let path = file.to_str().unwrap().to_owned();
    let variables = [
        SHORT,
        &[
            ("ROA_CLOUDEVENTS__SINK", "file"),
            ("ROA_CLOUDEVENTS__PATH", path.as_str()),
            ("ROA_CLOUDEVENTS__SOURCE", "/roa/test"),
        ],
    ]
    .concat();
    let first = Roa::start_in(dir.clone(), "data", &variables);
    first.until("the lab is ready", || ready_labs(&first));
    first.until("that is told", || states(&lines(&file)).contains(&"ready").then_some(()));
    first.crash();
    std::fs::write(dir.path().join("data.log"), "").unwrap();
    let mut second = Roa::start_in(dir, "data", &variables);
    second.until("another term begins", || leads(&second));
    second.until("the lab is ready", || ready_labs(&second));
    assert!(second.terminate().success(), "{}", second.log());

    let told = lines(&file);
    for line in &told {
        assert_eq!((&line["specversion"], &line["source"]), (&"1.0".into(), &"/roa/test".into()), "{line}");
    }
    // Said twice or not: what is told again has the same id. And nothing began anew.
    let mut added: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in told.iter().filter(|line| line["type"].as_str().unwrap().ends_with("added")) {
        let uid = line.pointer("/data/metadata/uid").and_then(Value::as_str).unwrap();
        added.entry(uid).or_default().insert(line["id"].as_str().unwrap());
    }
    assert!(added.len() >= 2, "a template, a lab, namespaces: {added:?}");
    assert!(added.values().all(|ids| ids.len() == 1), "an object was added twice: {added:?}");
    let lab = |line: &&Value| line.pointer("/data/kind").is_some_and(|kind| kind == "LabInstance");
    let revisions: BTreeSet<&str> = told.iter().filter(lab).filter_map(|line| line["id"].as_str()).collect();
    assert!(revisions.len() >= 3, "created, provisioning, ready: {revisions:?}");
}
