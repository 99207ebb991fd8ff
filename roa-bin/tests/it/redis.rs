//! `store.backend = "redis"`: several `roa run` on one server, and what its end does to them.

use std::sync::Arc;

use roa_core::{Key, Store, SystemRandom, Txn, TxnId, Value};
use roa_runtime::SystemClock;
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{RedisConfig, RedisStore};

use crate::control_plane::{Roa, ready_labs};
use crate::run::Place;
use crate::store::{SHORT, leads, place};

const CANARY: &str = "canary-91d4";

fn is_ready(roa: &Roa) -> Option<()> {
    roa.ask("/readyz")?.starts_with("HTTP/1.1 200").then_some(())
}

#[test]
fn l2_l6_of_three_processes_on_one_redis_one_works_and_another_takes_over() {
    let (server, dir) = (RedisServer::start(), place());
    let url = server.url();
    let variables = [SHORT, &[("ROA_STORE__BACKEND", "redis"), ("ROA_STORE__REDIS__URL", &url)]].concat();
    let first = Roa::start_in(dir.clone(), "data", &variables);
    first.until("the first leads", || leads(&first));
    let mut second = Roa::start_in(dir.clone(), "second", &variables);
    let third = Roa::start_in(dir, "third", &variables);
    first.until("the lab is ready", || ready_labs(&first));
    for standby in [&second, &third] {
        standby.until("it stands by", || is_ready(standby));
        assert_eq!(leads(standby), None, "{}", standby.log());
    }
    // SIGKILL. Nobody adopts its lab, which belongs to its node: it is ended as well.
    drop(first);
    second.until("another leads", || leads(&second).or_else(|| leads(&third)));
    if leads(&second).is_some() {
        assert_eq!(leads(&third), None, "one at a time");
        assert!(second.terminate().success(), "{}", second.log());
        third.until("the last one leads", || leads(&third));
    }
    assert_eq!(server.command::<i64>(&["EXISTS", "{roa:default}:meta"]), 1);
}

#[test]
fn s14_a_redis_that_is_killed_and_started_again_is_worked_on() {
    let (server, dir) = (RedisServer::start(), place());
    let url = server.url();
    let variables = [SHORT, &[("ROA_STORE__BACKEND", "redis"), ("ROA_STORE__REDIS__URL", &url)]].concat();
    let mut roa = Roa::start_in(dir, "data", &variables);
    roa.until("the lab is ready", || ready_labs(&roa));
    server.restart();
    roa.until("the break is told", || roa.log().contains("the history of the store is broken").then_some(()));
    roa.until("it is ready again", || is_ready(&roa));
    roa.until("the lab is ready", || ready_labs(&roa));
    for figure in ["roa_store_discontinuities_total{component=\"store\"} 1\n", "roa_store_health 0\n"] {
        roa.until(figure, || roa.ask("/metrics")?.contains(figure).then_some(()));
    }
    assert!(roa.terminate().success(), "{}", roa.log());
    let place = Place::empty().variable("ROA_STORE__BACKEND", "redis").variable("ROA_STORE__REDIS__URL", &url);
    let info = place.roa(&["store", "info"]);
    for part in ["backend     redis 7", "durability  process-crash", "epoch       2-", "health      Healthy"] {
        assert!(info.stdout.contains(part), "{part}: {} {}", info.stdout, info.stderr);
    }
    assert!(place.roa(&["store", "check"]).stdout.starts_with("ok: "));
    assert!(place.roa(&["store", "compact"]).stdout.starts_with("the log begins after "));
    let backup = place.roa(&["store", "backup", "copy.db"]);
    assert!(backup.stderr.contains("BGSAVE"), "{}", backup.stderr);
}

/// Readiness tells the truth: the store does not answer, so nobody counts on this process.
#[test]
fn readiness_names_the_store_and_the_membership_while_the_store_is_paused() {
    let (server, dir) = (RedisServer::start(), place());
    let url = server.url();
    let timeouts = [("ROA_STORE__REDIS__CONNECT_TIMEOUT", "500ms"), ("ROA_STORE__REDIS__RESPONSE_TIMEOUT", "500ms")];
    let redis = [("ROA_STORE__BACKEND", "redis"), ("ROA_STORE__REDIS__URL", url.as_str())];
    let variables = [SHORT, &timeouts, &redis].concat();
    let mut roa = Roa::start_in(dir, "data", &variables);
    roa.until("it is ready", || is_ready(&roa));
    server.pause();
    for part in ["store: ", "membership: "] {
        roa.until(part, || roa.ask("/readyz").filter(|answer| answer.contains(" 503 ") && answer.contains(part)));
    }
    server.resume();
    roa.until("it is ready again", || is_ready(&roa));
    assert!(roa.terminate().success(), "{}", roa.log());
}

