//! [`History`]: what a file must hold, folded from all that was seen of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use roa_core::{Batch, Change, Entry, Epoch, KeyPrefix, ListRequest, Revision, Store, Tail, TailChecker};
use roa_store_sqlite::{SqliteConfig, SqliteStore, check};

use crate::in_time;

/// The entries by name.
pub(crate) type Entries = BTreeMap<String, Arc<Entry>>;

/// What was seen of a file since it was made.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) epoch: Epoch,
    checker: TailChecker,
    pub(crate) entries: Entries,
    /// All commits since the begin, by revision.
    pub(crate) batches: BTreeMap<u64, Arc<Batch>>,
}

impl History {
    /// That of a new file, which stands at `opening`.
    pub(crate) fn new(epoch: Epoch, opening: Revision) -> Self {
        let checker = TailChecker::new(opening, None);
        Self { epoch, checker, entries: Entries::new(), batches: BTreeMap::new() }
    }

    pub(crate) const fn head(&self) -> Revision {
        self.checker.last()
    }

    /// Takes the next commit: it follows the one before, and what it replaces is what was there.
    pub(crate) fn fold(&mut self, batch: &Arc<Batch>) {
        self.checker.check(batch).unwrap();
        for change in batch.changes.iter() {
            let name = change.key().name().to_owned();
            assert_eq!(change.previous(), self.entries.get(&name), "what {name} was before {}", batch.revision);
            match change {
                Change::Put { entry, .. } => self.entries.insert(name, Arc::clone(entry)),
                Change::Delete { .. } => self.entries.remove(&name),
            };
        }
        self.batches.insert(batch.revision.get(), Arc::clone(batch));
    }

    /// Reads what was committed since the last look, and compares all that the file holds.
    pub(crate) async fn catch_up(&mut self, store: &SqliteStore) {
        let state = store.state().await.unwrap();
        assert_eq!(state.epoch, self.epoch, "the end of a process is no break of the history");
        assert!(state.head >= self.head(), "{state:?} is behind {}", self.head());
        let mut tail = store.tail(self.head()).await.unwrap();
        self.follow(&mut tail, state.head).await;
        assert_eq!(entries(store).await, self.entries);
    }

    /// Follows a feed up to a revision.
    pub(crate) async fn follow(&mut self, tail: &mut Tail, until: Revision) {
        while self.head() < until {
            let batches = in_time(tail.next()).await.unwrap().unwrap();
            batches.iter().for_each(|batch| self.fold(batch));
        }
    }
}

/// What a store holds.
pub(crate) async fn entries(store: &SqliteStore) -> Entries {
    let page = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap();
    page.entries.into_iter().map(|entry| (entry.key.name().to_owned(), entry)).collect()
}

/// Pages, log and entries of a file are whole and agree.
pub(crate) async fn assert_whole(config: &SqliteConfig) {
    let report = check(config).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new(), "{report:?}");
}
