//! The table of the log: one row for each commit, by revision. The newest says where the history stands.

use std::sync::Arc;

use roa_core::{Batch, Revision, Timestamp, TxnId};
use rusqlite::{Connection, Row, params};

use crate::codec::{self, LastWriter};
use crate::error::SqliteError;
use crate::meta::{Meta, revision, uuid};

const AFTER: &str = "SELECT rev, txn, prev_txn, committed_at, changes FROM log WHERE rev > ? ORDER BY rev LIMIT ?";
const INSERT: &str = "INSERT INTO log (rev, txn, prev_txn, committed_at, logged, changes) VALUES (?, ?, ?, ?, ?, ?)";

/// Appends a batch, which moves the head on.
pub(crate) fn append(connection: &Connection, meta: &mut Meta, batch: &Batch) -> Result<(), SqliteError> {
    let changes = codec::encode(&batch.changes);
    meta.advance(batch.revision, batch.txn, changes.len() as u64);
    connection.prepare_cached(INSERT)?.execute(params![
        batch.revision.get().cast_signed(),
        batch.txn.0.as_bytes(),
        batch.previous_txn.0.as_bytes(),
        batch.committed_at.as_unix_millis(),
        meta.logged.cast_signed(),
        changes,
    ])?;
    Ok(())
}

/// The oldest batches after a revision, at most `count`, of which each but the first is within `max_bytes` in all.
pub(crate) fn after(
    connection: &Connection,
    revision: Revision,
    count: usize,
    max_bytes: usize,
) -> Result<Vec<Arc<Batch>>, SqliteError> {
    let mut statement = connection.prepare_cached(AFTER)?;
    let mut rows = statement.query(params![revision.get().cast_signed(), i64::try_from(count).unwrap_or(i64::MAX)])?;
    let (mut batches, mut bytes, mut writer) = (Vec::new(), 0, LastWriter::none());
    while let Some(row) = rows.next()? {
        let batch = batch(row, &mut writer)?;
        bytes += batch.size();
        if bytes > max_bytes && !batches.is_empty() {
            break;
        }
        batches.push(Arc::new(batch));
    }
    Ok(batches)
}

/// The transaction of a revision, if the log has it.
pub(crate) fn txn_of(connection: &Connection, revision: Revision) -> Result<Option<TxnId>, SqliteError> {
    let mut statement = connection.prepare_cached("SELECT txn FROM log WHERE rev = ?")?;
    let mut rows = statement.query([revision.get().cast_signed()])?;
    rows.next()?.map(|row| uuid(row, 0).map(TxnId)).transpose()
}

/// What must be known of a row to forget it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oldest {
    pub(crate) revision: Revision,
    pub(crate) txn: TxnId,
    pub(crate) committed_at: Timestamp,
    pub(crate) bytes: u64,
}

/// The oldest rows.
pub(crate) fn oldest(connection: &Connection, count: usize) -> Result<Vec<Oldest>, SqliteError> {
    let sql = "SELECT rev, txn, committed_at, length(changes) FROM log ORDER BY rev LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([i64::try_from(count).unwrap_or(i64::MAX)])?;
    let mut oldest = Vec::new();
    while let Some(row) = rows.next()? {
        oldest.push(Oldest {
            revision: revision(row, 0)?,
            txn: TxnId(uuid(row, 1)?),
            committed_at: time(row.get(2)?)?,
            bytes: crate::meta::unsigned(row, 3)?,
        });
    }
    Ok(oldest)
}

/// Deletes the rows up to a revision.
pub(crate) fn delete_until(connection: &Connection, last: Revision) -> Result<(), SqliteError> {
    connection.prepare_cached("DELETE FROM log WHERE rev <= ?")?.execute([last.get().cast_signed()])?;
    Ok(())
}

fn batch(row: &Row<'_>, writer: &mut LastWriter) -> Result<Batch, SqliteError> {
    let revision = revision(row, 0)?;
    let unreadable = |why: &dyn std::fmt::Display| SqliteError::Corrupt(format!("log row {revision}: {why}"));
    let changes = row.get_ref(4)?.as_blob().map_err(|why| unreadable(&why))?;
    Ok(Batch {
        revision,
        txn: TxnId(uuid(row, 1)?),
        previous_txn: TxnId(uuid(row, 2)?),
        committed_at: time(row.get(3)?)?,
        changes: codec::decode(changes, writer).map_err(|why| unreadable(&why))?,
    })
}

fn time(millis: i64) -> Result<Timestamp, SqliteError> {
    Timestamp::from_unix_millis(millis).ok_or_else(|| SqliteError::Corrupt(format!("{millis} ms is no time")))
}

/// The time as the log keeps it: in milliseconds.
pub(crate) fn truncated(time: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(time.as_unix_millis()).unwrap_or(time)
}
