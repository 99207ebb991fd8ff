//! Breaks of the history: each is noticed, fenced once, and told to everybody who follows.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{CommitError, Health, Revision, Store, StoreState, Tail, TailEnd, Value};
use roa_store_redis::test_util::{Proxy, RedisServer};
use roa_store_redis::{RedisConfig, RedisStore};

use crate::support::{BOUND, config, create, create_again, end_of, key, names, open, revisions, txn};

async fn tail_from(store: &RedisStore, after: Revision) -> Tail {
    store.tail(after).await.unwrap()
}

pub(crate) fn assert_jumped(before: StoreState, after: StoreState) {
    assert_eq!(after.epoch.counter, before.epoch.counter + 1, "{before:?} {after:?}");
    assert!(after.head.get() > before.head.get() + Revision::JUMP, "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_a_server_that_has_forgotten_the_scripts_is_given_them_again() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let first = create(&store, "a").await.unwrap();
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(create(&store, "b").await.unwrap(), first.next().unwrap());
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(names(&store).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_a_restart_is_a_break_that_is_fenced_once_and_loses_nothing() {
    let server = RedisServer::start();
    let (one, two) = (open(config(server.unix_url())).await, open(config(server.unix_url())).await);
    create(&one, "a").await.unwrap();
    let before = one.state().await.unwrap();
    let tails = [tail_from(&one, before.floor).await, tail_from(&two, before.head).await];
    server.restart();
    for tail in tails {
        assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    }
    create_again(&two, "b").await;
    let after = one.state().await.unwrap();
    assert_jumped(before, after);
    assert_eq!(two.state().await.unwrap().epoch, after.epoch, "exactly one of them jumped");
    assert_eq!(names(&one).await, ["a", "b"]);
    let stale = txn().expect_epoch(before.epoch).create(key("c"), Value::opaque("v"));
    assert!(matches!(one.commit(stale).await, Err(CommitError::Fenced { current }) if current == after.epoch));
    let breaks = one.info().await.unwrap().breaks + two.info().await.unwrap().breaks;
    assert_eq!(breaks, 1);
    assert!(one.check().await.unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_a_flush_is_noticed_and_the_store_begins_anew_past_all_that_was_seen() {
    let server = RedisServer::start();
    let (one, two) = (open(config(server.unix_url())).await, open(config(server.unix_url())).await);
    create(&one, "a").await.unwrap();
    let before = one.state().await.unwrap();
    let tails = [tail_from(&one, before.head).await, tail_from(&two, before.head).await];
    server.command::<()>(&["FLUSHALL"]);
    for tail in tails {
        assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    }
    create_again(&one, "b").await;
    assert_jumped(before, one.state().await.unwrap());
    assert_eq!(one.state().await.unwrap().epoch, two.state().await.unwrap().epoch);
    assert_eq!((names(&two).await, one.id()), (vec!["b".to_owned()], two.id()));
    assert_eq!(open(config(server.unix_url())).await.id(), one.id(), "it is the same store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_a_store_of_another_id_is_never_written() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let head = create(&store, "a").await.unwrap();
    let tail = tail_from(&store, head).await;
    let other = "00000000-0000-4000-8000-000000000001";
    server.command::<i64>(&["HSET", "{roa:default}:meta", "store", other]);
    server.command::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    let refused = async {
        // The first may meet the connection that was cut.
        loop {
            if let CommitError::Unavailable { reason } = create(&store, "b").await.unwrap_err() {
                return reason;
            }
        }
    };
    assert!(tokio::time::timeout(BOUND, refused).await.unwrap().contains(other));
    assert!(matches!(store.health().await, Health::Failing(_)));
    assert_eq!(server.command::<i64>(&["HLEN", "{roa:default}:objects"]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w9_a_lost_connection_is_no_break_and_the_feed_goes_on() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let before = store.state().await.unwrap();
    let mut tail = tail_from(&store, before.head).await;
    for round in 0..10 {
        create_again(&store, &format!("a{round}")).await;
        server.command::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
        create_again(&store, &format!("b{round}")).await;
    }
    let after = store.state().await.unwrap();
    assert_eq!(after.epoch, before.epoch);
    let expected: Vec<_> = (before.head.get() + 1..=after.head.get()).collect();
    assert_eq!(revisions(&mut tail, after.head).await, expected);
    assert_eq!(names(&store).await.len(), 20);
}

/// A primary and a replica that has all that it has.
pub(crate) async fn replicated(
    store_at: impl Fn(&RedisServer) -> RedisConfig,
) -> (RedisServer, RedisServer, RedisStore) {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    let store = open(store_at(&primary)).await;
    create(&store, "kept").await.unwrap();
    replica.command::<()>(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    until_replicated(&replica, 1).await;
    (primary, replica, store)
}

async fn until_replicated(replica: &RedisServer, entries: i64) {
    let synced = async {
        while replica.command::<i64>(&["HLEN", "{roa:default}:objects"]) != entries {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, synced).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_replica_is_no_break() {
    let (_primary, _replica, store) = replicated(|server| config(server.url())).await;
    let before = store.state().await.unwrap();
    let mut tail = tail_from(&store, before.head).await;
    let revision = create(&store, "more").await.unwrap();
    assert_eq!(revisions(&mut tail, revision).await, [revision.get()]);
    assert_eq!((store.state().await.unwrap().epoch.counter, store.info().await.unwrap().breaks), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_a_fail_over_that_loses_what_was_acknowledged_is_fenced() {
    let (primary, replica, direct) = replicated(|server| config(server.url())).await;
    direct.close().await;
    let proxy = Proxy::start(primary.port()).await;
    let store = open(config(proxy.url())).await;
    let before = store.state().await.unwrap();
    // The link between them is cut, and the primary goes on to acknowledge.
    replica.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    let lost = create(&store, "lost").await.unwrap();
    let tail = tail_from(&store, before.head).await;
    proxy.retarget(replica.port());
    primary.kill();
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    let after = store.state().await.unwrap();
    assert_jumped(StoreState { head: lost, ..before }, after);
    assert_eq!(names(&store).await, ["kept"]);
    let stale = txn().expect_epoch(before.epoch).create(key("stale"), Value::opaque("v"));
    assert!(matches!(store.commit(stale).await, Err(CommitError::Fenced { .. })));
    assert!(create_again(&store, "new").await > after.head);
    assert_eq!(store.info().await.unwrap().breaks, 1, "the loss is counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_a_server_without_memory_refuses_and_nothing_is_applied() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let head = create(&store, "a").await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = create(&store, "b").await.unwrap_err();
    assert!(matches!(refused, CommitError::Unavailable { .. }), "{refused:?}");
    assert_eq!((store.state().await.unwrap().head, names(&store).await), (head, vec!["a".to_owned()]));
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(create(&store, "b").await.unwrap(), head.next().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_a_log_that_was_cut_behind_the_stores_back_is_a_break() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let before = store.state().await.unwrap();
    for name in ["a", "b", "c"] {
        create(&store, name).await.unwrap();
    }
    let tail = tail_from(&store, store.state().await.unwrap().head).await;
    server.command::<i64>(&["XTRIM", "{roa:default}:log", "MAXLEN", "1"]);
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    let after = store.state().await.unwrap();
    assert!(after.epoch != before.epoch && after.floor == after.head);
    assert_eq!(names(&store).await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_wait_for_replicas_that_are_not_there_is_unclear() {
    let server = RedisServer::start();
    let config = config(server.unix_url()).wait_replicas(1).wait_timeout(Duration::from_millis(100));
    let store = open(config).await;
    let unclear = create(&store, "a").await.unwrap_err();
    assert!(matches!(unclear, CommitError::Ambiguous { .. }), "{unclear:?}");
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &server.port().to_string()]);
    let attached = async {
        while replica.command::<i64>(&["HLEN", "{roa:default}:objects"]) != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, attached).await.unwrap();
    let copied = async {
        // A replica on a busy machine may be slower than the limit at first.
        for number in 0.. {
            if create(&store, &format!("b{number}")).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(BOUND, copied).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_scripts_that_are_flushed_all_the_time_are_given_again() {
    let server = RedisServer::start();
    let store = Arc::new(open(config(server.unix_url())).await);
    let before = store.state().await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for number in 0..50 {
                create(&store, &format!("k{writer}-{number}")).await.unwrap();
            }
        });
    }
    while !writers.is_empty() {
        server.command::<()>(&["SCRIPT", "FLUSH"]);
        while writers.try_join_next().is_some_and(|ended| ended.is_ok()) {}
        tokio::task::yield_now().await;
    }
    assert_eq!(store.state().await.unwrap().head.get(), before.head.get() + 400);
    assert_eq!(names(&store).await.len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_s4_s6_a_killed_server_that_syncs_each_commit_keeps_all_that_was_acknowledged() {
    kill_during_commits(RedisServer::start_with(&["--appendfsync", "always"]), true).await;
}

/// While the file is being synced, Redis acknowledges what it has not even written: so this loses the newest commits
/// now and then. What is left is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_s4_a_killed_server_that_syncs_each_second_keeps_all_or_nothing_of_a_commit() {
    kill_during_commits(RedisServer::start(), false).await;
}

/// Each commit writes a pair: after a kill both halves are there, or none.
async fn kill_during_commits(server: RedisServer, keeps_acknowledged: bool) {
    let store = Arc::new(open(config(server.unix_url())).await);
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        let (told, mut answers) = tokio::sync::mpsc::channel(1_024);
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let (store, told) = (Arc::clone(&store), told.clone());
            writers.spawn(async move {
                for number in 0..500 {
                    let name = format!("{round}-{writer}-{number}");
                    let (left, right) = (key(&format!("{name}-left")), key(&format!("{name}-right")));
                    let pair = txn().create(left, Value::opaque("l")).create(right, Value::opaque("r"));
                    match store.commit(pair).await {
                        Ok(_) => told.send(name).await.unwrap(),
                        Err(_) => return,
                    }
                }
            });
        }
        drop(told);
        for _ in 0..40 * (round + 1) {
            acknowledged.extend(answers.recv().await);
        }
        server.kill();
        while let Some(name) = answers.recv().await {
            acknowledged.push(name);
        }
        server.start_again();
        create_again(&store, &format!("round-{round}")).await;
        let found = names(&store).await;
        let has = |name: &str, half: &str| found.binary_search(&format!("{name}-{half}")).is_ok();
        for name in acknowledged.iter().filter(|_| keeps_acknowledged) {
            assert!(has(name, "left") && has(name, "right"), "{name} was acknowledged");
        }
        let lefts = found.iter().filter(|name| name.ends_with("-left")).count();
        let rights = found.iter().filter(|name| name.ends_with("-right")).count();
        assert_eq!(lefts, rights, "a half of a commit");
        assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
    }
}

/// A power cut takes the end of the append-only file: what is left is a state that once was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_s4_an_append_only_file_that_was_cut_is_a_prefix_and_fenced() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    for number in 0..50 {
        let (left, right) = (key(&format!("{number}-left")), key(&format!("{number}-right")));
        let pair = txn().create(left, Value::opaque("l")).create(right, Value::opaque("r"));
        store.commit(pair).await.unwrap();
    }
    let before = store.state().await.unwrap();
    let file = std::fs::read_dir(server.directory().join("appendonlydir")).unwrap();
    let file = file.map(|entry| entry.unwrap().path()).find(|path| path.to_string_lossy().contains(".incr.")).unwrap();
    for cut in [1, 3, 700, 1_500] {
        server.kill();
        let length = std::fs::metadata(&file).unwrap().len();
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length - cut).unwrap();
        server.start_again();
        let name = format!("after-{cut}");
        create_again(&store, &name).await;
        let report = store.check().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "cut by {cut}");
        assert!(report.state.epoch != before.epoch && report.state.head > before.head);
        let found = names(&store).await;
        let pairs = found.iter().filter(|name| name.ends_with("-left")).count();
        assert_eq!(found.iter().filter(|name| name.ends_with("-right")).count(), pairs, "cut by {cut}");
        assert!(found.contains(&name) && pairs >= 40, "{pairs} pairs after {cut} bytes were cut");
    }
}

/// The replica had used the same revisions for others before the client was moved to it: its numbers fit, its chain
/// does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_s3_a_swap_that_reused_the_revisions_is_found_by_the_chain() {
    let (primary, replica, direct) = replicated(|server| config(server.url())).await;
    let before = direct.state().await.unwrap();
    let proxy = Proxy::start(primary.port()).await;
    let store = open(config(proxy.url())).await;
    let tail = tail_from(&store, before.head).await;
    replica.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    for number in 0..5 {
        create(&store, &format!("seen-{number}")).await.unwrap();
    }
    let seen = store.state().await.unwrap().head;
    // The other history, as a writer without any protection would make it: same epoch, same ids, a dense log.
    let fields = ["run_id", "replid"];
    let own = replica.command::<String>(&["INFO"]);
    let of = |name: &str| own.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let ids = [of("run_id:"), of("master_replid:")];
    for (field, id) in fields.iter().zip(&ids) {
        replica.command::<i64>(&["HSET", "{roa:default}:meta", field, id]);
    }
    let other = open(config(replica.url())).await;
    assert_eq!(other.state().await.unwrap().epoch, before.epoch, "nothing told it of the break");
    for number in 0..9 {
        create(&other, &format!("other-{number}")).await.unwrap();
    }
    other.close().await;
    proxy.retarget(replica.port());
    proxy.cut();
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    let after = store.state().await.unwrap();
    assert!(after.epoch != before.epoch && after.head.get() > seen.get() + Revision::JUMP, "{before:?} {after:?}");
    let stale = txn().expect_epoch(before.epoch).create(key("stale"), Value::opaque("v"));
    assert!(matches!(store.commit(stale).await, Err(CommitError::Fenced { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_feeds_that_wait_hold_no_commit_up() {
    let server = RedisServer::start();
    // One wait for changes takes as long as the whole test may.
    let store = open(config(server.unix_url()).block(BOUND)).await;
    let head = store.state().await.unwrap().head;
    let mut tails = Vec::new();
    for _ in 0..20 {
        tails.push(tail_from(&store, head).await);
    }
    let committing = async {
        for number in 0..200 {
            create(&store, &format!("k{number}")).await.unwrap();
        }
    };
    tokio::time::timeout(BOUND / 2, committing).await.unwrap();
    let last = Revision::new(head.get() + 200).unwrap();
    for mut tail in tails {
        assert_eq!(revisions(&mut tail, last).await.len(), 200);
    }
}

/// The first commits after a jump are lost, and all who saw them are gone. "Nothing was committed since the jump" is
/// then no more than what the server remembers: another jump is needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s9_s14_what_was_lost_right_after_a_jump_is_not_used_again() {
    let server = RedisServer::start_with(&["--appendfsync", "always"]);
    let store = open(config(server.unix_url())).await;
    let head = create(&store, "kept").await.unwrap();
    let fenced = store.fence(store.state().await.unwrap().epoch, head).await.unwrap();
    let file = std::fs::read_dir(server.directory().join("appendonlydir")).unwrap();
    let file = file.map(|entry| entry.unwrap().path()).find(|path| path.to_string_lossy().contains(".incr.")).unwrap();
    let length = std::fs::metadata(&file).unwrap().len();
    let told = create(&store, "lost").await.unwrap();
    store.close().await;
    server.kill();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length).unwrap();
    server.start_again();
    let store = open(config(server.unix_url())).await;
    assert_eq!(names(&store).await, ["kept"]);
    let revision = create(&store, "other").await.unwrap();
    assert!(revision > told, "{revision} was told to be another commit");
    assert_ne!(store.state().await.unwrap().epoch, fenced.epoch, "who has followed up to {told} must begin anew");
}
