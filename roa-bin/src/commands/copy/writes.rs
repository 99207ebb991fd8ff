//! [`Writes`]: differences, collected by who wrote the entry, and committed in transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use roa_core::{CommitError, Epoch, Expect, Op, Random, Store, Txn, TxnId};

use super::difference::Difference;

/// Who removes, and who marks. What is copied keeps its own writer.
pub(super) const WRITER: &str = "roa-store-copy";
/// How many writes a transaction has at most.
const MAX_OPS: usize = 100;
/// How many writes of all writers wait at most.
const MAX_WAITING: usize = 1_000;
/// How many bytes of all writers wait at most.
const MAX_WAITING_BYTES: usize = 4 * Txn::MAX_BYTES;

/// Writes to a store, the last of which may wait for [`Self::flush`].
pub(super) struct Writes<'a> {
    target: &'a dyn Store,
    random: &'a dyn Random,
    /// After a break in the target's history nothing more is written: what was written may be lost.
    epoch: Epoch,
    waiting: BTreeMap<Arc<str>, Group>,
    /// What was committed: created, replaced, deleted.
    pub(super) written: [u64; 3],
}

/// The writes of one writer.
#[derive(Default)]
struct Group {
    ops: Vec<Op>,
    bytes: usize,
}

impl<'a> Writes<'a> {
    pub(super) const fn new(target: &'a dyn Store, random: &'a dyn Random, epoch: Epoch) -> Self {
        Self { target, random, epoch, waiting: BTreeMap::new(), written: [0; 3] }
    }

    /// Removes a difference, now or with later ones.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub(super) async fn add(&mut self, difference: Difference) -> Result<(), CommitError> {
        let (writer, op) = write(difference);
        let bytes = size(&op);
        let group = self.waiting.entry(Arc::clone(&writer)).or_default();
        if group.ops.len() >= MAX_OPS || group.bytes + bytes > Txn::MAX_BYTES {
            let full = std::mem::take(group);
            self.commit(&writer, full).await?;
        }
        let group = self.waiting.entry(writer).or_default();
        group.ops.push(op);
        group.bytes += bytes;
        let (ops, bytes) =
            self.waiting.values().fold((0, 0), |sum, group| (sum.0 + group.ops.len(), sum.1 + group.bytes));
        if ops >= MAX_WAITING || bytes >= MAX_WAITING_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Commits what waits.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub(super) async fn flush(&mut self) -> Result<(), CommitError> {
        while let Some((writer, group)) = self.waiting.pop_first() {
            self.commit(&writer, group).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, writer: &Arc<str>, group: Group) -> Result<(), CommitError> {
        let mut txn = Txn::new(TxnId::random(self.random), Arc::clone(writer)).expect_epoch(self.epoch);
        txn.ops = group.ops;
        let mut written = [0; 3];
        for op in &txn.ops {
            written[kind(op)] += 1;
        }
        self.target.commit(txn).await?;
        for (sum, more) in self.written.iter_mut().zip(written) {
            *sum += more;
        }
        Ok(())
    }
}

fn write(difference: Difference) -> (Arc<str>, Op) {
    let put = |entry: Arc<roa_core::Entry>, expect| {
        let op = Op::Put { key: entry.key.clone(), value: entry.value.clone(), expect };
        (Arc::clone(&entry.writer), op)
    };
    match difference {
        Difference::Missing(entry) => put(entry, Expect::Absent),
        Difference::Other(entry, at) => put(entry, Expect::At(at)),
        Difference::Extra(key, expect) => (WRITER.into(), Op::Delete { key, expect }),
    }
}

/// As [`Txn::validate`] counts.
fn size(op: &Op) -> usize {
    let value = if let Op::Put { value, .. } = op { value.bytes.len() } else { 0 };
    op.key().encoded().len() + value
}

/// Its place in [`Writes::written`].
const fn kind(op: &Op) -> usize {
    match op {
        Op::Put { expect: Expect::Absent, .. } => 0,
        Op::Put { .. } => 1,
        Op::Delete { .. } => 2,
    }
}
