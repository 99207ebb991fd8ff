//! [`Batch`]: what one commit changed. [`Tail`]: the change feed. [`TailChecker`]: how a gap in it is noticed.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;

use crate::{Entry, Epoch, Error, Key, Revision, StoreId, Timestamp, TxnId};

/// One key's change.
///
/// ```
/// # use roa_core::Change;
/// fn says(change: &Change) -> String {
///     match change {
///         Change::Put { entry, previous: None } => format!("{} came", entry.key),
///         Change::Put { entry, .. } => format!("{} changed", entry.key),
///         Change::Delete { previous } => format!("{} went", previous.key),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key was written.
    Put {
        /// What it is now.
        entry: Arc<Entry>,
        /// What it was; `None` if it was absent.
        previous: Option<Arc<Entry>>,
    },
    /// The key was removed.
    Delete {
        /// What it was.
        previous: Arc<Entry>,
    },
}

impl Change {
    /// Which key.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { entry, .. } => &entry.key,
            Self::Delete { previous } => &previous.key,
        }
    }

    /// What the key is after it; `None` if removed.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Put { entry, .. } => Some(entry),
            Self::Delete { .. } => None,
        }
    }

    /// What the key was before it; `None` if it was absent.
    #[must_use]
    pub fn previous(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Put { previous, .. } => previous.as_ref(),
            Self::Delete { previous } => Some(previous),
        }
    }
}

/// The changes of one commit; most commits have one.
///
/// ```
/// # use roa_core::{Change, Changes, Key};
/// fn keys(changes: &Changes) -> Vec<&Key> {
///     changes.iter().map(Change::key).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes(Repr);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Repr {
    One(Change),
    Many(Vec<Change>),
}

impl From<Vec<Change>> for Changes {
    fn from(mut changes: Vec<Change>) -> Self {
        match (changes.len(), changes.pop()) {
            (1, Some(only)) => Self(Repr::One(only)),
            (_, last) => {
                changes.extend(last);
                Self(Repr::Many(changes))
            }
        }
    }
}

impl From<Change> for Changes {
    fn from(only: Change) -> Self {
        Self(Repr::One(only))
    }
}

impl Deref for Changes {
    type Target = [Change];

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Repr::One(only) => std::slice::from_ref(only),
            Repr::Many(many) => many,
        }
    }
}

/// What one commit changed: the unit of the log, never split.
///
/// ```
/// # use roa_core::Batch;
/// fn line(batch: &Batch) -> String {
///     format!("{}: {} changes by {}", batch.revision, batch.changes.len(), batch.txn)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The commit's revision: one more than that of the batch before.
    pub revision: Revision,
    /// The commit's transaction.
    pub txn: TxnId,
    /// The transaction of the revision before; [`TxnId::none`] after a jump and in a new store. A log whose entries
    /// do not name their predecessors was swapped under its readers.
    pub previous_txn: TxnId,
    /// When it was committed, by the clock of who committed.
    pub committed_at: Timestamp,
    /// What changed, in the order of the transaction.
    pub changes: Changes,
}

impl Batch {
    /// Roughly how many bytes it keeps alive at most: what a bounded log counts. What was there before counts as well,
    /// though a batch before may share it.
    #[must_use]
    pub fn size(&self) -> usize {
        let entry = |entry: &Arc<Entry>| entry.key.encoded().len() + entry.value.bytes.len() + size_of::<Entry>();
        let change = |change: &Change| change.current().map_or(0, entry) + change.previous().map_or(0, entry);
        size_of::<Self>() + self.changes.iter().map(change).sum::<usize>()
    }
}

/// Why a change feed or a watch ended. None ends without one.
///
/// ```
/// # use roa_core::TailEnd;
/// fn must_list_again(end: &TailEnd) -> bool {
///     matches!(end, TailEnd::Expired { .. })
/// }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TailEnd {
    /// What should come next is no longer kept, or the history was broken: list again.
    #[error("go on: the next change is no longer kept (the log begins after {floor}, the head is {head}); list again")]
    Expired {
        /// The oldest revision that can be resumed after.
        floor: Revision,
        /// The newest revision.
        head: Revision,
    },
    /// The reader was too slow, but where it stopped is still kept: resume there.
    #[error("go on: the reader fell behind; resume after the last revision it handled")]
    Lagged,
    /// The store or the hub was closed.
    #[error("go on: the store was closed")]
    Closed,
    /// The store failed.
    #[error("go on: {0}")]
    Failed(Arc<Error>),
}

/// The change feed of a store after a revision: each later batch once, in order, none left out, until a [`TailEnd`].
///
/// ```
/// # use futures_util::StreamExt;
/// # use roa_core::{Result, Revision, Store};
/// async fn follow(store: &dyn Store, after: Revision) -> Result<()> {
///     let mut tail = store.tail(after).await?;
///     while let Some(Ok(batches)) = tail.next().await {
///         println!("{} commits", batches.len());
///     }
///     Ok(())
/// }
/// ```
pub struct Tail {
    /// Whose history this is.
    pub store: StoreId,
    /// Which stretch of it.
    pub epoch: Epoch,
    /// Where the feed starts: the first batch has the next revision.
    pub after: Revision,
    /// The transaction of `after`, where the log still has it: the begin of the chain.
    pub after_txn: Option<TxnId>,
    stream: BoxStream<'static, Result<Vec<Arc<Batch>>, TailEnd>>,
}

