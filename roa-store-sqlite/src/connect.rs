//! Connections, and what is set on each.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::SqliteConfig;
use crate::error::SqliteError;

/// How many prepared statements a connection keeps; more than there are.
const STATEMENTS: usize = 32;
/// How many frames of the write-ahead log are written before a commit moves them into the database, in pages.
const CHECKPOINT_PAGES: i64 = 1_000;
/// To how many bytes the write-ahead log is cut when it begins anew.
const WAL_KEPT: i64 = 16 << 20;

/// How long to wait at least before looking again whether another process has ended its transaction. The times differ, so
/// that they don't keep step with that process.
const LOOK: Duration = Duration::from_micros(150);
const LOOKS: u32 = 5;

/// The connection that writes.
pub(crate) fn writer(config: &SqliteConfig) -> Result<Connection, SqliteError> {
    let connection = open(&config.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(config.busy_timeout)?;
    common(&connection)?;
    connection.pragma_update(None, "synchronous", config.durability.synchronous())?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
    Ok(connection)
}

/// A connection that reads. It may make the files beside the database, which a reader shares with writers.
pub(crate) fn reader(config: &SqliteConfig) -> Result<Connection, SqliteError> {
    let connection = open(&config.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(config.busy_timeout)?;
    common(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A connection to a file of any mode, such as a copy, that others don't use.
pub(crate) fn plain(path: &Path, flags: OpenFlags) -> Result<Connection, SqliteError> {
    let connection = open(path, flags)?;
    common(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Begins a transaction that writes: takes the one lock of all writers, in time. SQLite's own way of waiting sleeps longer
/// each time, up to 100 ms, and so hardly gets it from a process that writes without a pause; looking often does.
pub(crate) fn begin(connection: &Connection, busy_timeout: Duration) -> Result<(), SqliteError> {
    let deadline = Instant::now() + busy_timeout;
    connection.busy_timeout(Duration::ZERO)?;
    let mut attempt = 0;
    loop {
        let begun = connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        match begun.map_err(SqliteError::from) {
            Err(SqliteError::Busy) if Instant::now() < deadline => {}
            other => return other.map(drop),
        }
        attempt += 1;
        thread::park_timeout(LOOK * (1 + attempt % LOOKS));
    }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, SqliteError> {
    Ok(Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
}

fn common(connection: &Connection) -> Result<(), SqliteError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(())
}
