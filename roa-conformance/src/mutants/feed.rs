//! What a store can do wrong with its change feeds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use roa_core::{Batch, Change, CommitError, Entry, Error, Key, Result, Revision, Store, Tail, Txn, TxnId, Value};
use roa_runtime::SystemClock;

use super::Mutant;
use crate::rewrite::{AtEnd, Edit, Edited, rewrite, unchanged, with};

/// What a store can do wrong with its change feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedMutation {
    /// It gives some batches after the one that follows them.
    Swaps,
    /// It gives some batches twice.
    Repeats,
    /// It gives the changes of a batch one by one.
    SplitsBatches,
    /// It leaves a batch out.
    DropsBatches,
    /// It leaves a change out of its batch.
    DropsChanges,
    /// It begins with the revision it is to begin after.
    StartsInclusive,
    /// It misses the first commit after it was opened at the head.
    MissesTheFirstAtTheHead,
    /// Resumed at some revisions, it leaves out one.
    SkipsOneOnResume,
    /// It begins now if what it is to begin after is no longer kept.
    BelowTheFloorMeansNow,
    /// It begins at the floor if it is to begin right before.
    BelowTheFloorByOneIsServed,
    /// It can't begin after the floor.
    TheFloorIsExpired,
    /// It says that the log begins at the head.
    ExpiredNamesTheHead,
    /// It begins now if what it is to begin after has not been reached.
    FutureMeansNow,
    /// After a compaction it leaves out deletions.
    CompactionDropsDeletes,
    /// Opened at the floor, it leaves out deletions.
    DropsDeletesAtTheFloor,
    /// Deletions do not carry what was deleted.
    DeletesLoseTheValue,
    /// Writes do not carry what was there before.
    PutsLosePrevious,
    /// Writes carry themselves as what was there before.
    PreviousIsCurrent,
    /// It cuts names at a hyphen.
    CutsNames,
    /// It cuts namespaces after their first letter.
    CutsNamespaces,
    /// Its batches do not name their predecessors.
    HasNoChain,
    /// It gives nothing.
    Stalls,
    /// It gives each batch two seconds late.
    Delays,
    /// It ends without a reason.
    EndsSilently,
    /// Where it should end, it goes on at the floor.
    SkipsToTheFloor,
    /// A feed that is not read holds up commits.
    UnreadFeedsBlockCommits,
    /// Dropped feeds are never freed.
    FeedsLeak,
}

/// How many batches a feed may owe until commits wait for it.
const MOST_OWED: u64 = 64;
/// How many feeds there can be if none is ever freed.
const MOST_FEEDS: u64 = 256;

/// Commits, save for one mistake.
pub(super) async fn commit(mutant: &Mutant, mutation: FeedMutation, txn: Txn) -> Result<Revision, CommitError> {
    if mutation == FeedMutation::UnreadFeedsBlockCommits {
        loop {
            let given = mutant.notes.given.notified();
            if mutant.notes.most_owed() < MOST_OWED {
                break;
            }
            given.await;
        }
        mutant.notes.owe();
    }
    mutant.inner.commit(txn).await
}

/// Opens a feed, save for one mistake.
pub(super) async fn tail(mutant: &Mutant, mutation: FeedMutation, after: Revision) -> Result<Tail> {
    let state = mutant.inner.state().await?;
    if mutation == FeedMutation::FeedsLeak && mutant.notes.count() > MOST_FEEDS {
        return Err(Error::unavailable("too many feeds"));
    }
    let tail = open(&*mutant.inner, mutation, after).await?;
    let at_end = match mutation {
        FeedMutation::EndsSilently => AtEnd::Vanish,
        FeedMutation::SkipsToTheFloor => AtEnd::Reopen(Arc::clone(&mutant.inner)),
        _ => AtEnd::Pass,
    };
    let edit = match mutation {
        FeedMutation::MissesTheFirstAtTheHead if after == state.head => skip_first(),
        FeedMutation::SkipsOneOnResume if after > state.floor && after.get() % 10 == 7 => skip_first(),
        FeedMutation::DropsDeletesAtTheFloor if after == state.floor => each(|batch| keep(batch, is_put)),
        FeedMutation::MissesTheFirstAtTheHead
        | FeedMutation::SkipsOneOnResume
        | FeedMutation::DropsDeletesAtTheFloor => unchanged(),
        mutation => editor(mutant, mutation),
    };
    Ok(rewrite(tail, edit, at_end, Arc::new(SystemClock::new())))
}

