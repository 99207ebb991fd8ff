//! The table of live entries: one row for each key.

use std::sync::Arc;

use bytes::Bytes;
use roa_core::{Entry, Format, Key, KeyPrefix, Revision, TxnId, Value};
use rusqlite::{Connection, Row, params};

use crate::error::SqliteError;
use crate::meta::{revision, unsigned, uuid, writer};

const ONE: &str = "SELECT key, create_rev, mod_rev, version, txn, writer, format, value FROM object WHERE key = ?";
const FROM: &str = "SELECT key, create_rev, mod_rev, version, txn, writer, format, value FROM object \
                    WHERE key >= ? ORDER BY key";
const AFTER: &str = "SELECT key, create_rev, mod_rev, version, txn, writer, format, value FROM object \
                     WHERE key > ? ORDER BY key";

/// The revision of a key's entry.
pub(crate) fn current(connection: &Connection, key: &Key) -> Result<Option<Revision>, SqliteError> {
    let mut statement = connection.prepare_cached("SELECT mod_rev FROM object WHERE key = ?")?;
    let mut rows = statement.query([key.encoded().as_bytes()])?;
    rows.next()?.map(|row| revision(row, 0)).transpose()
}

/// A key's entry.
pub(crate) fn get(connection: &Connection, key: &Key) -> Result<Option<Arc<Entry>>, SqliteError> {
    let mut statement = connection.prepare_cached(ONE)?;
    let mut rows = statement.query([key.encoded().as_bytes()])?;
    rows.next()?.map(|row| entry(row, &mut Arc::from(""))).transpose()
}

/// The first entries below a prefix, after a key if one is given, in key order; at most `count`.
pub(crate) fn range(
    connection: &Connection,
    prefix: &KeyPrefix,
    after: Option<&Key>,
    count: usize,
) -> Result<Vec<Arc<Entry>>, SqliteError> {
    let (sql, start) = match after {
        Some(after) => (AFTER, after.encoded()),
        None => (FROM, prefix.encoded()),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([start.as_bytes()])?;
    let (mut entries, mut writer) = (Vec::new(), Arc::from(""));
    while entries.len() < count {
        let Some(row) = rows.next()? else { break };
        let entry = entry(row, &mut writer)?;
        if !prefix.contains(&entry.key) {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Writes a key's first entry of a life.
pub(crate) fn insert(connection: &Connection, entry: &Entry) -> Result<(), SqliteError> {
    let sql = "INSERT INTO object (key, create_rev, mod_rev, version, txn, writer, format, value) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        entry.key.encoded().as_bytes(),
        entry.create_revision.get().cast_signed(),
        entry.revision.get().cast_signed(),
        entry.version.cast_signed(),
        entry.txn.0.as_bytes(),
        &*entry.writer,
        entry.value.format.to_byte(),
        &*entry.value.bytes,
    ])?;
    Ok(())
}

/// Writes an entry in the place of an earlier one.
pub(crate) fn update(connection: &Connection, entry: &Entry) -> Result<(), SqliteError> {
    let sql = "UPDATE object SET mod_rev = ?, version = ?, txn = ?, writer = ?, format = ?, value = ? WHERE key = ?";
    connection.prepare_cached(sql)?.execute(params![
        entry.revision.get().cast_signed(),
        entry.version.cast_signed(),
        entry.txn.0.as_bytes(),
        &*entry.writer,
        entry.value.format.to_byte(),
        &*entry.value.bytes,
        entry.key.encoded().as_bytes(),
    ])?;
    Ok(())
}

/// Removes a key's entry.
pub(crate) fn delete(connection: &Connection, key: &Key) -> Result<(), SqliteError> {
    connection.prepare_cached("DELETE FROM object WHERE key = ?")?.execute([key.encoded().as_bytes()])?;
    Ok(())
}

fn entry(row: &Row<'_>, last_writer: &mut Arc<str>) -> Result<Arc<Entry>, SqliteError> {
    let key = row.get_ref(0)?.as_bytes().map_err(|why| SqliteError::row("key", &why))?;
    let key = std::str::from_utf8(key).map_err(|why| SqliteError::row("key", &why))?;
    let key = Key::decode(key).map_err(|why| SqliteError::row("key", &why))?;
    let format = format_of(row.get(6)?)?;
    let value = Value { format, bytes: Bytes::from(row.get::<_, Vec<u8>>(7)?) };
    let revisions = [revision(row, 1)?, revision(row, 2)?];
    let (version, txn) = (unsigned(row, 3)?, TxnId(uuid(row, 4)?));
    Ok(Entry::stored(key, value, revisions, version, txn, writer(row, 5, last_writer)?).into())
}

/// The format of a stored byte.
pub(crate) fn format_of(byte: u8) -> Result<Format, SqliteError> {
    let unknown = || SqliteError::Corrupt(format!("value format {byte} is not known to this version"));
    Format::from_byte(byte).ok_or_else(unknown)
}
