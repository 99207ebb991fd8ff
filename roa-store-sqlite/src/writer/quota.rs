//! What is done beyond the quota: what makes the store smaller; and within a reserve what keeps it going. Without that no
//! object could go that has finalizers, and whoever owns something would lose it for want of a heartbeat.

use roa_core::{Op, Txn};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::objects;

/// Which part of the quota the reserve has beyond it.
const RESERVE_PART: u64 = 20;
/// How many bytes it has at least: the files may be over the quota by what is written between two measurements.
const RESERVE_LEAST: u64 = 16 << 20;
/// By how many bytes a value may grow within the reserve: room for a time stamp or a condition.
const GROWTH: usize = 1 << 10;

/// Whether a transaction is done although the store is full.
pub(super) fn admits(full: &SqliteError, connection: &Connection, txn: &Txn) -> Result<bool, SqliteError> {
    let within_reserve = match full {
        SqliteError::Quota { bytes, max } => bytes.saturating_sub(*max) < RESERVE_LEAST.max(max / RESERVE_PART),
        _ => false,
    };
    for op in &txn.ops {
        let Op::Put { key, value, .. } = op else { continue };
        let before = objects::size(connection, key)?;
        let is_new = before.is_none() && !key.is_system();
        if !within_reserve || is_new || value.bytes.len() > before.unwrap_or(0).saturating_add(GROWTH) {
            return Ok(false);
        }
    }
    Ok(true)
}
