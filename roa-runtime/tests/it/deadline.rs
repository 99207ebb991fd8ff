//! A store that hangs: every await that can hang has a deadline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{
    Capabilities, CommitError, Epoch, Error, Health, Key, KeyPrefix, ListRequest, ManualClock, Page, Read, Result,
    Revision, Store, StoreId, StoreState, SystemRandom, Tail, Timestamp, Txn, TxnId, Value,
};
use roa_runtime::DeadlineStore;

use crate::support::soon;

/// Never answers.
#[derive(Debug)]
struct Hung(Capabilities);

impl fmt::Display for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung")
    }
}

#[async_trait]
impl Store for Hung {
    fn id(&self) -> StoreId {
        StoreId(TxnId::none().0)
    }
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }
    async fn get(&self, _: &Key) -> Result<Read> {
        std::future::pending().await
    }
    async fn list(&self, _: ListRequest) -> Result<Page> {
        std::future::pending().await
    }
    async fn commit(&self, _: Txn) -> Result<Revision, CommitError> {
        std::future::pending().await
    }
    async fn tail(&self, _: Revision) -> Result<Tail> {
        std::future::pending().await
    }
    async fn compact(&self, _: Revision) -> Result<Revision> {
        std::future::pending().await
    }
    async fn fence(&self, _: Epoch, _: Revision) -> Result<StoreState> {
        std::future::pending().await
    }
    async fn state(&self) -> Result<StoreState> {
        std::future::pending().await
    }
    async fn health(&self) -> Health {
        std::future::pending().await
    }
}

#[tokio::test]
async fn s5_a_commit_without_an_answer_is_ambiguous_and_a_read_is_unavailable() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(0).unwrap()));
    let store = DeadlineStore::new(Arc::new(Hung(Capabilities::volatile())), clock.clone(), Duration::from_secs(3));
    let key = Key::new("g", "things", "n", "a").unwrap();
    let late = async {
        loop {
            clock.timers_pending(1).await;
            clock.advance(Duration::from_secs(3));
        }
    };
    let asking = async {
        let txn = Txn::new(TxnId::random(&SystemRandom), "test").create(key.clone(), Value::opaque("v"));
        let id = txn.id;
        assert!(matches!(store.commit(txn).await, Err(CommitError::Ambiguous { txn, .. }) if txn == id));
        let at = Revision::new(1).unwrap();
        let unavailable = |error: Error| assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        unavailable(store.get(&key).await.unwrap_err());
        unavailable(store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap_err());
        unavailable(store.tail(at).await.unwrap_err());
        unavailable(store.compact(at).await.unwrap_err());
        unavailable(store.state().await.unwrap_err());
        unavailable(store.fence(Epoch { counter: 1, nonce: 1 }, at).await.unwrap_err());
        assert!(matches!(store.health().await, Health::Failing(_)));
    };
    soon("every answer", async {
        tokio::select! { () = asking => {}, () = late => {} }
    })
    .await;
}
