//! Lists: pages that are true at one revision, read in steps so that a long list doesn't hold up commits.
//!
//! A step takes some rows as they are now, and the batches since the revision that is asked for. What those changed is
//! put back to what it was before the first of them: so the rows are as of that revision, whatever was committed
//! between the steps.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::{Arc, RwLockReadGuard};

use roa_core::{At, Batch, Continue, Entry, Error, Key, KeyPrefix, ListRequest, Page, Revision};

use crate::error::MemoryError;
use crate::state::State;
use crate::store::Shared;

/// How many rows, or batches, are read at a time under the lock.
const STEP: usize = 1_024;

/// A page of the entries that `request` asks for.
pub(crate) fn list(shared: &Shared, request: &ListRequest) -> Result<Page, Error> {
    request.validate()?;
    match list_in_steps(shared, request, STEP) {
        // The log is so short that it lost the revision between two steps. One step alone can't lose it.
        Err(MemoryError::Expired { .. }) if !matches!(request.at, At::Exact(_)) => {
            Ok(list_in_steps(shared, request, usize::MAX)?)
        }
        page => Ok(page?),
    }
}

fn list_in_steps(shared: &Shared, request: &ListRequest, step: usize) -> Result<Page, MemoryError> {
    let limit = request.limit.map_or(usize::MAX, NonZeroUsize::get);
    // One row more than a page holds tells whether there is a next page.
    let step = step.min(limit.saturating_add(1));
    let mut state = shared.read()?;
    let mut past = Past::new(&request.prefix, state.resolve(request.at)?);
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    let mut after = request.after.clone();
    loop {
        let start = entries.len();
        entries.extend(state.entries.range(&request.prefix, after.as_ref()).take(step).cloned());
        past.read_to_head(shared, state)?;
        let reached = if entries.len() - start < step { None } else { entries.last().map(|row| row.key.clone()) };
        past.restore(&mut entries, start, after.as_ref(), reached.as_ref());
        if reached.is_none() || entries.len() > limit {
            return Ok(page(entries, limit, past.revision));
        }
        after = reached;
        state = shared.read()?;
    }
}

fn page(mut entries: Vec<Arc<Entry>>, limit: usize, revision: Revision) -> Page {
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|last| Continue { revision, after: last.key.clone() });
    Page { entries, revision, next }
}

/// What the keys below a prefix were at a revision, as far as they changed since.
struct Past<'a> {
    prefix: &'a KeyPrefix,
    revision: Revision,
    /// The last revision whose changes are in `before`.
    read: Revision,
    before: BTreeMap<Key, Option<Arc<Entry>>>,
}

impl<'a> Past<'a> {
    const fn new(prefix: &'a KeyPrefix, revision: Revision) -> Self {
        Self { prefix, revision, read: revision, before: BTreeMap::new() }
    }

    /// Reads what was committed until now, and releases the lock.
    fn read_to_head<'s>(
        &mut self,
        shared: &'s Shared,
        mut state: RwLockReadGuard<'s, State>,
    ) -> Result<(), MemoryError> {
        let head = state.log.head();
        loop {
            let batches = state.log.after(self.read, STEP)?;
            drop(state);
            batches.iter().for_each(|batch| self.read(batch));
            if self.read >= head {
                return Ok(());
            }
            state = shared.read()?;
        }
    }

    fn read(&mut self, batch: &Batch) {
        self.read = batch.revision;
        for change in batch.changes.iter().filter(|change| self.prefix.contains(change.key())) {
            self.before.entry(change.key().clone()).or_insert_with(|| change.previous().cloned());
        }
    }

    /// Puts the rows from `start` on back to what they were. They are all there are after one key and up to another.
    fn restore(&self, entries: &mut Vec<Arc<Entry>>, start: usize, after: Option<&Key>, reached: Option<&Key>) {
        if self.before.is_empty() {
            return;
        }
        let mut rows = entries.split_off(start);
        rows.retain(|row| !self.before.contains_key(&row.key));
        let range =
            (after.map_or(Bound::Unbounded, Bound::Excluded), reached.map_or(Bound::Unbounded, Bound::Included));
        rows.extend(self.before.range::<Key, _>(range).filter_map(|(_, entry)| entry.clone()));
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        entries.append(&mut rows);
    }
}
