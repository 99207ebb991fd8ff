//! [`Key`]: what an entry is stored under. [`KeyPrefix`]: what a list or a watch covers.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use thiserror::Error;

/// The first byte of each encoded key: the version of the layout.
const LAYOUT: char = '\u{1}';
/// Ends a segment; no segment can contain it.
const SEPARATOR: char = '\0';

/// The group of ROA's own records (leases, heartbeats). No kind can have it, since a kind's group is a DNS name; so no
/// kind's watcher ever sees these records.
pub const SYSTEM_GROUP: &str = "!system";

/// Group, resource (the plural, such as `labinstances`), namespace (empty for cluster scope) and name.
///
/// Keys are ordered by their encoded bytes, the same on every backend: a layout byte, then the four segments with a
/// NUL between them. A clone shares the bytes.
///
/// ```
/// use roa_core::{Key, KeyPrefix};
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// assert_eq!((key.namespace(), key.name()), ("school", "one"));
/// assert!(KeyPrefix::namespace("lab.example.com", "labs", "school")?.contains(&key));
/// assert!(!KeyPrefix::namespace("lab.example.com", "labs", "schoo")?.contains(&key));
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Key {
    encoded: Arc<str>,
    /// Where the separators stand, so that a segment is a slice.
    separators: [u16; 3],
}

/// Segments that make no key.
///
/// ```
/// use roa_core::{Key, KeyError};
/// assert!(matches!(Key::new("g", "labs", "school", ""), Err(KeyError::Empty { segment: "name" })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A segment contains NUL.
    #[error("build a key: {segment} {value:?} contains a NUL character")]
    Nul {
        /// Which segment.
        segment: &'static str,
        /// What it was.
        value: String,
    },
    /// A segment that must be there is empty.
    #[error("build a key: {segment} is empty")]
    Empty {
        /// Which segment.
        segment: &'static str,
    },
    /// More than [`Key::MAX_BYTES`].
    #[error("build a key: {bytes} bytes encoded, expected at most 1024")]
    TooLong {
        /// How long it would be.
        bytes: usize,
    },
    /// Bytes that no key encodes to.
    #[error("decode a key: {reason}")]
    Malformed {
        /// Why not.
        reason: &'static str,
    },
}

impl Key {
    /// How long an encoded key may be.
    pub const MAX_BYTES: usize = 1024;

    /// The key of one object; `namespace` is empty for cluster scope.
    ///
    /// # Errors
    /// [`KeyError`] if resource or name is empty, a segment contains NUL, or the whole is over [`Key::MAX_BYTES`].
    pub fn new(group: &str, resource: &str, namespace: &str, name: &str) -> Result<Self, KeyError> {
        for (segment, value) in [("resource", resource), ("name", name)] {
            if value.is_empty() {
                return Err(KeyError::Empty { segment });
            }
        }
        let encoded = encode(&[("group", group), ("resource", resource), ("namespace", namespace), ("name", name)])?;
        Self::decode(&encoded)
    }

    /// The key of one of ROA's own records.
    ///
    /// # Errors
    /// As [`Key::new`].
    pub fn system(resource: &str, name: &str) -> Result<Self, KeyError> {
        Self::new(SYSTEM_GROUP, resource, "", name)
    }

    /// The key that [`Key::encoded`] gave.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for another layout or another number of segments, [`KeyError::TooLong`].
    pub fn decode(encoded: &str) -> Result<Self, KeyError> {
        if encoded.len() > Self::MAX_BYTES {
            return Err(KeyError::TooLong { bytes: encoded.len() });
        }
        if !encoded.starts_with(LAYOUT) {
            return Err(KeyError::Malformed { reason: "unknown layout, expected 1 as the first byte" });
        }
        let mut found = separators(encoded).map(|at| u16::try_from(at).unwrap_or(u16::MAX));
        match (found.next(), found.next(), found.next(), found.next()) {
            (Some(a), Some(b), Some(c), None) => Ok(Self { encoded: encoded.into(), separators: [a, b, c] }),
            _ => Err(KeyError::Malformed { reason: "expected four segments" }),
        }
    }

    /// The bytes that order it: what a backend stores.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.segment(LAYOUT.len_utf8(), self.separators[0].into())
    }

    /// The plural name of the kind.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.segment(usize::from(self.separators[0]) + 1, self.separators[1].into())
    }

    /// The namespace; empty for cluster scope.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.segment(usize::from(self.separators[1]) + 1, self.separators[2].into())
    }

    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.segment(usize::from(self.separators[2]) + 1, self.encoded.len())
    }

    /// Whether it belongs to ROA itself.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.group() == SYSTEM_GROUP
    }

    fn segment(&self, from: usize, to: usize) -> &str {
        self.encoded.get(from..to).unwrap_or_default()
    }
}

/// Where the separators stand. By bytes: no other character has this one in it, and it is what reading a store does most.
fn separators(encoded: &str) -> impl Iterator<Item = usize> {
    encoded.bytes().enumerate().filter(|(_, byte)| *byte == 0).map(|(at, _)| at)
}

