//! What the tests share.

use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use roa_core::{
    CommitError, Key, KeyPrefix, ListRequest, Revision, Store, SystemRandom, Tail, TailEnd, Txn, TxnId, Value,
};
use roa_runtime::SystemClock;
use roa_store_redis::{OpenError, RedisConfig, RedisStore};

/// How long anything may take until it is seen.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// A configuration that finds out quickly.
pub(crate) fn config(url: impl Into<String>) -> RedisConfig {
    let timeout = Duration::from_secs(2);
    RedisConfig::new(url).block(Duration::from_millis(200)).timeouts(timeout, timeout)
}

pub(crate) async fn try_open(config: RedisConfig) -> Result<RedisStore, OpenError> {
    RedisStore::open(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await
}

pub(crate) async fn open(config: RedisConfig) -> RedisStore {
    try_open(config).await.unwrap()
}

pub(crate) fn key(name: &str) -> Key {
    Key::new("g", "things", "n", name).unwrap()
}

pub(crate) fn txn() -> Txn {
    Txn::new(TxnId::random(&SystemRandom), "test")
}

pub(crate) async fn create(store: &RedisStore, name: &str) -> Result<Revision, CommitError> {
    store.commit(txn().create(key(name), Value::opaque("value"))).await
}

/// Commits as soon as that is possible again.
pub(crate) async fn create_again(store: &RedisStore, name: &str) -> Revision {
    let mut last = None;
    let creating = async {
        loop {
            match create(store, name).await {
                Ok(revision) => return revision,
                Err(CommitError::Conflict { current: Some(at), .. }) => return at,
                Err(error) => last = Some(error),
            }
            tokio::task::yield_now().await;
        }
    };
    let created = tokio::time::timeout(BOUND, creating).await;
    created.unwrap_or_else(|_| panic!("no commit within {BOUND:?}: {last:?}"))
}

pub(crate) async fn names(store: &RedisStore) -> Vec<String> {
    let page = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap();
    page.entries.iter().map(|entry| entry.key.name().to_owned()).collect()
}

pub(crate) async fn end_of(mut tail: Tail) -> TailEnd {
    let ended = async {
        loop {
            if let Err(end) = tail.next().await.unwrap() {
                return end;
            }
        }
    };
    within(ended).await
}

/// The revisions that a feed gives, up to one.
pub(crate) async fn revisions(tail: &mut Tail, until: Revision) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    let reading = async {
        while seen.last() != Some(&until.get()) {
            seen.extend(tail.next().await.unwrap().unwrap().iter().map(|batch| batch.revision.get()));
        }
    };
    within(reading).await;
    seen
}

/// What a future gives, which must come in time. A panic says who waited.
#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let elapsed = |_| panic!("{caller} has waited for {BOUND:?}");
        tokio::time::timeout(BOUND, future).await.unwrap_or_else(elapsed)
    }
}

/// Waits until something holds, a bounded time.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}
