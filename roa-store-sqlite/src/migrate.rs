//! The tables, and how an older file becomes a newer one.

use roa_core::{Clock, Epoch, Random, RandomExt, Revision, StoreId};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::meta::Meta;

/// Marks a database file as one of roa: "roa\x01".
pub(crate) const APPLICATION_ID: i64 = 0x726f_6101;
/// The version of the tables below.
pub(crate) const VERSION: i64 = 1;

/// `entry` and `changes` are as `codec` says. `meta` holds until the newest row of `log`, which has the `head` and the
/// bytes that were `logged` since. `committed_at` is in milliseconds since 1970. Revisions are never left to SQLite, which
/// gives a rowid again when the row with the highest was deleted.
const TABLES: &str = "
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        store_id BLOB NOT NULL,
        epoch_counter INTEGER NOT NULL,
        epoch_nonce INTEGER NOT NULL,
        head INTEGER NOT NULL,
        head_txn BLOB NOT NULL,
        floor INTEGER NOT NULL,
        floor_txn BLOB NOT NULL,
        jumped INTEGER NOT NULL,
        log_bytes INTEGER NOT NULL,
        logged INTEGER NOT NULL,
        unsynced_boot TEXT,
        copied INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE object (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        entry BLOB NOT NULL
    ) STRICT;
    CREATE TABLE log (
        rev INTEGER PRIMARY KEY,
        txn BLOB NOT NULL,
        prev_txn BLOB NOT NULL,
        committed_at INTEGER NOT NULL,
        logged INTEGER NOT NULL,
        changes BLOB NOT NULL
    ) STRICT;
";

/// Makes the tables of a new store, in the mode of the rollback journal, so that the head of the file itself names its
/// program and version.
pub(crate) fn create(
    connection: &Connection,
    opening: Option<Revision>,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Meta, SqliteError> {
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    connection.execute_batch(TABLES)?;
    let opening = opening.unwrap_or_else(|| Revision::opening(clock.now()));
    let meta = Meta::new(StoreId(random.uuid()), Epoch::first(random), opening);
    meta.write(connection)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch("COMMIT")?;
    Ok(meta)
}

/// What the head of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) application_id: i64,
    pub(crate) version: i64,
}

impl Identity {
    pub(crate) fn read(connection: &Connection) -> Result<Self, SqliteError> {
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
        Ok(Self { application_id: number("application_id")?, version: number("user_version")? })
    }
}
