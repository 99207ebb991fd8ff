//! A store under a manual clock, and the shorthands that all tests use.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use roa_core::{
    Batch, CommitError, Entry, Key, KeyPrefix, ListRequest, ManualClock, Page, Result, Revision, SeededRandom, Store,
    StoreState, Tail, TailEnd, Txn, TxnId, Value,
};
use roa_store_memory::{MemoryConfig, MemoryStore};

/// Far more than any awaited condition needs.
pub const BOUND: Duration = Duration::from_secs(30);

/// A store and what it was made with. Its futures are ready at once, so tests need no runtime to call it.
pub struct Fixture {
    pub store: MemoryStore,
    pub clock: ManualClock,
    pub random: Arc<SeededRandom>,
}

impl Fixture {
    pub fn new(config: MemoryConfig) -> Self {
        let clock = ManualClock::new("2027-01-02T03:04:05Z".parse().unwrap());
        let random = Arc::new(SeededRandom::new(42));
        let store = MemoryStore::new(config, Arc::new(clock.clone()), random.clone());
        Self { store, clock, random }
    }

    pub fn txn(&self) -> Txn {
        Txn::new(TxnId::random(&*self.random), "test")
    }

    pub fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        now(self.store.commit(txn))
    }

    /// Creates or updates a key, whatever it is.
    pub fn put(&self, name: &str, value: &str) -> Revision {
        let txn = match self.get(name) {
            Some(entry) => self.txn().update(key(name), opaque(value), entry.revision),
            None => self.txn().create(key(name), opaque(value)),
        };
        self.commit(txn).unwrap()
    }

    pub fn delete(&self, name: &str) -> Revision {
        let revision = self.get(name).unwrap().revision;
        self.commit(self.txn().delete(key(name), revision)).unwrap()
    }

    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        now(self.store.get(&key(name))).unwrap().entry
    }

    pub fn list(&self, request: ListRequest) -> Result<Page> {
        now(self.store.list(request))
    }

    pub fn tail(&self, after: Revision) -> Result<Tail> {
        now(self.store.tail(after))
    }

    pub fn state(&self) -> StoreState {
        now(self.store.state()).unwrap()
    }

    pub fn head(&self) -> Revision {
        self.state().head
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new(MemoryConfig::default())
    }
}

/// What a future gives at once.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the memory store never waits")
}

/// What a feed has at once: batches, or its end.
pub fn pull(tail: &mut Tail) -> Option<Result<Vec<Arc<Batch>>, TailEnd>> {
    tail.next().now_or_never().map(|item| item.expect("a feed ends with a reason"))
}

/// All batches that a feed has.
pub fn drain(tail: &mut Tail) -> Vec<Arc<Batch>> {
    let mut batches = Vec::new();
    while let Some(item) = pull(tail) {
        batches.extend(item.unwrap());
    }
    batches
}

pub fn key(name: &str) -> Key {
    Key::new("g", "things", "n", name).unwrap()
}

pub fn things() -> KeyPrefix {
    KeyPrefix::resource("g", "things").unwrap()
}

pub fn opaque(value: &str) -> Value {
    Value::opaque(value.to_owned())
}

pub fn revision(value: u64) -> Revision {
    Revision::new(value).unwrap()
}

/// The revision this many after another.
pub fn later(from: Revision, by: u64) -> Revision {
    revision(from.get() + by)
}

pub fn count(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).unwrap()
}

/// Names and values, as a page has them.
pub fn rows(entries: &[Arc<Entry>]) -> Vec<(String, String)> {
    let text = |entry: &Entry| String::from_utf8(entry.value.bytes.to_vec()).unwrap();
    entries.iter().map(|entry| (entry.key.name().to_owned(), text(entry))).collect()
}
