//! Compaction: the floor rises at once, and the rows below it are deleted in steps, between groups of commits.

use std::time::Duration;

use roa_core::Revision;
use rusqlite::Connection;

use crate::SqliteConfig;
use crate::error::SqliteError;
use crate::log::{self, Oldest};
use crate::meta::Meta;

/// How many batches are forgotten in one transaction.
pub(crate) const STEP: usize = 1_000;

/// Raises the floor to a revision, as far as what is to be kept allows. Whether it rose.
pub(crate) fn raise_floor(
    connection: &Connection,
    meta: &mut Meta,
    to: Revision,
    min_retain: u64,
) -> Result<bool, SqliteError> {
    let (head, floor) = (meta.head, meta.floor);
    if to > head {
        return Err(SqliteError::TooLarge { requested: to, head });
    }
    // Zero is no revision: then all are to be kept.
    let newest = Revision::new(head.get().saturating_sub(min_retain)).unwrap_or(floor);
    let target = to.min(newest);
    if target <= floor {
        return Ok(false);
    }
    let missing = || SqliteError::Corrupt(format!("the log has no revision {target}"));
    (meta.floor, meta.floor_txn) = (target, log::txn_of(connection, target)?.ok_or_else(missing)?);
    Ok(true)
}

/// Forgets one step's worth of the oldest batches: as many as `excess` says. Gives how many.
pub(crate) fn forget(
    connection: &Connection,
    meta: &mut Meta,
    excess: impl Fn(&Meta, &[Oldest]) -> usize,
) -> Result<usize, SqliteError> {
    let rows = log::oldest(connection, STEP)?;
    let count = excess(meta, &rows);
    let Some(last) = rows.iter().take(count).next_back() else { return Ok(0) };
    let bytes: u64 = rows.iter().take(count).map(|row| row.bytes).sum();
    meta.log_bytes = meta.log_bytes.saturating_sub(bytes);
    if last.revision > meta.floor {
        (meta.floor, meta.floor_txn) = (last.revision, last.txn);
    }
    log::delete_until(connection, last.revision)?;
    Ok(count)
}

/// How many of the oldest rows are over the bounds, or below the floor.
pub(crate) fn excess(meta: &Meta, rows: &[Oldest], config: &SqliteConfig, age: impl Fn(&Oldest) -> Duration) -> usize {
    let (mut batches, mut bytes) = (meta.head.get() - meta.floor.get(), meta.log_bytes);
    let mut count = 0;
    for row in rows {
        let below = row.revision <= meta.floor;
        let exceeds = |times| {
            batches > config.log_max_batches.saturating_mul(times) || bytes > config.log_max_bytes.saturating_mul(times)
        };
        let retained = row.revision.get() > meta.head.get().saturating_sub(config.min_retain.max(1));
        let over = !retained && (exceeds(2) || exceeds(1) && age(row) >= config.log_min_age);
        if !(below || over) {
            break;
        }
        batches -= u64::from(!below);
        bytes = bytes.saturating_sub(row.bytes);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{Epoch, Revision, StoreId, Timestamp, TxnId};
    use uuid::Uuid;

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn meta(floor: u64, head: u64) -> Meta {
        let mut meta = Meta::new(StoreId(Uuid::from_u128(1)), Epoch { counter: 1, nonce: 1 }, revision(floor));
        (meta.head, meta.log_bytes) = (revision(head), (head - floor) * 10);
        meta
    }

    fn rows(from: u64, to: u64) -> Vec<Oldest> {
        let committed_at = Timestamp::from_unix_seconds(0).unwrap();
        (from..=to).map(|at| Oldest { revision: revision(at), txn: TxnId::none(), committed_at, bytes: 10 }).collect()
    }

    #[test]
    fn s10_the_log_is_bounded_in_batches_and_bytes_and_the_young_and_the_newest_stay() {
        let config = SqliteConfig::new("x").log_max_batches(10).min_retain(0);
        let count = |config: &SqliteConfig, old| {
            let age = if old { Duration::from_secs(100) } else { Duration::ZERO };
            excess(&meta(100, 130), &rows(101, 130), config, |_| age)
        };
        assert_eq!(count(&config, true), 20);
        assert_eq!(count(&config, false), 10, "up to twice the bound, however young");
        assert_eq!(count(&config.clone().log_max_bytes(50), true), 25);
        assert_eq!(count(&config.clone().min_retain(18), true), 12);
        assert_eq!(count(&config.clone().log_max_bytes(0), true), 29, "the newest stays");
        assert_eq!(excess(&meta(105, 110), &rows(101, 110), &config, |_| Duration::MAX), 5, "what a compaction left");
    }
}
