//! Change feeds: each follows by a cursor of its own, so that a slow one holds nothing up and costs nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{Batch, Epoch, Revision, Tail, TailEnd, TxnId};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::feed::Look;
use crate::log;
use crate::meta::Meta;
use crate::readers::Answer;
use crate::shared::Shared;

/// How many bytes of batches are read from the file at a time.
const READ_BYTES: usize = 8 << 20;
/// How many reads go ahead of what is given.
const AHEAD: usize = 2;

/// The change feed after a revision.
pub(crate) async fn open(shared: &Arc<Shared>, after: Revision) -> Result<Tail, SqliteError> {
    let (meta, after_txn) = shared.readers.run(move |connection| begin(connection, after)).await?;
    // Another process may have broken the history a moment ago.
    shared.feed.publish(&meta, &[]);
    let follower = Follower { shared: Arc::clone(shared), epoch: meta.epoch, cursor: after, ahead: VecDeque::new() };
    let stream = unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(batches) => Some((Ok(batches), Some(follower))),
            Err(end) => Some((Err(TailEnd::from(end)), None)),
        }
    });
    Ok(Tail::new(shared.id, meta.epoch, (after, after_txn), stream.fuse().boxed()))
}

fn begin(connection: &Connection, after: Revision) -> Result<(Meta, Option<TxnId>), SqliteError> {
    let meta = Meta::read(connection)?;
    meta.check(after)?;
    let txn = match after {
        head if head == meta.head => Some(meta.head_txn),
        floor if floor == meta.floor => Some(meta.floor_txn),
        other => log::txn_of(connection, other)?,
    };
    Ok((meta, txn))
}

struct Follower {
    shared: Arc<Shared>,
    epoch: Epoch,
    /// The last revision that was given.
    cursor: Revision,
    /// What comes after it in the file, being read while what was given is handled: one chunk after the other.
    ahead: VecDeque<Answer<Vec<Arc<Batch>>>>,
}

impl Follower {
    /// The next batches; waits until there are some.
    async fn next(&mut self) -> Result<Vec<Arc<Batch>>, SqliteError> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Made before the look, so that it is woken by what comes right after the look.
            let changed = shared.feed.changed.notified();
            let count = shared.config.tail_chunk.get();
            let batches = match shared.feed.after(self.epoch, self.cursor, count)? {
                Look::Batches(batches) => {
                    self.ahead.clear();
                    batches
                }
                Look::InFile => self.read_file(count).await?,
                Look::Nothing => Vec::new(),
            };
            if let Some(last) = batches.last() {
                self.cursor = last.revision;
                return Ok(batches);
            }
            changed.await;
        }
    }

    async fn read_file(&mut self, count: usize) -> Result<Vec<Arc<Batch>>, SqliteError> {
        let mut batches = match self.ahead.pop_front() {
            Some(ahead) => ahead.await.map_err(|_ended| SqliteError::Closed)??,
            None => Vec::new(),
        };
        if batches.is_empty() {
            // What was read ahead may have been read before there was anything.
            batches = self.shared.readers.run(read(self.epoch, self.cursor, count)).await?;
        }
        match batches.last() {
            Some(last) if batches.len() == count => self.read_ahead(last.revision, count),
            // What goes ahead does not begin where this ends.
            _ => self.ahead.clear(),
        }
        Ok(batches)
    }

    /// Begins to read what is after a whole chunk. Revisions are dense, so each begins a chunk after the other.
    fn read_ahead(&mut self, last: Revision, count: usize) {
        while self.ahead.len() < AHEAD {
            let before = last.get() + (self.ahead.len() * count) as u64;
            let read = Revision::new(before).ok().map(|before| read(self.epoch, before, count));
            let Some(ahead) = read.and_then(|read| self.shared.readers.ahead(read)) else { return };
            self.ahead.push_back(ahead);
        }
    }
}

/// The next batches of the file.
fn read(
    epoch: Epoch,
    cursor: Revision,
    count: usize,
) -> impl FnOnce(&Connection) -> Result<Vec<Arc<Batch>>, SqliteError> {
    move |connection| {
        let meta = Meta::read(connection)?;
        let (floor, head) = (meta.floor, meta.head);
        if meta.epoch != epoch || cursor < floor {
            return Err(SqliteError::Expired { floor, head });
        }
        log::after(connection, cursor, count, READ_BYTES)
    }
}
