//! [`PatientStore`]: a store that is asked with a deadline each time, and asked again what became of a lost answer.

use std::sync::Arc;

use roa_core::{
    Clock, CommitError, Entry, Epoch, Error, Key, KeyPrefix, ListRequest, Monotonic, Result, Revision, Store, Txn,
    TxnId,
};

/// A store and the clock by which its answers come in time or not.
#[derive(Debug)]
pub(super) struct PatientStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
}

/// How long a commit may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until when to wait for its answer.
    pub(super) answer: Monotonic,
    /// Until when to find out what became of it without one.
    pub(super) inquiry: Monotonic,
}

/// What became of a commit.
#[derive(Debug)]
pub(super) enum Committed {
    /// It happened.
    Applied(Revision),
    /// It did not.
    Refused(CommitError),
    /// It may have happened, or may yet.
    Unclear,
}

impl PatientStore {
    pub(super) async fn epoch(&self, deadline: Monotonic) -> Result<Epoch> {
        Ok(self.before(deadline, self.store.state()).await?.epoch)
    }

    pub(super) async fn get(&self, key: &Key, deadline: Monotonic) -> Result<Option<Arc<Entry>>> {
        Ok(self.before(deadline, self.store.get(key)).await?.entry)
    }

    /// All entries of a prefix: ROA's own, of which there are few.
    pub(super) async fn list(&self, prefix: KeyPrefix, deadline: Monotonic) -> Result<Vec<Arc<Entry>>> {
        Ok(self.before(deadline, self.store.list(ListRequest::new(prefix))).await?.entries)
    }

    async fn before<T>(&self, deadline: Monotonic, answer: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.clock.sleep_until(deadline) => Err(Error::unavailable("no answer in time")),
        }
    }

    /// Commits, and reads what became of it if the answer is unclear or late.
    pub(super) async fn commit(&self, txn: Txn, patience: Patience) -> Committed {
        let (id, key) = (txn.id, txn.ops.first().map(|op| op.key().clone()));
        tokio::select! {
            biased;
            answer = self.store.commit(txn) => match answer {
                Ok(revision) => return Committed::Applied(revision),
                Err(CommitError::Ambiguous { .. }) => {}
                Err(error) => return Committed::Refused(error),
            },
            () = self.clock.sleep_until(patience.answer) => {}
        }
        match key {
            Some(key) => self.inquire(id, &key, patience.inquiry).await,
            None => Committed::Unclear,
        }
    }

    /// A transaction that wrote what is there has happened. Otherwise it is not known: it may still be on its way.
    async fn inquire(&self, id: TxnId, key: &Key, deadline: Monotonic) -> Committed {
        match self.get(key, deadline).await {
            Ok(Some(entry)) if entry.txn == id => Committed::Applied(entry.revision),
            _ => Committed::Unclear,
        }
    }
}
