//! A network that delays, cuts, swallows and refuses: nothing that was acknowledged is lost, nothing is done twice, no
//! feed loses or repeats anything, and all goes on by itself when the network does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{
    CommitError, Entry, KeyPrefix, ListRequest, Random, RandomExt, Revision, SeededRandom, Store, Tail, Value,
};
use roa_store_redis::test_util::{Direction, Fault, Proxy, RedisServer};
use roa_store_redis::{RedisConfig, RedisStore};

use crate::support::{key, try_open, txn};

/// How soon all must go on after the network does: a few attempts to connect, and one time-out.
const BOUND: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_millis(500);

struct Net {
    server: RedisServer,
    proxy: Proxy,
    store: Arc<RedisStore>,
}

fn quick(url: String) -> RedisConfig {
    RedisConfig::new(url).timeouts(TIMEOUT, TIMEOUT).block(Duration::from_millis(100))
}

async fn open(url: String) -> RedisStore {
    try_open(quick(url)).await.unwrap()
}

impl Net {
    async fn new() -> Self {
        let server = RedisServer::start();
        let proxy = Proxy::start(server.port()).await;
        let store = Arc::new(open(proxy.url()).await);
        Self { server, proxy, store }
    }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    NotDone,
    Unclear,
}

async fn create(store: &RedisStore, name: &str) -> Fate {
    match store.commit(txn().create(key(name), Value::opaque("v"))).await {
        Ok(_) => Fate::Done,
        Err(CommitError::Ambiguous { .. }) => Fate::Unclear,
        Err(CommitError::Unavailable { .. }) => Fate::NotDone,
        Err(other) => panic!("{name}: {other}"),
    }
}

/// Commits as soon as that is possible again.
async fn recover(store: &RedisStore, name: &str) {
    let recovering = async {
        for attempt in 0.. {
            if create(store, &format!("{name}-{attempt}")).await == Fate::Done {
                return;
            }
        }
    };
    tokio::time::timeout(BOUND, recovering).await.unwrap();
}

async fn entries(store: &RedisStore) -> BTreeMap<String, Arc<Entry>> {
    let page = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap();
    page.entries.into_iter().map(|entry| (entry.key.name().to_owned(), entry)).collect()
}

/// All names that a feed gave, up to a revision: each revision once, in order.
async fn follow(tail: &mut Tail, until: Revision) -> Vec<String> {
    follow_from(tail, tail.after, until).await
}

async fn follow_from(tail: &mut Tail, after: Revision, until: Revision) -> Vec<String> {
    let (mut names, mut last) = (Vec::new(), after);
    let following = async {
        while last < until {
            for batch in tail.next().await.unwrap().unwrap() {
                assert_eq!(batch.revision, last.next().unwrap(), "none is left out, none comes twice");
                last = batch.revision;
                names.extend(batch.changes.iter().map(|change| change.key().name().to_owned()));
            }
        }
    };
    tokio::time::timeout(BOUND, following).await.unwrap();
    names
}

/// Holds what was told against what is there, looked at without the proxy.
async fn judge(net: &Net, fates: &[(String, Fate)], tail: &mut Tail) {
    let direct = open(net.server.url()).await;
    let (found, head) = (entries(&direct).await, direct.state().await.unwrap().head);
    let followed = follow(tail, head).await;
    for (name, fate) in fates {
        match fate {
            Fate::Done => assert!(found.contains_key(name), "{name} was acknowledged"),
            Fate::NotDone => assert!(!found.contains_key(name), "{name} was certainly not done"),
            Fate::Unclear => {}
        }
        let times = followed.iter().filter(|followed| *followed == name).count();
        assert_eq!(times, usize::from(found.contains_key(name)), "{name}: {fate:?}");
    }
    assert!(found.values().all(|entry| entry.version == 1), "none was done twice");
    assert_eq!(direct.state().await.unwrap().epoch.counter, 1, "the same server: no break");
    assert_eq!(direct.check().await.unwrap().problems, Vec::<String>::new());
    direct.close().await;
}

/// Some commits under a fault, and what became of them.
async fn under(net: &Net, fault: impl FnOnce(&Proxy)) -> Vec<(String, Fate)> {
    let mut fates = vec![("before".to_owned(), create(&net.store, "before").await)];
    fault(&net.proxy);
    for number in 0..5 {
        let name = format!("during-{number}");
        let fate = create(&net.store, &name).await;
        fates.push((name, fate));
    }
    net.proxy.heal();
    recover(&net.store, "after").await;
    fates
}