impl Tail {
    /// A feed over `stream`, which gives one or more batches at a time and ends after its first error.
    #[must_use]
    pub fn new(
        store: StoreId,
        epoch: Epoch,
        after: (Revision, Option<TxnId>),
        stream: BoxStream<'static, Result<Vec<Arc<Batch>>, TailEnd>>,
    ) -> Self {
        Self { store, epoch, after: after.0, after_txn: after.1, stream }
    }
}

impl Stream for Tail {
    type Item = Result<Vec<Arc<Batch>>, TailEnd>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tail({} epoch {} after {:?})", self.store, self.epoch, self.after)
    }
}

/// Follows a feed and notices what must not be passed on: a revision left out or repeated, or a batch whose
/// predecessor is not the one that was seen.
///
/// ```
/// # use roa_core::{Batch, ChainBreak, Tail, TailChecker};
/// fn check(tail: &Tail, batches: &[Batch]) -> Result<(), ChainBreak> {
///     let mut checker = TailChecker::of(tail);
///     batches.iter().try_for_each(|batch| checker.check(batch))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct TailChecker {
    last: Revision,
    last_txn: Option<TxnId>,
}

/// A batch that does not follow the one before.
///
/// ```
/// # use roa_core::{Batch, ChainBreak, Tail, TailChecker};
/// fn first_break(tail: &Tail, batch: &Batch) -> Option<ChainBreak> {
///     TailChecker::of(tail).check(batch).err()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainBreak {
    /// Another revision than the next.
    #[error("follow the change feed: revision {found} came after {last}")]
    Revision {
        /// What was seen last.
        last: Revision,
        /// What came.
        found: Revision,
    },
    /// The right revision, but of another history.
    #[error("follow the change feed: revision {revision} names another predecessor than the one that was seen")]
    Predecessor {
        /// Where the histories part.
        revision: Revision,
    },
}

impl TailChecker {
    /// A checker for what comes after the revision `last` with the transaction `last_txn`, if that is known.
    #[must_use]
    pub const fn new(last: Revision, last_txn: Option<TxnId>) -> Self {
        Self { last, last_txn }
    }

    /// A checker for a whole feed.
    #[must_use]
    pub const fn of(tail: &Tail) -> Self {
        Self::new(tail.after, tail.after_txn)
    }

    /// Takes the next batch.
    ///
    /// # Errors
    /// [`ChainBreak`] if it does not follow; the reader must stop and list again.
    pub fn check(&mut self, batch: &Batch) -> Result<(), ChainBreak> {
        if batch.revision.get() != self.last.get() + 1 {
            return Err(ChainBreak::Revision { last: self.last, found: batch.revision });
        }
        if self.last_txn.is_some_and(|last| last != batch.previous_txn) {
            return Err(ChainBreak::Predecessor { revision: batch.revision });
        }
        self.last = batch.revision;
        self.last_txn = Some(batch.txn);
        Ok(())
    }

    /// The last revision that was taken.
    #[must_use]
    pub const fn last(&self) -> Revision {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RandomExt, SeededRandom, Value};

    fn batch(revision: u64, txn: TxnId, previous_txn: TxnId) -> Batch {
        let key = Key::new("g", "things", "n", "a").unwrap();
        let revision = Revision::new(revision).unwrap();
        let entry = Entry::created(key, Value::opaque("v"), revision, txn, "test".into());
        let changes = Change::Put { entry: entry.into(), previous: None }.into();
        Batch { revision, txn, previous_txn, committed_at: Timestamp::from_unix_seconds(0).unwrap(), changes }
    }

    #[test]
    fn w18_a_gap_a_repeat_and_another_history_are_noticed() {
        let random = SeededRandom::new(3);
        let id = || TxnId(random.uuid());
        let (a, b, c) = (id(), id(), id());
        let mut checker = TailChecker::new(Revision::new(9).unwrap(), Some(a));
        assert_eq!(checker.check(&batch(10, b, a)), Ok(()));
        assert!(matches!(checker.clone().check(&batch(12, c, b)), Err(ChainBreak::Revision { .. })));
        assert!(matches!(checker.clone().check(&batch(10, b, a)), Err(ChainBreak::Revision { .. })));
        assert!(matches!(checker.clone().check(&batch(11, c, a)), Err(ChainBreak::Predecessor { .. })));
        assert_eq!(checker.check(&batch(11, c, b)), Ok(()));
        assert_eq!(checker.last().get(), 11);
    }

    #[test]
    fn what_was_there_before_counts() {
        let key = || Key::new("g", "things", "n", "a").unwrap();
        let (at, id) = (Revision::new(7).unwrap(), TxnId::none());
        let entry = |bytes| Arc::new(Entry::created(key(), Value::opaque(vec![0_u8; bytes]), at, id, "test".into()));
        let put = Change::Put { entry: entry(1), previous: Some(entry(1 << 20)) };
        let delete = Change::Delete { previous: entry(1 << 20) };
        for change in [put, delete] {
            let batch = Batch { changes: change.into(), ..batch(7, id, id) };
            assert!((1 << 20..(1 << 20) + 2_000).contains(&batch.size()), "{}", batch.size());
        }
    }

    #[test]
    fn changes_of_any_number_read_as_a_slice() {
        let one = batch(1, TxnId::none(), TxnId::none()).changes[0].clone();
        for count in 0..4 {
            let changes = Changes::from(vec![one.clone(); count]);
            assert_eq!(changes.len(), count);
        }
    }
}
