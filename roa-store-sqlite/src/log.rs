//! The table of the log: one row for each commit, by revision.

use std::sync::Arc;

use bytes::Bytes;
use roa_core::{Batch, Revision, Timestamp, TxnId};
use rusqlite::{Connection, Row, params};

use crate::codec::{self, Heading};
use crate::error::SqliteError;
use crate::meta::{revision, uuid, writer};

const AFTER: &str =
    "SELECT rev, txn, prev_txn, committed_at, writer, changes FROM log WHERE rev > ? ORDER BY rev LIMIT ?";
const INSERT: &str = "INSERT INTO log (rev, txn, prev_txn, committed_at, writer, changes) VALUES (?, ?, ?, ?, ?, ?)";

/// Appends a batch. Gives the bytes of its changes.
pub(crate) fn append(connection: &Connection, batch: &Batch, writer: &str) -> Result<u64, SqliteError> {
    let changes = codec::encode(&batch.changes);
    connection.prepare_cached(INSERT)?.execute(params![
        batch.revision.get().cast_signed(),
        batch.txn.0.as_bytes(),
        batch.previous_txn.0.as_bytes(),
        batch.committed_at.as_unix_millis(),
        writer,
        changes,
    ])?;
    Ok(changes.len() as u64)
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
    let (mut batches, mut bytes, mut writer) = (Vec::new(), 0, Arc::from(""));
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

fn batch(row: &Row<'_>, last_writer: &mut Arc<str>) -> Result<Batch, SqliteError> {
    let writer = writer(row, 4, last_writer)?;
    let heading = Heading { revision: revision(row, 0)?, txn: TxnId(uuid(row, 1)?), writer };
    let bytes = Bytes::from(row.get::<_, Vec<u8>>(5)?);
    let changes = codec::decode(bytes, &heading)
        .map_err(|why| SqliteError::Corrupt(format!("log row {}: {why}", heading.revision)))?;
    Ok(Batch {
        revision: heading.revision,
        txn: heading.txn,
        previous_txn: TxnId(uuid(row, 2)?),
        committed_at: time(row.get(3)?)?,
        changes,
    })
}

fn time(millis: i64) -> Result<Timestamp, SqliteError> {
    Timestamp::from_unix_millis(millis).ok_or_else(|| SqliteError::Corrupt(format!("{millis} ms is no time")))
}

/// The time as the log keeps it: in milliseconds.
pub(crate) fn truncated(time: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(time.as_unix_millis()).unwrap_or(time)
}
