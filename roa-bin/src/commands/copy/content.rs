//! [`Content`]: what a store holds, as a number and a digest. Equal contents have equal keys, formats and bytes.

use std::fmt;

use ring::digest::{Context, SHA256};
use roa_core::{Entry, Result, Revision, Store};

use super::entries::Entries;

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    /// How many entries.
    pub(super) entries: u64,
    /// SHA-256 over the key, the format and the bytes of each, in key order.
    digest: String,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries, sha256 {}", self.entries, self.digest)
    }
}

/// A content that is being read.
pub(super) struct Digest {
    entries: u64,
    context: Context,
}

impl Digest {
    pub(super) fn new() -> Self {
        Self { entries: 0, context: Context::new(&SHA256) }
    }

    /// How many entries it has by now.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds the next entry.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.add_sized(entry.key.encoded().as_bytes());
        self.context.update(&[entry.value.format.to_byte()]);
        self.add_sized(&entry.value.bytes);
    }

    /// With its length, so that no two contents look the same.
    fn add_sized(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.context.update(&length.to_be_bytes());
        self.context.update(bytes);
    }

    pub(super) fn finish(self) -> Content {
        let digest = self.context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Content { entries: self.entries, digest }
    }
}

/// What a store holds now, and at which revision.
///
/// # Errors
/// As [`Store::list`].
pub(super) async fn of(store: &dyn Store) -> Result<(Content, Option<Revision>)> {
    let (mut entries, mut digest) = (Entries::at_one_revision(store), Digest::new());
    while entries.peek().await?.is_some() {
        if let Some(entry) = entries.take() {
            digest.add(&entry);
        }
    }
    Ok((digest.finish(), entries.revision()))
}

#[cfg(test)]
mod tests {
    use roa_core::{Key, TxnId, Value};

    use super::*;

    fn content(entries: &[(&str, Value)]) -> Content {
        let mut digest = Digest::new();
        for (name, value) in entries {
            let (key, revision) = (Key::new("g", "r", "", name).unwrap(), Revision::new(1).unwrap());
            digest.add(&Entry::created(key, value.clone(), revision, TxnId::none(), "w".into()));
        }
        digest.finish()
    }

    #[test]
    fn contents_differ_by_key_by_format_and_by_bytes() {
        let contents = [
            content(&[]),
            content(&[("a", Value::opaque("bc"))]),
            content(&[("ab", Value::opaque("c"))]),
            content(&[("a", Value::json("bc"))]),
            content(&[("a", Value::opaque("b")), ("c", Value::opaque(""))]),
        ];
        for (position, one) in contents.iter().enumerate() {
            assert!(contents[..position].iter().all(|other| other.digest != one.digest), "{one}");
        }
    }

    #[test]
    fn the_digest_of_nothing_is_that_of_sha_256() {
        let nothing = "0 entries, sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(content(&[]).to_string(), nothing);
    }
}
