//! [`Client`]: a store's calls, each bounded in time, each a failure of the case if it fails unexpectedly.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{
    CommitError, Entry, Error, Key, KeyPrefix, ListRequest, Page, Read, Revision, Store, StoreState, SystemRandom, Txn,
    TxnId, Value,
};

use crate::failure::{CaseFailure, Outcome, ensure};
use crate::feed::Feed;
use crate::harness::{failed, within};

/// The group of the suite's keys.
pub(crate) const GROUP: &str = "conformance.roa.dev";

/// A store as cases use it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) patience: Duration,
}

/// The key of a thing.
pub(crate) fn key(name: &str) -> Key {
    key_in("n", name)
}

/// The key of a thing in a namespace.
#[expect(clippy::expect_used, reason = "the suite's own names are neither empty nor too long, and hold no NUL")]
pub(crate) fn key_in(namespace: &str, name: &str) -> Key {
    Key::new(GROUP, "things", namespace, name).expect("the suite's names make keys")
}

/// All things.
pub(crate) fn things() -> KeyPrefix {
    prefix_of(KeyPrefix::resource(GROUP, "things"))
}

/// All things in a namespace.
pub(crate) fn things_in(namespace: &str) -> KeyPrefix {
    prefix_of(KeyPrefix::namespace(GROUP, "things", namespace))
}

#[expect(clippy::expect_used, reason = "the suite's own names hold no NUL and are short")]
fn prefix_of(prefix: Result<KeyPrefix, roa_core::KeyError>) -> KeyPrefix {
    prefix.expect("the suite's names make prefixes")
}

/// A value.
#[expect(clippy::needless_pass_by_value, reason = "numbers and literals are given, and read better without &")]
pub(crate) fn text(value: impl ToString) -> Value {
    Value::opaque(value.to_string())
}

impl Client {
    pub(crate) const fn new(store: Arc<dyn Store>, patience: Duration) -> Self {
        Self { store, patience }
    }

    /// A transaction without writes yet.
    pub(crate) fn txn(&self) -> Txn {
        Txn::new(TxnId::random(&SystemRandom), "conformance")
    }

    /// What the store answers to a commit.
    pub(crate) async fn attempt(&self, txn: Txn) -> Outcome<Result<Revision, CommitError>> {
        within(self.patience, "commit", self.store.commit(txn)).await
    }

    /// Commits what must go through.
    pub(crate) async fn commit(&self, txn: Txn) -> Outcome<Revision> {
        let keys: Vec<_> = txn.ops.iter().take(3).map(|op| op.key().to_string()).collect();
        self.attempt(txn).await?.map_err(|error| CaseFailure::Commit { what: keys.join(", "), error: Arc::new(error) })
    }

    /// Commits what must be refused, and checks that it moved nothing.
    pub(crate) async fn refused(&self, what: &str, txn: Txn) -> Outcome<CommitError> {
        let before = self.state().await?;
        let error = match self.attempt(txn).await? {
            Ok(revision) => return Err(ensure::broken(&format!("{what} to be refused"), &revision)),
            Err(error) => error,
        };
        ensure::equal(&format!("where the history stands after {what}"), self.state().await?, before)?;
        Ok(error)
    }

    pub(crate) async fn create(&self, name: &str, value: impl ToString) -> Outcome<Revision> {
        self.commit(self.txn().create(key(name), text(value))).await
    }

    pub(crate) async fn update(&self, name: &str, value: impl ToString, expect: Revision) -> Outcome<Revision> {
        self.commit(self.txn().update(key(name), text(value), expect)).await
    }

    /// Creates or updates a thing, whatever it is.
    pub(crate) async fn put(&self, name: &str, value: impl ToString) -> Outcome<Revision> {
        match self.entry(name).await? {
            Some(entry) => self.update(name, value, entry.revision).await,
            None => self.create(name, value).await,
        }
    }

    /// Removes a thing that is there, whatever it is.
    pub(crate) async fn delete(&self, name: &str) -> Outcome<Revision> {
        let Some(entry) = self.entry(name).await? else { return Err(ensure::broken("an entry to delete", &name)) };
        self.commit(self.txn().delete(key(name), entry.revision)).await
    }

    pub(crate) async fn get(&self, key: &Key) -> Outcome<Read> {
        self.answered("get", self.store.get(key)).await
    }

    pub(crate) async fn entry(&self, name: &str) -> Outcome<Option<Arc<Entry>>> {
        Ok(self.get(&key(name)).await?.entry)
    }

    pub(crate) async fn list(&self, request: ListRequest) -> Outcome<Page> {
        self.answered("list", self.store.list(request)).await
    }

    /// All things, now.
    pub(crate) async fn list_things(&self) -> Outcome<Page> {
        self.list(ListRequest::new(things())).await
    }

    /// What the store answers to a list that must be refused.
    pub(crate) async fn list_refused(&self, what: &str, request: ListRequest) -> Outcome<Error> {
        match within(self.patience, "list", self.store.list(request)).await? {
            Ok(page) => Err(ensure::broken(&format!("{what} to be refused"), &page)),
            Err(error) => Ok(error),
        }
    }

    pub(crate) async fn state(&self) -> Outcome<StoreState> {
        self.answered("state", self.store.state()).await
    }

    pub(crate) async fn head(&self) -> Outcome<Revision> {
        Ok(self.state().await?.head)
    }

    pub(crate) async fn compact(&self, to: Revision) -> Outcome<Revision> {
        self.answered("compact", self.store.compact(to)).await
    }

    /// Breaks the history off, as after a failure.
    pub(crate) async fn fence(&self) -> Outcome<StoreState> {
        let state = self.state().await?;
        self.answered("fence", self.store.fence(state.epoch, state.head)).await
    }

    /// The change feed after a revision.
    pub(crate) async fn feed(&self, after: Revision) -> Outcome<Feed> {
        let tail = self.answered("tail", self.store.tail(after)).await?;
        ensure::equal("where a feed starts", tail.after, after)?;
        ensure::equal("whose history a feed is", tail.store, self.store.id())?;
        Ok(Feed::new(tail, self.patience))
    }

    /// The change feed from now on.
    pub(crate) async fn feed_from_now(&self) -> Outcome<Feed> {
        self.feed(self.head().await?).await
    }

    /// What the store answers to a feed that must be refused.
    pub(crate) async fn feed_refused(&self, what: &str, after: Revision) -> Outcome<Error> {
        match within(self.patience, "tail", self.store.tail(after)).await? {
            Ok(tail) => Err(ensure::broken(&format!("{what} to be refused"), &tail)),
            Err(error) => Ok(error),
        }
    }

    /// A commit that follows a head must have the next revision, or a later one if the store isn't dense.
    pub(crate) fn follows(&self, what: &str, head: Revision, revision: Revision) -> Outcome {
        if self.store.capabilities().dense {
            return ensure::equal(what, revision.get(), head.get() + 1);
        }
        ensure::that(&format!("{what} after {head}"), revision > head, &revision)
    }

    async fn answered<T>(&self, doing: &str, answer: impl Future<Output = roa_core::Result<T>>) -> Outcome<T> {
        within(self.patience, doing, answer).await?.map_err(|error| failed(doing, error))
    }
}

/// An object with a label, as JSON.
pub(crate) fn object(key: &Key, tier: &str, size: usize) -> Value {
    let metadata = serde_json::json!({ "name": key.name(), "namespace": key.namespace(), "labels": { "tier": tier } });
    // By hand, since the metadata must come first.
    Value::json(format!(r#"{{"metadata":{metadata},"apiVersion":"v1","kind":"Thing","spec":{{"size":{size}}}}}"#))
}
