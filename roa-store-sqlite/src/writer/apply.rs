//! One transaction: compared and written within the transaction of SQLite that its group shares.

use std::sync::Arc;

use roa_core::{Batch, Change, CommitError, Entry, Expect, Key, Op, Revision, Timestamp, Txn};
use rusqlite::Connection;

use crate::codec::LastWriter;
use crate::error::SqliteError;
use crate::log;
use crate::meta::Meta;
use crate::objects::{self, Stored};

/// What a transaction is refused with, or what it changed.
pub(super) type Applied = Result<Arc<Batch>, CommitError>;

/// Does all writes of a valid transaction in the next revision, or none. All is compared before anything is written.
pub(super) fn apply(
    connection: &Connection,
    meta: &mut Meta,
    txn: &Txn,
    committed_at: Timestamp,
) -> Result<Applied, SqliteError> {
    let previous = match compare(connection, meta, txn) {
        Ok(Ok(previous)) => previous,
        Ok(Err(refused)) => return Ok(Err(refused)),
        // Nothing of it is written, and the others of its group are not to suffer for an entry that can't be read.
        Err(error @ SqliteError::Corrupt(_)) => return Ok(Err(error.refused())),
        Err(error) => return Err(error),
    };
    let revision = match meta.head.next() {
        Ok(revision) => revision,
        Err(last) => return Ok(Err(last.into())),
    };
    let mut changes = Vec::with_capacity(txn.ops.len());
    for (op, previous) in txn.ops.iter().zip(previous) {
        changes.extend(write(connection, txn, op, previous, revision)?);
    }
    let (id, previous_txn) = (txn.id, meta.head_txn);
    let batch = Batch { revision, txn: id, previous_txn, committed_at, changes: changes.into() };
    log::append(connection, meta, &batch)?;
    Ok(Ok(Arc::new(batch)))
}

/// The entries that the writes will replace, or why the transaction is refused.
type Compared = Result<Vec<Option<Stored>>, CommitError>;

fn compare(connection: &Connection, meta: &Meta, txn: &Txn) -> Result<Compared, SqliteError> {
    if txn.epoch.is_some_and(|expected| expected != meta.epoch) {
        return Ok(Err(CommitError::Fenced { current: meta.epoch }));
    }
    for guard in &txn.guards {
        let current = objects::current(connection, &guard.key)?;
        if !guard.expect.holds(current) {
            return Ok(Err(CommitError::GuardFailed { key: guard.key.clone(), current }));
        }
    }
    let (mut previous, mut writer) = (Vec::with_capacity(txn.ops.len()), LastWriter::expected(&txn.writer));
    for op in &txn.ops {
        let stored = objects::find(connection, op.key(), &mut writer)?;
        if let Err(refused) = expect(op.key(), op.expect(), stored.as_ref()) {
            return Ok(Err(refused));
        }
        previous.push(stored);
    }
    Ok(Ok(previous))
}

fn expect(key: &Key, expect: Expect, stored: Option<&Stored>) -> Result<(), CommitError> {
    let current = stored.map(|stored| stored.entry.revision);
    if expect.holds(current) { Ok(()) } else { Err(CommitError::Conflict { key: key.clone(), current }) }
}

fn write(
    connection: &Connection,
    txn: &Txn,
    op: &Op,
    previous: Option<Stored>,
    revision: Revision,
) -> Result<Option<Change>, SqliteError> {
    let writer = || Arc::clone(&txn.writer);
    match (op, previous) {
        (Op::Put { value, .. }, Some(previous)) => {
            let entry = Arc::new(previous.entry.updated(value.clone(), revision, txn.id, writer()));
            objects::update(connection, &previous, &entry)?;
            Ok(Some(Change::Put { entry, previous: Some(previous.entry) }))
        }
        (Op::Put { key, value, .. }, None) => {
            let entry = Arc::new(Entry::created(key.clone(), value.clone(), revision, txn.id, writer()));
            objects::insert(connection, &entry)?;
            Ok(Some(Change::Put { entry, previous: None }))
        }
        (Op::Delete { .. }, Some(previous)) => {
            objects::delete(connection, &previous)?;
            Ok(Some(Change::Delete { previous: previous.entry }))
        }
        // Its expectation is a revision, so there was an entry.
        (Op::Delete { .. }, None) => Ok(None),
    }
}
