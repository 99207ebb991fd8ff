//! Lists: pages that are true at one revision, read in short scripts, so that none holds the server up.
//!
//! A step takes some entries as they are now. What was committed between the revision that is asked for and that moment
//! is read from the log and put back by [`Rewind`]: so the entries are as of that revision, whatever was committed
//! between the steps.

use std::num::NonZeroUsize;
use std::sync::Arc;

use redis::Value;
use roa_core::{At, Continue, Entry, Error, Key, ListRequest, Page, Revision, Rewind, StoreState};

use crate::chunk::Chunk;
use crate::codec::{self, Writers};
use crate::error::RedisStoreError;
use crate::log;
use crate::meta::{array, bytes, check, elements};
use crate::shared::Shared;

/// How many entries one script reads: it holds the server up for well below a millisecond.
const STEP: usize = 500;
/// After how many bytes one script stops.
const STEP_BYTES: usize = 1 << 20;
/// How many batches are read at a time: the first time, and at most.
const BATCHES: (NonZeroUsize, NonZeroUsize) = (NonZeroUsize::new(64).unwrap(), NonZeroUsize::new(500).unwrap());
/// How often a list begins anew because the log lost its revision meanwhile.
const ATTEMPTS: usize = 3;

/// A page of the entries that `request` asks for.
pub(crate) async fn list(shared: &Shared, request: ListRequest) -> Result<Page, Error> {
    request.validate()?;
    for _ in 1..ATTEMPTS {
        match walk(shared, &request).await {
            Err(RedisStoreError::Expired { .. }) if !matches!(request.at, At::Exact(_)) => {}
            page => return Ok(page?),
        }
    }
    Ok(walk(shared, &request).await?)
}

/// Entries as they are now, and when that was.
struct Rows {
    state: StoreState,
    entries: Vec<Arc<Entry>>,
    /// The last key, if there may be more after it.
    reached: Option<Key>,
}

async fn walk(shared: &Shared, request: &ListRequest) -> Result<Page, RedisStoreError> {
    let limit = request.limit.map_or(usize::MAX, NonZeroUsize::get);
    // One entry more than a page holds tells whether there is a next page.
    let count = STEP.min(limit.saturating_add(1));
    let (mut after, mut entries) = (request.after.clone(), Vec::new());
    let mut rewind = None;
    let revision = loop {
        let rows = rows(shared, request, after.as_ref(), count).await?;
        let rewind = match &mut rewind {
            Some((rewind, epoch)) if *epoch == rows.state.epoch => rewind,
            // The history was broken between two steps.
            Some(_) => return Err(expired(rows.state)),
            None => {
                let to = resolve(rows.state, request.at)?;
                &mut rewind.insert((Rewind::new(request.prefix.clone(), to), rows.state.epoch)).0
            }
        };
        read_log(shared, rewind, rows.state).await?;
        let start = entries.len();
        entries.extend(rows.entries);
        rewind.restore(&mut entries, start, after.as_ref(), rows.reached.as_ref());
        after = rows.reached;
        if after.is_none() || entries.len() > limit {
            break rewind.revision();
        }
    };
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|last| Continue { revision, after: last.key.clone() });
    Ok(Page { entries, revision, next })
}

async fn rows(
    shared: &Shared,
    request: &ListRequest,
    after: Option<&Key>,
    count: usize,
) -> Result<Rows, RedisStoreError> {
    let prefix = request.prefix.encoded();
    let least = after.map_or_else(|| format!("[{prefix}"), |after| format!("({}", after.encoded()));
    // No key has a byte of 255: text ends before it.
    let greatest = [b"(", prefix.as_bytes(), b"\xff"].concat();
    let keys = [shared.keys.meta.as_str(), &shared.keys.objects, &shared.keys.index];
    let asked_at = shared.mark();
    let page = shared.ask(&shared.scripts.page, &keys, |call| {
        call.arg(&least).arg(&greatest).arg(count).arg(STEP_BYTES);
    });
    let [position, keys, values, stopped] = array(page.await?)?;
    let state = log::parse_position(shared, asked_at, position)?;
    let mut writers = Writers::default();
    let mut entries = Vec::new();
    for (key, value) in elements(keys)?.into_iter().zip(elements(values)?) {
        let key = codec::decode_key(&bytes(key)?)?;
        let value = log::optional(value)?;
        let missing = || RedisStoreError::Corrupt(format!("{key} is in the index, but not there"));
        entries.push(Arc::new(codec::decode_entry(key.clone(), value.ok_or_else(missing)?.into(), &mut writers)?));
    }
    let more = entries.len() == count || stopped == Value::Int(1);
    let reached = entries.last().filter(|_| more).map(|last| last.key.clone());
    Ok(Rows { state, entries, reached })
}

/// Reads what was committed up to the moment when the entries were read.
async fn read_log(shared: &Shared, rewind: &mut Rewind, state: StoreState) -> Result<(), RedisStoreError> {
    let mut chunk = Chunk::new(BATCHES.0, BATCHES.1);
    while rewind.read_until() < state.head {
        let stretch = log::after(shared, rewind.read_until(), chunk.get()).await?;
        if stretch.state.epoch != state.epoch {
            return Err(expired(stretch.state));
        }
        check(stretch.state, rewind.read_until())?;
        chunk.read(&stretch.batches);
        stretch.batches.iter().for_each(|batch| rewind.read(batch));
    }
    Ok(())
}

/// The answer to a list whose revision is of another epoch: below the floor, whatever its number.
fn expired(state: StoreState) -> RedisStoreError {
    RedisStoreError::Expired { floor: state.floor, head: state.head }
}

/// The revision that a list is to be true at.
fn resolve(state: StoreState, at: At) -> Result<Revision, RedisStoreError> {
    let head = state.head;
    match at {
        At::Latest => Ok(head),
        At::Exact(revision) => check(state, revision).map(|()| revision),
        At::NotOlderThan(requested) if requested > head => Err(RedisStoreError::TooLarge { requested, head }),
        At::NotOlderThan(_) => Ok(head),
        _ => Err(RedisStoreError::UnknownAt),
    }
}
