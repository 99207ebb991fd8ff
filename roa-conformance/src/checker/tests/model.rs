//! A store as plain data: what each commit must do, written without regard to the checker.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use roa_core::{
    At, Batch, Change, CommitError, Continue, Entry, Epoch, Error, Expect, Key, ListRequest, Op, Page, Read, Result,
    Revision, StoreState, Timestamp, Txn, TxnId,
};

use super::revision;

pub(super) type Entries = BTreeMap<Key, Arc<Entry>>;

/// All states since the floor, and the batches between them.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) epoch: Epoch,
    pub(super) floor: Revision,
    pub(super) head: Revision,
    head_txn: TxnId,
    pub(super) batches: Vec<Arc<Batch>>,
    /// The entries at the floor, and after each batch.
    states: Vec<(Revision, Entries)>,
    /// How many of them, so that long histories fit in memory.
    pub(super) kept_states: usize,
}

impl Model {
    pub(super) fn new(first: u64) -> Self {
        let head = revision(first);
        let (epoch, batches) = (Epoch { counter: 1, nonce: 7 }, Vec::new());
        let states = vec![(head, Entries::new())];
        Self { epoch, floor: head, head, head_txn: TxnId::none(), batches, states, kept_states: usize::MAX }
    }

    pub(super) fn entries(&self) -> &Entries {
        &self.states.last().unwrap().1
    }

    pub(super) fn state(&self) -> StoreState {
        StoreState { head: self.head, floor: self.floor, epoch: self.epoch }
    }

    fn current(&self, key: &Key) -> Option<Revision> {
        self.entries().get(key).map(|entry| entry.revision)
    }

    pub(super) fn failed_guard(&self, txn: &Txn) -> Option<(Key, Option<Revision>)> {
        let guards = txn.guards.iter().map(|guard| (&guard.key, guard.expect));
        self.first_failed(guards)
    }

    pub(super) fn failed_write(&self, txn: &Txn) -> Option<(Key, Option<Revision>)> {
        self.first_failed(txn.ops.iter().map(|op| (op.key(), op.expect())))
    }

    fn first_failed<'a>(&self, mut of: impl Iterator<Item = (&'a Key, Expect)>) -> Option<(Key, Option<Revision>)> {
        let failed = of.find(|(key, expect)| !expect.holds(self.current(key)));
        failed.map(|(key, _)| (key.clone(), self.current(key)))
    }

    pub(super) fn commit(&mut self, txn: &Txn) -> Result<Revision, CommitError> {
        txn.validate()?;
        if txn.epoch.is_some_and(|epoch| epoch != self.epoch) {
            return Err(CommitError::Fenced { current: self.epoch });
        }
        if let Some((key, current)) = self.failed_guard(txn) {
            return Err(CommitError::GuardFailed { key, current });
        }
        if let Some((key, current)) = self.failed_write(txn) {
            return Err(CommitError::Conflict { key, current });
        }
        Ok(self.apply(txn))
    }

    /// Writes whatever was expected.
    pub(super) fn apply(&mut self, txn: &Txn) -> Revision {
        let revision = self.head.next().unwrap();
        let mut entries = self.entries().clone();
        let changes: Vec<Change> = txn.ops.iter().map(|op| change(&mut entries, txn, op, revision)).collect();
        let committed_at = Timestamp::from_unix_seconds(0).unwrap();
        let previous_txn = self.head_txn;
        let batch = Batch { revision, txn: txn.id, previous_txn, committed_at, changes: changes.into() };
        self.batches.push(batch.into());
        self.states.push((revision, entries));
        (self.head, self.head_txn) = (revision, txn.id);
        if self.states.len() > self.kept_states {
            self.states.drain(..self.kept_states / 2);
        }
        revision
    }

    pub(super) fn get(&self, key: &Key) -> Read {
        Read { entry: self.entries().get(key).cloned(), revision: self.head }
    }

    pub(super) fn list(&self, request: &ListRequest) -> Result<Page> {
        request.validate()?;
        let at = match request.at {
            At::Exact(at) if at < self.floor => return Err(self.expired()),
            At::Exact(at) | At::NotOlderThan(at) if at > self.head => return Err(self.too_large(at)),
            At::Exact(at) => at,
            _ => self.head,
        };
        let states = self.states.partition_point(|(revision, _)| *revision <= at);
        let entries = &self.states[states - 1].1;
        let after = |key: &Key| request.after.as_ref().is_none_or(|after| key > after);
        let mut found: Vec<Arc<Entry>> = entries
            .values()
            .filter(|entry| request.prefix.contains(&entry.key) && after(&entry.key))
            .cloned()
            .collect();
        let limit = request.limit.map_or(usize::MAX, NonZeroUsize::get);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|entry| entry.key.clone()).filter(|_| more);
        Ok(Page { entries: found, revision: at, next: last.map(|after| Continue { revision: at, after }) })
    }

    pub(super) fn expired(&self) -> Error {
        Error::Expired { floor: self.floor, head: self.head }
    }

    pub(super) fn too_large(&self, requested: Revision) -> Error {
        Error::TooLarge { requested, head: self.head }
    }

    pub(super) fn compact(&mut self, to: Revision) -> Result<Revision> {
        if to > self.head {
            return Err(self.too_large(to));
        }
        self.floor = self.floor.max(to);
        self.forget();
        Ok(self.floor)
    }

    fn forget(&mut self) {
        let floor = self.floor;
        let gone = self.states.partition_point(|(revision, _)| *revision <= floor) - 1;
        self.states.drain(..gone);
        self.batches.retain(|batch| batch.revision > floor);
    }

    pub(super) fn fence(&mut self) -> StoreState {
        self.head = revision(self.head.get() + Revision::JUMP);
        self.floor = self.head;
        self.head_txn = TxnId::none();
        self.epoch.counter += 1;
        let entries = self.entries().clone();
        self.states.push((self.head, entries));
        self.forget();
        self.state()
    }

    /// As if the last batches had never been, the way a fail-over loses them.
    pub(super) fn lose(&mut self, count: usize) {
        for _ in 0..count {
            self.batches.pop();
            self.states.pop();
        }
        self.head = self.states.last().unwrap().0;
        self.head_txn = self.batches.last().map_or(TxnId::none(), |batch| batch.txn);
    }
}

fn change(entries: &mut Entries, txn: &Txn, op: &Op, revision: Revision) -> Change {
    let key = op.key().clone();
    let previous = entries.get(&key).cloned();
    match (op, previous) {
        (Op::Put { value, .. }, previous) => {
            let (value, writer) = (value.clone(), Arc::clone(&txn.writer));
            let entry = Arc::new(match &previous {
                Some(previous) => previous.updated(value, revision, txn.id, writer),
                None => Entry::created(key.clone(), value, revision, txn.id, writer),
            });
            entries.insert(key, Arc::clone(&entry));
            Change::Put { entry, previous }
        }
        (Op::Delete { .. }, Some(previous)) => {
            entries.remove(&key);
            Change::Delete { previous }
        }
        (Op::Delete { .. }, None) => panic!("{key} is deleted but absent"),
    }
}