async fn open(store: &dyn Store, mutation: FeedMutation, after: Revision) -> Result<Tail> {
    use FeedMutation as M;
    let state = store.state().await?;
    let from = match mutation {
        M::StartsInclusive if after > state.floor => Revision::new(after.get() - 1).unwrap_or(after),
        M::BelowTheFloorMeansNow if after < state.floor => state.head,
        M::BelowTheFloorByOneIsServed if after.get() + 1 == state.floor.get() => state.floor,
        M::FutureMeansNow if after > state.head => state.head,
        M::TheFloorIsExpired if after == state.floor => {
            return Err(Error::Expired { floor: state.floor, head: state.head });
        }
        _ => after,
    };
    match store.tail(from).await {
        Ok(tail) if from == after => Ok(tail),
        Ok(mut tail) => {
            tail.after = after;
            tail.after_txn = None;
            Ok(tail)
        }
        Err(Error::Expired { head, .. }) if mutation == M::ExpiredNamesTheHead => {
            Err(Error::Expired { floor: head, head })
        }
        Err(error) => Err(error),
    }
}

fn editor(mutant: &Mutant, mutation: FeedMutation) -> Edit {
    use FeedMutation as M;
    match mutation {
        M::Swaps => swap(),
        M::Repeats => every(5, |batch| vec![Edited::Give(Arc::clone(&batch)), Edited::Give(batch)]),
        M::DropsBatches => every(10, |_| Vec::new()),
        M::DropsChanges => drop_changes(),
        M::SplitsBatches => Box::new(|batch| split(&batch)),
        M::DeletesLoseTheValue => each(|batch| map(batch, |_| None, lose_value)),
        M::PutsLosePrevious => each(|batch| map(batch, |_| None, Arc::clone)),
        M::PreviousIsCurrent => each(|batch| map(batch, |(entry, _)| Some(Arc::clone(entry)), Arc::clone)),
        M::CutsNames => each(|batch| rename(batch, cut_name)),
        M::CutsNamespaces => each(|batch| rename(batch, cut_namespace)),
        M::HasNoChain => each(|batch| with(batch, |batch| batch.previous_txn = TxnId::none())),
        M::Stalls => Box::new(|_| vec![Edited::Wait(Duration::from_secs(3_600))]),
        M::Delays => Box::new(|batch| vec![Edited::Wait(Duration::from_secs(2)), Edited::Give(batch)]),
        M::CompactionDropsDeletes => {
            let notes = Arc::clone(&mutant.notes);
            each(move |batch| if notes.is_compacted() { keep(batch, is_put) } else { Arc::new(batch.clone()) })
        }
        M::UnreadFeedsBlockCommits => pay(mutant),
        _ => unchanged(),
    }
}

/// Each batch pays off one that its feed owes.
fn pay(mutant: &Mutant) -> Edit {
    let (notes, owed) = (Arc::clone(&mutant.notes), mutant.notes.open_feed());
    Box::new(move |batch| {
        let paid = |owed: u64| Some(owed.saturating_sub(1));
        owed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, paid).ok();
        notes.given.notify_waiters();
        vec![Edited::Give(batch)]
    })
}

fn each(mut edit: impl FnMut(&Batch) -> Arc<Batch> + Send + 'static) -> Edit {
    Box::new(move |batch| vec![Edited::Give(edit(&batch))])
}

