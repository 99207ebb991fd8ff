//! How the changes of a batch are written in one column of the log: all that a change feed gives, previous values
//! included, so that no batch depends on rows that may have changed since.
//!
//! A version byte, the number of changes, then each change: its kind, its key, what it wrote, what was there before.
//! Numbers are little-endian; lengths stand before what they measure.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, TryGetError};
use roa_core::{Change, Changes, Entry, Key, Revision, TxnId, Value};
use thiserror::Error;
use uuid::Uuid;

use crate::objects::format_of;

const VERSION: u8 = 1;
const CREATED: u8 = 0;
const UPDATED: u8 = 1;
const DELETED: u8 = 2;

/// What a row of the log says in its other columns.
#[derive(Debug, Clone)]
pub(crate) struct Heading {
    pub(crate) revision: Revision,
    pub(crate) txn: TxnId,
    pub(crate) writer: Arc<str>,
}

impl Heading {
    /// A writer's name; mostly it is the same one's, and shared.
    pub(crate) fn writer_named(&self, name: &str) -> Arc<str> {
        if *self.writer == *name { Arc::clone(&self.writer) } else { name.into() }
    }
}

/// Changes that can't be read.
#[derive(Debug, Error)]
pub(crate) enum CodecError {
    #[error("it ends too early: {0}")]
    Short(#[from] TryGetError),
    #[error("{0} bytes are left over")]
    Long(usize),
    #[error("its version is {0}, expected 1")]
    Version(u8),
    #[error("a change is of kind {0}, expected 0 to 2")]
    Kind(u8),
    #[error("it has no changes")]
    Empty,
    #[error("{0}")]
    Part(String),
}

/// The bytes of a batch's changes.
pub(crate) fn encode(changes: &[Change]) -> Vec<u8> {
    let mut to = Vec::with_capacity(changes.iter().map(size).sum::<usize>() + 3);
    to.put_u8(VERSION);
    to.put_u16_le(u16::try_from(changes.len()).unwrap_or(u16::MAX));
    for change in changes {
        let kind = match change {
            Change::Put { previous: None, .. } => CREATED,
            Change::Put { .. } => UPDATED,
            Change::Delete { .. } => DELETED,
        };
        to.put_u8(kind);
        put_short(&mut to, change.key().encoded().as_bytes());
        if let Some(entry) = change.current() {
            put_common(&mut to, entry);
        }
        if let Some(entry) = change.previous() {
            put_common(&mut to, entry);
            to.put_u64_le(entry.revision.get());
            to.put_slice(entry.txn.0.as_bytes());
            put_short(&mut to, entry.writer.as_bytes());
        }
    }
    to
}

fn size(change: &Change) -> usize {
    let entry = |entry: Option<&Arc<Entry>>| entry.map_or(0, |entry| 64 + entry.writer.len() + entry.value.bytes.len());
    8 + change.key().encoded().len() + entry(change.current()) + entry(change.previous())
}

/// A key or a name: short by the limits of the contract.
fn put_short(to: &mut Vec<u8>, bytes: &[u8]) {
    to.put_u16_le(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    to.put_slice(bytes);
}

fn put_common(to: &mut Vec<u8>, entry: &Entry) {
    to.put_u64_le(entry.create_revision.get());
    to.put_u64_le(entry.version);
    to.put_u8(entry.value.format.to_byte());
    to.put_u32_le(u32::try_from(entry.value.bytes.len()).unwrap_or(u32::MAX));
    to.put_slice(&entry.value.bytes);
}

/// The changes in such bytes. The values share them.
pub(crate) fn decode(mut from: Bytes, heading: &Heading) -> Result<Changes, CodecError> {
    let version = from.try_get_u8()?;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let count = usize::from(from.try_get_u16_le()?);
    let mut changes = Vec::with_capacity(count.min(128));
    for _ in 0..count {
        changes.push(change(&mut from, heading)?);
    }
    match (changes.is_empty(), from.remaining()) {
        (true, _) => Err(CodecError::Empty),
        (false, 0) => Ok(changes.into()),
        (false, left) => Err(CodecError::Long(left)),
    }
}

fn change(from: &mut Bytes, heading: &Heading) -> Result<Change, CodecError> {
    let kind = from.try_get_u8()?;
    let key = Key::decode(text(&short(from)?)?).map_err(|why| CodecError::Part(why.to_string()))?;
    match kind {
        CREATED => Ok(Change::Put { entry: current(from, key, heading)?, previous: None }),
        UPDATED => {
            let entry = current(from, key.clone(), heading)?;
            Ok(Change::Put { entry, previous: Some(previous(from, key, heading)?) })
        }
        DELETED => Ok(Change::Delete { previous: previous(from, key, heading)? }),
        other => Err(CodecError::Kind(other)),
    }
}

fn current(from: &mut Bytes, key: Key, heading: &Heading) -> Result<Arc<Entry>, CodecError> {
    let (created, version, value) = common(from)?;
    let revisions = [created, heading.revision];
    Ok(Entry::stored(key, value, revisions, version, heading.txn, Arc::clone(&heading.writer)).into())
}

fn previous(from: &mut Bytes, key: Key, heading: &Heading) -> Result<Arc<Entry>, CodecError> {
    let (created, version, value) = common(from)?;
    let revisions = [created, revision(from)?];
    let txn = TxnId(Uuid::from_u128(from.try_get_u128()?));
    let writer = heading.writer_named(text(&short(from)?)?);
    Ok(Entry::stored(key, value, revisions, version, txn, writer).into())
}

fn common(from: &mut Bytes) -> Result<(Revision, u64, Value), CodecError> {
    let (created, version) = (revision(from)?, from.try_get_u64_le()?);
    let format = format_of(from.try_get_u8()?).map_err(|why| CodecError::Part(why.to_string()))?;
    let length = usize::try_from(from.try_get_u32_le()?).unwrap_or(usize::MAX);
    Ok((created, version, Value { format, bytes: take(from, length)? }))
}

fn revision(from: &mut Bytes) -> Result<Revision, CodecError> {
    Revision::new(from.try_get_u64_le()?).map_err(|why| CodecError::Part(why.to_string()))
}

/// The bytes of a key or a name.
fn short(from: &mut Bytes) -> Result<Bytes, CodecError> {
    let length = usize::from(from.try_get_u16_le()?);
    take(from, length)
}

fn text(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(|why| CodecError::Part(why.to_string()))
}

fn take(from: &mut Bytes, length: usize) -> Result<Bytes, CodecError> {
    let available = from.remaining();
    if available < length {
        return Err(TryGetError { requested: length, available }.into());
    }
    Ok(from.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, revisions: [u64; 2], value: Value) -> Arc<Entry> {
        let key = Key::new("g", "things", "n", name).unwrap();
        let revisions = revisions.map(|number| Revision::new(number).unwrap());
        Entry::stored(key, value, revisions, 7, TxnId(Uuid::from_u128(9)), "test".into()).into()
    }

    fn heading() -> Heading {
        Heading { revision: Revision::new(12).unwrap(), txn: TxnId(Uuid::from_u128(9)), writer: "test".into() }
    }

    fn changes(values: &[Vec<u8>]) -> Changes {
        let change = |(number, value): (usize, &Vec<u8>)| {
            let (name, value) = (format!("k{number}"), Value::opaque(value.clone()));
            let (entry, before) = (entry(&name, [3, 12], value.clone()), entry(&name, [3, 4], value));
            match number % 3 {
                0 => Change::Put { entry, previous: None },
                1 => Change::Put { entry, previous: Some(before) },
                _ => Change::Delete { previous: before },
            }
        };
        values.iter().enumerate().map(change).collect::<Vec<_>>().into()
    }

    proptest! {
        #[test]
        fn w3_w13_changes_are_read_as_they_were_written(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..9),
        ) {
            let changes = changes(&values);
            let read = decode(encode(&changes).into(), &heading()).unwrap();
            for (read, written) in read.iter().zip(changes.iter()) {
                prop_assert_eq!(read, written);
                prop_assert_eq!(read.previous().map(|entry| &entry.writer), written.previous().map(|entry| &entry.writer));
            }
            prop_assert_eq!(read.len(), values.len());
        }

        #[test]
        fn what_was_cut_or_altered_is_refused_or_read_but_never_panics(cut in 0..400_usize, flip in any::<(usize, u8)>()) {
            let mut bytes = encode(&changes(&[vec![1; 30], vec![2; 30], vec![]]));
            let (at, to) = (flip.0 % bytes.len(), flip.1);
            if cut < bytes.len() {
                prop_assert!(decode(Bytes::copy_from_slice(&bytes[..cut]), &heading()).is_err());
            }
            bytes[at] = to;
            let _read_or_refused = decode(bytes.into(), &heading());
        }

        #[test]
        fn bytes_of_others_are_refused_or_read_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read_or_refused = decode(bytes.into(), &heading());
        }
    }
}
