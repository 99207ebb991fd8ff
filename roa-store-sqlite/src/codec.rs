//! How entries, and the changes of a batch, are written in one column: all that a change feed gives, previous values
//! included, so that no batch depends on rows that may have changed since.
//!
//! An entry is its revision, that of its creation, its version, its transaction, the format of its value, its writer,
//! and its value to the end. Changes are a version byte and their number, then each with its key, what it wrote, and what
//! was there before. Numbers are little-endian; lengths stand before what they measure; zero for no entry.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, TryGetError};
use roa_core::{Change, Changes, Entry, Format, Key, KeyError, Revision, RevisionError, TxnId, Value};
use thiserror::Error;
use uuid::Uuid;

const VERSION: u8 = 1;

/// Bytes that can't be read.
#[derive(Debug, Error)]
pub(crate) enum CodecError {
    #[error("it ends too early: {0}")]
    Short(#[from] TryGetError),
    #[error("{0} bytes are left over")]
    Long(usize),
    #[error("its version is {0}, expected 1")]
    Version(u8),
    #[error("value format {0} is not known to this version")]
    Format(u8),
    #[error("it has no changes")]
    Empty,
    #[error("a change has no entry")]
    Nothing,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Revision(#[from] RevisionError),
    #[error("a name is not in UTF-8: {0}")]
    Text(#[from] std::str::Utf8Error),
}

/// The name of the writer that was read last. Mostly the next is the same, and shares it.
#[derive(Debug)]
pub(crate) struct LastWriter(Arc<str>);

impl LastWriter {
    pub(crate) fn none() -> Self {
        Self(Arc::from(""))
    }

    /// When the first is most likely this one.
    pub(crate) fn expected(writer: &Arc<str>) -> Self {
        Self(Arc::clone(writer))
    }

    fn named(&mut self, name: &[u8]) -> Result<Arc<str>, CodecError> {
        if self.0.as_bytes() != name {
            self.0 = text(name)?.into();
        }
        Ok(Arc::clone(&self.0))
    }
}

/// The bytes of an entry, but for its key.
pub(crate) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut to = Vec::with_capacity(entry_size(entry));
    put_entry(&mut to, entry);
    to
}

fn entry_size(entry: &Entry) -> usize {
    3 * size_of::<u64>() + size_of::<Uuid>() + 1 + size_of::<u16>() + entry.writer.len() + entry.value.bytes.len()
}

fn put_entry(to: &mut Vec<u8>, entry: &Entry) {
    to.put_u64_le(entry.revision.get());
    to.put_u64_le(entry.create_revision.get());
    to.put_u64_le(entry.version);
    to.put_slice(entry.txn.0.as_bytes());
    to.put_u8(entry.value.format.to_byte());
    put_short(to, entry.writer.as_bytes());
    to.put_slice(&entry.value.bytes);
}

/// The entry in such bytes. Its value is a copy, so that it keeps nothing else alive.
pub(crate) fn decode_entry(mut from: &[u8], key: Key, writer: &mut LastWriter) -> Result<Arc<Entry>, CodecError> {
    let [revision, created] = [decode_revision(&mut from)?, decode_revision(&mut from)?];
    let version = from.try_get_u64_le()?;
    let txn = TxnId(Uuid::from_u128(from.try_get_u128()?));
    let format = from.try_get_u8()?;
    let format = Format::from_byte(format).ok_or(CodecError::Format(format))?;
    let writer = writer.named(short(&mut from)?)?;
    let value = Value { format, bytes: Bytes::copy_from_slice(from) };
    Ok(Entry::stored(key, value, [created, revision], version, txn, writer).into())
}

/// The revision that the bytes of an entry begin with.
pub(crate) fn decode_revision(from: &mut &[u8]) -> Result<Revision, CodecError> {
    Ok(Revision::new(from.try_get_u64_le()?)?)
}

/// The key in the bytes that order it.
pub(crate) fn decode_key(from: &[u8]) -> Result<Key, CodecError> {
    Ok(Key::decode(text(from)?)?)
}

/// The bytes of a batch's changes.
pub(crate) fn encode(changes: &[Change]) -> Vec<u8> {
    let mut to = Vec::with_capacity(changes.iter().map(size).sum::<usize>() + 3);
    to.put_u8(VERSION);
    to.put_u16_le(u16::try_from(changes.len()).unwrap_or(u16::MAX));
    for change in changes {
        put_short(&mut to, change.key().encoded().as_bytes());
        for entry in [change.current(), change.previous()] {
            let size = entry.map_or(0, |entry| entry_size(entry));
            to.put_u32_le(u32::try_from(size).unwrap_or(u32::MAX));
            entry.into_iter().for_each(|entry| put_entry(&mut to, entry));
        }
    }
    to
}

fn size(change: &Change) -> usize {
    let entry = |entry: Option<&Arc<Entry>>| size_of::<u32>() + entry.map_or(0, |entry| entry_size(entry));
    size_of::<u16>() + change.key().encoded().len() + entry(change.current()) + entry(change.previous())
}

/// A key or a name: short by the limits of the contract.
fn put_short(to: &mut Vec<u8>, bytes: &[u8]) {
    to.put_u16_le(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    to.put_slice(bytes);
}

/// The changes in such bytes.
pub(crate) fn decode(mut from: &[u8], writer: &mut LastWriter) -> Result<Changes, CodecError> {
    let version = from.try_get_u8()?;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let changes = match from.try_get_u16_le()? {
        0 => return Err(CodecError::Empty),
        1 => change(&mut from, writer)?.into(),
        count => (0..count).map(|_| change(&mut from, writer)).collect::<Result<Vec<_>, _>>()?.into(),
    };
    if from.is_empty() { Ok(changes) } else { Err(CodecError::Long(from.len())) }
}

fn change(from: &mut &[u8], writer: &mut LastWriter) -> Result<Change, CodecError> {
    let key = decode_key(short(from)?)?;
    let current = optional_entry(from, &key, writer)?;
    match (current, optional_entry(from, &key, writer)?) {
        (Some(entry), previous) => Ok(Change::Put { entry, previous }),
        (None, Some(previous)) => Ok(Change::Delete { previous }),
        (None, None) => Err(CodecError::Nothing),
    }
}

fn optional_entry(from: &mut &[u8], key: &Key, writer: &mut LastWriter) -> Result<Option<Arc<Entry>>, CodecError> {
    match usize::try_from(from.try_get_u32_le()?).unwrap_or(usize::MAX) {
        0 => Ok(None),
        size => decode_entry(take(from, size)?, key.clone(), writer).map(Some),
    }
}

/// The bytes of a key or a name.
fn short<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let length = usize::from(from.try_get_u16_le()?);
    take(from, length)
}

fn text(bytes: &[u8]) -> Result<&str, CodecError> {
    Ok(std::str::from_utf8(bytes)?)
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Result<&'a [u8], CodecError> {
    from.split_off(..length).ok_or_else(|| TryGetError { requested: length, available: from.len() }.into())
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

    fn read(bytes: &[u8]) -> Result<Changes, CodecError> {
        decode(bytes, &mut LastWriter::none())
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
            let read = decode(&encode(&changes), &mut LastWriter::none()).unwrap();
            for (read, written) in read.iter().zip(changes.iter()) {
                prop_assert_eq!(read, written);
                let writers = |change: &Change| [change.current(), change.previous()].map(|entry| Some(Arc::clone(&entry?.writer)));
                prop_assert_eq!(writers(read), writers(written));
            }
            prop_assert_eq!(read.len(), values.len());
        }

        #[test]
        fn what_was_cut_or_altered_is_refused_or_read_but_never_panics(cut in 0..400_usize, flip in any::<(usize, u8)>()) {
            let mut bytes = encode(&changes(&[vec![1; 30], vec![2; 30], vec![]]));
            let (at, to) = (flip.0 % bytes.len(), flip.1);
            if cut < bytes.len() {
                prop_assert!(read(&bytes[..cut]).is_err());
            }
            bytes[at] = to;
            let _read_or_refused = read(&bytes);
        }

        #[test]
        fn bytes_of_others_are_refused_or_read_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read_or_refused = read(&bytes);
        }
    }
}
