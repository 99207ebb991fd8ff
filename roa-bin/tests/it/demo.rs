//! `roa demo`: it succeeds when every part works, and fails when any is switched off.

use std::process::{Command, Output};

/// Runs the demo fast; switching parts off is what an operator would do, by the environment.
fn demo(switched_off: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roa"));
    command.arg("demo").env_remove("ROA_CONFIG").env("NO_COLOR", "1");
    command.args(["--speed", if switched_off.is_some() { "60" } else { "20" }]);
    if let Some(part) = switched_off {
        command.env(format!("ROA_LAB__COMPONENTS__{part}"), "false");
    }
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_story_ends_as_it_should_and_says_who_did_what() {
    let output = demo(None);
    let told = told(&output);
    assert!(output.status.success(), "{told}");
    for line in
        ["5 labs lived and went as they should", "answers 200", "ProcessGone", "Provisioning timeout", "retry 2 of 3"]
    {
        assert!(told.contains(line), "{line:?} is missing in\n{told}");
    }
    assert!(!told.contains("against each other"), "a repair is no fight:\n{told}");
    for actor in ["watcher", "controller", "reconciler"] {
        assert!(told.lines().any(|line| line.contains(actor)), "{actor} did nothing in\n{told}");
    }
}

fn fails_without(part: &str) {
    let output = demo(Some(part));
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("did not end as they should"), "{told}");
}

#[test]
fn without_the_watcher_it_fails() {
    fails_without("WATCHER");
}

#[test]
fn without_the_controller_it_fails() {
    fails_without("CONTROLLER");
}

#[test]
fn without_the_reconciler_it_fails() {
    fails_without("RECONCILER");
}

#[test]
fn without_the_provisioner_it_fails() {
    fails_without("PROVISIONER");
}
