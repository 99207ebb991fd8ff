//! Lineage: the signs that a server's history is not the one that this process has seen, and the fence that follows.
//!
//! Redis replicates after it has answered, and starts with what its files have. So after a restart, a fail-over or a
//! `FLUSHALL` commits that were acknowledged may be missing, and their revisions may be used again for others. Signs of
//! it are: the server is another process than the store says, or was promoted since; the newest commit that this process knows
//! is not there, or is another transaction; the log is shorter than its head says, or longer; entries and index disagree; there is nothing at all.

use redis::Value;
use redis::aio::MultiplexedConnection;
use roa_core::{Epoch, Revision, TxnId};

use crate::codec;
use crate::error::RedisStoreError;
use crate::meta::{Meta, Origin, bytes, elements, epoch_text};
use crate::scripts::all;
use crate::shared::{Concern, Mark, Shared, invoke, send};

/// How often a fence is tried when others change the store meanwhile.
const ATTEMPTS: usize = 4;

/// Reads where the history stands. If it is broken, sees to it that it is fenced, by this process or another.
pub(crate) async fn settle(shared: &Shared, connection: &mut MultiplexedConnection) -> Result<Meta, RedisStoreError> {
    let settled = try_settle(shared, connection).await;
    match &settled {
        Ok(meta) => {
            shared.trouble.note(Concern::Lineage, None);
            shared.adopt(meta);
        }
        Err(error @ RedisStoreError::OtherStore { .. }) => {
            shared.trouble.note(Concern::Lineage, Some(error.to_string()));
            shared.feed.abandon();
        }
        Err(_) => {}
    }
    settled
}

async fn try_settle(shared: &Shared, connection: &mut MultiplexedConnection) -> Result<Meta, RedisStoreError> {
    for _ in 0..ATTEMPTS {
        // Before the look: commits that end meanwhile are not to be missed in what is read.
        let mark = shared.mark();
        let call = |call: &mut redis::Cmd| {
            call.arg(1);
        };
        let look = invoke(connection, &shared.scripts.state, &all(&shared.keys), call).await?;
        let server = Origin::parse(&look)?;
        if !server.is_primary() {
            return Err(RedisStoreError::Refused("READONLY the server has become a replica".to_owned()));
        }
        let Some(meta) = Meta::parse(look)? else {
            begin_anew(shared, connection).await?;
            continue;
        };
        if meta.store != shared.id {
            return Err(RedisStoreError::OtherStore { expected: shared.id, found: meta.store });
        }
        match sign(shared, connection, (&meta, mark), &server).await? {
            None => return Ok(meta),
            Some(reason) => fence(shared, connection, &meta, &reason).await?,
        }
    }
    Err(RedisStoreError::Broken("it changes while it is being fenced".to_owned()))
}

/// Why the history is broken; `None` if there is no sign of it.
async fn sign(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    (meta, mark): (&Meta, Mark),
    server: &Origin,
) -> Result<Option<String>, RedisStoreError> {
    if !server.continues(meta) {
        return Ok(Some("redis was started anew, or a replica became the primary".to_owned()));
    }
    if meta.replid != server.replid {
        // The same process with the same data, which has begun to keep a backlog for its first replica.
        let mut known = redis::cmd("HSET");
        known.arg(&shared.keys.meta).arg("replid").arg(&server.replid);
        send(connection, &known).await?;
    }
    if meta.head < mark.revision {
        return Ok(Some(format!("the head is {}, this process has seen {}", meta.head, mark.revision)));
    }
    if meta.epoch == mark.epoch && !has(shared, connection, meta, mark).await? {
        return Ok(Some(format!("revision {} is another transaction than the one that was seen", mark.revision)));
    }
    Ok(meta.missing())
}

