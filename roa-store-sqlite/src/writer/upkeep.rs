//! What is done between groups: forgetting old batches, moving the write-ahead log into the database, giving pages back.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;

use crate::compact;
use crate::connect;
use crate::error::SqliteError;
use crate::log::{self, Oldest};
use crate::meta::Meta;
use crate::shared::Concern;
use crate::sidecar::Mark;

use super::Writer;

/// How many pages are given back in one transaction.
const PAGES: i64 = 1_000;
/// From how many bytes on the write-ahead log is moved even while commits come.
const WAL_LARGE: u64 = 32 << 20;
/// From how many bytes on something is wrong: a reader holds it.
const WAL_STALLED: u64 = 128 << 20;
/// After how many bytes of changes the files are measured again.
const MEASURE: u64 = 1 << 20;
/// How long moving a large write-ahead log may wait for readers.
const READERS: Duration = Duration::from_millis(20);

impl Writer {
    /// Looks after the files. Whether there is more to do at once.
    pub(super) fn upkeep(&mut self) -> bool {
        let idle = !std::mem::take(&mut self.busy);
        let done = self.look_after(idle);
        let trouble = match &done {
            Ok(_) => self.stalled(),
            Err(SqliteError::Busy) => None,
            Err(error) => Some(error.to_string()),
        };
        self.shared.trouble.note(Concern::Growing, trouble);
        done.unwrap_or(false)
    }

    fn look_after(&mut self, idle: bool) -> Result<bool, SqliteError> {
        if std::mem::take(&mut self.unsynced_mark) {
            self.sidecar.sync()?;
        }
        let more = self.forget()?;
        self.move_log(idle && !more)?;
        if idle && !more {
            self.give_back()?;
        }
        if self.shared.trouble.writing() {
            self.probe();
        }
        Ok(more)
    }

    /// Forgets a step's worth of what is over the bounds. Whether that was not all.
    fn forget(&mut self) -> Result<bool, SqliteError> {
        let (mut config, now) = (self.shared.config.clone(), self.shared.clock.now());
        if self.full.is_some() {
            // Then nothing of the log is kept that need not be.
            config.log_max_bytes = 0;
        }
        let excess = |meta: &Meta, rows: &[Oldest]| {
            compact::excess(meta, rows, &config, |row| now.duration_since(row.committed_at))
        };
        let connection = self.connection()?;
        // Mostly there is nothing, which a look at the oldest tells.
        if excess(&Meta::read(connection)?, &log::oldest(connection, 1)?) == 0 {
            return Ok(false);
        }
        let mut forgotten = 0;
        self.transact(|connection, meta| {
            forgotten = compact::forget(connection, meta, |meta, rows| excess(meta, rows))?;
            Ok(forgotten > 0)
        })?;
        Ok(forgotten == compact::STEP)
    }

    /// Moves the write-ahead log into the database: wholly when nothing else is to be done, and when it is large or counts
    /// against the quota.
    fn move_log(&mut self, idle: bool) -> Result<(), SqliteError> {
        let bytes = self.wal_bytes();
        if bytes == 0 || !(idle || bytes > WAL_LARGE || self.full.is_some()) {
            return Ok(());
        }
        let patience = if idle { Duration::ZERO } else { READERS };
        let connection = self.connection()?;
        connection.busy_timeout(patience)?;
        // Whether readers were in the way shows in the size of the file.
        let moved = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        connection.busy_timeout(Duration::ZERO)?;
        Ok(moved?)
    }

    /// Gives pages that are free back to the file system.
    fn give_back(&mut self) -> Result<(), SqliteError> {
        let connection = self.connection()?;
        if pragma(connection, "freelist_count")? < PAGES {
            return Ok(());
        }
        let mut statement = connection.prepare_cached("PRAGMA incremental_vacuum(1000)")?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// Tries whether commits work again, by one that changes nothing.
    fn probe(&mut self) {
        if self.transact(|_, _| Ok(true)).is_ok() {
            self.shared.trouble.note(Concern::Writing, None);
        }
    }

    /// Why the files grow beyond their bounds, if they do.
    fn stalled(&mut self) -> Option<String> {
        let bytes = self.wal_bytes();
        if bytes > WAL_STALLED {
            return Some(format!("the write-ahead log has {bytes} bytes: another process holds an old snapshot of it"));
        }
        self.full = self.quota().ok().flatten();
        self.full.as_ref().map(ToString::to_string)
    }

    /// The same for a group, looked at again only when the log has grown by enough to matter.
    pub(super) fn quota_for(&mut self, meta: &Meta) -> Result<Option<SqliteError>, SqliteError> {
        if self.full.is_some() || meta.log_bytes.abs_diff(self.measured_at) > MEASURE {
            self.full = self.quota()?;
            self.measured_at = meta.log_bytes;
        }
        Ok(self.full.clone())
    }

    /// Why nothing more may be added, if the files are over the bound.
    pub(super) fn quota(&mut self) -> Result<Option<SqliteError>, SqliteError> {
        let (max, wal) = (self.shared.config.max_bytes, self.wal_bytes());
        let connection = self.connection()?;
        let pages = pragma(connection, "page_count")? - pragma(connection, "freelist_count")?;
        let bytes = (pages * pragma(connection, "page_size")?).cast_unsigned() + wal;
        Ok((bytes >= max).then_some(SqliteError::Quota { bytes, max }))
    }

    fn wal_bytes(&self) -> u64 {
        // Without commits there is none.
        fs::metadata(self.shared.config.beside("-wal")).map_or(0, |wal| wal.len())
    }

    /// Leaves all on the disk, at the end.
    pub(super) fn settle(&mut self) -> Result<(), SqliteError> {
        let busy_timeout = self.shared.config.busy_timeout;
        self.connection()?.pragma_update(None, "synchronous", "FULL")?;
        let connection = self.connection()?;
        connect::begin(connection, busy_timeout)?;
        let written = Meta::read(connection).and_then(|mut meta| {
            if meta.unsynced_boot.take().is_some() {
                // This sync is one of all commits before it.
                meta.write(connection)?;
            }
            Ok(meta)
        });
        connection.execute_batch(if written.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        self.sidecar.write(Mark::of(&written?))?;
        Ok(self.sidecar.sync()?)
    }
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, SqliteError> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}
