//! How entries and batches are written in Redis. Numbers are big-endian, so that a script can compare and copy them as
//! they are; lengths stand before what they measure.
//!
//! An entry: its revision, that of its creation, its version (8 bytes each), its transaction (16), the format of its
//! value (1), its writer (2 and so many) and its value, up to the end.
//!
//! A batch: its transaction, that of the batch before (16 each), its time in milliseconds since 1970, the bytes of all
//! changes so far (8 each), then each change: its key (2 and so many), the entry that was written and the one that was
//! there before (4 and so many; nothing if there is none).

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, TryGetError};
use roa_core::{Batch, Change, Changes, Entry, Format, Key, Revision, Timestamp, TxnId, Value};
use thiserror::Error;
use uuid::Uuid;

/// What can't be read.
#[derive(Debug, Error)]
pub(crate) enum CodecError {
    #[error("it ends too early: {0}")]
    Short(#[from] TryGetError),
    #[error("it has no changes")]
    Empty,
    #[error("a change has neither an entry before nor one after it")]
    Nothing,
    #[error("the format of a value is {0}, expected 0 or 1")]
    Format(u8),
    #[error("{0}")]
    Part(String),
}

impl CodecError {
    #[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
    fn part(why: impl ToString) -> Self {
        Self::Part(why.to_string())
    }
}

/// What follows the numbers of an entry: the script puts them before it.
pub(crate) fn encode_entry(txn: TxnId, writer: &str, value: &Value) -> Vec<u8> {
    let mut to = Vec::with_capacity(19 + writer.len() + value.bytes.len());
    to.put_slice(txn.0.as_bytes());
    to.put_u8(value.format.to_byte());
    // A name's length is cut, never its meaning: no writer has a name of 64 KiB.
    let writer = &writer.as_bytes()[..writer.len().min(usize::from(u16::MAX))];
    to.put_u16(u16::try_from(writer.len()).unwrap_or(u16::MAX));
    to.put_slice(writer);
    to.put_slice(&value.bytes);
    to
}

/// An entry; its value shares the bytes.
pub(crate) fn decode_entry(key: Key, mut from: Bytes, writers: &mut Writers) -> Result<Entry, CodecError> {
    let (revision, created, version) = (revision(&mut from)?, revision(&mut from)?, from.try_get_u64()?);
    let txn = txn(&mut from)?;
    let byte = from.try_get_u8()?;
    let format = Format::from_byte(byte).ok_or(CodecError::Format(byte))?;
    let writer = writers.named(&short(&mut from)?)?;
    Ok(Entry::stored(key, Value { format, bytes: from }, [created, revision], version, txn, writer))
}

/// The batch of a revision; its values share the bytes.
pub(crate) fn decode_batch(revision: Revision, mut from: Bytes, writers: &mut Writers) -> Result<Batch, CodecError> {
    let Heading { txn, previous_txn, committed_at } = heading(&mut from)?;
    let first = change(&mut from, writers)?;
    let changes = if from.has_remaining() { more(first, &mut from, writers)? } else { first.into() };
    Ok(Batch { revision, txn, previous_txn, committed_at, changes })
}

fn more(first: Change, from: &mut Bytes, writers: &mut Writers) -> Result<Changes, CodecError> {
    let mut changes = vec![first];
    while from.has_remaining() {
        changes.push(change(from, writers)?);
    }
    Ok(changes.into())
}

/// What stands before the changes of a batch.
#[derive(Debug)]
pub(crate) struct Heading {
    pub(crate) txn: TxnId,
    pub(crate) previous_txn: TxnId,
    pub(crate) committed_at: Timestamp,
}

/// Reads the heading of a batch.
pub(crate) fn heading(from: &mut Bytes) -> Result<Heading, CodecError> {
    let (txn, previous_txn) = (txn(from)?, txn(from)?);
    let millis = from.try_get_i64()?;
    let committed_at =
        Timestamp::from_unix_millis(millis).ok_or_else(|| CodecError::part("its time is out of range"))?;
    // The bytes of all changes so far are for the script that compacts.
    from.try_get_u64()?;
    Ok(Heading { txn, previous_txn, committed_at })
}

fn change(from: &mut Bytes, writers: &mut Writers) -> Result<Change, CodecError> {
    let key = short(from)?;
    if key.is_empty() {
        return Err(CodecError::Empty);
    }
    let key = decode_key(&key)?;
    let current = long(from)?;
    let previous = long(from)?;
    let mut entry = |bytes: Bytes| decode_entry(key.clone(), bytes, writers).map(Arc::new);
    match (current.is_empty(), previous.is_empty()) {
        (false, true) => Ok(Change::Put { entry: entry(current)?, previous: None }),
        (false, false) => Ok(Change::Put { entry: entry(current)?, previous: Some(entry(previous)?) }),
        (true, false) => Ok(Change::Delete { previous: entry(previous)? }),
        (true, true) => Err(CodecError::Nothing),
    }
}

/// The key of stored bytes.
pub(crate) fn decode_key(bytes: &[u8]) -> Result<Key, CodecError> {
    Key::decode(text(bytes)?).map_err(CodecError::part)
}

fn revision(from: &mut Bytes) -> Result<Revision, CodecError> {
    Revision::new(from.try_get_u64()?).map_err(CodecError::part)
}

fn txn(from: &mut Bytes) -> Result<TxnId, CodecError> {
    Ok(TxnId(Uuid::from_u128(from.try_get_u128()?)))
}

fn short(from: &mut Bytes) -> Result<Bytes, CodecError> {
    let length = usize::from(from.try_get_u16()?);
    take(from, length)
}

fn long(from: &mut Bytes) -> Result<Bytes, CodecError> {
    let length = usize::try_from(from.try_get_u32()?).unwrap_or(usize::MAX);
    take(from, length)
}

fn take(from: &mut Bytes, length: usize) -> Result<Bytes, CodecError> {
    let available = from.remaining();
    if available < length {
        return Err(TryGetError { requested: length, available }.into());
    }
    Ok(from.split_to(length))
}

fn text(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(CodecError::part)
}

/// The names of writers: mostly it is the same one's, and shared.
#[derive(Debug, Default)]
pub(crate) struct Writers(Option<Arc<str>>);

impl Writers {
    fn named(&mut self, name: &[u8]) -> Result<Arc<str>, CodecError> {
        match &self.0 {
            Some(last) if last.as_bytes() == name => Ok(Arc::clone(last)),
            _ => Ok(Arc::clone(self.0.insert(text(name)?.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TXN: TxnId = TxnId(Uuid::from_u128(9));

    fn entry_bytes(numbers: [u64; 3], value: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
        bytes.extend(encode_entry(TXN, "test", &Value::opaque(value.to_vec())));
        bytes
    }

    fn batch_bytes(values: &[Vec<u8>]) -> Vec<u8> {
        let mut to = Vec::new();
        to.put_slice(TXN.0.as_bytes());
        to.put_slice(Uuid::nil().as_bytes());
        to.put_i64(1_800_000_000_123);
        to.put_u64(77);
        for (number, value) in values.iter().enumerate() {
            let key = Key::new("g", "things", "n", &format!("k{number}")).unwrap();
            to.put_u16(u16::try_from(key.encoded().len()).unwrap());
            to.put_slice(key.encoded().as_bytes());
            let (current, previous) = (entry_bytes([12, 3, 7], value), entry_bytes([4, 3, 6], value));
            for (bytes, there) in [(current, number % 3 != 2), (previous, number % 3 != 0)] {
                to.put_u32(if there { u32::try_from(bytes.len()).unwrap() } else { 0 });
                to.put_slice(if there { &bytes } else { &[] });
            }
        }
        to
    }

    fn decode(bytes: &[u8]) -> Result<Batch, CodecError> {
        decode_batch(Revision::new(12).unwrap(), Bytes::copy_from_slice(bytes), &mut Writers::default())
    }

    proptest! {
        #[test]
        fn w3_w13_changes_are_read_as_a_script_writes_them(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..9),
        ) {
            let batch = decode(&batch_bytes(&values)).unwrap();
            prop_assert_eq!((batch.txn, batch.previous_txn), (TXN, TxnId::none()));
            prop_assert_eq!(batch.committed_at.as_unix_millis(), 1_800_000_000_123);
            prop_assert_eq!(batch.changes.len(), values.len());
            for (number, (change, value)) in batch.changes.iter().zip(&values).enumerate() {
                let facts = |entry: &Arc<Entry>| (entry.revision.get(), entry.create_revision.get(), entry.version, entry.value.bytes.to_vec());
                prop_assert_eq!(change.current().map(facts), (number % 3 != 2).then(|| (12, 3, 7, value.clone())));
                prop_assert_eq!(change.previous().map(facts), (number % 3 != 0).then(|| (4, 3, 6, value.clone())));
            }
        }

        #[test]
        fn what_was_cut_or_altered_is_refused_or_read_but_never_panics(cut in 0..400_usize, flip in any::<(usize, u8)>()) {
            let mut bytes = batch_bytes(&[vec![1; 30], vec![2; 30], vec![]]);
            let _refused_or_read = decode(&bytes[..cut.min(bytes.len())]);
            let (at, to) = (flip.0 % bytes.len(), flip.1);
            bytes[at] = to;
            let _refused_or_read = decode(&bytes);
        }

        #[test]
        fn bytes_of_others_are_refused_or_read_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _refused_or_read = decode(&bytes);
        }
    }
}