fn every(nth: u64, edit: fn(Arc<Batch>) -> Vec<Edited>) -> Edit {
    let mut count = 0;
    Box::new(move |batch| {
        count += 1;
        if count % nth == 0 { edit(batch) } else { vec![Edited::Give(batch)] }
    })
}

fn swap() -> Edit {
    let (mut count, mut held) = (0, None);
    Box::new(move |batch| {
        count += 1;
        if count % 3 == 0 {
            held = Some(batch);
            return Vec::new();
        }
        [Some(batch), held.take()].into_iter().flatten().map(Edited::Give).collect()
    })
}

fn skip_first() -> Edit {
    let mut first = true;
    Box::new(move |batch| if std::mem::take(&mut first) { Vec::new() } else { vec![Edited::Give(batch)] })
}

fn drop_changes() -> Edit {
    let mut count = 0;
    each(move |batch| {
        keep(batch, |_| {
            count += 1;
            count % 10 != 0
        })
    })
}

fn split(batch: &Batch) -> Vec<Edited> {
    let part = |change: &Change| Edited::Give(with(batch, |batch| batch.changes = change.clone().into()));
    batch.changes.iter().map(part).collect()
}

fn is_put(change: &Change) -> bool {
    matches!(change, Change::Put { .. })
}

/// The batch with only some of its changes.
fn keep(batch: &Batch, mut keeps: impl FnMut(&Change) -> bool) -> Arc<Batch> {
    let changes: Vec<_> = batch.changes.iter().filter(|change| keeps(change)).cloned().collect();
    with(batch, |batch| batch.changes = changes.into())
}

/// The batch with other predecessors of its writes, and other entries in its deletions.
fn map(
    batch: &Batch,
    previous: impl Fn((&Arc<Entry>, Option<&Arc<Entry>>)) -> Option<Arc<Entry>>,
    deleted: impl Fn(&Arc<Entry>) -> Arc<Entry>,
) -> Arc<Batch> {
    let change = |change: &Change| match change {
        Change::Put { entry, previous: before } => {
            Change::Put { entry: Arc::clone(entry), previous: previous((entry, before.as_ref())) }
        }
        Change::Delete { previous } => Change::Delete { previous: deleted(previous) },
    };
    let changes: Vec<_> = batch.changes.iter().map(change).collect();
    with(batch, |batch| batch.changes = changes.into())
}

fn rename(batch: &Batch, name: fn(&Key) -> Key) -> Arc<Batch> {
    let renamed = |entry: &Arc<Entry>| copy(entry, name(&entry.key), entry.value.clone());
    let change = |change: &Change| match change {
        Change::Put { entry, previous } => {
            Change::Put { entry: renamed(entry), previous: previous.as_ref().map(renamed) }
        }
        Change::Delete { previous } => Change::Delete { previous: renamed(previous) },
    };
    let changes: Vec<_> = batch.changes.iter().map(change).collect();
    with(batch, |batch| batch.changes = changes.into())
}

fn lose_value(entry: &Arc<Entry>) -> Arc<Entry> {
    copy(entry, entry.key.clone(), Value::opaque(""))
}

fn copy(entry: &Entry, key: Key, value: Value) -> Arc<Entry> {
    let revisions = [entry.create_revision, entry.revision];
    Arc::new(Entry::stored(key, value, revisions, entry.version, entry.txn, Arc::clone(&entry.writer)))
}

fn cut_name(key: &Key) -> Key {
    let name = key.name().split('-').next().unwrap_or_default();
    Key::new(key.group(), key.resource(), key.namespace(), name).unwrap_or_else(|_| key.clone())
}

fn cut_namespace(key: &Key) -> Key {
    let namespace: String = key.namespace().chars().take(1).collect();
    Key::new(key.group(), key.resource(), &namespace, key.name()).unwrap_or_else(|_| key.clone())
}
