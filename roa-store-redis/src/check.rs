//! Whether a store is whole: its log is dense and chained, and leads to what is there.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use roa_core::{Batch, Key, KeyPrefix, ListRequest, Revision, StoreState, TailChecker};

use crate::chunk::Chunk;
use crate::error::RedisStoreError;
use crate::shared::Shared;
use crate::{list, log};

/// How many problems are named.
const PROBLEMS: usize = 20;
/// How many batches are read at a time at first, and at most.
const BATCHES: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// What a look through a whole store found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Where its history stands.
    pub state: StoreState,
    /// How many batches its log has.
    pub batches: u64,
    /// How many entries are live.
    pub entries: u64,
    /// What is wrong, at most 20 of it; nothing, if it is whole.
    pub problems: Vec<String>,
}

/// Looks through a store's log and its entries as of one revision, and compares them. It may be in use meanwhile.
pub(crate) async fn check(shared: &Shared) -> Result<CheckReport, RedisStoreError> {
    let page = list::list(shared, ListRequest::new(KeyPrefix::everything())).await;
    let page = page.map_err(|error| RedisStoreError::Failed(error.to_string()))?;
    let meta = shared.meta().await?;
    let state = StoreState { head: page.revision, ..meta.state() };
    let report = CheckReport { state, batches: 0, entries: 0, problems: Vec::new() };
    let mut look = Look { report, last: HashMap::new() };
    if let Some(missing) = meta.missing() {
        look.problem(missing);
    }
    let mut chunk = Chunk::new(BATCHES, BATCHES);
    chunk.fit(&meta);
    look.read_log(shared, TailChecker::new(meta.floor, Some(meta.floor_txn)), chunk).await?;
    for entry in &page.entries {
        look.read_entry(&entry.key, entry.revision);
    }
    look.name_missing();
    Ok(look.report)
}

struct Look {
    report: CheckReport,
    /// Where the log leaves each key: at a revision, or removed.
    last: HashMap<Key, Option<Revision>>,
}

impl Look {
    fn problem(&mut self, problem: String) {
        if self.report.problems.len() < PROBLEMS {
            self.report.problems.push(problem);
        }
    }

    async fn read_log(
        &mut self,
        shared: &Shared,
        mut checker: TailChecker,
        mut chunk: Chunk,
    ) -> Result<(), RedisStoreError> {
        while checker.last() < self.report.state.head {
            let batches = match log::after(shared, checker.last(), chunk.get()).await {
                Ok(stretch) => stretch.batches,
                Err(RedisStoreError::Corrupt(why)) => {
                    self.problem(why);
                    return Ok(());
                }
                Err(other) => return Err(other),
            };
            if batches.is_empty() {
                self.problem(format!("the log ends at {}", checker.last()));
                return Ok(());
            }
            chunk.read(&batches);
            let head = self.report.state.head;
            for batch in batches.iter().filter(|batch| batch.revision <= head) {
                if let Err(why) = checker.check(batch) {
                    self.problem(format!("log: {why}"));
                    return Ok(());
                }
                self.read_batch(batch);
            }
            if batches.last().is_some_and(|last| last.revision >= self.report.state.head) {
                break;
            }
        }
        Ok(())
    }

    fn read_batch(&mut self, batch: &Arc<Batch>) {
        self.report.batches += 1;
        for change in batch.changes.iter() {
            self.last.insert(change.key().clone(), change.current().map(|entry| entry.revision));
        }
    }

    fn read_entry(&mut self, key: &Key, at: Revision) {
        self.report.entries += 1;
        match self.last.remove(key) {
            Some(logged) if logged != Some(at) => {
                self.problem(format!("{key} is at {at}, the log leaves it at {logged:?}"));
            }
            None if at > self.report.state.floor => {
                self.problem(format!("{key} is at {at}, which the log does not have"));
            }
            _ => {}
        }
    }

    fn name_missing(&mut self) {
        let missing: Vec<_> = self.last.iter().filter_map(|(key, at)| at.map(|at| (key.clone(), at))).collect();
        missing.into_iter().for_each(|(key, at)| self.problem(format!("{key} is missing, the log has it at {at}")));
    }
}
