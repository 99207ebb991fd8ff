//! [`Image`]: all that a store holds, as one value.

use std::collections::BTreeMap;
use std::sync::Arc;

use roa_core::{
    At, Batch, Change, CommitError, Continue, Entry, Epoch, Error, Key, ListRequest, Op, Page, RandomExt, Result,
    Revision, StoreId, StoreState, SystemRandom, Timestamp, Txn, TxnId, Violations,
};

/// What an image of this store begins with.
const MAGIC: u64 = 0x0520_4F41;
/// The schema that this version writes.
pub(super) const SCHEMA: u32 = 1;

/// All that a store holds.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) magic: u64,
    pub(super) schema: u32,
    pub(super) id: StoreId,
    /// Whether it is a copy that was kept: its history may have gone on elsewhere.
    pub(super) copied: bool,
    state: StoreState,
    /// Whether nothing was committed since the last jump.
    jumped: bool,
    entries: BTreeMap<Key, Arc<Entry>>,
    log: Vec<Arc<Batch>>,
    head_txn: TxnId,
}

impl Image {
    /// That of a new store.
    pub(super) fn new(opening: Revision) -> Self {
        let state = StoreState { head: opening, floor: opening, epoch: Epoch::first(&SystemRandom) };
        let id = StoreId(SystemRandom.uuid());
        let (entries, log, head_txn) = (BTreeMap::new(), Vec::new(), TxnId::none());
        Self { magic: MAGIC, schema: SCHEMA, id, copied: false, state, jumped: false, entries, log, head_txn }
    }

    /// The same, if this version can read it. A copy begins a new history.
    pub(super) fn open(mut self, now: Timestamp) -> Result<Self, String> {
        if self.magic != MAGIC {
            return Err(format!("open an image: it begins with {:x}, expected {MAGIC:x}", self.magic));
        }
        if self.schema > SCHEMA {
            return Err(format!("open an image: its schema is {}, expected {SCHEMA} or less", self.schema));
        }
        if std::mem::take(&mut self.copied) {
            self.jumped = false;
            self.fence(self.state.epoch, self.state.head, now);
        }
        Ok(self)
    }

    pub(super) const fn state(&self) -> StoreState {
        self.state
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.entries.get(key).cloned()
    }

    pub(super) fn commit(&mut self, txn: &Txn, committed_at: Timestamp) -> Result<Revision, CommitError> {
        txn.validate()?;
        self.check(txn)?;
        let revision = self.state.head.next()?;
        let changes: Vec<_> = txn.ops.iter().filter_map(|op| self.write(txn, op, revision)).collect();
        let previous_txn = std::mem::replace(&mut self.head_txn, txn.id);
        self.log.push(Arc::new(Batch { revision, txn: txn.id, previous_txn, committed_at, changes: changes.into() }));
        self.state.head = revision;
        self.jumped = false;
        Ok(revision)
    }

    fn check(&self, txn: &Txn) -> Result<(), CommitError> {
        let current = self.state.epoch;
        if txn.epoch.is_some_and(|epoch| epoch != current) {
            return Err(CommitError::Fenced { current });
        }
        let revision = |key: &Key| self.entries.get(key).map(|entry| entry.revision);
        for guard in &txn.guards {
            let (key, current) = (guard.key.clone(), revision(&guard.key));
            if !guard.expect.holds(current) {
                return Err(CommitError::GuardFailed { key, current });
            }
        }
        for op in &txn.ops {
            let (key, current) = (op.key().clone(), revision(op.key()));
            if !op.expect().holds(current) {
                return Err(CommitError::Conflict { key, current });
            }
        }
        Ok(())
    }

    fn write(&mut self, txn: &Txn, op: &Op, revision: Revision) -> Option<Change> {
        let Op::Put { key, value, .. } = op else {
            return self.entries.remove(op.key()).map(|previous| Change::Delete { previous });
        };
        let (value, writer) = (value.clone(), Arc::clone(&txn.writer));
        let previous = self.entries.get(key).cloned();
        let entry = Arc::new(match &previous {
            Some(entry) => entry.updated(value, revision, txn.id, writer),
            None => Entry::created(key.clone(), value, revision, txn.id, writer),
        });
        self.entries.insert(key.clone(), Arc::clone(&entry));
        Some(Change::Put { entry, previous })
    }

    pub(super) fn list(&self, request: &ListRequest) -> Result<Page> {
        request.validate()?;
        let StoreState { head, .. } = self.state;
        let revision = match request.at {
            At::Latest => head,
            At::Exact(revision) => {
                self.after(revision)?;
                revision
            }
            At::NotOlderThan(requested) if requested > head => return Err(Error::TooLarge { requested, head }),
            At::NotOlderThan(_) => head,
            other => return Err(Error::invalid("list request", Violations::one("at", format!("{other:?}")))),
        };
        let then = self.at(revision);
        let wanted = |key: &Key| request.prefix.contains(key) && request.after.as_ref().is_none_or(|after| key > after);
        let mut entries: Vec<_> = then.into_iter().filter(|(key, _)| wanted(key)).map(|(_, entry)| entry).collect();
        let limit = request.limit.map_or(usize::MAX, Into::into);
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|last| Continue { revision, after: last.key.clone() });
        Ok(Page { entries, revision, next })
    }

    /// All entries at a revision that is kept: what was done since is undone, the newest first.
    fn at(&self, revision: Revision) -> BTreeMap<Key, Arc<Entry>> {
        let mut entries = self.entries.clone();
        for batch in self.log.iter().rev().take_while(|batch| batch.revision > revision) {
            for change in batch.changes.iter() {
                match change.previous() {
                    Some(previous) => entries.insert(previous.key.clone(), Arc::clone(previous)),
                    None => entries.remove(change.key()),
                };
            }
        }
        entries
    }

    /// The batches after a revision, and the transaction of that revision.
    pub(super) fn after(&self, after: Revision) -> Result<(Vec<Arc<Batch>>, TxnId)> {
        let StoreState { head, floor, .. } = self.state;
        if after < floor {
            return Err(Error::Expired { floor, head });
        }
        if after > head {
            return Err(Error::TooLarge { requested: after, head });
        }
        let begin = self.log.partition_point(|batch| batch.revision <= after);
        let batches = self.log[begin..].to_vec();
        let before = batches.first().map_or(self.head_txn, |batch| batch.previous_txn);
        Ok((batches, before))
    }

    pub(super) fn compact(&mut self, to: Revision, min_retain: u64) -> Result<Revision> {
        let StoreState { head, floor, .. } = self.state;
        if to > head {
            return Err(Error::TooLarge { requested: to, head });
        }
        let newest = Revision::new(head.get().saturating_sub(min_retain)).unwrap_or(floor);
        self.state.floor = floor.max(to.min(newest));
        let floor = self.state.floor;
        self.log.retain(|batch| batch.revision > floor);
        Ok(floor)
    }

    pub(super) fn fence(&mut self, expected: Epoch, highest: Revision, now: Timestamp) -> StoreState {
        let StoreState { head, epoch, .. } = self.state;
        if epoch == expected && !(self.jumped && highest <= head) {
            let head = Revision::jump(head, highest, now, &SystemRandom);
            self.state = StoreState { head, floor: head, epoch: epoch.following(&SystemRandom) };
            self.log.clear();
            self.head_txn = TxnId::none();
            self.jumped = true;
        }
        self.state
    }
}
