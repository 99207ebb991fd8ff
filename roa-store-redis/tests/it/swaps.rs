//! Another server behind a connection that lives: nothing tells of it but what the server answers.

use std::time::Duration;

use roa_core::{CommitError, KeyPrefix, ListRequest, Revision, Store, StoreState, TailEnd, Value};
use roa_store_redis::RedisStore;
use roa_store_redis::test_util::{Proxy, RedisServer};

use crate::breaks::{assert_jumped, replicated};
use crate::support::{config, create, create_again, end_of, key, names, open, txn};

/// A client through a proxy, which has seen five commits that the replica lacks.
struct Swap {
    primary: RedisServer,
    replica: RedisServer,
    proxy: Proxy,
    store: RedisStore,
    before: StoreState,
    seen: Revision,
}

impl Swap {
    async fn prepare(strict: bool) -> Self {
        let (primary, replica, direct) = replicated(|server| config(server.url())).await;
        direct.close().await;
        let proxy = Proxy::start(primary.port()).await;
        let store = open(config(proxy.url()).strict(strict)).await;
        let before = store.state().await.unwrap();
        replica.command::<()>(&["REPLICAOF", "NO", "ONE"]);
        let mut seen = before.head;
        for number in 0..5 {
            seen = create(&store, &format!("seen-{number}")).await.unwrap();
        }
        Self { primary, replica, proxy, store, before, seen }
    }

    /// Lets the replica use the revisions that were seen for others, as a writer without any protection would.
    async fn reuse_revisions(&self, count: usize) {
        let info = self.replica.command::<String>(&["INFO"]);
        let own = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        for (field, id) in [("run_id", own("run_id:")), ("replid", own("master_replid:"))] {
            self.replica.command::<i64>(&["HSET", "{roa:default}:meta", field, &id]);
        }
        let other = open(config(self.replica.url())).await;
        for number in 0..count {
            create(&other, &format!("other-{number}")).await.unwrap();
        }
        assert_eq!(other.state().await.unwrap().epoch, self.before.epoch, "nothing told it of the break");
        other.close().await;
    }

    async fn assert_fenced(&self) {
        let after = self.store.state().await.unwrap();
        assert_jumped(StoreState { head: self.seen, ..self.before }, after);
        let stale = txn().expect_epoch(self.before.epoch).create(key("stale"), Value::opaque("v"));
        assert!(matches!(self.store.commit(stale).await, Err(CommitError::Fenced { .. })));
        assert!(create_again(&self.store, "new").await > after.head);
        assert!(self.store.check().await.unwrap().problems.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_swap_to_a_server_that_lacks_commits_is_found_by_the_next_commit() {
    let swap = Swap::prepare(false).await;
    let tail = swap.store.tail(swap.seen).await.unwrap();
    swap.proxy.swap(swap.replica.port()).await;
    let revision = create_again(&swap.store, "next").await;
    assert!(revision.get() > swap.seen.get() + Revision::JUMP, "{revision} after {}", swap.seen);
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    assert_eq!(names(&swap.store).await, ["kept", "next"]);
    swap.assert_fenced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_swap_is_found_by_who_only_reads() {
    let swap = Swap::prepare(false).await;
    let tail = swap.store.tail(swap.seen).await.unwrap();
    swap.proxy.swap(swap.replica.port()).await;
    // What is read is refused, or of the epoch after the break: never less than what was acknowledged.
    for _ in 0..3 {
        let list = swap.store.list(ListRequest::new(KeyPrefix::everything())).await.map(|page| page.revision);
        let get = swap.store.get(&key("seen-4")).await.map(|read| read.revision);
        for revision in [list, get].into_iter().flatten() {
            assert!(revision >= swap.seen, "{revision} was read after {}", swap.seen);
        }
    }
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    swap.assert_fenced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_s3_a_swap_to_a_server_that_reused_the_revisions_is_found_by_the_next_commit() {
    let swap = Swap::prepare(false).await;
    swap.reuse_revisions(9).await;
    let tail = swap.store.tail(swap.seen).await.unwrap();
    swap.proxy.swap(swap.replica.port()).await;
    let revision = create_again(&swap.store, "next").await;
    assert!(revision.get() > swap.seen.get() + Revision::JUMP, "{revision} after {}", swap.seen);
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    swap.assert_fenced().await;
}

/// A server with just as many commits: the head fits, and only the transaction at it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_s3_a_swap_to_a_server_with_the_same_head_is_found_by_who_only_follows() {
    let swap = Swap::prepare(false).await;
    swap.reuse_revisions(5).await;
    let tail = swap.store.tail(swap.seen).await.unwrap();
    swap.proxy.swap(swap.replica.port()).await;
    assert!(matches!(end_of(tail).await, TailEnd::Expired { .. }));
    swap.assert_fenced().await;
}

/// A client that has seen nothing but what both servers have can't know; one that is strict asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_strict_client_finds_a_swap_though_it_has_seen_nothing_that_is_lost() {
    let swap = Swap::prepare(true).await;
    let proxy = Proxy::start(swap.replica.port()).await;
    proxy.swap(swap.primary.port()).await;
    let idle = open(config(proxy.url()).strict(true).block(Duration::from_secs(60))).await;
    let epoch = idle.state().await.unwrap().epoch;
    let head = create(&idle, "last").await.unwrap();
    proxy.swap(swap.replica.port()).await;
    let revision = create_again(&idle, "next").await;
    assert!(revision.get() > head.get() + Revision::JUMP);
    assert_ne!(idle.state().await.unwrap().epoch, epoch);
}

/// What a client has only read counts as seen, too: it is what it has told others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_s7_a_swap_lets_no_read_go_back_before_what_was_read() {
    let (primary, replica, writer) = replicated(|server| config(server.url())).await;
    let proxy = Proxy::start(primary.port()).await;
    let reader = open(config(proxy.url()).block(Duration::from_secs(60))).await;
    replica.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    create(&writer, "last").await.unwrap();
    let read = reader.get(&key("last")).await.unwrap();
    assert!(read.entry.is_some());
    proxy.swap(replica.port()).await;
    if let Ok(again) = reader.get(&key("last")).await {
        assert!(again.revision >= read.revision, "{} was read after {}", again.revision, read.revision);
    }
}

/// A client that was moved on, committed there, and is moved back to the old primary, which was never told: it is in the
/// epoch before. Gives the commit that it lacks.
async fn swap_back() -> (Swap, Revision) {
    let swap = Swap::prepare(false).await;
    swap.proxy.swap(swap.replica.port()).await;
    let high = create_again(&swap.store, "next").await;
    swap.proxy.swap(swap.primary.port()).await;
    (swap, high)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_s14_a_swap_back_lets_no_commit_of_the_epoch_before_through() {
    let (swap, high) = swap_back().await;
    let stale = txn().expect_epoch(swap.before.epoch).create(key("stale"), Value::opaque("v"));
    let answer = swap.store.commit(stale).await;
    assert!(answer.is_err(), "committed: {answer:?}, after {high} in a later epoch");
    assert!(create_again(&swap.store, "last").await > high);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_s7_a_swap_back_lets_no_read_go_back() {
    let (swap, high) = swap_back().await;
    for _ in 0..3 {
        if let Ok(read) = swap.store.get(&key("kept")).await {
            assert!(read.revision >= high, "{} was read after {high}", read.revision);
        }
        if let Ok(state) = swap.store.state().await {
            assert!(state.head >= high, "{state:?} was read after {high}");
        }
    }
    assert!(create_again(&swap.store, "last").await > high);
}
