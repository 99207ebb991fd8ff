//! Change feeds: each follows by a cursor of its own, so that a slow one holds nothing up and costs nothing.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{Batch, Epoch, Revision, Tail, TailEnd, TxnId};

use crate::error::RedisStoreError;
use crate::feed::{Following, Look};
use crate::log;
use crate::meta::{Meta, check};
use crate::scripts::all;
use crate::shared::{Mark, Shared};

/// How many bytes of batches are read from Redis at a time, about.
const READ_BYTES: u64 = 8 << 20;

/// The change feed after a revision.
pub(crate) async fn open(shared: &Arc<Shared>, after: Revision) -> Result<Tail, RedisStoreError> {
    // Before the look: what is committed after it is read by somebody.
    let following = Following::begin(shared);
    let meta = shared.meta().await?;
    meta.check(after)?;
    let after_txn = txn_of(shared, &meta, after).await?;
    let (epoch, chunk) = (meta.epoch, chunk(shared, &meta));
    let follower = Follower { shared: Arc::clone(shared), epoch, cursor: after, chunk, _following: following };
    let stream = unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(batches) => Some((Ok(batches), Some(follower))),
            Err(end) => Some((Err(TailEnd::from(end)), None)),
        }
    });
    Ok(Tail::new(shared.id, meta.epoch, (after, after_txn), stream.fuse().boxed()))
}

async fn txn_of(shared: &Shared, meta: &Meta, after: Revision) -> Result<Option<TxnId>, RedisStoreError> {
    match after {
        head if head == meta.head => Ok(Some(meta.head_txn)),
        floor if floor == meta.floor => Ok(Some(meta.floor_txn)),
        other => log::txn_of(shared, other).await,
    }
}

/// How many batches to read at a time: few, where they are large.
fn chunk(shared: &Shared, meta: &Meta) -> usize {
    let batches = (meta.head.get() - meta.floor.get()).max(1);
    let size = (meta.log_bytes / batches).max(1);
    usize::try_from(READ_BYTES / size).unwrap_or(usize::MAX).clamp(1, shared.config.tail_chunk.get())
}

impl Shared {
    /// Where the store stands, asked of the server.
    pub(crate) async fn meta(&self) -> Result<Meta, RedisStoreError> {
        let asked_at = self.mark();
        let state = self.ask(&self.scripts.state, &all(&self.keys), |_| {}).await?;
        let lost = || RedisStoreError::Refused("redis has lost the store; it is about to be made anew".to_owned());
        let meta = Meta::parse(state)?.ok_or_else(lost)?;
        if meta.store != self.id {
            return Err(RedisStoreError::OtherStore { expected: self.id, found: meta.store });
        }
        self.look_back(asked_at, meta.state())?;
        self.advance(Mark::of(&meta));
        Ok(meta)
    }
}

struct Follower {
    shared: Arc<Shared>,
    epoch: Epoch,
    /// The last revision that was given.
    cursor: Revision,
    /// How many batches are read from Redis at a time.
    chunk: usize,
    _following: Following,
}

impl Follower {
    /// The next batches; waits until there are some.
    async fn next(&mut self) -> Result<Vec<Arc<Batch>>, RedisStoreError> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Made before the look, so that it is woken by what comes right after the look.
            let changed = shared.feed.changed.notified();
            let batches = match shared.feed.after(self.epoch, self.cursor, shared.config.tail_chunk.get())? {
                Look::Batches(batches) => batches,
                Look::InRedis => self.read().await?,
                Look::Nothing => Vec::new(),
            };
            if let Some(last) = batches.last() {
                self.cursor = last.revision;
                return Ok(batches);
            }
            changed.await;
        }
    }

    /// Reads from the server; waits for a connection as long as that takes, since the feed itself goes on.
    async fn read(&self) -> Result<Vec<Arc<Batch>>, RedisStoreError> {
        loop {
            match log::after(&self.shared, self.cursor, self.chunk).await {
                Ok(stretch) if stretch.state.epoch == self.epoch => {
                    check(stretch.state, self.cursor)?;
                    return Ok(stretch.batches);
                }
                Ok(stretch) => {
                    let (floor, head) = (stretch.state.floor, stretch.state.head);
                    return Err(RedisStoreError::Expired { floor, head });
                }
                Err(RedisStoreError::Connection(_) | RedisStoreError::Refused(_)) => {
                    // The link waits between attempts, so this does as well. A break meanwhile ends the feed.
                    self.shared.feed.after(self.epoch, self.cursor, 1)?;
                    self.shared.link.recovered().await;
                }
                Err(other) => return Err(other),
            }
        }
    }
}
