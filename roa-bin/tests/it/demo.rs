//! `roa demo`: it succeeds when every part works, and fails when any is switched off.

use std::process::{Command, Output};

use roa_store_redis::test_util::RedisServer;

use crate::run::Place;

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

/// Runs the whole story fast, with these arguments.
fn story(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roa"));
    command.args(["demo", "--speed", "20"]).args(arguments).env_remove("ROA_CONFIG").env("NO_COLOR", "1");
    command.output().unwrap()
}

#[test]
fn the_story_ends_as_it_should_and_says_who_did_what() {
    ends_well(&story(&[]));
}

#[test]
fn the_story_is_the_same_in_memory() {
    ends_well(&story(&["--backend", "memory"]));
}

#[test]
fn the_story_is_the_same_on_redis_in_a_store_of_its_own_that_goes_with_it() {
    let server = RedisServer::start();
    assert_eq!(server.command::<String>(&["SET", "{roa:default}:meta", "somebody's"]), "OK");
    ends_well(&story(&["--redis-url", &server.url()]));
    assert_eq!(server.command::<i64>(&["DBSIZE"]), 1, "nothing is left but what was there");
}

#[test]
fn where_redis_is_may_stand_in_the_configuration_too() {
    let place = Place::with_config("[store.redis]\nurl = \"redis://127.0.0.1:1\"\nconnect_timeout = \"500ms\"\n");
    let output = place.roa(&["demo", "--backend", "redis"]);
    assert_eq!(output.status, Some(1), "{}", output.stdout);
    for part in
        ["open the store at redis://127.0.0.1:1", "hint: start one, as with `redis-server`, or say with --redis-url"]
    {
        assert!(output.stderr.contains(part), "{part:?} is missing in {}", output.stderr);
    }
    let output = place.roa(&["demo", "--backend", "mysql"]);
    assert_eq!(output.status, Some(2), "{}", output.stderr);
    let output = place.roa(&["demo", "--backend", "memory", "--redis-url", "redis://x"]);
    assert!(output.stderr.contains("which is for --backend redis"), "{}", output.stderr);
}

fn ends_well(output: &Output) {
    let told = told(output);
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

/// The other story, of a pool of workers, with these arguments and without a part.
fn workers(arguments: &[&str], switched_off: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roa"));
    command.args(["demo", "--workers"]).args(arguments).env_remove("ROA_CONFIG").env("NO_COLOR", "1");
    if let Some(part) = switched_off {
        command.env(format!("ROA_LAB__COMPONENTS__{part}"), "false");
    }
    let output = command.output().unwrap();
    (output.status.code(), told(&output))
}

fn the_pool_does_as_it_should(arguments: &[&str]) {
    let (status, told) = workers(arguments, None);
    assert_eq!(status, Some(0), "{told}");
    for line in [
        "the pool grew, drained and went as it should",
        "a lab waited: 0/",
        "workers: 2 insufficient cpu",
        "ScaledUp: classroom-2 comes",
        "ScaledDown: classroom-2 drains",
        "Ready -> Draining",
    ] {
        assert!(told.contains(line), "{line:?} is missing in\n{told}");
    }
    assert!(!told.contains("DID NOT HAPPEN"), "{told}");
}

#[test]
fn the_story_of_the_pool_ends_as_it_should() {
    the_pool_does_as_it_should(&["--speed", "10"]);
}

#[test]
fn the_story_of_the_pool_is_the_same_in_memory_and_in_redis() {
    the_pool_does_as_it_should(&["--speed", "10", "--backend", "memory"]);
    let server = RedisServer::start();
    the_pool_does_as_it_should(&["--speed", "10", "--backend", "redis", "--redis-url", &server.url()]);
}

#[test]
fn without_controller_or_provisioner_the_story_of_the_pool_fails() {
    for part in ["CONTROLLER", "PROVISIONER"] {
        let (status, told) = workers(&["--speed", "100"], Some(part));
        assert_eq!(status, Some(1), "{part}: {told}");
        assert!(told.contains("steps did not happen"), "{part}: {told}");
    }
}
