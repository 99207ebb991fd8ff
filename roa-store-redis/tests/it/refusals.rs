//! What a server refuses while a store is open: nothing of it is done, and the store goes on when the server does.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use roa_core::{CommitError, Revision, Store, TailEnd};
use roa_store_redis::test_util::{Direction, Fault, Proxy, RedisServer};

use crate::breaks::replicated;
use crate::support::{BOUND, config, create, create_again, end_of, names, open, revisions, until, within};

fn assert_refused(answer: &Result<Revision, CommitError>) {
    assert!(matches!(answer, Err(CommitError::Unavailable { .. })), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_primary_that_is_made_a_replica_takes_no_commit() {
    let (primary, replica, store) = replicated(|server| config(server.url())).await;
    let before = store.state().await.unwrap();
    let tail = store.tail(before.head).await.unwrap();
    replica.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    primary.command::<()>(&["REPLICAOF", "127.0.0.1", &replica.port().to_string()]);
    assert_refused(&create(&store, "refused").await);
    primary.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    create_again(&store, "again").await;
    assert_eq!(names(&store).await, ["again", "kept"]);
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }), "it may have taken over another history");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_server_that_misses_its_replicas_refuses_and_nothing_is_applied() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let head = create(&store, "a").await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert_refused(&create(&store, "b").await);
    assert_eq!(store.state().await.unwrap().head, head);
    server.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(create(&store, "b").await.unwrap(), head.next().unwrap());
}

