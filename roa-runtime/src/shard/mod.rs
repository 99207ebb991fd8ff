//! Which shard a key belongs to, and which member should have which shard. Does no I/O.
//!
//! A store has [`SHARDS`] shards, fixed at the first start. The shard of a key is a hash of its namespace and name that is
//! the same in every version and on every platform. Members get shards by rendezvous hashing: who weighs most for a
//! shard should have it, so that a member that comes or goes moves no shard between the others.

mod rendezvous;

use roa_core::Key;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

pub(crate) use rendezvous::wanted;

/// How many shards a store has.
pub const SHARDS: usize = 64;

/// What decides the shard of an object. All processes on a store have the same.
///
/// ```
/// use roa_core::Key;
/// use roa_runtime::{SHARDS, ShardBy};
/// let key = |name| Key::new("lab.example.com", "labs", "school", name);
/// let [one, two] = [key("one")?, key("two")?];
/// assert_eq!(ShardBy::Namespace.shard(&one), ShardBy::Namespace.shard(&two));
/// assert!(ShardBy::Object.shard(&one) < SHARDS);
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ShardBy {
    /// Its namespace and name: objects spread evenly. Objects of several kinds with one namespace and name are in one
    /// shard.
    #[default]
    Object,
    /// Its namespace alone: all objects of a namespace are handled by one process.
    Namespace,
}

impl ShardBy {
    /// The shard of a key, below [`SHARDS`]: SipHash-1-3 with a key of zeros over the namespace, and for
    /// [`ShardBy::Object`] a NUL and the name, modulo the number of shards.
    ///
    /// ```
    /// use roa_core::Key;
    /// use roa_runtime::ShardBy;
    /// let [one, two] = ["one", "two"].map(|name| Key::new("lab.example.com", "labs", "school", name).unwrap());
    /// assert_eq!(ShardBy::Namespace.shard(&one), ShardBy::Namespace.shard(&two));
    /// assert_ne!(ShardBy::Object.shard(&one), ShardBy::Object.shard(&two));
    /// ```
    #[must_use]
    pub fn shard(self, key: &Key) -> usize {
        let hash = match self {
            Self::Object => hash(&[key.namespace().as_bytes(), b"\0", key.name().as_bytes()]),
            Self::Namespace => hash(&[key.namespace().as_bytes()]),
        };
        usize::try_from(hash % SHARDS as u64).unwrap_or_default()
    }
}

/// SipHash-1-3 of the parts one after the other, the same everywhere and for ever.
fn hash(parts: &[&[u8]]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(resource: &str, namespace: &str, name: &str) -> Key {
        Key::new("g", resource, namespace, name).unwrap()
    }

    /// Another version that answered otherwise would handle an object that this one handles too.
    #[test]
    fn the_shards_of_keys_never_change() {
        let object = |namespace: &str, name: &str| ShardBy::Object.shard(&key("labs", namespace, name));
        let shards = [object("", "a"), object("school", "lab-1"), object("school", "lab-2"), object("é", "ÿ")];
        assert_eq!(shards, [28, 42, 46, 47]);
        let namespace = |namespace: &str| ShardBy::Namespace.shard(&key("labs", namespace, "x"));
        assert_eq!([namespace(""), namespace("school"), namespace("é")], [44, 26, 0]);
    }

    #[test]
    fn the_kind_plays_no_part_and_segments_do_not_run_together() {
        assert_eq!(ShardBy::Object.shard(&key("labs", "n", "x")), ShardBy::Object.shard(&key("workers", "n", "x")));
        assert_ne!(hash(&[b"ab", b"\0", b"c"]), hash(&[b"a", b"\0", b"bc"]));
    }

    #[test]
    fn objects_spread_over_all_shards() {
        let mut counts = [0_usize; SHARDS];
        for number in 0..6_400 {
            counts[ShardBy::Object.shard(&key("labs", "school", &format!("lab-{number}")))] += 1;
        }
        assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
    }
}
