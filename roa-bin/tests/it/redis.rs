//! `store.backend = "redis"`: several `roa run` on one server, and what its end does to them.

use roa_store_redis::test_util::RedisServer;

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
    first.crash();
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

#[test]
fn t15_no_password_shows() {
    let url = format!("redis://ann:{CANARY}@127.0.0.1:1");
    let place = Place::empty().variable("ROA_STORE__BACKEND", "redis").variable("ROA_STORE__REDIS__URL", &url);
    let place = place.variable("ROA_STORE__REDIS__PASSWORD", CANARY);
    let shown = place.roa(&["config", "show"]);
    assert!(shown.stdout.contains("redis://<redacted>@127.0.0.1:1"), "{}", shown.stdout);
    let refused = place.roa(&["-vvv", "store", "info"]);
    assert!(refused.stderr.contains("redis://127.0.0.1:1"), "{}", refused.stderr);
    for text in [shown.stdout, shown.stderr, refused.stdout, refused.stderr] {
        assert!(!text.contains(CANARY), "{text}");
    }
}