/// Takes a right away in the midst: whatever of a commit was done by then, the store is whole afterwards.
async fn take_away(right: &str) {
    let server = RedisServer::start();
    server.command::<()>(&["ACL", "SETUSER", "roa", "on", ">secret", "~*", "+@all"]);
    let store = open(config(format!("redis://roa:secret@127.0.0.1:{}", server.port()))).await;
    create(&store, "before").await.unwrap();
    server.command::<()>(&["ACL", "SETUSER", "roa", &format!("-{right}")]);
    let during = create(&store, "during").await;
    server.command::<()>(&["ACL", "SETUSER", "roa", &format!("+{right}")]);
    create_again(&store, "after").await;
    let (found, report) = (names(&store).await, store.check().await.unwrap());
    let is_there = found.contains(&"during".to_owned());
    match during {
        Ok(_) => assert!(is_there),
        Err(CommitError::Unavailable { .. }) => assert!(!is_there),
        Err(CommitError::Ambiguous { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    assert!(found.contains(&"before".to_owned()) && found.contains(&"after".to_owned()), "{found:?}");
    assert_eq!(report.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_s5_without_the_right_to_run_scripts_nothing_is_done() {
    take_away("evalsha").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_s5_without_the_right_to_read_nothing_is_done() {
    take_away("hmget").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_s5_without_the_right_to_log_nothing_is_done() {
    take_away("xadd").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_s5_a_commit_that_ends_after_the_log_is_no_half_of_one() {
    take_away("hset").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_s5_a_commit_that_ends_before_the_index_is_no_half_of_one() {
    take_away("zadd").await;
}

/// One key of the four is removed by somebody: the loss is told to who follows, and the store takes commits again.
async fn lose(part: &str) {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    create(&store, "a").await.unwrap();
    let before = store.state().await.unwrap();
    let tail = store.tail(before.head).await.unwrap();
    assert_eq!(server.command::<i64>(&["DEL", &format!("{{roa:default}}:{part}")]), 1);
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    let revision = create_again(&store, "b").await;
    assert!(revision > before.head && store.state().await.unwrap().epoch != before.epoch);
    let listed = names(&store).await;
    assert!(listed.contains(&"b".to_owned()), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_the_loss_of_the_head_is_noticed() {
    lose("meta").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_the_loss_of_the_entries_is_noticed() {
    lose("objects").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_the_loss_of_the_index_is_noticed() {
    lose("index").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_the_loss_of_the_log_is_noticed() {
    lose("log").await;
}

/// What somebody else adds to the log is nobody's commit: no feed gives it, and it keeps no commit out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_an_entry_that_somebody_added_to_the_log_is_a_break() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let head = create(&store, "a").await.unwrap();
    let tail = store.tail(head).await.unwrap();
    let id = format!("{}-0", head.next().unwrap());
    assert_eq!(server.command::<String>(&["XADD", "{roa:default}:log", &id, "batch", "notes"]), id);
    let revision = create_again(&store, "b").await;
    assert!(revision > head.next().unwrap(), "{revision} stands for what was added");
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    assert_eq!(names(&store).await, ["a", "b"]);
}

/// Commits that wait for a replica that is gone are unclear; who reads does not wait with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_a_replica_that_is_missing_holds_up_no_read() {
    let server = RedisServer::start();
    let waiting = config(server.unix_url()).wait_replicas(1).wait_timeout(Duration::from_secs(1));
    let store = Arc::new(open(waiting).await);
    let committing = async {
        let names: Vec<_> = (0..8).map(|number| format!("k{number}")).collect();
        join_all(names.iter().map(|name| create(&store, name))).await
    };
    let reading = async {
        for _ in 0..20 {
            store.state().await?;
        }
        Ok::<_, roa_core::Error>(())
    };
    let both = futures_util::future::join(committing, tokio::time::timeout(BOUND / 10, reading));
    let (commits, reads) = within(both).await;
    assert!(commits.iter().all(|answer| matches!(answer, Err(CommitError::Ambiguous { .. }))), "{commits:?}");
    assert!(matches!(reads, Ok(Ok(()))), "twenty reads beside eight commits that wait a second: {reads:?}");
}

/// The commit is done, whatever the server then says of the replicas: also what else says that nothing was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_commit_that_is_done_is_never_refused_for_what_is_said_of_replicas() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let store = open(config(proxy.url()).wait_replicas(1).wait_timeout(Duration::from_millis(50))).await;
    let head = store.state().await.unwrap().head;
    let said: [&'static [u8]; 3] = [b"-MASTERDOWN no link\r\n", b"-LOADING the data\r\n", b"-BUSY with a script\r\n"];
    for (name, said) in ["a", "b", "c"].into_iter().zip(said) {
        proxy.fail(Direction::Down, Fault::Replace(b":0\r\n", said));
        let answer = create(&store, name).await;
        assert!(matches!(answer, Err(CommitError::Ambiguous { .. })), "{answer:?}");
        proxy.fail(Direction::Down, Fault::None);
    }
    assert_eq!(names(&store).await, ["a", "b", "c"]);
    assert_eq!(store.state().await.unwrap().head.get(), head.get() + 3, "each was sent once");
}

/// A script of somebody else keeps the server from answering anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w9_a_feed_that_is_refused_asks_again_ever_more_rarely_and_goes_on() {
    let server = RedisServer::start();
    let mut config = config(server.unix_url());
    // No more than the newest batch: the one before is read from the server.
    config.recent_max_bytes = 0;
    let store = open(config).await;
    let floor = store.state().await.unwrap().floor;
    create_again(&store, "a").await;
    let last = create_again(&store, "b").await;
    let mut tail = store.tail(floor).await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "lua-time-limit", "1"]);
    let redis_cli = |arguments: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &server.port().to_string()]).args(arguments).stdout(Stdio::piped());
        command
    };
    let mut script = redis_cli(&["EVAL", "while true do end", "0"]).spawn().unwrap();
    let says_busy = || String::from_utf8_lossy(&redis_cli(&["PING"]).output().unwrap().stdout).contains("BUSY");
    until("the server is busy", says_busy);
    let refused = tokio::time::timeout(Duration::from_secs(1), tail.next()).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(redis_cli(&["SCRIPT", "KILL"]).status().unwrap().success());
    script.wait().unwrap();
    assert_eq!(revisions(&mut tail, last).await.last(), Some(&last.get()));
    let stats = server.command::<String>(&["INFO", "commandstats"]);
    let ranges = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xrange:")).unwrap();
    let rejected = ranges.split(',').find_map(|part| part.strip_prefix("rejected_calls=")).unwrap();
    assert!(rejected.parse::<u64>().unwrap() < 50, "{ranges}");
}

/// An orderly end writes all that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_a_server_that_is_stopped_in_order_loses_nothing() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    for number in 0..50 {
        create(&store, &format!("k{number}")).await.unwrap();
    }
    server.stop();
    assert_refused_or_unclear(&create(&store, "stopped").await);
    server.start_again();
    create_again(&store, "after").await;
    assert_eq!(names(&store).await.iter().filter(|name| name.starts_with('k')).count(), 50);
}

fn assert_refused_or_unclear(answer: &Result<Revision, CommitError>) {
    assert!(matches!(answer, Err(CommitError::Unavailable { .. } | CommitError::Ambiguous { .. })), "{answer:?}");
}
