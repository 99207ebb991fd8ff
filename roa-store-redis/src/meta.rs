//! [`Meta`]: where the history stands, as a server told.

use redis::Value;
use roa_core::{Epoch, Revision, StoreId, StoreState, TxnId};
use uuid::Uuid;

use crate::error::RedisStoreError;

/// What the keys of a store are known by.
pub(crate) const FORMAT: &str = "roa-store";

/// Where the history stands, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) schema: u64,
    pub(crate) store: StoreId,
    pub(crate) epoch: Epoch,
    pub(crate) head: Revision,
    /// The transaction of the head; none after a jump and in a new store.
    pub(crate) head_txn: TxnId,
    pub(crate) floor: Revision,
    pub(crate) floor_txn: TxnId,
    /// The bytes of the changes in the log.
    pub(crate) log_bytes: u64,
    /// The bytes of all changes up to the floor.
    pub(crate) floor_bytes: u64,
    /// The server's run id and replication id when the history was last known to be whole.
    pub(crate) run_id: String,
    pub(crate) replid: String,
    pub(crate) entries: u64,
    /// How many keys the index has.
    pub(crate) indexed: u64,
    /// How many entries the log has; more than batches, where some are yet to be removed.
    pub(crate) logged: u64,
    /// The newest revision in the log, if it has any entry.
    pub(crate) top: Option<Revision>,
}

impl Meta {
    /// The answer of the script `state`; `None` if there is no store.
    pub(crate) fn parse(reply: Value) -> Result<Option<Self>, RedisStoreError> {
        let [fields, entries, indexed, logged, newest, _origin] = array(reply)?;
        let [format, schema, store, epoch, head, head_txn, floor, floor_txn, bytes, floor_bytes, run_id, replid] =
            array(fields)?;
        if format == Value::Nil {
            return Ok(None);
        }
        let format = text(format)?;
        if format != FORMAT {
            return Err(RedisStoreError::Foreign(format!("its format is {format:?}")));
        }
        let (total, below) = (number(&text(bytes)?)?, number(&text(floor_bytes)?)?);
        Ok(Some(Self {
            schema: number(&text(schema)?)?,
            store: store_id(store)?,
            epoch: epoch_of(&text(epoch)?)?,
            head: revision(&text(head)?)?,
            head_txn: txn(head_txn)?,
            floor: revision(&text(floor)?)?,
            floor_txn: txn(floor_txn)?,
            log_bytes: total.saturating_sub(below),
            floor_bytes: below,
            run_id: text(run_id)?,
            replid: text(replid)?,
            entries: count(entries)?,
            indexed: count(indexed)?,
            logged: count(logged)?,
            top: top_of(&text(newest)?)?,
        }))
    }

    pub(crate) const fn state(&self) -> StoreState {
        StoreState { head: self.head, floor: self.floor, epoch: self.epoch }
    }

    /// Whether the history can be resumed after a revision.
    pub(crate) fn check(&self, revision: Revision) -> Result<(), RedisStoreError> {
        check(self.state(), revision)
    }

    /// What is missing of what the head promises.
    pub(crate) fn missing(&self) -> Option<String> {
        let batches = self.head.get() - self.floor.get();
        if self.logged < batches {
            return Some(format!("the log has {} entries, expected {batches}: it was cut or evicted", self.logged));
        }
        if let Some(top) = self.top.filter(|top| *top > self.head) {
            return Some(format!("the log goes on to {top}, past the head {}: a commit did not end", self.head));
        }
        if self.entries != self.indexed {
            let (entries, indexed) = (self.entries, self.indexed);
            return Some(format!("there are {entries} entries and {indexed} keys in the index: one was evicted"));
        }
        None
    }
}

/// Which server answered.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Which process it is. It changes when a server starts.
    run_id: String,
    /// Which history its data is of. It changes when a replica is promoted, when a server starts, and when a server gets
    /// its first replica after a while without.
    pub(crate) replid: String,
    is_primary: bool,
    /// Whether the replication id changed because a replica was promoted: then the one before is kept.
    was_promoted: bool,
}

