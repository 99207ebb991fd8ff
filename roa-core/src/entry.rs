//! [`Entry`]: one stored object at one revision. [`Value`]: its bytes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{DecodeError, Key, Revision, StoredObject, TxnId};

/// How the bytes of a [`Value`] are to be read.
///
/// ```
/// use roa_core::Format;
/// assert_eq!(Format::from_byte(Format::Json.to_byte()), Some(Format::Json));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Bytes that ROA does not look into.
    Opaque,
    /// One object as JSON, `metadata` first and without its `resourceVersion`.
    Json,
}

impl Format {
    /// The byte that a backend stores.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Opaque => 0,
            Self::Json => 1,
        }
    }

    /// The format of a stored byte; `None` for one that this version does not know.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Opaque),
            1 => Some(Self::Json),
            _ => None,
        }
    }
}

/// Bytes in a small typed envelope; a clone shares them.
///
/// ```
/// use roa_core::{Format, Value};
/// let value = Value::json(r#"{"metadata":{"name":"one"}}"#);
/// assert_eq!((value.format, value.clone()), (Format::Json, value));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// How to read the bytes.
    pub format: Format,
    /// What is stored.
    pub bytes: Bytes,
}

impl Value {
    /// How long a value may be, in bytes: 1.5 MiB.
    pub const MAX_BYTES: usize = 3 << 19;

    /// Bytes that ROA does not look into.
    pub fn opaque(bytes: impl Into<Bytes>) -> Self {
        Self { format: Format::Opaque, bytes: exact(bytes.into()) }
    }

    /// An object's JSON, as [`StoredObject::encode`](crate::StoredObject::encode) writes it.
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self { format: Format::Json, bytes: exact(bytes.into()) }
    }
}

/// The bytes without the room for more that they may have from how they were made: a value is kept for long.
fn exact(bytes: Bytes) -> Bytes {
    match bytes.try_into_mut() {
        Ok(unshared) => Vec::from(unshared).into_boxed_slice().into(),
        Err(shared) => shared,
    }
}

/// Shows how long an object is, not what is in it: that may be secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Format::Opaque => f.debug_tuple("Opaque").field(&self.bytes).finish(),
            Format::Json => write!(f, "Json({} bytes)", self.bytes.len()),
        }
    }
}

/// One key's value and where it stands in the history. Never changes: an update makes a new one.
///
/// The object in it is parsed when first asked for, at most once, whoever asks.
///
/// ```
/// use roa_core::{Entry, Key, Revision, TxnId, Value};
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// let entry = Entry::created(key, Value::opaque("a"), Revision::new(7)?, TxnId::none(), "docs".into());
/// let next = entry.updated(Value::opaque("b"), Revision::new(9)?, TxnId::none(), "docs".into());
/// assert_eq!((next.create_revision, next.version), (Revision::new(7)?, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Entry {
    /// Under which key.
    pub key: Key,
    /// The bytes as they were written.
    pub value: Value,
    /// The commit that began this life of the key.
    pub create_revision: Revision,
    /// The commit that wrote this value: the object's `resourceVersion`.
    pub revision: Revision,
    /// How many writes this life has seen; 1 for the first.
    pub version: u64,
    /// The transaction that wrote it.
    pub txn: TxnId,
    /// Who wrote it: a controller's or a client's name.
    pub writer: Arc<str>,
    /// Boxed: most entries are passed on without anybody asking.
    object: OnceLock<Box<Result<StoredObject, DecodeError>>>,
}

impl Entry {
    /// The first entry of a key's life.
    #[must_use]
    pub fn created(key: Key, value: Value, revision: Revision, txn: TxnId, writer: Arc<str>) -> Self {
        Self::stored(key, value, [revision, revision], 1, txn, writer)
    }

    /// What an update of this entry writes: the same life, one version on.
    #[must_use]
    pub fn updated(&self, value: Value, revision: Revision, txn: TxnId, writer: Arc<str>) -> Self {
        Self::stored(self.key.clone(), value, [self.create_revision, revision], self.version + 1, txn, writer)
    }

    /// An entry as a backend reads it back; `revisions` are that of its creation and its own.
    #[must_use]
    pub fn stored(
        key: Key,
        value: Value,
        revisions: [Revision; 2],
        version: u64,
        txn: TxnId,
        writer: Arc<str>,
    ) -> Self {
        let [create_revision, revision] = revisions;
        Self { key, value, create_revision, revision, version, txn, writer, object: OnceLock::new() }
    }

    /// The object in it, parsed on the first call.
    ///
    /// # Errors
    /// [`DecodeError`] if the value is no object; the same each time.
    pub fn object(&self) -> Result<&StoredObject, &DecodeError> {
        let object: &Result<_, _> = self.object.get_or_init(|| Box::new(StoredObject::decode(self)));
        object.as_ref()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
            && self.revision == other.revision
            && self.create_revision == other.create_revision
            && self.version == other.version
            && self.txn == other.txn
            && self.value == other.value
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_an_update_keeps_the_life_and_raises_the_version() {
        let key = Key::new("g", "things", "n", "a").unwrap();
        let (first, second) = (Revision::new(5).unwrap(), Revision::new(9).unwrap());
        let entry = Entry::created(key, Value::opaque("a"), first, TxnId::none(), "test".into());
        let next = entry.updated(Value::opaque("b"), second, TxnId::none(), "test".into());
        assert_eq!((next.create_revision, next.revision, next.version), (first, second, 2));
        assert!(next.object().is_err(), "an opaque value holds no object");
    }

    #[test]
    fn a_value_takes_no_more_memory_than_its_bytes() {
        let mut bytes = Vec::with_capacity(4_096);
        bytes.extend_from_slice(b"few");
        let made = Value::json(bytes).bytes.try_into_mut().unwrap();
        assert_eq!((&made[..], made.capacity()), (&b"few"[..], 3));
        let shared = Bytes::from(vec![7; 9]);
        assert_eq!(Value::opaque(shared.clone()).bytes.as_ptr(), shared.as_ptr(), "what others have too is not copied");
    }

    #[test]
    fn formats_round_trip_and_unknown_ones_are_refused() {
        for format in [Format::Opaque, Format::Json] {
            assert_eq!(Format::from_byte(format.to_byte()), Some(format));
        }
        assert_eq!(Format::from_byte(7), None);
    }
}
