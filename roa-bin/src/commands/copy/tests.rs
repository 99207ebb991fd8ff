//! Copies between stores in memory, that fail on demand.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use roa_core::{
    At, Capabilities, CommitError, Entry, Epoch, Error, Health, Key, KeyPrefix, ListRequest, ManualClock, Page, Read,
    Result, Revision, SeededRandom, Store, StoreId, StoreState, SystemRandom, Tail, Txn, TxnId, Value,
};
use roa_runtime::SystemClock;
use roa_store_memory::{MemoryConfig, MemoryStore};

use super::progress::Progress;
use super::round::Copied;
use super::{Copy, marker};

fn store() -> MemoryStore {
    store_with(MemoryConfig::default())
}

fn store_with(config: MemoryConfig) -> MemoryStore {
    let clock = Arc::new(ManualClock::new("2027-01-02T03:04:05Z".parse().unwrap()));
    MemoryStore::new(config, clock, Arc::new(SystemRandom))
}

async fn put(store: &dyn Store, key: Key, text: &str, writer: &str) {
    let (id, value) = (TxnId::random(&SystemRandom), Value::json(text.to_owned()));
    let txn = match store.get(&key).await.unwrap().entry {
        Some(entry) => Txn::new(id, writer).update(key, value, entry.revision),
        None => Txn::new(id, writer).create(key, value),
    };
    store.commit(txn).await.unwrap();
}

fn lab(number: usize) -> Key {
    Key::new("lab.example.com", "labs", "school", &format!("lab-{number:04}")).unwrap()
}

/// With so many labs by three writers, and records of ROA's own.
async fn filled(labs: usize) -> MemoryStore {
    let store = store();
    for number in 0..labs {
        put(&store, lab(number), &format!("{{\"n\":{number}}}"), ["a", "b", "c"][number % 3]).await;
    }
    for (resource, name) in [("leases", "controllers"), ("heartbeats", "one"), ("outbox", "mail/1"), ("bookmarks", "x")]
    {
        put(&store, Key::system(resource, name).unwrap(), "{}", "roa").await;
    }
    store
}

async fn all(store: &dyn Store) -> Vec<Arc<Entry>> {
    store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap().entries
}

/// What a copy is to keep of an entry.
fn kept(entries: &[Arc<Entry>]) -> Vec<(Key, Value, Arc<str>)> {
    entries.iter().map(|entry| (entry.key.clone(), entry.value.clone(), Arc::clone(&entry.writer))).collect()
}

fn without_processes(mut entries: Vec<Arc<Entry>>) -> Vec<Arc<Entry>> {
    entries.retain(|entry| !["leases", "heartbeats"].contains(&entry.key.resource()));
    entries
}

async fn copy(source: &dyn Store, target: &dyn Store, overwrite: bool) -> anyhow::Result<Copied> {
    let (clock, random) = (SystemClock::new(), SeededRandom::new(7));
    let copy = Copy { source, target, overwrite, clock: &clock, random: &random };
    copy.run(&Progress::on_terminal()).await
}

#[tokio::test]
async fn a_copy_holds_the_same_bytes_by_the_same_writers_but_nothing_of_the_processes() {
    let (source, target) = (filled(450).await, store());
    let copied = copy(&source, &target, false).await.unwrap();
    assert_eq!(kept(&all(&target).await), kept(&without_processes(all(&source).await)), "and no marker is left");
    assert_eq!((copied.written, copied.content.entries), ([452, 0, 0], 452));
    assert_eq!(copied.content, copied.target);
}

#[tokio::test]
async fn s14_the_targets_history_goes_on_past_all_that_a_client_of_either_store_has_seen() {
    let far = Revision::new(Revision::ALARM - (1 << 40)).unwrap();
    let (source, target) = (store_with(MemoryConfig::default().opening(far)), store());
    put(&source, lab(0), "{}", "a").await;
    let feed = target.state().await.unwrap();
    copy(&source, &target, false).await.unwrap();
    let state = target.state().await.unwrap();
    assert!(state.floor > source.state().await.unwrap().head && state.epoch != feed.epoch);
    assert!(matches!(target.tail(feed.head).await.map(|_| ()), Err(Error::Expired { .. })));
}