#[test]
fn l2_l6_a_leader_that_is_told_to_stop_hands_over_at_once_and_each_lab_is_made_once() {
    let (server, dir) = (RedisServer::start(), place());
    let url = server.url();
    // Nobody would take over within the test if the lease were not given back.
    let long =
        [("ROA_LEASE__DURATION", "10m"), ("ROA_LEASE__RENEW_DEADLINE", "5m"), ("ROA_LEASE__RETRY_PERIOD", "200ms")];
    let sweeps = [("ROA_LAB__SWEEP_INTERVAL", "500ms")];
    let variables = [&long[..], &sweeps, &[("ROA_STORE__BACKEND", "redis"), ("ROA_STORE__REDIS__URL", &url)]].concat();
    let mut first = Roa::start_in(dir.clone(), "data", &variables);
    first.until("the lab is ready", || ready_labs(&first));
    let others = ["second", "third"].map(|data| Roa::start_in(dir.clone(), data, &variables));
    for standby in &others {
        standby.until("it stands by", || is_ready(standby));
    }
    assert!(first.terminate().success(), "{}", first.log());
    first.until("another leads", || others.iter().find_map(leads));
    let leaders = others.iter().filter(|other| leads(other).is_some()).count();
    assert_eq!(leaders, 1, "one at a time");
    let labs = |data| std::fs::read_dir(dir.path().join(data).join("labs")).map_or(0, Iterator::count);
    assert_eq!(["data", "second", "third"].map(labs), [1, 0, 0]);
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_who_looks_for_it() {
    let server = RedisServer::start();
    let place = Place::empty().variable("ROA_STORE__BACKEND", "redis").variable("ROA_STORE__REDIS__URL", server.url());
    for arguments in [&["store", "info"][..], &["store", "check"], &["store", "copy", "--to", "copy.db"]] {
        let looked = place.roa(arguments);
        assert_eq!(looked.status, Some(1), "{arguments:?}");
        assert!(looked.stderr.contains("there is no {roa:default}:meta"), "{}", looked.stderr);
    }
    assert_eq!(server.command::<i64>(&["DBSIZE"]), 0);
}

#[test]
fn an_unfinished_copy_is_not_run_on() {
    let (server, key) = (RedisServer::start(), Key::system("copies", "source").unwrap());
    let url = server.url();
    crate::copy::block_on(async {
        let open = RedisStore::open(RedisConfig::new(&url), Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let store = open.await.unwrap();
        let mark = Txn::new(TxnId::random(&SystemRandom), "copy").create(key, Value::opaque("sqlite school.db"));
        store.commit(mark).await.unwrap();
        store.close().await;
    });
    let place = Place::empty().variable("ROA_STORE__BACKEND", "redis").variable("ROA_STORE__REDIS__URL", &url);
    let ran = place.roa(&["run"]);
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    let expected = "is a copy of sqlite school.db that is not complete; hint: run `roa store copy` again";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
}

#[test]
fn what_no_server_is_needed_for_is_found_by_the_check_of_the_configuration() {
    let check = |name: &'static str, value: &str| {
        let place = Place::empty().variable("ROA_STORE__BACKEND", "redis");
        place.variable(name, value).roa(&["config", "check"])
    };
    assert_eq!(check("ROA_STORE__REDIS__NAME", "school").stdout, "ok\n");
    for (name, value, expected) in [
        ("ROA_STORE__REDIS__NAME", "a school", "expected 1 to 64 of letters"),
        ("ROA_STORE__REDIS__SENTINELS", "one:two", "sentinels"),
        ("ROA_STORE__REDIS__CERT_FILE", "a.pem", "belong together"),
    ] {
        let checked = check(name, value);
        assert_ne!(checked.status, Some(0), "{name}");
        assert!(checked.stderr.contains(expected), "{}", checked.stderr);
    }
}

#[test]
fn t15_no_password_shows() {
    let url = format!("redis://ann:{CANARY}@127.0.0.1:1");
    let place = Place::empty().variable("ROA_STORE__BACKEND", "redis").variable("ROA_STORE__REDIS__URL", &url);
    let place = place.variable("ROA_STORE__REDIS__PASSWORD", CANARY);
    let shown = place.roa(&["config", "show"]);
    assert!(shown.stdout.contains("redis://<redacted>@127.0.0.1:1"), "{}", shown.stdout);
    let refused = place.roa(&["-vvv", "store", "info"]);
    assert!(refused.stderr.contains("redis://127.0.0.1:1"), "{}", refused.stderr);
    let copied = Place::empty().roa(&["-vvv", "store", "copy", "--from", &url, "--to", "a.db"]);
    assert_eq!(copied.status, Some(1), "{}", copied.stderr);
    for text in [shown.stdout, shown.stderr, refused.stdout, refused.stderr, copied.stderr] {
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn t15_no_password_shows_when_it_is_wrong_or_in_the_wrong_place() {
    let server = RedisServer::start_with(&["--requirepass", "another"]);
    let place = |name, value: &str| Place::empty().variable("ROA_STORE__BACKEND", "redis").variable(name, value);
    let with_url = |user: &str| server.url().replace("redis://", &format!("redis://{user}:{CANARY}@"));
    let places = [
        place("ROA_STORE__REDIS__URL", &with_url("")),
        place("ROA_STORE__REDIS__URL", &with_url("ann")),
        place("ROA_STORE__REDIS__URL", &server.url()).variable("ROA_STORE__REDIS__PASSWORD", CANARY),
        place("ROA_STORE__REDIS__URL", &format!("redis://ann:{CANARY}@host:port")),
        place("ROA_STORE__REDIS__URL", &format!("http://ann:{CANARY}@host")),
        place("ROA_STORE__REDIS", &format!("redis://ann:{CANARY}@host")),
        Place::empty().variable("ROA_STORE__BACKEND", format!("redis://ann:{CANARY}@host")),
    ];
    for place in places {
        let ran = place.roa(&["-vvv", "store", "info"]);
        assert_ne!(ran.status, Some(0), "{}", ran.stdout);
        assert!(!ran.stderr.is_empty() && !ran.stderr.contains(CANARY) && ran.stdout.is_empty(), "{}", ran.stderr);
    }
    let right = place("ROA_STORE__REDIS__URL", &server.url()).variable("ROA_STORE__REDIS__PASSWORD_FILE", "password");
    let right = right.file("password", "another\n");
    crate::copy::database(&right.path().join("a.db"), 1);
    for arguments in [&["store", "copy", "--from", "a.db"][..], &["store", "info"]] {
        let ran = right.roa(arguments);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    }
}