async fn matrix(fault: impl FnOnce(&Proxy)) -> Vec<Fate> {
    let net = Net::new().await;
    let mut tail = net.store.tail(net.store.state().await.unwrap().head).await.unwrap();
    let fates = under(&net, fault).await;
    judge(&net, &fates, &mut tail).await;
    fates.into_iter().map(|(_, fate)| fate).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_answers_that_are_lost_are_unclear() {
    let fates = matrix(|proxy| proxy.fail(Direction::Down, Fault::Swallow)).await;
    assert_eq!(fates[..2], [Fate::Done, Fate::Unclear]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_requests_that_are_lost_are_unclear() {
    let fates = matrix(|proxy| proxy.fail(Direction::Up, Fault::Swallow)).await;
    assert_eq!(fates[..2], [Fate::Done, Fate::Unclear]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_without_a_connection_nothing_was_done() {
    let fates = matrix(|proxy| {
        proxy.refuse(true);
        proxy.cut();
    });
    let fates = fates.await;
    assert!(fates[2..].iter().all(|fate| *fate == Fate::NotDone), "{fates:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_delays_change_nothing() {
    let fates = matrix(|proxy| {
        proxy.fail(Direction::Up, Fault::Delay(Duration::from_millis(20)));
        proxy.fail(Direction::Down, Fault::Delay(Duration::from_millis(30)));
    });
    assert!(fates.await.iter().all(|fate| *fate == Fate::Done));
}

/// The answer to a commit, or a commit itself, is cut after each of some numbers of bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_connections_that_are_cut_at_any_byte_lose_and_repeat_nothing() {
    cut_at_any_byte(5, Fault::CutAfter).await;
}

async fn cut_at_any_byte(seed: u64, fault_after: fn(usize) -> Fault) {
    let net = Net::new().await;
    let mut tail = net.store.tail(net.store.state().await.unwrap().head).await.unwrap();
    let (random, mut fates) = (SeededRandom::new(seed), Vec::new());
    for round in 0..6 {
        let direction = if round % 2 == 0 { Direction::Up } else { Direction::Down };
        let bytes = usize::try_from(random.below(400)).unwrap();
        net.proxy.fail(direction, fault_after(bytes));
        for number in 0..3 {
            let name = format!("{round}-{number}-{:x}", random.next_u64());
            let fate = create(&net.store, &name).await;
            fates.push((name, fate));
        }
        net.proxy.heal();
        recover(&net.store, &format!("after-{round}")).await;
    }
    judge(&net, &fates, &mut tail).await;
    assert!(fates.iter().any(|(_, fate)| *fate == Fate::Unclear), "it was no test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w9_a_server_that_stops_answering_is_waited_for() {
    let net = Net::new().await;
    let mut tail = net.store.tail(net.store.state().await.unwrap().head).await.unwrap();
    net.server.pause();
    let fate = create(&net.store, "during").await;
    net.server.resume();
    assert_ne!(fate, Fate::Done);
    recover(&net.store, "after").await;
    judge(&net, &[("during".to_owned(), fate)], &mut tail).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_ends_an_opening_in_time() {
    let net = Net::new().await;
    net.proxy.fail(Direction::Down, Fault::Swallow);
    let opening = try_open(quick(net.proxy.url()));
    assert!(tokio::time::timeout(BOUND, opening).await.unwrap().is_err());
}

/// Connections that stay open and carry nothing any more, as after the loss of a firewall's state: nothing tells that
/// they are of no use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_connections_that_fall_silent_are_replaced() {
    let net = Net::new().await;
    let mut tail = net.store.tail(net.store.state().await.unwrap().head).await.unwrap();
    let mut fates = vec![("before".to_owned(), create(&net.store, "before").await)];
    for round in 0..2 {
        net.proxy.freeze();
        let name = format!("during-{round}");
        let fate = create(&net.store, &name).await;
        fates.push((name, fate));
        recover(&net.store, &format!("after-{round}")).await;
    }
    judge(&net, &fates, &mut tail).await;
    assert_eq!(fates.iter().map(|(_, fate)| *fate).collect::<Vec<_>>(), [Fate::Done, Fate::Unclear, Fate::Unclear]);
}

/// Who only follows learns of a silent connection by nothing but time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w9_a_feed_whose_connection_falls_silent_goes_on() {
    let net = Net::new().await;
    let direct = open(net.server.url()).await;
    let before = direct.state().await.unwrap().head;
    let mut tail = net.store.tail(before).await.unwrap();
    assert_eq!(create(&direct, "before").await, Fate::Done);
    assert_eq!(follow(&mut tail, before.next().unwrap()).await, ["before"]);
    net.proxy.freeze();
    for number in 0..20 {
        assert_eq!(create(&direct, &format!("during-{number}")).await, Fate::Done);
    }
    let expected: Vec<_> = (0..20).map(|number| format!("during-{number}")).collect();
    let head = direct.state().await.unwrap().head;
    assert_eq!(follow_from(&mut tail, before.next().unwrap(), head).await, expected);
    direct.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_w9_connections_that_are_reset_at_any_byte_lose_and_repeat_nothing() {
    cut_at_any_byte(7, Fault::ResetAfter).await;
}