#[tokio::test]
async fn a_target_that_holds_something_else_is_left_alone_unless_it_may_be_overwritten() {
    let (source, target) = (filled(2).await, store());
    put(&target, lab(1), "{\"n\":\"other\"}", "b").await;
    put(&target, lab(7), "{}", "b").await;
    let before = all(&target).await;
    let refused = copy(&source, &target, false).await.unwrap_err().to_string();
    let expected = "deletes 1 of its entries (labs.lab.example.com/school/lab-0007) and replaces 1";
    assert!(refused.contains(expected), "{refused}");
    assert_eq!(all(&target).await, before);
    assert_eq!(copy(&source, &target, true).await.unwrap().written, [3, 1, 1]);
    assert_eq!(kept(&all(&target).await), kept(&without_processes(all(&source).await)));
}

#[tokio::test]
async fn leases_in_the_target_stay_and_do_not_make_it_full() {
    let (source, target) = (filled(1).await, store());
    let lease = Key::system("leases", "controllers").unwrap();
    put(&target, lease.clone(), "theirs", "roa").await;
    copy(&source, &target, false).await.unwrap();
    assert_eq!(target.get(&lease).await.unwrap().entry.unwrap().value, Value::json("theirs"));
}

#[tokio::test]
async fn a_copy_that_was_cut_off_goes_on_and_is_no_source() {
    let (source, target) = (filled(5).await, store());
    marker::make(marker::key(&source).unwrap(), &source, &target, &SystemRandom).await.unwrap();
    put(&target, lab(0), "{\"n\":0}", "a").await;
    put(&target, lab(9), "{}", "a").await;
    let refused = copy(&target, &store(), false).await.unwrap_err().to_string();
    assert!(refused.contains("that is not complete"), "{refused}");
    assert_eq!(copy(&source, &target, false).await.unwrap().written, [6, 0, 1], "only what differs is written");
}

#[tokio::test]
async fn a_store_is_not_copied_into_itself_and_nothing_is_not_copied() {
    let source = filled(1).await;
    assert!(copy(&source, &source, true).await.unwrap_err().to_string().contains("expected two stores"));
    assert!(copy(&store(), &source, true).await.unwrap_err().to_string().contains("nothing to copy"));
    assert_eq!(all(&source).await.len(), 5);
}

#[tokio::test]
async fn large_values_are_spread_over_transactions() {
    let (source, target) = (store(), store());
    for number in 0..12 {
        put(&source, lab(number), &"x".repeat(Value::MAX_BYTES), "a").await;
    }
    assert_eq!(copy(&source, &target, false).await.unwrap().written, [12, 0, 0]);
}

/// A store that does one thing wrong, once.
#[derive(Debug)]
struct Flaky {
    inner: MemoryStore,
    expires: AtomicBool,
    loses_answer: AtomicBool,
}

impl Flaky {
    fn new(inner: MemoryStore) -> Self {
        Self { inner, expires: AtomicBool::new(false), loses_answer: AtomicBool::new(false) }
    }
}

#[tokio::test]
async fn s5_a_copy_begins_again_when_the_source_expires_and_when_an_answer_is_lost() {
    let (source, target) = (Flaky::new(filled(450).await), Flaky::new(store()));
    source.expires.store(true, Ordering::Relaxed);
    copy(&source, &target, false).await.unwrap();
    assert!(!source.expires.load(Ordering::Relaxed), "it expired");
    put(&source, lab(0), "{\"n\":\"new\"}", "a").await;
    target.loses_answer.store(true, Ordering::Relaxed);
    copy(&source, &target, true).await.unwrap();
    assert!(!target.loses_answer.load(Ordering::Relaxed), "an answer was lost");
    assert_eq!(kept(&all(&target).await), kept(&without_processes(all(&source).await)));
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flaky {}", self.inner)
    }
}

#[async_trait]
impl Store for Flaky {
    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.inner.get(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        if matches!(request.at, At::Exact(_)) && self.expires.swap(false, Ordering::Relaxed) {
            let StoreState { head, floor, .. } = self.inner.state().await?;
            return Err(Error::Expired { floor, head });
        }
        self.inner.list(request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let id = txn.id;
        let done = self.inner.commit(txn).await?;
        if self.loses_answer.swap(false, Ordering::Relaxed) {
            return Err(CommitError::Ambiguous { txn: id, reason: "the answer was lost".into() });
        }
        Ok(done)
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        self.inner.tail(after).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.inner.compact(to).await
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.inner.fence(expected, highest).await
    }

    async fn state(&self) -> Result<StoreState> {
        self.inner.state().await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
