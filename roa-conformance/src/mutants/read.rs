//! What a store can do wrong when it reads.

use std::sync::Arc;

use roa_core::{At, Entry, Error, Key, KeyPrefix, ListRequest, Page, Read, Result, Store};

use super::Mutant;

/// What a store can do wrong when it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadMutation {
    /// A key that was removed and made again goes on with its old life.
    LivesGoOn,
    /// Versions do not rise.
    VersionsStandStill,
    /// An empty value is no value.
    EmptyValuesVanish,
    /// It answers with what it read before.
    ReadsAreStale,
    /// Lists are in reverse order.
    ListsAreReversed,
    /// Lists are sorted as people sort.
    ListsIgnoreCase,
    /// A prefix ends within a segment.
    PrefixesEndInASegment,
    /// A prefix ends before its last keys.
    PrefixesEndEarly,
    /// The halves of a list are of different revisions.
    ListsAreTorn,
    /// Lists name a revision before that of their entries.
    ListsNameAnOlderRevision,
    /// An empty list names the floor.
    EmptyListsNameTheFloor,
    /// Later pages are of the present.
    PagesDrift,
    /// Later pages leave out their first entry.
    PagesSkipOne,
    /// The second page is the last.
    PagingStopsEarly,
    /// Exact lists are of the present.
    ExactListsAreOfNow,
    /// Exact lists leave out what was deleted since.
    ExactListsMissTheDeleted,
    /// A list of what is no longer kept is of the present.
    ExpiredListsAreOfNow,
    /// A list of what has not been reached is of the present.
    FutureListsAreOfNow,
    /// A list that goes on after a foreign key begins anew.
    ForeignContinuesBeginAnew,
}

/// Gets, save for one mistake.
pub(super) async fn get(mutant: &Mutant, mutation: ReadMutation, key: &Key) -> Result<Read> {
    let mut read = mutant.inner.get(key).await?;
    match mutation {
        ReadMutation::LivesGoOn => {
            read.entry = read.entry.map(|entry| {
                let first = mutant.notes.first_of(&entry);
                edited(&entry, |entry| entry.create_revision = first.create_revision)
            });
        }
        ReadMutation::VersionsStandStill => {
            read.entry = read.entry.map(|entry| edited(&entry, |entry| entry.version = 1));
        }
        ReadMutation::EmptyValuesVanish => {
            read.entry = read.entry.filter(|entry| !entry.value.bytes.is_empty());
        }
        ReadMutation::ReadsAreStale => return Ok(mutant.notes.last_of(key, read.clone()).unwrap_or(read)),
        _ => {}
    }
    Ok(read)
}

fn edited(entry: &Entry, edit: impl FnOnce(&mut Entry)) -> Arc<Entry> {
    let revisions = [entry.create_revision, entry.revision];
    let (key, value, writer) = (entry.key.clone(), entry.value.clone(), Arc::clone(&entry.writer));
    let mut copy = Entry::stored(key, value, revisions, entry.version, entry.txn, writer);
    edit(&mut copy);
    Arc::new(copy)
}

/// Lists, save for one mistake.
pub(super) async fn list(mutant: &Mutant, mutation: ReadMutation, mut request: ListRequest) -> Result<Page> {
    use ReadMutation as M;
    let store = &*mutant.inner;
    match mutation {
        M::ListsAreTorn => return torn(store, request).await,
        M::PrefixesEndInASegment => return wider(store, request).await,
        M::PagesDrift if request.after.is_some() => return of_now(store, request).await,
        M::ExactListsAreOfNow => return of_now(store, request).await,
        M::ForeignContinuesBeginAnew => request.after = request.after.filter(|after| request.prefix.contains(after)),
        _ => {}
    }
    let is_later = request.after.is_some();
    let mut page = match store.list(request.clone()).await {
        Err(Error::Expired { .. }) if mutation == M::ExpiredListsAreOfNow => return of_now(store, request).await,
        Err(Error::TooLarge { .. }) if mutation == M::FutureListsAreOfNow => return of_now(store, request).await,
        page => page?,
    };
    match mutation {
        M::PagesSkipOne if is_later && !page.entries.is_empty() => drop(page.entries.remove(0)),
        M::PagingStopsEarly if is_later => page.next = None,
        M::ExactListsMissTheDeleted => keep_living(store, &mut page).await?,
        M::EmptyListsNameTheFloor if page.entries.is_empty() => page.revision = store.state().await?.floor,
        _ => edit(mutation, &mut page),
    }
    Ok(page)
}

fn edit(mutation: ReadMutation, page: &mut Page) {
    match mutation {
        ReadMutation::ListsAreReversed => page.entries.reverse(),
        ReadMutation::ListsIgnoreCase => page.entries.sort_by_key(|entry| entry.key.name().to_lowercase()),
        ReadMutation::PrefixesEndEarly => page.entries.retain(|entry| !entry.key.name().starts_with(char::MAX)),
        ReadMutation::ListsNameAnOlderRevision => {
            page.revision = roa_core::Revision::new(page.revision.get() - 1).unwrap_or(page.revision);
        }
        _ => {}
    }
}

/// Lists what is there now, and says that it is of the revision that was asked for.
async fn of_now(store: &dyn Store, request: ListRequest) -> Result<Page> {
    let at = request.at;
    let mut page = store.list(request.at(At::Latest)).await?;
    if let At::Exact(revision) = at {
        page.revision = revision;
        page.next = page.next.map(|next| roa_core::Continue { revision, ..next });
    }
    Ok(page)
}

/// The first half now, the rest after the next commit.
async fn torn(store: &dyn Store, request: ListRequest) -> Result<Page> {
    let mut page = store.list(request.clone()).await?;
    page.entries.truncate(page.entries.len() / 2);
    for _ in 0..1_000 {
        if store.state().await?.head > page.revision {
            break;
        }
        tokio::task::yield_now().await;
    }
    let rest = store.list(request).await?.entries;
    page.entries.extend(rest.into_iter().skip(page.entries.len()));
    Ok(page)
}

/// Everything that begins as the prefix does without its last separator.
async fn wider(store: &dyn Store, mut request: ListRequest) -> Result<Page> {
    let prefix = request.prefix.encoded().trim_end_matches('\0').to_owned();
    request.prefix = KeyPrefix::everything();
    let mut page = store.list(request).await?;
    page.entries.retain(|entry| entry.key.encoded().starts_with(&prefix));
    Ok(page)
}

async fn keep_living(store: &dyn Store, page: &mut Page) -> Result<()> {
    let mut living = Vec::with_capacity(page.entries.len());
    for entry in page.entries.drain(..) {
        if store.get(&entry.key).await?.entry.is_some() {
            living.push(entry);
        }
    }
    page.entries = living;
    Ok(())
}
