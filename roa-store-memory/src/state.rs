//! [`State`]: all that the store's one lock guards, and how a commit changes it.

use std::sync::Arc;

use roa_core::{
    At, Batch, Change, Changes, CommitError, Entry, Epoch, Expect, Key, Op, Revision, StoreState, Timestamp, Txn,
    TxnId, Value,
};

use crate::MemoryConfig;
use crate::entries::{Entries, Place};
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
        let (revision, changes) = self.apply(txn)?;
        let previous_txn = self.log.head_txn();
        self.jumped = false;
        let batch = Batch { revision, txn: txn.id, previous_txn, committed_at, changes };
        Ok((revision, self.log.append(batch, config)))
    }

    /// What must hold besides what the writes expect.
    fn check(&self, txn: &Txn) -> Result<(), CommitError> {
        if txn.epoch.is_some_and(|expected| expected != self.epoch) {
            return Err(CommitError::Fenced { current: self.epoch });
        }
        for guard in &txn.guards {
            self.find(&guard.key, guard.expect)
                .map_err(|current| CommitError::GuardFailed { key: guard.key.clone(), current })?;
        }
        Ok(())
    }

    /// Does the writes; none before all are as expected.
    fn apply(&mut self, txn: &mut Txn) -> Result<(Revision, Changes), CommitError> {
        let (next, id, writer) = (self.log.head().next(), txn.id, &txn.writer);
        if let [only] = &mut txn.ops[..] {
            // Most transactions: nothing has to be collected.
            let (place, revision) = (self.expected(only)?, next?);
            let change = self.write(only, place, revision, (id, writer));
            return Ok((revision, change.map_or_else(|| Vec::new().into(), Changes::from)));
        }
        let places = txn.ops.iter().map(|op| self.expected(op)).collect::<Result<Vec<_>, _>>()?;
        let revision = next?;
        let writes = txn.ops.iter_mut().zip(places);
        let changes = writes.filter_map(|(op, place)| self.write(op, place, revision, (id, writer)));
        Ok((revision, changes.collect::<Vec<_>>().into()))
    }

    /// Where the entry is that a write replaces.
    fn expected(&self, op: &Op) -> Result<Option<Place>, CommitError> {
        let conflict = |current| CommitError::Conflict { key: op.key().clone(), current };
        self.find(op.key(), op.expect()).map_err(conflict)
    }

    /// Where a key's entry is. Gives its revision as the error if that is not as expected.
    fn find(&self, key: &Key, expect: Expect) -> Result<Option<Place>, Option<Revision>> {
        let place = self.entries.find(key);
        let current = place.and_then(|place| self.entries.at(place)).map(|entry| entry.revision);
        if expect.holds(current) { Ok(place) } else { Err(current) }
    }

    fn write(
        &mut self,
        op: &mut Op,
        place: Option<Place>,
        revision: Revision,
        (txn, writer): (TxnId, &Arc<str>),
    ) -> Option<Change> {
        let (key, value) = match op {
            Op::Put { key, value, .. } => (key, take(value)),
            Op::Delete { key, .. } => return self.entries.remove(key).map(|previous| Change::Delete { previous }),
        };
        let Some(current) = place.and_then(|place| self.entries.at_mut(place)) else {
            let entry = Arc::new(Entry::created(key.clone(), value, revision, txn, Arc::clone(writer)));
            self.entries.insert(Arc::clone(&entry));
            return Some(Change::Put { entry, previous: None });
        };
        let entry = Arc::new(current.updated(value, revision, txn, Arc::clone(writer)));
        let previous = std::mem::replace(current, Arc::clone(&entry));
        Some(Change::Put { entry, previous: Some(previous) })
    }
}

fn take(value: &mut Value) -> Value {
    std::mem::replace(value, Value::opaque(""))
}