impl Origin {
    /// The answer of the script `state`, if it was asked to tell of the server.
    pub(crate) fn parse(reply: &Value) -> Result<Self, RedisStoreError> {
        let part = match reply {
            Value::Array(parts) => parts.get(5).cloned().unwrap_or_default(),
            _ => Value::Nil,
        };
        let [run_id, role, replid, before] = array(part)?;
        let (role, before) = (text(role)?, text(before)?);
        Ok(Self {
            run_id: text(run_id)?,
            replid: text(replid)?,
            is_primary: role == "master",
            was_promoted: !before.trim_matches('0').is_empty(),
        })
    }

    pub(crate) const fn is_primary(&self) -> bool {
        self.is_primary
    }

    /// Whether the history went on in this process since `meta` was written.
    pub(crate) fn continues(&self, meta: &Meta) -> bool {
        meta.run_id == self.run_id && (meta.replid == self.replid || !self.was_promoted)
    }
}

/// Whether a history that stands there can be resumed after a revision.
pub(crate) fn check(state: StoreState, revision: Revision) -> Result<(), RedisStoreError> {
    let StoreState { floor, head, .. } = state;
    match revision {
        old if old < floor => Err(RedisStoreError::Expired { floor, head }),
        requested if requested > head => Err(RedisStoreError::TooLarge { requested, head }),
        _ => Ok(()),
    }
}

/// The revision of an entry's id in the log; none for no id.
fn top_of(id: &str) -> Result<Option<Revision>, RedisStoreError> {
    match id.split_once('-') {
        Some((number, _)) => revision(number).map(Some),
        None => Ok(None),
    }
}

/// How an epoch is stored.
pub(crate) fn epoch_text(epoch: Epoch) -> String {
    epoch.to_string()
}

/// The epoch that is stored so.
pub(crate) fn epoch_of(text: &str) -> Result<Epoch, RedisStoreError> {
    let parts = text.split_once('-').and_then(|(counter, nonce)| {
        Some(Epoch { counter: counter.parse().ok()?, nonce: u64::from_str_radix(nonce, 16).ok()? })
    });
    parts.ok_or_else(|| RedisStoreError::corrupt("epoch", &format!("{text:?} is none")))
}

/// The revision that is stored so.
pub(crate) fn revision(text: &str) -> Result<Revision, RedisStoreError> {
    text.parse().map_err(|why| RedisStoreError::corrupt("revision", &why))
}

pub(crate) fn store_id(value: Value) -> Result<StoreId, RedisStoreError> {
    let text = text(value)?;
    Uuid::parse_str(&text).map(StoreId).map_err(|why| RedisStoreError::corrupt("store id", &why))
}

/// A number of elements, as an array.
pub(crate) fn array<const N: usize>(value: Value) -> Result<[Value; N], RedisStoreError> {
    let values = elements(value)?;
    let found = values.len();
    values.try_into().map_err(|_| RedisStoreError::Protocol(format!("an answer has {found} parts, expected {N}")))
}

/// The elements of an array.
pub(crate) fn elements(value: Value) -> Result<Vec<Value>, RedisStoreError> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(RedisStoreError::Protocol(format!("an answer is {}, expected an array", name_of(&other)))),
    }
}

/// The bytes of a string.
pub(crate) fn bytes(value: Value) -> Result<Vec<u8>, RedisStoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        other => Err(RedisStoreError::Protocol(format!("an answer is {}, expected a string", name_of(&other)))),
    }
}

/// A string that is text.
pub(crate) fn text(value: Value) -> Result<String, RedisStoreError> {
    String::from_utf8(bytes(value)?).map_err(|_| RedisStoreError::Protocol("an answer is no text".to_owned()))
}

pub(crate) fn txn(value: Value) -> Result<TxnId, RedisStoreError> {
    let bytes = bytes(value)?;
    Uuid::from_slice(&bytes).map(TxnId).map_err(|why| RedisStoreError::corrupt("transaction", &why))
}

fn number(text: &str) -> Result<u64, RedisStoreError> {
    text.parse().map_err(|why| RedisStoreError::corrupt("number", &why))
}

fn count(value: Value) -> Result<u64, RedisStoreError> {
    match value {
        Value::Int(count) => Ok(u64::try_from(count).unwrap_or(0)),
        other => Err(RedisStoreError::Protocol(format!("an answer is {}, expected a number", name_of(&other)))),
    }
}

/// What kind of answer it is: answers hold what users store, which belongs in no message.
fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) => "an array",
        _ => "of another kind",
    }
}
