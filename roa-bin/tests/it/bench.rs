//! `roa bench`: measures the configured store, and leaves it as it was.

use crate::control_plane::{Roa, ready_labs};
use crate::run::Place;
use crate::store;

/// What is measured in a moment.
const SMALL: &[&str] = &["bench", "--seconds", "1", "--writers", "4", "--watchers", "3", "--value-size", "200"];

fn entries(place: &Place) -> String {
    let info = place.roa(&["store", "info"]);
    info.stdout.lines().find(|line| line.starts_with("entries")).unwrap_or(&info.stderr).to_owned()
}

#[test]
fn w4_every_watcher_sees_every_write_and_nothing_is_left_in_the_store() {
    let place = Place::empty();
    let ran = place.roa(&[SMALL, &["-o", "json"]].concat());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let commits = found["commits"].as_u64().unwrap();
    assert!(commits > 0, "{found}");
    assert_eq!(found["eventsDelivered"].as_u64(), Some(3 * commits), "{found}");
    assert_eq!((&found["eventsMissing"], &found["failedCommits"]), (&0.into(), &0.into()), "{found}");
    assert!(found["writeToWatcherSeconds"]["p99"].as_f64().unwrap() > 0.0, "{found}");
    assert_eq!(entries(&place), "entries     0");
}

#[test]
fn a_store_that_holds_something_is_measured_only_if_that_is_asked_for_and_keeps_what_it_holds() {
    let mut roa = Roa::start_in(store::place(), "data", store::SHORT);
    roa.until("the lab is ready", || ready_labs(&roa));
    // Nothing writes to it any more, so that it can be compared.
    assert!(roa.terminate().success(), "{}", roa.log());
    let path = roa.dir.path().join("data/roa.db");
    let place = Place::empty().variable("ROA_STORE__SQLITE__PATH", path.to_str().unwrap());
    let before = entries(&place);
    assert_ne!(before, "entries     0");

    let refused = place.roa(SMALL);
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("--in-use"), "{}", refused.stderr);
    assert_eq!(entries(&place), before);

    let measured = place.roa(&[SMALL, &["--in-use"]].concat());
    assert_eq!(measured.status, Some(0), "{}", measured.stderr);
    assert!(measured.stdout.contains("events missing                             0"), "{}", measured.stdout);
    assert_eq!(entries(&place), before);
}
