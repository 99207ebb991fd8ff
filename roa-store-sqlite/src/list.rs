//! Lists: pages that are true at one revision, read in short snapshots, so that no reader holds up the write-ahead log.
//!
//! A long list is laid out in stretches of keys, which several readers read at once. What the log says was changed since
//! the revision that is asked for is put back by [`Rewind`]: so the rows are as of that revision, whatever was committed
//! between the snapshots.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use roa_core::{At, Continue, Entry, Error, Key, KeyPrefix, ListRequest, Page, Revision, Rewind};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::meta::Meta;
use crate::objects::{RANGE_BYTES, Rows, Stretch};
use crate::shared::Shared;
use crate::{log, objects};

/// How many rows, or batches of the log, are read in one snapshot at most.
const STEP: usize = 2_048;
/// How many stretches are laid out at a time.
const STRETCHES: usize = 32;
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
    let (prefix, begin) = (request.prefix.clone(), move |connection: &Connection| Walk::begin(connection, request));
    let (mut walk, first) = shared.readers.run(begin).await?;
    walk = walk.take(shared, first).await?;
    while let Some((after, count)) = walk.rest() {
        let (below, step) = (prefix.clone(), walk.step());
        let stretches = shared.readers.run(move |connection| lay_out(connection, &below, (after, count), step)).await?;
        let slices = stream::iter(stretches).map(|stretch| Slice::read(shared, prefix.clone(), stretch));
        // All of them before the log is read: a read that nobody polls could keep that one from its place in the queue.
        for slice in slices.buffered(at_once(shared)).try_collect::<Vec<_>>().await? {
            walk = walk.take_whole(shared, slice).await?;
        }
    }
    walk.page()
}

/// How many readers one list uses: some are left for others.
fn at_once(shared: &Shared) -> usize {
    shared.config.readers.get().div_ceil(2)
}

/// Stretches of `step` rows that follow a key, as many as hold `count` rows, but at most [`STRETCHES`].
fn lay_out(
    connection: &Connection,
    prefix: &KeyPrefix,
    (mut after, count): (Key, usize),
    step: usize,
) -> Result<Vec<Stretch>, SqliteError> {
    let mut stretches = Vec::new();
    while stretches.len() < count.div_ceil(step).min(STRETCHES) {
        let until = objects::key_after(connection, prefix, &after, step)?;
        stretches.push(Stretch { after: Some(after), until: until.clone() });
        let Some(key) = until else { break };
        after = key;
    }
    Ok(stretches)
}

/// The rows of a stretch as they were when they were read; the first of them, if together they are too large.
struct Slice {
    stretch: Stretch,
    rows: Rows,
    read_at: Revision,
}

impl Slice {
    async fn read(shared: &Shared, prefix: KeyPrefix, stretch: Stretch) -> Result<Self, SqliteError> {
        let read = move |connection: &Connection| {
            let read_at = Meta::read(connection)?.head;
            let rows = objects::range(connection, &prefix, &stretch, usize::MAX)?;
            Ok(Self { stretch, rows, read_at })
        };
        shared.readers.run(read).await
    }

    /// What is still to be read of the stretch.
    fn cut(&mut self) -> Option<Stretch> {
        let cut = self.rows.cut.take()?;
        let until = self.stretch.until.replace(cut.clone());
        Some(Stretch { after: Some(cut), until })
    }
}

struct Walk {
    request: ListRequest,
    rewind: Rewind,
    entries: Vec<Arc<Entry>>,
    /// Up to which key they are all there; all are without one.
    reached: Option<Key>,
}

impl Walk {
    /// The first rows, and what changed since the revision that is asked for.
    fn begin(connection: &Connection, request: ListRequest) -> Result<(Self, Slice), SqliteError> {
        let meta = Meta::read(connection)?;
        let rewind = Rewind::new(request.prefix.clone(), resolve(&meta, request.at)?);
        let mut stretch = Stretch { after: request.after.clone(), until: None };
        let mut walk = Self { request, rewind, entries: Vec::new(), reached: None };
        let count = walk.limit().saturating_add(1).min(STEP);
        let rows = objects::range(connection, &walk.request.prefix, &stretch, count)?;
        stretch.until.clone_from(&rows.cut);
        walk.read_log(connection, &meta)?;
        Ok((walk, Slice { stretch, rows, read_at: meta.head }))
    }

    /// Adds the rows of a stretch, and reads those that were left over, as far as they are needed.
    async fn take_whole(mut self, shared: &Shared, mut slice: Slice) -> Result<Self, SqliteError> {
        while let Some(rest) = slice.cut() {
            self = self.take(shared, slice).await?;
            if self.rest().is_none() {
                return Ok(self);
            }
            slice = Slice::read(shared, self.request.prefix.clone(), rest).await?;
        }
        self.take(shared, slice).await
    }

    /// Adds the rows that follow, put back to the revision that is asked for.
    async fn take(mut self, shared: &Shared, slice: Slice) -> Result<Self, SqliteError> {
        let Slice { stretch, mut rows, read_at } = slice;
        while self.rewind.read_until() < read_at {
            let read_log =
                move |connection: &Connection| self.read_log(connection, &Meta::read(connection)?).map(|()| self);
            self = shared.readers.run(read_log).await?;
        }
        let start = self.entries.len();
        self.entries.append(&mut rows.entries);
        self.rewind.restore(&mut self.entries, start, stretch.after.as_ref(), stretch.until.as_ref());
        self.reached = stretch.until;
        Ok(self)
    }

    /// Reads what was changed since, or the next of it.
    fn read_log(&mut self, connection: &Connection, meta: &Meta) -> Result<(), SqliteError> {
        let read = self.rewind.read_until();
        meta.check(read)?;
        if read < meta.head {
            log::after(connection, read, STEP, LOG_BYTES)?.iter().for_each(|batch| self.rewind.read(batch));
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        self.request.limit.map_or(usize::MAX, NonZeroUsize::get)
    }

    /// How many rows one snapshot reads, to judge by those that were read last.
    fn step(&self) -> usize {
        let last = self.entries.iter().rev().take(STEP);
        let (count, bytes) = last.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.value.bytes.len()));
        let average = bytes / count.max(1);
        (RANGE_BYTES / average.max(1)).clamp(1, STEP)
    }

    /// After which key the list goes on, and how many rows it lacks at most. One row more than a page holds tells whether there is a
    /// next page.
    fn rest(&self) -> Option<(Key, usize)> {
        let lacking = self.limit().saturating_add(1).saturating_sub(self.entries.len());
        Some((self.reached.clone().filter(|_| lacking > 0)?, lacking))
    }

    fn page(mut self) -> Result<Page, SqliteError> {
        let (revision, limit) = (self.rewind.revision(), self.limit());
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
