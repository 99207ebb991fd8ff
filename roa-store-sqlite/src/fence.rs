//! Fences: a declared break in the history, after which nothing older can be resumed; and the signs of one that nobody
//! declared.

use roa_core::{Epoch, Random, Revision, Timestamp};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::meta::Meta;
use crate::sidecar::Mark;

/// Jumps past the head and past `highest` into a new epoch, unless the store has left the `expected` one, or has
/// committed nothing since its last jump and stands at `highest` or after it. Whether it jumped.
pub(crate) fn fence(
    connection: &Connection,
    meta: &mut Meta,
    (expected, highest): (Epoch, Revision),
    (now, random): (Timestamp, &dyn Random),
) -> Result<bool, SqliteError> {
    if meta.epoch != expected || meta.jumped && highest <= meta.head {
        return Ok(false);
    }
    let head = Revision::jump(meta.head, highest, now, random);
    jump(connection, meta, head, random)?;
    tracing::info!(store = %meta.store, %head, epoch = %meta.epoch, "fenced: the history goes on after a jump");
    Ok(true)
}

/// Breaks the history within a transaction that writes `meta` afterwards.
pub(crate) fn jump(
    connection: &Connection,
    meta: &mut Meta,
    head: Revision,
    random: &dyn Random,
) -> Result<(), SqliteError> {
    meta.jump(head, meta.epoch.following(random));
    connection.execute("DELETE FROM log", [])?;
    Ok(())
}

/// Why the history of a file may be broken; `None` if it is whole.
pub(crate) fn broken(meta: &Meta, mark: Option<Mark>, boot: &str) -> Option<&'static str> {
    let Some(mark) = mark else { return Some("the file beside the database is missing: it was copied") };
    if meta.copied {
        return Some("it is a backup");
    }
    if mark.store != meta.store {
        return Some("the file beside the database is another store's");
    }
    if mark.head > meta.head {
        return Some("the database is behind the file beside it: commits were lost, or an older copy put in its place");
    }
    let lost_power = meta.unsynced_boot.as_deref().is_some_and(|unsynced| unsynced != boot);
    lost_power.then_some("the machine stopped before the disk had the newest commits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{Epoch, StoreId};
    use uuid::Uuid;

    fn meta(head: u64) -> Meta {
        Meta::new(StoreId(Uuid::from_u128(1)), Epoch { counter: 1, nonce: 1 }, Revision::new(head).unwrap())
    }

    #[test]
    fn s14_a_history_that_may_be_broken_is_fenced_and_a_whole_one_is_not() {
        let whole = meta(9);
        let mark = |head| Some(Mark::of(&meta(head)));
        assert_eq!(broken(&whole, mark(9), "now"), None);
        assert_eq!(broken(&whole, mark(5), "now"), None, "the mark follows the file");
        assert!(broken(&whole, None, "now").unwrap().contains("copied"));
        assert!(broken(&whole, mark(10), "now").unwrap().contains("behind"));
        let (mut copy, mut unsynced, mut other) = (meta(9), meta(9), meta(9));
        copy.copied = true;
        assert!(broken(&copy, mark(9), "now").unwrap().contains("backup"));
        unsynced.unsynced_boot = Some("before".to_owned());
        assert!(broken(&unsynced, mark(9), "now").unwrap().contains("stopped"));
        assert_eq!(broken(&unsynced, mark(9), "before"), None, "the machine still runs");
        other.store = StoreId(Uuid::from_u128(2));
        assert!(broken(&other, mark(9), "now").unwrap().contains("another store"));
    }
}
