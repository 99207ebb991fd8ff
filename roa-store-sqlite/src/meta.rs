//! [`Meta`]: the one row that says where the history stands.

use std::sync::Arc;

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
    /// The boot of the machine in which commits were answered that the disk need not have.
    pub(crate) unsynced_boot: Option<String>,
    /// Whether this is a copy that no store has been opened from yet.
    pub(crate) copied: bool,
}

const READ: &str = "SELECT store_id, epoch_counter, epoch_nonce, head, head_txn, floor, floor_txn, jumped, log_bytes, \
                    unsynced_boot, copied FROM meta WHERE id = 1";
const WRITE: &str = "INSERT OR REPLACE INTO meta (id, store_id, epoch_counter, epoch_nonce, head, head_txn, floor, \
                     floor_txn, jumped, log_bytes, unsynced_boot, copied) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const WRITE_HEAD: &str = "UPDATE meta SET head = ?, head_txn = ?, jumped = ?, log_bytes = ? WHERE id = 1";

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
            unsynced_boot: None,
            copied: false,
        }
    }

    pub(crate) fn read(connection: &Connection) -> Result<Self, SqliteError> {
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
            unsynced_boot: row.get(9)?,
            copied: row.get(10)?,
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
            self.unsynced_boot,
            self.copied,
        ])?;
        Ok(())
    }

    /// Writes what a commit changes.
    pub(crate) fn write_head(&self, connection: &Connection) -> Result<(), SqliteError> {
        connection.prepare_cached(WRITE_HEAD)?.execute(params![
            self.head.get().cast_signed(),
            self.head_txn.0.as_bytes(),
            self.jumped,
            self.log_bytes.cast_signed(),
        ])?;
        Ok(())
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

/// A writer's name. Rows that follow each other mostly have the same, which they share.
pub(crate) fn writer(row: &Row<'_>, column: usize, last: &mut Arc<str>) -> Result<Arc<str>, SqliteError> {
    let name = row.get_ref(column)?.as_str().map_err(|why| SqliteError::row("writer", &why))?;
    if **last != *name {
        *last = name.into();
    }
    Ok(Arc::clone(last))
}
