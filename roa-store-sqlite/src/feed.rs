//! [`Feed`]: the newest batches in memory, and who waits for more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roa_core::{Batch, Epoch, LookBack, RecentBatches, Revision, StoreState};
use tokio::sync::Notify;

use crate::error::SqliteError;
use crate::meta::Meta;

/// What change feeds look at first: the batches that this process has committed or read last, dense up to the newest.
/// What is not here is in the file.
#[derive(Debug)]
pub(crate) struct Feed {
    recent: Mutex<Recent>,
    /// Wakes the feeds that wait. It tells nothing but that they are to look again, so that many commits are one
    /// wake-up.
    pub(crate) changed: Notify,
}

#[derive(Debug)]
struct Recent {
    batches: RecentBatches,
    end: Option<SqliteError>,
}

/// What there is after a revision.
#[derive(Debug)]
pub(crate) enum Look {
    /// These batches.
    Batches(Vec<Arc<Batch>>),
    /// Nothing yet.
    Nothing,
    /// Something that only the file has.
    InFile,
}

impl Feed {
    pub(crate) fn new(state: StoreState, max_bytes: usize) -> Self {
        let recent = Recent { batches: RecentBatches::new(state, max_bytes), end: None };
        Self { recent: Mutex::new(recent), changed: Notify::new() }
    }

    /// The newest revision that feeds know of, and its epoch.
    pub(crate) fn newest(&self) -> (Epoch, Revision) {
        let state = self.lock().batches.state();
        (state.epoch, state.head)
    }

    /// Takes what was read or committed: batches that follow each other up to the head of `meta`. Those that are here
    /// already are left out; those after a gap begin anew.
    pub(crate) fn publish(&self, meta: &Meta, batches: &[Arc<Batch>]) {
        if self.lock().batches.take(meta.state(), batches) {
            self.changed.notify_waiters();
        }
    }

    /// Ends all feeds, after what was published before.
    pub(crate) fn end(&self, end: SqliteError) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_waiters();
    }

    /// Whether all feeds have ended.
    pub(crate) fn ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// What there is after a revision, at most `count` batches.
    pub(crate) fn after(&self, epoch: Epoch, cursor: Revision, count: usize) -> Result<Look, SqliteError> {
        let recent = self.lock();
        let or_the_end = |look| recent.end.clone().map_or(Ok(look), Err);
        match recent.batches.after(epoch, cursor, count) {
            LookBack::Batches(batches) => Ok(Look::Batches(batches)),
            LookBack::Nothing => or_the_end(Look::Nothing),
            LookBack::Earlier => or_the_end(Look::InFile),
            LookBack::OtherEpoch(StoreState { head, floor, .. }) => Err(SqliteError::Expired { floor, head }),
        }
    }

    /// A panic under the lock poisons it. None of the code under it can panic midway through a change.
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{Change, Entry, Key, StoreId, TxnId, Value};
    use uuid::Uuid;

    const EPOCH: Epoch = Epoch { counter: 1, nonce: 1 };

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn meta(head: u64) -> Meta {
        let mut meta = Meta::new(StoreId(Uuid::from_u128(1)), EPOCH, revision(1));
        meta.head = revision(head);
        meta
    }

    fn batches(revisions: std::ops::RangeInclusive<u64>) -> Vec<Arc<Batch>> {
        let batch = |number| {
            let key = Key::new("g", "things", "n", "a").unwrap();
            let entry = Entry::created(key, Value::opaque("v"), revision(number), TxnId::none(), "test".into()).into();
            let (txn, committed_at) = (TxnId::none(), "2027-01-02T03:04:05Z".parse().unwrap());
            let changes = Change::Put { entry, previous: None }.into();
            Arc::new(Batch { revision: revision(number), txn, previous_txn: txn, committed_at, changes })
        };
        revisions.map(batch).collect()
    }

    fn look(feed: &Feed, cursor: u64) -> Vec<u64> {
        match feed.after(EPOCH, revision(cursor), 100).unwrap() {
            Look::Batches(batches) => batches.iter().map(|batch| batch.revision.get()).collect(),
            Look::Nothing => vec![],
            Look::InFile => vec![0],
        }
    }

    #[test]
    fn w2_w4_what_comes_twice_is_given_once_and_after_a_gap_the_file_is_asked() {
        let feed = Feed::new(meta(1).state(), usize::MAX);
        feed.publish(&meta(3), &batches(2..=3));
        feed.publish(&meta(4), &batches(2..=4));
        feed.publish(&meta(3), &batches(2..=3));
        assert_eq!(look(&feed, 1), [2, 3, 4]);
        assert!(look(&feed, 4).is_empty());
        feed.publish(&meta(9), &batches(8..=9));
        assert_eq!((look(&feed, 4), look(&feed, 7), look(&feed, 8)), (vec![0], vec![8, 9], vec![9]));
        feed.publish(&meta(12), &batches(10..=11));
        assert_eq!(look(&feed, 9), [0], "they don't reach the head: the file has the rest");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stays() {
        let feed = Feed::new(meta(1).state(), 1);
        feed.publish(&meta(5), &batches(2..=5));
        assert_eq!((look(&feed, 3), look(&feed, 4)), (vec![0], vec![5]));
    }

    #[test]
    fn s14_a_newer_epoch_ends_the_feeds_of_the_older_and_an_older_changes_nothing() {
        let feed = Feed::new(meta(1).state(), usize::MAX);
        feed.publish(&meta(3), &batches(2..=3));
        let mut jumped = meta(3);
        jumped.jump(revision(100), Epoch { counter: 2, nonce: 2 });
        feed.publish(&jumped, &[]);
        feed.publish(&meta(4), &batches(4..=4));
        assert!(matches!(feed.after(EPOCH, revision(2), 9), Err(SqliteError::Expired { .. })));
        assert_eq!(feed.newest(), (jumped.epoch, revision(100)));
    }

    #[test]
    fn w9_a_closed_feed_gives_what_it_has_and_then_its_end() {
        let feed = Feed::new(meta(1).state(), usize::MAX);
        feed.publish(&meta(2), &batches(2..=2));
        feed.end(SqliteError::Closed);
        assert_eq!(look(&feed, 1), [2]);
        assert!(matches!(feed.after(EPOCH, revision(2), 9), Err(SqliteError::Closed)));
    }
}
