//! Change feeds: each follows by a cursor of its own, so that a slow one holds nothing up and costs nothing.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{Batch, Epoch, Revision, Tail, TailEnd, TxnId};

use crate::chunk::Chunk;
use crate::error::RedisStoreError;
use crate::feed::{Following, Look};
use crate::link::Backoff;
use crate::log;
use crate::meta::{Meta, check};
use crate::scripts::all;
use crate::shared::{Mark, Shared};

/// The change feed after a revision.
pub(crate) async fn open(shared: &Arc<Shared>, after: Revision) -> Result<Tail, RedisStoreError> {
    // Before the look: what is committed after it is read by somebody.
    let following = Following::begin(shared);
    let meta = shared.meta().await?;
    meta.check(after)?;
    let after_txn = txn_of(shared, &meta, after).await?;
    let epoch = meta.epoch;
    let mut chunk = Chunk::new(shared.config.tail_chunk, shared.config.tail_chunk);
    chunk.fit(&meta);
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
    chunk: Chunk,
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
    async fn read(&mut self) -> Result<Vec<Arc<Batch>>, RedisStoreError> {
        let mut backoff = Backoff::new(&self.shared);
        loop {
            match log::after(&self.shared, self.cursor, self.chunk.get()).await {
                Ok(stretch) if stretch.state.epoch == self.epoch => {
                    check(stretch.state, self.cursor)?;
                    self.chunk.read(&stretch.batches);
                    return Ok(stretch.batches);
                }
                Ok(stretch) => {
                    let (floor, head) = (stretch.state.floor, stretch.state.head);
                    return Err(RedisStoreError::Expired { floor, head });
                }
                Err(error @ (RedisStoreError::Connection(_) | RedisStoreError::Refused(_))) => {
                    // A break meanwhile ends the feed.
                    self.shared.feed.after(self.epoch, self.cursor, 1)?;
                    match error {
                        // The link waits between attempts to make it anew, so this does as well.
                        RedisStoreError::Connection(_) => self.chunk.halve(),
                        _ => backoff.wait(&self.shared).await,
                    }
                    self.shared.link.recovered().await;
                }
                Err(other) => return Err(other),
            }
        }
    }
}
