//! How commits are seen, one's own and those of others: a connection of its own waits at the end of the log.
//!
//! Redis leaves out silently what was trimmed, and a server may be swapped for one with another history. So each batch
//! must be the next and name the one before; and when nothing comes, the server is asked where the history stands.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use redis::Value;
use redis::aio::MultiplexedConnection;
use roa_core::{Batch, Revision, StoreState, TailChecker};

use crate::chunk::Chunk;
use crate::codec::{self, Writers};
use crate::error::RedisStoreError;
use crate::lineage::{self, batch_bytes};
use crate::link::Backoff;
use crate::meta::{Meta, elements};
use crate::shared::{Concern, Mark, Shared, send};
use crate::{connect, meta};

/// How long an answer may take beyond the time that the server is asked to wait.
const MARGIN: Duration = Duration::from_secs(2);

/// Follows until the store is closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut backoff = Backoff::new(&shared);
    let mut chunk = Chunk::new(shared.config.tail_chunk, shared.config.tail_chunk);
    while !shared.feed.ended() {
        if let Err(error) = session(&shared, &mut backoff, &mut chunk).await {
            match error {
                RedisStoreError::Closed => return,
                RedisStoreError::Connection(_) => chunk.halve(),
                _ => {}
            }
            shared.trouble.note(Concern::Following, Some(error.to_string()));
            // What has cut this connection has mostly cut the other as well.
            shared.links().for_each(|link| link.distrust(&error.to_string()));
            backoff.wait(&shared).await;
        }
    }
}

/// Follows on one connection, until it fails.
async fn session(shared: &Shared, backoff: &mut Backoff, chunk: &mut Chunk) -> Result<(), RedisStoreError> {
    let response = shared.config.block + MARGIN.max(shared.config.response_timeout);
    let mut connection = connect::primary(&shared.address, &shared.config, response).await?.connection;
    let meta = lineage::settle(shared, &mut connection).await?;
    chunk.fit(&meta);
    let mut cursor = Cursor::at(shared, &meta);
    shared.trouble.note(Concern::Following, None);
    backoff.reset();
    loop {
        if !shared.feed.is_followed() {
            wait_for_feed(shared).await?;
            cursor = Cursor::at_head(shared, &lineage::settle(shared, &mut connection).await?);
            continue;
        }
        let entries = wait_or_closed(shared, &mut connection, cursor.last(), chunk.get()).await?;
        let read = cursor.read(entries)?;
        chunk.read(&read.batches);
        if let Some(newest) = read.batches.last() {
            let (epoch, revision, txn) = (cursor.state.epoch, newest.revision, newest.txn);
            shared.advance(Mark { epoch, revision, txn });
            let state = StoreState { head: revision, ..cursor.state };
            shared.feed.publish(state, &read.batches);
        }
        if read.batches.is_empty() || read.surprise {
            let meta = lineage::settle(shared, &mut connection).await?;
            cursor.adjust(shared, &meta);
        }
    }
}

/// Waits for the first feed, or as long as one wait for changes takes.
async fn wait_for_feed(shared: &Shared) -> Result<(), RedisStoreError> {
    let begun = tokio::time::timeout(shared.config.block, shared.feed.begun());
    match select(pin!(begun), pin!(shared.link.closed())).await {
        Either::Left(_) => Ok(()),
        Either::Right(_) => Err(RedisStoreError::Closed),
    }
}

async fn wait_or_closed(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    after: Revision,
    count: usize,
) -> Result<Vec<Value>, RedisStoreError> {
    match select(pin!(wait(shared, connection, after, count)), pin!(shared.link.closed())).await {
        Either::Left((entries, _)) => entries,
        Either::Right(_) => Err(RedisStoreError::Closed),
    }
}

/// What comes after a revision, at most `count` batches; nothing, if nothing comes in time.
async fn wait(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    after: Revision,
    count: usize,
) -> Result<Vec<Value>, RedisStoreError> {
    let mut read = redis::cmd("XREAD");
    let block = u64::try_from(shared.config.block.as_millis()).unwrap_or(u64::MAX).max(1);
    read.arg("COUNT").arg(count).arg("BLOCK").arg(block);
    read.arg("STREAMS").arg(&shared.keys.log).arg(format!("{after}-0"));
    match send(connection, &read).await? {
        Value::Nil => Ok(Vec::new()),
        // One stream was asked for: its name, and its entries.
        streams => match elements(streams)?.pop() {
            Some(stream) => elements(elements(stream)?.pop().unwrap_or(Value::Nil)),
            None => Ok(Vec::new()),
        },
    }
}

/// How far the log was followed.
struct Cursor {
    state: StoreState,
    checker: TailChecker,
    writers: Writers,
}

/// What an answer held.
struct Read {
    batches: Vec<Arc<Batch>>,
    /// Whether something did not follow: the batches are those before it.
    surprise: bool,
}

impl Cursor {
    /// Goes on where the feed stands, or at the head if that is no longer possible.
    fn at(shared: &Shared, meta: &Meta) -> Self {
        let (epoch, newest) = shared.feed.newest();
        let resumes = epoch == meta.epoch && meta::check(meta.state(), newest).is_ok();
        let mark = shared.mark();
        let (last, txn) = match resumes {
            true if mark.revision == newest && mark.epoch == epoch => (newest, Some(mark.txn)),
            true => (newest, None),
            false => (meta.head, Some(meta.head_txn)),
        };
        if !resumes {
            shared.feed.publish(meta.state(), &[]);
        }
        Self { state: meta.state(), checker: TailChecker::new(last, txn), writers: Writers::default() }
    }

    /// Goes on at the head, and leaves what came before to Redis.
    fn at_head(shared: &Shared, meta: &Meta) -> Self {
        shared.feed.publish(meta.state(), &[]);
        let checker = TailChecker::new(meta.head, Some(meta.head_txn));
        Self { state: meta.state(), checker, writers: Writers::default() }
    }

    const fn last(&self) -> Revision {
        self.checker.last()
    }

    /// Goes on in another epoch, or past what was trimmed.
    fn adjust(&mut self, shared: &Shared, meta: &Meta) {
        let same = meta.epoch == self.state.epoch && meta.floor <= self.last();
        if same {
            self.state.floor = meta.floor;
        } else {
            *self = Self::at(shared, meta);
        }
    }

    fn read(&mut self, entries: Vec<Value>) -> Result<Read, RedisStoreError> {
        let mut batches = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some((revision, bytes)) = batch_bytes(entry)? else { return Ok(Read { batches, surprise: true }) };
            let batch = codec::decode_batch(revision, bytes.into(), &mut self.writers)?;
            if self.checker.check(&batch).is_err() {
                return Ok(Read { batches, surprise: true });
            }
            batches.push(Arc::new(batch));
        }
        Ok(Read { batches, surprise: false })
    }
}