/// Whether the newest commit that this process knows is there. What was compacted meanwhile can't be told.
async fn has(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    meta: &Meta,
    mark: Mark,
) -> Result<bool, RedisStoreError> {
    if mark.revision == meta.head || mark.revision <= meta.floor {
        let txn = if mark.revision == meta.head { meta.head_txn } else { meta.floor_txn };
        return Ok(mark.txn == txn || mark.revision < meta.floor);
    }
    let found = log_entry(shared, connection, mark.revision).await?;
    // A compaction may have removed it since `meta` was read; the next look tells.
    Ok(found.is_none_or(|txn| txn == mark.txn))
}

async fn log_entry(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    at: Revision,
) -> Result<Option<TxnId>, RedisStoreError> {
    let id = format!("{at}-0");
    let mut range = redis::cmd("XRANGE");
    range.arg(&shared.keys.log).arg(&id).arg(&id);
    let Some(entry) = elements(send(connection, &range).await?)?.pop() else { return Ok(None) };
    batch_bytes(entry)?.map(|(_, batch)| Ok(codec::heading(&mut batch.into())?.txn)).transpose()
}

/// The revision and the batch of one entry of the log; `None` if it marks a jump.
pub(crate) fn batch_bytes(entry: Value) -> Result<Option<(Revision, Vec<u8>)>, RedisStoreError> {
    let mut parts = elements(entry)?.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else {
        return Err(RedisStoreError::Protocol("an entry of the log has no fields".to_owned()));
    };
    let id = crate::meta::text(id)?;
    let number = id.split_once('-').map_or(id.as_str(), |(number, _)| number);
    let revision = crate::meta::revision(number)?;
    let mut fields = elements(fields)?.into_iter();
    match (fields.next().map(bytes).transpose()?.as_deref(), fields.next()) {
        (Some(b"batch"), Some(batch)) => Ok(Some((revision, bytes(batch)?))),
        (Some(b"jump"), _) => Ok(None),
        _ => Err(RedisStoreError::Corrupt(format!("the log at {revision} holds neither a batch nor a jump"))),
    }
}

/// Declares the history broken.
async fn fence(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    meta: &Meta,
    reason: &str,
) -> Result<(), RedisStoreError> {
    let highest = shared.mark().revision;
    if jump(shared, connection, meta.epoch, highest).await? {
        shared.count_break();
        tracing::error!(store = %shared.id, %reason, "the history of the store is broken: fenced; all lists begin anew");
    }
    Ok(())
}

/// Jumps to a new epoch, unless somebody has. Whether it did.
pub(crate) async fn jump(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    expected: Epoch,
    highest: Revision,
) -> Result<bool, RedisStoreError> {
    // Past the epoch that this process knows as well: a fence can itself be lost.
    let counter = expected.counter.max(shared.mark().epoch.counter);
    let next = Epoch { counter, ..expected }.following(&*shared.random);
    let past = Revision::JUMP + (shared.random.next_u64() >> 32);
    let opening = Revision::opening(shared.clock.now());
    let keys = all(&shared.keys);
    let jumped = invoke(connection, &shared.scripts.fence, &keys, |call| {
        call.arg(epoch_text(expected)).arg(epoch_text(next)).arg(highest.get()).arg(opening.get());
        call.arg(past).arg(TxnId::none().0.as_bytes()).arg(Revision::CLOCK_JUMP);
    });
    Ok(jumped.await? == Value::Int(1))
}

/// Makes the store anew where there is nothing any more, past all that this process has seen.
async fn begin_anew(shared: &Shared, connection: &mut MultiplexedConnection) -> Result<(), RedisStoreError> {
    let mark = shared.mark();
    let head = Revision::jump(mark.revision, mark.revision, shared.clock.now(), &*shared.random);
    let epoch = mark.epoch.following(&*shared.random);
    let keys = all(&shared.keys);
    let made = invoke(connection, &shared.scripts.open, &keys, |call| {
        call.arg(crate::migrate::SCHEMA).arg(shared.id.to_string()).arg(epoch_text(epoch)).arg(head.get());
        call.arg(TxnId::none().0.as_bytes()).arg(1);
    });
    if made.await? == Value::Int(1) {
        shared.count_break();
        tracing::error!(store = %shared.id, "redis has lost the whole store: it was flushed, or started without its files");
    }
    Ok(())
}
