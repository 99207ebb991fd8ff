//! Lists that are longer than what one snapshot reads, while others write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roa_core::{At, Batch, Change, Entry, Key, ListRequest, Page, RandomExt, Revision, SeededRandom, Store, Txn};
use roa_store_sqlite::SqliteStore;
use tokio::task::JoinSet;

use crate::support::*;

/// Some snapshots' worth.
const ROWS: usize = 7_000;
const TOGETHER: usize = 100;

/// Where each key of the model stands.
type Rows = BTreeMap<Key, Revision>;

async fn fill(store: &SqliteStore) {
    let numbers: Vec<usize> = (0..ROWS).map(|number| number * 2).collect();
    for together in numbers.chunks(TOGETHER) {
        let create = |txn: Txn, number: &usize| txn.create(key(&name_of(*number)), filler(20));
        store.commit(together.iter().fold(txn(), create)).await.unwrap();
    }
}

/// Changes, removes and makes objects everywhere, until it is told to stop.
async fn disturb(store: Arc<SqliteStore>, stop: Arc<AtomicBool>) -> u64 {
    let (random, mut commits) = (SeededRandom::new(7), 0);
    while !stop.load(Ordering::SeqCst) {
        let key = key(&name_of(usize::try_from(random.below(ROWS as u64 * 2)).unwrap()));
        let at = store.get(&key).await.unwrap().entry.map(|entry| entry.revision);
        let write = match at {
            None => txn().create(key, filler(30)),
            Some(at) if random.below(2) == 0 => txn().delete(key, at),
            Some(at) => txn().update(key, filler(40), at),
        };
        store.commit(write).await.unwrap();
        commits += 1;
    }
    commits
}

/// What was there at a revision, by the log alone.
fn folded(batches: &[Arc<Batch>], at: Revision) -> Rows {
    let mut rows = Rows::new();
    let changes = batches.iter().take_while(|batch| batch.revision <= at).flat_map(|batch| batch.changes.iter());
    for change in changes {
        match change {
            Change::Put { entry, .. } => rows.insert(entry.key.clone(), entry.revision),
            Change::Delete { previous } => rows.remove(&previous.key),
        };
    }
    rows
}

fn listed(entries: &[Arc<Entry>]) -> Rows {
    assert!(entries.windows(2).all(|pair| pair[0].key < pair[1].key), "in order, each once");
    entries.iter().map(|entry| (entry.key.clone(), entry.revision)).collect()
}

/// All pages of a list, of so many entries each.
async fn in_pages(store: &SqliteStore, limit: usize) -> (Vec<Arc<Entry>>, Revision) {
    let mut request = ListRequest::new(things()).limit(count(limit));
    let mut entries = Vec::new();
    loop {
        let Page { entries: page, revision, next } = store.list(request.clone()).await.unwrap();
        entries.extend(page);
        let Some(next) = next else { return (entries, revision) };
        assert_eq!(next.revision, revision);
        request = request.resume(next);
    }
}

/// Each snapshot reads some of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_a_list_of_large_objects_is_whole_whether_few_or_many_follow_small_ones() {
    const LARGE: usize = 1 << 20;
    let place = Place::fast();
    let store = place.open().await;
    create_many(&store, 0..100, 10).await;
    create_many(&store, 100..150, LARGE).await;
    create_many(&store, 150..2_500, 10).await;
    create_many(&store, 2_500..2_550, LARGE).await;
    let all: Vec<_> = (0..2_550).map(name_of).collect();
    for limit in [None, Some(count(3_000)), Some(count(2_550)), Some(count(120)), Some(count(1_000))] {
        let (mut request, mut found) = (ListRequest::new(things()), Vec::new());
        request.limit = limit;
        loop {
            let Page { entries, next, .. } = store.list(request.clone()).await.unwrap();
            assert!(
                limit.is_none_or(
                    |limit| entries.len() <= limit.get() && (entries.len() == limit.get() || next.is_none())
                )
            );
            found.extend(entries.iter().map(|entry| entry.key.name().to_owned()));
            let Some(next) = next else { break };
            request = request.resume(next);
        }
        assert_eq!(found, all, "{limit:?}");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_s8_a_long_list_is_of_one_revision_whatever_is_written_meanwhile() {
    let place = Place::fast();
    let store = Arc::new(place.open().await);
    let begin = state(&store).await.head;
    fill(&store).await;
    let filled = state(&store).await.head;

    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    writers.spawn(disturb(Arc::clone(&store), Arc::clone(&stop)));
    let mut lists = Vec::new();
    for limit in [ROWS * 3, 2_048, 5_000, 2_047, ROWS * 3, 3_000] {
        lists.push(in_pages(&store, limit).await);
        let whole = store.list(ListRequest::new(things())).await.unwrap();
        lists.push((whole.entries, whole.revision));
    }
    let past = store.list(ListRequest::new(things()).at(At::Exact(filled))).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    assert!(writers.join_next().await.unwrap().unwrap() > 0);

    assert_eq!((past.revision, past.entries.len()), (filled, ROWS));
    lists.push((past.entries, past.revision));
    let batches = pull_until(&mut store.tail(begin).await.unwrap(), state(&store).await.head).await;
    for (entries, revision) in lists {
        assert_eq!(listed(&entries), folded(&batches, revision), "as of {revision}");
    }
    store.close().await;
}
