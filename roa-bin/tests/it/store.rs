//! The default store: it outlives `roa`, is shared by several, and is looked after by `roa store`.

use std::rc::Rc;

use crate::control_plane::{Roa, port, ready_labs};
use crate::run::Place;
use crate::running::LAB;

/// A leader that died is replaced soon.
pub const SHORT: &[(&str, &str)] =
    &[("ROA_LEASE__DURATION", "2s"), ("ROA_LEASE__RENEW_DEADLINE", "1s"), ("ROA_LEASE__RETRY_PERIOD", "200ms")];

pub fn leads(roa: &Roa) -> Option<()> {
    roa.log().lines().any(|line| line.contains("\"leading\"")).then_some(())
}

pub fn place() -> Rc<tempfile::TempDir> {
    let dir = Rc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    std::fs::write(dir.path().join("manifests/lab.json"), LAB).unwrap();
    dir
}

#[test]
fn s6_after_kill_9_everything_is_there_and_the_lab_lives_on() {
    let dir = place();
    let roa = Roa::start_in(dir.clone(), "data", SHORT);
    roa.until("the lab is ready", || ready_labs(&roa));
    let before = port(&roa.state().unwrap());
    roa.crash();
    // From now on the lab is in the store alone.
    std::fs::remove_file(dir.path().join("manifests/lab.json")).unwrap();
    std::fs::write(dir.path().join("data.log"), "").unwrap();
    let roa = Roa::start_in(dir, "data", SHORT);
    roa.until("another term begins", || leads(&roa));
    roa.until("the lab is ready", || ready_labs(&roa));
    assert_eq!(port(&roa.state().unwrap()), before, "it is the same process");
}

#[test]
fn l2_of_two_processes_on_one_file_one_works_and_the_other_takes_over() {
    let dir = place();
    let mut first = Roa::start_in(dir.clone(), "data", SHORT);
    first.until("the first leads", || leads(&first));
    let shared = [SHORT, &[("ROA_STORE__SQLITE__PATH", "data/roa.db")]].concat();
    let second = Roa::start_in(dir, "second", &shared);
    second.until("the second is ready", || second.ask("/readyz")?.starts_with("HTTP/1.1 200").then_some(()));
    first.until("the first still works", || ready_labs(&first));
    assert_eq!(leads(&second), None, "{}", second.log());
    assert!(first.terminate().success(), "{}", first.log());
    second.until("the second leads", || leads(&second));
}

#[test]
fn a_store_is_shown_checked_compacted_copied_and_put_back() {
    let mut roa = Roa::start_in(place(), "data", SHORT);
    roa.until("the lab is ready", || ready_labs(&roa));
    let place =
        Place::empty().variable("ROA_STORE__SQLITE__PATH", roa.dir.path().join("data/roa.db").to_str().unwrap());
    // While the control plane runs.
    let run = |arguments: &[&str]| {
        let ran = place.roa(arguments);
        assert_eq!(ran.status, Some(0), "{arguments:?}: {}", ran.stderr);
        ran.stdout
    };
    let info = run(&["store", "info"]);
    for part in
        ["backend     sqlite", "durability  power-loss", "epoch       1-", "entries     ", "health      Healthy"]
    {
        assert!(info.contains(part), "{part} is not in {info}");
    }
    assert!(entries(&run(&["store", "check"])) >= 3);
    assert!(run(&["store", "backup", "copy.db"]).starts_with("copy.db holds the store as of revision "));
    assert_eq!(place.roa(&["store", "backup", "copy.db"]).status, Some(1), "it does not overwrite");
    assert!(run(&["store", "compact"]).starts_with("the log begins after "));
    assert!(roa.terminate().success());
    assert!(run(&["store", "restore", "copy.db"]).contains("its history goes on at revision"));
    assert!(run(&["store", "info"]).contains("epoch       2-"), "restoring breaks the history");
    assert!(entries(&run(&["store", "check"])) >= 3);
}

/// How many entries a good store has: the lab and what the control plane keeps, and the events so far.
fn entries(checked: &str) -> u32 {
    let count = checked.strip_prefix("ok: ").and_then(|rest| rest.split_once(" entries"));
    count.unwrap_or_else(|| panic!("{checked}")).0.parse().unwrap()
}

#[test]
fn what_cannot_be_looked_after_is_told_so() {
    let place = Place::empty();
    let refused = |arguments: &[&str], part: &str| {
        let ran = place.roa(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(part), "{part} is not in {}", ran.stderr);
    };
    refused(&["store", "info"], "there is no store at roa-data/roa.db");
    assert!(!place.path().join("roa-data").exists(), "looking makes nothing");
    refused(&["store", "check", "--store-backend", "memory"], "store.backend is \"memory\"");
    std::fs::create_dir(place.path().join("roa-data")).unwrap();
    std::fs::write(place.path().join("roa-data/roa.db"), "these are my notes").unwrap();
    refused(&["store", "info"], "it is no store of roa: not a SQLite database");
    refused(&["run"], "it is no store of roa");
}
