//! The log: batches of a stream, read in pages.

use std::sync::Arc;

use redis::{Pipeline, Value};
use roa_core::{Batch, Epoch, Revision, StoreState, TxnId};

use crate::codec::{self, Writers};
use crate::error::RedisStoreError;
use crate::lineage::batch_bytes;
use crate::meta::{array, bytes, elements, epoch_of, revision, store_id, text, txn};
use crate::shared::{Mark, Shared};

/// What follows a revision.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Where the history stood when it was read.
    pub(crate) state: StoreState,
    /// Dense, beginning right after the revision; empty at the head.
    pub(crate) batches: Vec<Arc<Batch>>,
}

/// Reads what follows a revision, `count` batches at most.
pub(crate) async fn after(shared: &Shared, cursor: Revision, count: usize) -> Result<Stretch, RedisStoreError> {
    let asked_at = shared.mark();
    let mut commands = Pipeline::new();
    let mut range = redis::cmd("XRANGE");
    range.arg(&shared.keys.log).arg(format!("({cursor}-0")).arg("+").arg("COUNT").arg(count);
    commands.add_command(range);
    // After the batches: what was kept and whole then was so when they were read.
    commands.add_command(position(shared));
    let mut answers = shared.ask_all(&commands).await?.into_iter();
    let (entries, position) = (answers.next().unwrap_or(Value::Nil), answers.next().unwrap_or(Value::Nil));
    let state = parse_position(shared, asked_at, position)?;
    let mut writers = Writers::default();
    let mut batches = Vec::with_capacity(count.min(1_024));
    let mut last = cursor;
    for entry in elements(entries)? {
        let Some((revision, bytes)) = batch_bytes(entry)? else { continue };
        if revision.get() != last.get() + 1 {
            // What lies between is no longer kept, or not of this epoch; the state tells.
            break;
        }
        last = revision;
        batches.push(Arc::new(codec::decode_batch(revision, bytes.into(), &mut writers)?));
    }
    if batches.is_empty() && cursor >= state.floor && cursor < state.head {
        return Err(RedisStoreError::Corrupt(format!("the log lacks the revision after {cursor}")));
    }
    Ok(Stretch { state, batches })
}

/// The transaction of a revision, where the log still has it.
pub(crate) async fn txn_of(shared: &Shared, at: Revision) -> Result<Option<TxnId>, RedisStoreError> {
    let id = format!("{at}-0");
    let mut range = redis::cmd("XRANGE");
    range.arg(&shared.keys.log).arg(&id).arg(&id);
    let mut commands = Pipeline::new();
    commands.add_command(range);
    let Some(entry) = elements(shared.ask_all(&commands).await?.pop().unwrap_or(Value::Nil))?.pop() else {
        return Ok(None);
    };
    batch_bytes(entry)?.map(|(_, batch)| Ok(codec::heading(&mut batch.into())?.txn)).transpose()
}

fn position(shared: &Shared) -> redis::Cmd {
    let mut position = redis::cmd("HMGET");
    position.arg(&shared.keys.meta).arg(&["store", "epoch", "head", "head_txn", "floor"]);
    position
}

/// What the fields `store`, `epoch`, `head`, `head_txn` and `floor` say; an error if they are another store's, nobody's,
/// or of a history that this process knows to be past.
pub(crate) fn parse_position(shared: &Shared, asked_at: Mark, fields: Value) -> Result<StoreState, RedisStoreError> {
    let [store, epoch, head, head_txn, floor] = array(fields)?;
    let (epoch, head) = parse_head(shared, asked_at, [store, epoch, head, head_txn])?;
    Ok(StoreState { head, floor: revision(&text(floor)?)?, epoch })
}

/// The same without the floor. What was read counts as seen: a server that lacks it later has lost it.
pub(crate) fn parse_head(
    shared: &Shared,
    asked_at: Mark,
    fields: [Value; 4],
) -> Result<(Epoch, Revision), RedisStoreError> {
    let [store, epoch, head, head_txn] = fields;
    if store == Value::Nil {
        return Err(RedisStoreError::Refused("redis has lost the store; it is about to be made anew".to_owned()));
    }
    let found = store_id(store)?;
    if found != shared.id {
        return Err(RedisStoreError::OtherStore { expected: shared.id, found });
    }
    let (epoch, revision, txn) = (epoch_of(&text(epoch)?)?, revision(&text(head)?)?, txn(head_txn)?);
    shared.look_back(asked_at, StoreState { head: revision, floor: revision, epoch })?;
    shared.advance(Mark { epoch, revision, txn });
    Ok((epoch, revision))
}

/// Bytes that may be absent.
pub(crate) fn optional(value: Value) -> Result<Option<Vec<u8>>, RedisStoreError> {
    if value == Value::Nil { Ok(None) } else { bytes(value).map(Some) }
}
