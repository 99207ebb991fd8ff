//! What a store can do wrong when it is compacted, fenced, closed and opened.

use std::sync::Arc;

use roa_core::{Epoch, Error, Key, KeyPrefix, ListRequest, Page, Read, Result, Revision, StoreId, StoreState, Tail};
use roa_runtime::SystemClock;

use super::{Mutant, Mutation, commit};
use crate::rewrite::{AtEnd, rewrite, unchanged};

/// What a store can do wrong when it is compacted, fenced, closed and opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifecycleMutation {
    /// A compaction removes entries that were not written since.
    CompactionForgetsEntries,
    /// A compaction can lower the floor.
    CompactionLowersTheFloor,
    /// A compaction past the head goes up to it.
    CompactionStopsAtTheHead,
    /// A compaction uses up a revision.
    CompactionMovesTheHead,
    /// A compaction keeps none of what it was configured to keep.
    CompactionKeepsNothing,
    /// Opened again, it lacks the last commit.
    ReopeningLosesTheNewest,
    /// Opened again, its head is the newest revision of an entry.
    ReopeningDerivesTheHead,
    /// Opened again, its floor is lower.
    ReopeningLowersTheFloor,
    /// A fence does nothing.
    FencesDoNothing,
    /// Feeds go on after a fence.
    FeedsOutliveFences,
    /// Each of two clients that fence at once does.
    FencesIgnoreTheEpoch,
    /// A restored copy goes on where it was.
    RestoringDoesNotFence,
    /// All stores have the same id and epoch.
    AllStoresAreTheSame,
    /// It opens what it does not know yet.
    OpensNewerSchemas,
    /// It opens what is not its own.
    OpensForeignFiles,
    /// It takes an old store for an empty one.
    OldStoresAreEmpty,
}

pub(super) fn id(mutant: &Mutant) -> StoreId {
    match mutant.mutation {
        Mutation::Lifecycle(LifecycleMutation::AllStoresAreTheSame) => StoreId(roa_core::TxnId::none().0),
        _ => mutant.inner.id(),
    }
}

/// The one epoch of all stores that are the same.
const ONE_EPOCH: Epoch = Epoch { counter: 1, nonce: 1 };

pub(super) async fn state(mutant: &Mutant, mutation: LifecycleMutation) -> Result<StoreState> {
    use LifecycleMutation as M;
    let mut state = mutant.inner.state().await?;
    let reopened = mutant.reopened_at.is_some();
    match mutation {
        M::ReopeningDerivesTheHead if reopened => {
            let page = mutant.inner.list(ListRequest::new(KeyPrefix::everything())).await?;
            state.head = page.entries.iter().map(|entry| entry.revision).max().unwrap_or(state.floor);
        }
        M::ReopeningLowersTheFloor if reopened => {
            state.floor = Revision::new(state.floor.get() - 1).unwrap_or(state.floor);
        }
        M::AllStoresAreTheSame => state.epoch = ONE_EPOCH,
        _ => {}
    }
    Ok(state)
}

pub(super) async fn get(mutant: &Mutant, mutation: LifecycleMutation, key: &Key) -> Result<Read> {
    let mut read = mutant.inner.get(key).await?;
    let floor = mutant.inner.state().await?.floor;
    read.entry = read.entry.filter(|entry| !is_lost(mutant, mutation, entry.revision, floor));
    Ok(read)
}

pub(super) async fn list(mutant: &Mutant, mutation: LifecycleMutation, request: ListRequest) -> Result<Page> {
    let mut page = mutant.inner.list(request).await?;
    let floor = mutant.inner.state().await?.floor;
    page.entries.retain(|entry| !is_lost(mutant, mutation, entry.revision, floor));
    Ok(page)
}

fn is_lost(mutant: &Mutant, mutation: LifecycleMutation, revision: Revision, floor: Revision) -> bool {
    match mutation {
        LifecycleMutation::CompactionForgetsEntries => mutant.notes.is_compacted() && revision <= floor,
        LifecycleMutation::ReopeningLosesTheNewest => mutant.reopened_at == Some(revision),
        _ => false,
    }
}

pub(super) async fn tail(mutant: &Mutant, mutation: LifecycleMutation, after: Revision) -> Result<Tail> {
    use LifecycleMutation as M;
    let store = &mutant.inner;
    match mutation {
        M::FeedsOutliveFences => {
            let at_end = AtEnd::Reopen(Arc::clone(store));
            Ok(rewrite(store.tail(after).await?, unchanged(), at_end, Arc::new(SystemClock::new())))
        }
        M::RestoringDoesNotFence => match store.tail(after).await {
            Err(Error::Expired { head, .. }) => {
                let mut tail = store.tail(head).await?;
                tail.after = after;
                Ok(tail)
            }
            tail => tail,
        },
        M::AllStoresAreTheSame => {
            let mut tail = store.tail(after).await?;
            (tail.store, tail.epoch) = (id(mutant), ONE_EPOCH);
            Ok(tail)
        }
        _ => store.tail(after).await,
    }
}

pub(super) async fn compact(mutant: &Mutant, mutation: LifecycleMutation, to: Revision) -> Result<Revision> {
    use LifecycleMutation as M;
    let store = &*mutant.inner;
    match mutation {
        M::CompactionLowersTheFloor => store.compact(to).await.map(|_| to),
        M::CompactionStopsAtTheHead => store.compact(to.min(store.state().await?.head)).await,
        M::CompactionKeepsNothing => store.compact(to).await.map(|floor| floor.max(to)),
        M::CompactionMovesTheHead => {
            let filled = commit::fill(store).await;
            filled.map_err(|error| Error::unavailable(error.to_string()))?;
            store.compact(to).await
        }
        _ => store.compact(to).await,
    }
}

pub(super) async fn fence(
    mutant: &Mutant,
    mutation: LifecycleMutation,
    expected: Epoch,
    highest: Revision,
) -> Result<StoreState> {
    let store = &*mutant.inner;
    match mutation {
        LifecycleMutation::FencesDoNothing => store.state().await,
        LifecycleMutation::FencesIgnoreTheEpoch => {
            let epoch = store.state().await?.epoch;
            if epoch != expected {
                commit::fill(store).await.map_err(|error| Error::unavailable(error.to_string()))?;
            }
            store.fence(epoch, highest).await
        }
        _ => store.fence(expected, highest).await,
    }
}
