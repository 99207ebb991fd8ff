//! [`Meta`]: where the history stands. One row says so, as of when it was written, and the newest row of the log moves
//! it on: so a commit writes one row less.

use roa_core::{Epoch, Revision, StoreId, StoreState, TxnId};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::error::SqliteError;

/// Where the history stands. Read at the begin of each transaction that writes, since other processes write as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) store: StoreId,
    pub(crate) epoch: Epoch,
    pub(crate) head: Revision,
    /// The transaction of the head; none after a jump and in a new store.
    pub(crate) head_txn: TxnId,
    pub(crate) floor: Revision,
    /// The transaction of the floor.
    pub(crate) floor_txn: TxnId,
    /// Whether the head was reached by a jump: nothing has been committed since.
    pub(crate) jumped: bool,
    /// The bytes of changes in the log.
    pub(crate) log_bytes: u64,
    /// The bytes of all changes that were ever appended to it, up to the head.
    pub(crate) logged: u64,
    /// The boot of the machine in which commits were answered that the disk need not have.
    pub(crate) unsynced_boot: Option<String>,
    /// Whether this is a copy that no store has been opened from yet.
    pub(crate) copied: bool,
}

const READ: &str = "SELECT store_id, epoch_counter, epoch_nonce, head, head_txn, floor, floor_txn, jumped, log_bytes, \
                    logged, unsynced_boot, copied FROM meta WHERE id = 1";
const NEWEST: &str = "SELECT rev, txn, logged FROM log WHERE rev > ? ORDER BY rev DESC LIMIT 1";
const WRITE: &str = "INSERT OR REPLACE INTO meta (id, store_id, epoch_counter, epoch_nonce, head, head_txn, floor, \
                     floor_txn, jumped, log_bytes, logged, unsynced_boot, copied) \
                     VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

impl Meta {
    /// What a new store begins with.
    pub(crate) const fn new(store: StoreId, epoch: Epoch, opening: Revision) -> Self {
        Self {
            store,
            epoch,
            head: opening,
            head_txn: TxnId::none(),
            floor: opening,
            floor_txn: TxnId::none(),
            jumped: false,
            log_bytes: 0,
            logged: 0,
            unsynced_boot: None,
            copied: false,
        }
    }

    /// Within a transaction: the two rows belong together.
    pub(crate) fn read(connection: &Connection) -> Result<Self, SqliteError> {
        let mut meta = Self::read_row(connection)?;
        let mut statement = connection.prepare_cached(NEWEST)?;
        let mut rows = statement.query([meta.head.get().cast_signed()])?;
        if let Some(row) = rows.next()? {
            let appended = unsigned(row, 2)?.saturating_sub(meta.logged);
            meta.advance(revision(row, 0)?, TxnId(uuid(row, 1)?), appended);
        }
        Ok(meta)
    }

    fn read_row(connection: &Connection) -> Result<Self, SqliteError> {
        let mut statement = connection.prepare_cached(READ)?;
        let mut rows = statement.query([])?;
        let row = rows.next()?.ok_or_else(|| SqliteError::Corrupt("meta has no row, expected one".to_owned()))?;
        Ok(Self {
            store: StoreId(uuid(row, 0)?),
            epoch: Epoch { counter: unsigned(row, 1)?, nonce: row.get::<_, i64>(2)?.cast_unsigned() },
            head: revision(row, 3)?,
            head_txn: TxnId(uuid(row, 4)?),
            floor: revision(row, 5)?,
            floor_txn: TxnId(uuid(row, 6)?),
            jumped: row.get(7)?,
            log_bytes: unsigned(row, 8)?,
            logged: unsigned(row, 9)?,
            unsynced_boot: row.get(10)?,
            copied: row.get(11)?,
        })
    }

    pub(crate) fn write(&self, connection: &Connection) -> Result<(), SqliteError> {
        let (epoch, signed) = (self.epoch, u64::cast_signed);
        connection.prepare_cached(WRITE)?.execute(params![
            self.store.0.as_bytes(),
            signed(epoch.counter),
            signed(epoch.nonce),
            signed(self.head.get()),
            self.head_txn.0.as_bytes(),
            signed(self.floor.get()),
            self.floor_txn.0.as_bytes(),
            self.jumped,
            signed(self.log_bytes),
            signed(self.logged),
            self.unsynced_boot,
            self.copied,
        ])?;
        Ok(())
    }

    /// The same after commits up to a new head, with so many bytes of changes.
    pub(crate) const fn advance(&mut self, head: Revision, txn: TxnId, bytes: u64) {
        (self.head, self.head_txn, self.jumped) = (head, txn, false);
        (self.log_bytes, self.logged) = (self.log_bytes + bytes, self.logged + bytes);
    }

    pub(crate) const fn state(&self) -> StoreState {
        StoreState { head: self.head, floor: self.floor, epoch: self.epoch }
    }

    /// Whether the history can be resumed after a revision.
    pub(crate) fn check(&self, revision: Revision) -> Result<(), SqliteError> {
        let (floor, head) = (self.floor, self.head);
        match revision {
            old if old < floor => Err(SqliteError::Expired { floor, head }),
            requested if requested > head => Err(SqliteError::TooLarge { requested, head }),
            _ => Ok(()),
        }
    }

    /// The same store after a break of its history: nothing before `head` can be resumed.
    pub(crate) fn jump(&mut self, head: Revision, epoch: Epoch) {
        (self.head, self.floor, self.epoch) = (head, head, epoch);
        (self.head_txn, self.floor_txn) = (TxnId::none(), TxnId::none());
        (self.jumped, self.log_bytes) = (true, 0);
    }
}

pub(crate) fn revision(row: &Row<'_>, column: usize) -> Result<Revision, SqliteError> {
    Ok(Revision::new(unsigned(row, column)?)?)
}

pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, SqliteError> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|why| SqliteError::row("number", &why))
}

pub(crate) fn uuid(row: &Row<'_>, column: usize) -> Result<Uuid, SqliteError> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|why| SqliteError::row("id", &why))?;
    Uuid::from_slice(bytes).map_err(|why| SqliteError::row("id", &why))
}
