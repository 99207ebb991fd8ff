//! Lists: pages that are true at one revision, read in steps so that a long list doesn't hold up commits.
//!
//! A step takes some rows as they are now, and the batches since the revision that is asked for. What those changed is
//! put back to what it was before the first of them: so the rows are as of that revision, whatever was committed
//! between the steps.

use std::num::NonZeroUsize;
use std::sync::{Arc, RwLockReadGuard};

use roa_core::{At, Continue, Entry, Error, ListRequest, Page, Revision, Rewind};

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
    let mut past = Rewind::new(request.prefix.clone(), state.resolve(request.at)?);
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    let mut after = request.after.clone();
    loop {
        let start = entries.len();
        entries.extend(state.entries.range(&request.prefix, after.as_ref()).take(step).cloned());
        read_to_head(&mut past, shared, state)?;
        let reached = if entries.len() - start < step { None } else { entries.last().map(|row| row.key.clone()) };
        past.restore(&mut entries, start, after.as_ref(), reached.as_ref());
        if reached.is_none() || entries.len() > limit {
            return Ok(page(entries, limit, past.revision()));
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

/// Reads what was committed until now, and releases the lock.
fn read_to_head<'s>(
    past: &mut Rewind,
    shared: &'s Shared,
    mut state: RwLockReadGuard<'s, State>,
) -> Result<(), MemoryError> {
    let head = state.log.head();
    loop {
        let batches = state.log.after(past.read_until(), STEP)?;
        drop(state);
        batches.iter().for_each(|batch| past.read(batch));
        if past.read_until() >= head {
            return Ok(());
        }
        state = shared.read()?;
    }
}
