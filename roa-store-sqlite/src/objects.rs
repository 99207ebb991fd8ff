//! The table of live entries: one row for each key.

use std::sync::Arc;

use roa_core::{Entry, Key, KeyPrefix, Revision};
use rusqlite::{Connection, Row, params};

use crate::codec::{self, CodecError, LastWriter};
use crate::error::SqliteError;

const ONE: &str = "SELECT id, entry FROM object WHERE key = ?";
const SIZE: &str = "SELECT length(entry) FROM object WHERE key = ?";
const FROM: &str = "SELECT key, entry FROM object WHERE key >= ? ORDER BY key";
const AFTER: &str = "SELECT key, entry FROM object WHERE key > ? ORDER BY key";
/// By the index alone.
const NTH: &str = "SELECT key FROM object WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?";

/// How many bytes of entries are read in one snapshot: well within the time that it may be held.
pub(crate) const RANGE_BYTES: usize = 16 << 20;

/// An entry, and the row that it is in.
#[derive(Debug)]
pub(crate) struct Stored {
    id: i64,
    pub(crate) entry: Arc<Entry>,
}

/// The revision of a key's entry.
pub(crate) fn current(connection: &Connection, key: &Key) -> Result<Option<Revision>, SqliteError> {
    let mut statement = connection.prepare_cached(ONE)?;
    let mut rows = statement.query([key.encoded().as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    codec::decode_revision(&mut blob(row, 1)?).map(Some).map_err(|why| unreadable(key.encoded().as_bytes(), &why))
}

/// How many bytes a key's entry has.
pub(crate) fn size(connection: &Connection, key: &Key) -> Result<Option<usize>, SqliteError> {
    let mut statement = connection.prepare_cached(SIZE)?;
    let mut rows = statement.query([key.encoded().as_bytes()])?;
    let bytes: Option<i64> = rows.next()?.map(|row| row.get(0)).transpose()?;
    Ok(bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)))
}

/// A key's entry.
pub(crate) fn get(connection: &Connection, key: &Key) -> Result<Option<Arc<Entry>>, SqliteError> {
    Ok(find(connection, key, &mut LastWriter::none())?.map(|stored| stored.entry))
}

/// A key's entry, to write it.
pub(crate) fn find(connection: &Connection, key: &Key, writer: &mut LastWriter) -> Result<Option<Stored>, SqliteError> {
    let mut statement = connection.prepare_cached(ONE)?;
    let mut rows = statement.query([key.encoded().as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let entry = codec::decode_entry(blob(row, 1)?, key.clone(), writer);
    let entry = entry.map_err(|why| unreadable(key.encoded().as_bytes(), &why))?;
    Ok(Some(Stored { id: row.get(0)?, entry }))
}

/// Keys after one and up to another; from the first and to the last without them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stretch {
    pub(crate) after: Option<Key>,
    pub(crate) until: Option<Key>,
}

/// Entries in key order.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The last of them, if there may be more after it.
    pub(crate) cut: Option<Key>,
}

/// The first entries of a stretch below a prefix: at most `count`, and not many more bytes than [`RANGE_BYTES`].
pub(crate) fn range(
    connection: &Connection,
    prefix: &KeyPrefix,
    stretch: &Stretch,
    count: usize,
) -> Result<Rows, SqliteError> {
    let (sql, start) = match &stretch.after {
        Some(after) => (AFTER, after.encoded()),
        None => (FROM, prefix.encoded()),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([start.as_bytes()])?;
    let (mut entries, mut bytes, mut writer) = (Vec::new(), 0, LastWriter::none());
    while entries.len() < count && bytes < RANGE_BYTES {
        let Some(row) = rows.next()? else { return Ok(Rows { entries, cut: None }) };
        let entry = entry(row, &mut writer)?;
        if !prefix.contains(&entry.key) || stretch.until.as_ref().is_some_and(|until| entry.key > *until) {
            return Ok(Rows { entries, cut: None });
        }
        bytes += entry.value.bytes.len();
        entries.push(entry);
    }
    let cut = entries.last().map(|last| last.key.clone());
    Ok(Rows { entries, cut })
}

/// The key that so many keys lead to, itself the last of them, if there are more below the prefix.
pub(crate) fn key_after(
    connection: &Connection,
    prefix: &KeyPrefix,
    after: &Key,
    count: usize,
) -> Result<Option<Key>, SqliteError> {
    let mut statement = connection.prepare_cached(NTH)?;
    let place = i64::try_from(count.saturating_sub(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![after.encoded().as_bytes(), place])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let key = blob(row, 0)?;
    let key = codec::decode_key(key).map_err(|why| unreadable(key, &why))?;
    Ok(Some(key).filter(|key| prefix.contains(key)))
}

/// Writes a key's first entry of a life.
pub(crate) fn insert(connection: &Connection, entry: &Entry) -> Result<(), SqliteError> {
    let sql = "INSERT INTO object (key, entry) VALUES (?, ?)";
    let key = entry.key.encoded().as_bytes();
    connection.prepare_cached(sql)?.execute(params![key, codec::encode_entry(entry)])?;
    Ok(())
}

/// Writes an entry in the place of an earlier one.
pub(crate) fn update(connection: &Connection, earlier: &Stored, entry: &Entry) -> Result<(), SqliteError> {
    let sql = "UPDATE object SET entry = ? WHERE id = ?";
    connection.prepare_cached(sql)?.execute(params![codec::encode_entry(entry), earlier.id])?;
    Ok(())
}

/// Removes an entry.
pub(crate) fn delete(connection: &Connection, earlier: &Stored) -> Result<(), SqliteError> {
    connection.prepare_cached("DELETE FROM object WHERE id = ?")?.execute([earlier.id])?;
    Ok(())
}

fn entry(row: &Row<'_>, writer: &mut LastWriter) -> Result<Arc<Entry>, SqliteError> {
    let (key, entry) = (blob(row, 0)?, blob(row, 1)?);
    let decoded = codec::decode_key(key).and_then(|key| codec::decode_entry(entry, key, writer));
    decoded.map_err(|why| unreadable(key, &why))
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], SqliteError> {
    row.get_ref(column)?.as_blob().map_err(|why| SqliteError::row("object", &why))
}

fn unreadable(key: &[u8], why: &CodecError) -> SqliteError {
    SqliteError::Corrupt(format!("the entry of {:?}: {why}", String::from_utf8_lossy(key)))
}

#[cfg(test)]
mod tests {
    use roa_core::{TxnId, Value};

    use super::*;

    #[test]
    fn no_snapshot_reads_much_more_than_its_bound() {
        const LARGE: usize = 1 << 20;
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE object (id INTEGER PRIMARY KEY, key BLOB UNIQUE, entry BLOB)").unwrap();
        for number in 0..40 {
            let key = Key::new("g", "things", "n", &format!("{number:02}")).unwrap();
            let (value, at) = (Value::opaque(vec![0_u8; LARGE]), Revision::new(7).unwrap());
            insert(&connection, &Entry::created(key, value, at, TxnId::none(), "test".into())).unwrap();
        }
        let (mut stretch, mut counts) = (Stretch::default(), Vec::new());
        loop {
            let Rows { entries, cut } = range(&connection, &KeyPrefix::everything(), &stretch, 1_000).unwrap();
            counts.push(entries.len());
            let Some(last) = cut else { break };
            stretch.after = Some(last);
        }
        assert_eq!(counts, [16, 16, 8]);
    }
}
