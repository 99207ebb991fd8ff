//! Lists: pages that are true at one revision, read in short snapshots, so that no reader holds up the write-ahead log.
//!
//! A step takes some rows as they are now, and the log since the revision that is asked for. What that changed is put
//! back by [`Rewind`]: so the rows are as of that revision, whatever was committed between the steps.

use std::num::NonZeroUsize;
use std::sync::Arc;

use roa_core::{At, Continue, Entry, Error, Key, ListRequest, Page, Revision, Rewind};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::meta::Meta;
use crate::shared::Shared;
use crate::{log, objects};

/// How many rows, or batches of the log, are read in one snapshot.
const STEP: usize = 2_048;
/// How many bytes of the log are read in one snapshot.
const LOG_BYTES: usize = 16 << 20;
/// How often a list begins anew because the log lost its revision meanwhile.
const ATTEMPTS: usize = 3;

/// A page of the entries that `request` asks for.
pub(crate) async fn list(shared: &Shared, request: ListRequest) -> Result<Page, Error> {
    request.validate()?;
    for _ in 1..ATTEMPTS {
        match walk(shared, request.clone()).await {
            Err(SqliteError::Expired { .. }) if !matches!(request.at, At::Exact(_)) => {}
            page => return Ok(page?),
        }
    }
    Ok(walk(shared, request).await?)
}

async fn walk(shared: &Shared, request: ListRequest) -> Result<Page, SqliteError> {
    let mut walk = Walk { after: request.after.clone(), request, rewind: None, slice: None, entries: Vec::new() };
    loop {
        let (next, done) = shared.readers.run(move |connection| walk.step(connection)).await?;
        if done {
            return next.page();
        }
        walk = next;
    }
}

struct Walk {
    request: ListRequest,
    /// Begin after this key.
    after: Option<Key>,
    rewind: Option<Rewind>,
    slice: Option<Slice>,
    entries: Vec<Arc<Entry>>,
}

/// Rows that are still as they were when they were read.
struct Slice {
    /// Where they begin.
    start: usize,
    /// The last key of a full slice.
    reached: Option<Key>,
    /// When they were read.
    read_at: Revision,
}

impl Walk {
    fn limit(&self) -> usize {
        self.request.limit.map_or(usize::MAX, NonZeroUsize::get)
    }

    /// One snapshot's work. Whether it was the last.
    fn step(mut self, connection: &Connection) -> Result<(Self, bool), SqliteError> {
        let meta = Meta::read(connection)?;
        let mut rewind = match self.rewind.take() {
            Some(rewind) => rewind,
            None => Rewind::new(self.request.prefix.clone(), resolve(&meta, self.request.at)?),
        };
        let slice = match self.slice.take() {
            Some(slice) => slice,
            None => self.read_rows(connection, &meta)?,
        };
        meta.check(rewind.read_until())?;
        for batch in log::after(connection, rewind.read_until(), STEP, LOG_BYTES)? {
            rewind.read(&batch);
        }
        let done = if rewind.read_until() < slice.read_at {
            self.slice = Some(slice);
            false
        } else {
            rewind.restore(&mut self.entries, slice.start, self.after.as_ref(), slice.reached.as_ref());
            let last = slice.reached.is_none() || self.entries.len() > self.limit();
            self.after = slice.reached;
            last
        };
        self.rewind = Some(rewind);
        Ok((self, done))
    }

    fn read_rows(&mut self, connection: &Connection, meta: &Meta) -> Result<Slice, SqliteError> {
        // One row more than a page holds tells whether there is a next page.
        let count = STEP.min(self.limit().saturating_add(1));
        let mut rows = objects::range(connection, &self.request.prefix, self.after.as_ref(), count)?;
        let reached = if rows.len() < count { None } else { rows.last().map(|row| row.key.clone()) };
        let start = self.entries.len();
        self.entries.append(&mut rows);
        Ok(Slice { start, reached, read_at: meta.head })
    }

    fn page(mut self) -> Result<Page, SqliteError> {
        let revision = self.rewind.as_ref().map(Rewind::revision).ok_or(SqliteError::Closed)?;
        let limit = self.limit();
        let more = self.entries.len() > limit;
        self.entries.truncate(limit);
        let next = self.entries.last().filter(|_| more).map(|last| Continue { revision, after: last.key.clone() });
        Ok(Page { entries: self.entries, revision, next })
    }
}

/// The revision that a list is to be true at.
fn resolve(meta: &Meta, at: At) -> Result<Revision, SqliteError> {
    let head = meta.head;
    match at {
        At::Latest => Ok(head),
        At::Exact(revision) => meta.check(revision).map(|()| revision),
        At::NotOlderThan(requested) if requested > head => Err(SqliteError::TooLarge { requested, head }),
        At::NotOlderThan(_) => Ok(head),
        _ => Err(SqliteError::UnknownAt),
    }
}
