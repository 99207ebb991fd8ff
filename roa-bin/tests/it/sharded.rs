//! Three `roa run` share the work on one SQLite file: by shards, fenced, whatever becomes of one of them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use roa_core::Resource;
use roa_runtime::{SHARDS, ShardBy};

use crate::control_plane::Roa;
use crate::onlooker::{Onlooker, node};

const LEASE: Duration = Duration::from_secs(3);
/// A lease, two retry periods, and a second.
const BOUND: Duration = Duration::from_millis(4_500);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(10);

const SHARDED: &[(&str, &str)] = &[
    ("ROA_ENGINE__MODE", "sharded"),
    ("ROA_LEASE__DURATION", "3s"),
    ("ROA_LEASE__RENEW_DEADLINE", "2s"),
    ("ROA_LEASE__RETRY_PERIOD", "250ms"),
    ("ROA_LAB__POLL_INTERVAL", "100ms"),
    ("ROA_LAB__SWEEP_INTERVAL", "500ms"),
    ("ROA_LAB__RETRY_BACKOFF", "100ms"),
    ("ROA_LAB__MAX_CONCURRENT_PROVISIONINGS", "1000"),
    ("ROA_STORE__SQLITE__PATH", "shared.db"),
];

/// How many shards it has, by its own word.
fn has(roa: &Roa) -> usize {
    let metrics = roa.ask("/metrics").unwrap_or_default();
    let line =
        metrics.lines().find_map(|line| line.strip_prefix("roa_runtime_ownerships_held{component=\"coordinator\"} "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// What is measured of it among the others.
fn assert_figures(roa: &Roa, expected: &[&str]) {
    let metrics = roa.ask("/metrics").unwrap();
    for figure in expected {
        assert!(metrics.contains(figure), "{figure} is not in {metrics}");
    }
}

/// How long until these have all shards between them, each some.
fn until_divided(what: &str, among: &[&Roa]) -> Duration {
    let begun = Instant::now();
    among[0].until(what, || {
        let counts: Vec<usize> = among.iter().map(|roa| has(roa)).collect();
        (counts.iter().sum::<usize>() == SHARDS && counts.iter().all(|count| *count > 0)).then_some(())
    });
    begun.elapsed()
}

fn create_and_await(onlooker: &Onlooker, among: &Roa, prefix: &str, count: usize) -> Duration {
    let (begun, before) = (Instant::now(), onlooker.labs().len());
    onlooker.create_labs((0..count).map(|number| format!("{prefix}-{number:02}")));
    among.until("all labs are ready", || (onlooker.count_ready() == before + count).then_some(()));
    begun.elapsed()
}

#[test]
fn three_processes_divide_labs_and_go_on_when_one_is_paused_killed_or_told_to_stop() {
    let dir = Rc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let [mut a, b, c] = ["a", "b", "c"].map(|data| Roa::start_in(dir.clone(), data, SHARDED));
    a.until("the store is there", || dir.path().join("shared.db-head").exists().then_some(()));
    let onlooker = Onlooker::open(dir.path().join("shared.db").to_str().unwrap());
    onlooker.create_template(Duration::from_millis(200));
    until_divided("all three have shards", &[&a, &b, &c]);
    for roa in [&a, &b, &c] {
        roa.until("it is ready", || roa.ask("/readyz")?.starts_with("HTTP/1.1 200").then_some(()));
    }
    create_and_await(&onlooker, &a, "first", 40);
    assert_each_lab_is_one_process_s(&onlooker);

    // Paused for longer than its lease, it is replaced; going on, it finds that out, and gets its part again.
    onlooker.pause_between_writes(b.pid());
    let paused = Instant::now();
    let replaced = until_divided("the paused one is replaced", &[&a, &c]);
    assert!(replaced >= LEASE / 2 && replaced <= BOUND + SLACK, "replaced after {replaced:?}");
    create_and_await(&onlooker, &a, "paused", 20);
    a.until("the pause is longer than the lease", || (paused.elapsed() > LEASE + LEASE / 2).then_some(()));
    kill(b.pid(), Signal::SIGCONT).unwrap();
    let back = until_divided("the paused one has its part again", &[&a, &b, &c]);
    assert!(b.log().contains("lost the heartbeat"), "{}", b.log());
    let losses = b.ask("/metrics").unwrap();
    let losses =
        losses.lines().find_map(|line| line.strip_prefix("roa_runtime_losses_total{component=\"coordinator\"} "));
    assert!(losses.unwrap().parse::<u64>().unwrap() > 0, "what a paused process lost is counted");

    c.crash();
    let killed = until_divided("the killed one is replaced", &[&a, &b]);
    assert!(killed <= BOUND + SLACK, "replaced after {killed:?}");
    let converged = create_and_await(&onlooker, &a, "killed", 20);

    let begun = Instant::now();
    assert!(a.terminate().success(), "{}", a.log());
    let left = until_divided("the one that was told to stop is replaced", &[&b]);
    assert!(left <= SLACK, "replaced {left:?} after it ended, {:?} after it was told", begun.elapsed());
    create_and_await(&onlooker, &b, "alone", 5);
    eprintln!("paused {replaced:?}, back {back:?}, killed {killed:?}, told {left:?}; 20 labs {converged:?}");
}

/// Whoever has a shard places its labs.
fn assert_each_lab_is_one_process_s(onlooker: &Onlooker) {
    assert_eq!(onlooker.nodes().len(), 3, "{:?}", onlooker.nodes());
    let mut by_shard: BTreeMap<usize, String> = BTreeMap::new();
    for lab in onlooker.labs() {
        let metadata = lab.metadata();
        let key = onlooker.resources.api::<roa_lab::LabInstance>().unwrap();
        let key = key.key(&metadata.namespace, &metadata.name).unwrap();
        let placed = by_shard.entry(ShardBy::Object.shard(&key)).or_insert_with(|| node(&lab));
        assert_eq!(*placed, node(&lab), "{key}: labs of one shard were placed by two processes");
    }
}

#[test]
fn processes_that_divide_the_work_otherwise_are_refused() {
    let dir = Rc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let a = Roa::start_in(dir.clone(), "a", SHARDED);
    a.until("it has all", || (has(&a) == SHARDS).then_some(()));
    let own = "{component=\"coordinator\"}";
    let [held, got, lost, age] =
        ["ownerships_held", "acquisitions_total", "losses_total", "heartbeat_age_milliseconds"]
            .map(|name| format!("roa_runtime_{name}{own} "));
    assert_figures(&a, &[&format!("{held}64\n"), &format!("{got}64\n"), &format!("{lost}0\n"), &age]);
    let by_namespace = [SHARDED, &[("ROA_ENGINE__SHARD_BY", "namespace")]].concat();
    let leader = [SHARDED, &[("ROA_ENGINE__MODE", "leader")]].concat();
    for (data, variables) in [("b", by_namespace), ("c", leader)] {
        let mut other = Roa::start_in(dir.clone(), data, &variables);
        let status = other.ended();
        assert_eq!(status.code(), Some(1), "{}", other.log());
        assert!(other.log().contains("64 shards by object"), "{}", other.log());
    }
    assert_eq!(has(&a), SHARDS);
}