fn encode(segments: &[(&'static str, &str)]) -> Result<String, KeyError> {
    let bytes = LAYOUT.len_utf8() + segments.iter().map(|(_, s)| s.len() + 1).sum::<usize>() - 1;
    if bytes > Key::MAX_BYTES {
        return Err(KeyError::TooLong { bytes });
    }
    let mut encoded = String::with_capacity(bytes);
    encoded.push(LAYOUT);
    for (position, (segment, value)) in segments.iter().enumerate() {
        if value.contains(SEPARATOR) {
            return Err(KeyError::Nul { segment, value: (*value).to_owned() });
        }
        if position > 0 {
            encoded.push(SEPARATOR);
        }
        encoded.push_str(value);
    }
    Ok(encoded)
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.encoded.cmp(&other.encoded)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encoded.hash(state);
    }
}

/// Compares and hashes as the encoded text does.
impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.encoded
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = if self.group().is_empty() { String::new() } else { format!(".{}", self.group()) };
        match self.namespace() {
            "" => write!(f, "{}{group}/{}", self.resource(), self.name()),
            namespace => write!(f, "{}{group}/{namespace}/{}", self.resource(), self.name()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A stretch of keys that lie together: everything, one kind, or one kind in one namespace.
///
/// ```
/// use roa_core::{Key, KeyPrefix};
/// let school = KeyPrefix::namespace("lab.example.com", "labs", "school")?;
/// assert!(school.contains(&Key::new("lab.example.com", "labs", "school", "one")?));
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyPrefix {
    encoded: Arc<str>,
}

impl KeyPrefix {
    /// All keys, ROA's own records among them.
    #[must_use]
    pub fn everything() -> Self {
        Self { encoded: String::from(LAYOUT).into() }
    }

    /// All objects of a kind.
    ///
    /// # Errors
    /// [`KeyError`] as for [`Key::new`].
    pub fn resource(group: &str, resource: &str) -> Result<Self, KeyError> {
        Self::closed(&[("group", group), ("resource", resource)])
    }

    /// All objects of a kind in a namespace.
    ///
    /// # Errors
    /// [`KeyError`] as for [`Key::new`].
    pub fn namespace(group: &str, resource: &str, namespace: &str) -> Result<Self, KeyError> {
        Self::closed(&[("group", group), ("resource", resource), ("namespace", namespace)])
    }

    /// Just the one key, so that a watch of one object is a watch of a prefix. Keys that go on after this name match
    /// too; compare with the key where that matters.
    #[must_use]
    pub fn exactly(key: &Key) -> Self {
        Self { encoded: Arc::clone(&key.encoded) }
    }

    fn closed(segments: &[(&'static str, &str)]) -> Result<Self, KeyError> {
        let mut encoded = encode(segments)?;
        encoded.push(SEPARATOR);
        Ok(Self { encoded: encoded.into() })
    }

    /// Whether `key` lies in it.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        key.encoded.starts_with(&*self.encoded)
    }

    /// The bytes that all its keys begin with.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.encoded
    }
}

impl fmt::Debug for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPrefix({})", self.encoded.trim_start_matches(LAYOUT).replace(SEPARATOR, "/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key::new("g", "things", namespace, name).unwrap()
    }

    #[test]
    fn segments_come_back_as_they_went_in() {
        let key = Key::new("", "namespaces", "", "ÿ~.é").unwrap();
        assert_eq!((key.group(), key.resource(), key.namespace(), key.name()), ("", "namespaces", "", "ÿ~.é"));
        assert_eq!(Key::decode(key.encoded()).unwrap(), key);
        assert!(Key::system("leases", "labs").unwrap().is_system());
    }

    #[test]
    fn nul_empty_and_too_long_are_refused() {
        assert!(matches!(Key::new("g", "r", "", "a\0b"), Err(KeyError::Nul { segment: "name", .. })));
        assert!(matches!(Key::new("g", "", "", "a"), Err(KeyError::Empty { segment: "resource" })));
        assert!(matches!(Key::new("g", "r", "", &"n".repeat(1024)), Err(KeyError::TooLong { .. })));
        assert!(Key::decode("\u{1}a\0b\0c").is_err() && Key::decode("a\0b\0c\0d").is_err());
    }

    #[test]
    fn a_prefix_never_leaks_a_sibling() {
        let prefix = KeyPrefix::namespace("g", "things", "a").unwrap();
        assert!(prefix.contains(&key("a", "x")));
        for sibling in [key("ab", "x"), key("", "a"), Key::new("g", "thingsx", "a", "x").unwrap()] {
            assert!(!prefix.contains(&sibling), "{sibling} must not match");
        }
        assert!(KeyPrefix::everything().contains(&Key::system("leases", "x").unwrap()));
        assert!(!KeyPrefix::resource("g", "things").unwrap().contains(&Key::system("things", "x").unwrap()));
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_segments(a in "[ -~]{1,6}", b in "[ -~]{1,6}", c in "[ -~]{1,6}", d in "[ -~]{1,6}") {
            prop_assert_eq!(key(&a, &b).cmp(&key(&c, &d)), (&a, &b).cmp(&(&c, &d)));
        }
    }
}
