//! The labels of a stored object, read without the rest of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::StoredObject;
use super::dynamic::{DecodeError, OPENING};
use crate::{Format, Value};

/// Where the metadata itself begins.
const METADATA: usize = OPENING.len() - 1;

/// A key and its value.
type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

impl StoredObject {
    /// The labels in a value, without a look at what comes after its metadata: to pass over objects quickly. If it gives
    /// an error, [`StoredObject::decode`] does; a value that it reads may be one that can't be decoded nevertheless.
    ///
    /// ```
    /// use roa_core::{StoredObject, Value};
    /// let value = Value::json(r#"{"metadata":{"name":"one","labels":{"tier":"web"}},"kind":"Lab"}"#);
    /// assert_eq!(StoredObject::labels(&value)?, [("tier".into(), "web".into())]);
    /// # Ok::<(), roa_core::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// [`DecodeError`] if it holds no object.
    pub fn labels(value: &Value) -> Result<Vec<Label<'_>>, DecodeError> {
        let failed = |reason: &dyn ToString| DecodeError::new(&"labels", reason);
        if value.format != Format::Json || !value.bytes.starts_with(OPENING) {
            return Err(failed(&"not an object: expected JSON that begins with its metadata"));
        }
        let metadata = value.bytes.get(METADATA..).unwrap_or_default();
        let mut read = serde_json::Deserializer::from_slice(metadata);
        let Labelled { labels: Pairs(pairs) } = Labelled::deserialize(&mut read).map_err(|error| failed(&error))?;
        Ok(pairs)
    }
}

/// What is read of the metadata.
#[derive(Deserialize)]
struct Labelled<'a> {
    #[serde(borrow, default)]
    labels: Pairs<'a>,
}

#[derive(Default)]
struct Pairs<'a>(Vec<Label<'a>>);

/// Text that is borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Text(key), Text(value))) = map.next_entry()? {
                    pairs.push((key, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DynamicObject, Entry, Key, Revision, TxnId};
    use proptest::prelude::*;

    fn decoded(value: &Value) -> Result<Vec<(String, String)>, DecodeError> {
        let key = Key::new("g", "things", "n", "a").unwrap();
        let entry = Entry::created(key, value.clone(), Revision::new(1).unwrap(), TxnId::none(), "test".into());
        Ok(StoredObject::decode(&entry)?.metadata.labels.into_iter().collect())
    }

    #[test]
    fn what_holds_no_object_has_no_labels() {
        for bytes in
            ["", "{}", r#"{"metadata":{"labels":{"a":1}}}"#, r#"{"metadata":{"labels":null}}"#, r#"{"metadata":{"#]
        {
            let value = Value::json(bytes);
            assert!(StoredObject::labels(&value).is_err() && decoded(&value).is_err(), "{bytes:?}");
        }
        assert!(StoredObject::labels(&Value::opaque("v")).is_err());
    }

    proptest! {
        #[test]
        fn they_are_those_of_the_whole_object(labels in prop::collection::btree_map("\\PC{0,9}", "\\PC{0,9}", 0..6)) {
            let object = DynamicObject::from_json(serde_json::json!({
                "apiVersion": "g/v1", "kind": "Thing", "spec": {"labels": {"a": "b"}},
                "metadata": {"name": "a", "annotations": {"labels": "c"}, "labels": labels, "other": [{"labels": 1}]},
            })).unwrap();
            let value = StoredObject::encode(&object).unwrap();
            let read = StoredObject::labels(&value).unwrap();
            let read: Vec<_> = read.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(&read, &decoded(&value).unwrap());
        }
    }
}
