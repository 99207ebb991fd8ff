//! [`State`]: all that the store's one lock guards, and how a commit changes it.

use std::sync::Arc;

use roa_core::{
    At, Batch, Change, Changes, CommitError, Entry, Epoch, Expect, Key, Op, Revision, StoreState, Timestamp, Txn,
    TxnId, Value,
};

use crate::MemoryConfig;
use crate::entries::Entries;
use crate::error::MemoryError;
use crate::log::{Forgotten, Log};

/// What the lock guards. Each method leaves it whole, and none waits, so that the lock is held for moments only.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) entries: Entries,
    pub(crate) log: Log,
    pub(crate) epoch: Epoch,
    /// Whether the head was reached by a jump: nothing has been committed since.
    pub(crate) jumped: bool,
    pub(crate) closed: bool,
}

impl State {
    pub(crate) fn new(opening: Revision, epoch: Epoch) -> Self {
        Self { entries: Entries::default(), log: Log::new(opening), epoch, jumped: false, closed: false }
    }

    /// Where the history stands.
    pub(crate) const fn summary(&self) -> StoreState {
        StoreState { head: self.log.head(), floor: self.log.floor(), epoch: self.epoch }
    }

    /// The revision that a list is to be true at.
    pub(crate) fn resolve(&self, at: At) -> Result<Revision, MemoryError> {
        let head = self.log.head();
        match at {
            At::Latest => Ok(head),
            At::Exact(revision) => self.log.check(revision).map(|()| revision),
            At::NotOlderThan(requested) if requested > head => Err(MemoryError::TooLarge { requested, head }),
            At::NotOlderThan(_) => Ok(head),
            _ => Err(MemoryError::UnknownAt),
        }
    }

    /// Does all writes of a valid transaction in the next revision, or none.
    ///
    /// The values move out of `txn`; what is left of it is freed by the caller, without the lock.
    pub(crate) fn commit(
        &mut self,
        txn: &mut Txn,
        committed_at: Timestamp,
        config: &MemoryConfig,
    ) -> Result<(Revision, Forgotten), CommitError> {
        self.check(txn)?;
        let revision = self.log.head().next()?;
        let changes = self.apply(txn, revision);
        let previous_txn = self.log.head_txn();
        self.jumped = false;
        let batch = Batch { revision, txn: txn.id, previous_txn, committed_at, changes };
        Ok((revision, self.log.append(batch, config)))
    }

    fn check(&self, txn: &Txn) -> Result<(), CommitError> {
        if txn.epoch.is_some_and(|expected| expected != self.epoch) {
            return Err(CommitError::Fenced { current: self.epoch });
        }
        for guard in &txn.guards {
            self.expect(&guard.key, guard.expect)
                .map_err(|current| CommitError::GuardFailed { key: guard.key.clone(), current })?;
        }
        for op in &txn.ops {
            self.expect(op.key(), op.expect())
                .map_err(|current| CommitError::Conflict { key: op.key().clone(), current })?;
        }
        Ok(())
    }

    /// Gives the key's revision as the error if it is not as expected.
    fn expect(&self, key: &Key, expect: Expect) -> Result<(), Option<Revision>> {
        let current = self.entries.get(key).map(|entry| entry.revision);
        if expect.holds(current) { Ok(()) } else { Err(current) }
    }

    fn apply(&mut self, txn: &mut Txn, revision: Revision) -> Changes {
        let (id, writer) = (txn.id, &txn.writer);
        let changes = txn.ops.iter_mut().filter_map(|op| match op {
            Op::Put { key, value, .. } => Some(self.put(key, take(value), revision, (id, writer))),
            Op::Delete { key, .. } => self.entries.remove(key).map(|previous| Change::Delete { previous }),
        });
        changes.collect::<Vec<_>>().into()
    }

    fn put(&mut self, key: &Key, value: Value, revision: Revision, (txn, writer): (TxnId, &Arc<str>)) -> Change {
        match self.entries.get_mut(key) {
            Some(current) => {
                let entry = Arc::new(current.updated(value, revision, txn, Arc::clone(writer)));
                let previous = std::mem::replace(current, Arc::clone(&entry));
                Change::Put { entry, previous: Some(previous) }
            }
            None => {
                let entry = Arc::new(Entry::created(key.clone(), value, revision, txn, Arc::clone(writer)));
                self.entries.insert(Arc::clone(&entry));
                Change::Put { entry, previous: None }
            }
        }
    }
}

fn take(value: &mut Value) -> Value {
    std::mem::replace(value, Value::opaque(""))
}
