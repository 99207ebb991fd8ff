//! [`RawObject`]: an object of any kind as its bytes.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use crate::{Conditions, DecodeError, DynamicObject, Entry, Metadata, Resource, Result, Revision, StoredObject, Value};

/// An object of any kind as its bytes, which it shares with whoever else has them. Its metadata are parsed when somebody
/// asks for them, and kept from then on; the rest is parsed by each [`RawObject::to_dynamic`], and not kept. So a cache of
/// many objects that are hardly looked at costs little more than their bytes.
///
/// ```
/// # use roa_core::{DynamicObject, RawObject, Resource};
/// let tree = DynamicObject::from_json(serde_json::json!({
///     "apiVersion": "v1", "kind": "Note", "metadata": { "name": "a" }, "spec": { "text": "hello" }
/// }))?;
/// let raw = RawObject::from_tree(tree.clone())?;
/// assert_eq!(raw.metadata().name, "a");
/// assert_eq!(raw.to_dynamic()?, tree);
/// # Ok::<(), roa_core::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct RawObject {
    value: Value,
    revision: Option<Revision>,
    metadata: OnceLock<Box<Metadata>>,
}

impl RawObject {
    /// The bytes of the whole object, without its `resourceVersion`.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// The object as a tree.
    ///
    /// # Errors
    /// [`DecodeError`] if the stored bytes are no object.
    pub fn to_dynamic(&self) -> Result<DynamicObject, DecodeError> {
        let tree = serde_json::from_slice::<DynamicObject>(&self.value.bytes);
        let mut tree = tree.map_err(|error| DecodeError::new(&self.metadata().name, &error))?;
        tree.metadata.resource_version = self.revision;
        Ok(tree)
    }
}

impl Resource for RawObject {
    /// The bytes of the whole object.
    type Spec = Value;
    /// The bytes of the whole object.
    type Status = Value;

    fn metadata(&self) -> &Metadata {
        self.metadata.get_or_init(|| {
            // It was parsed before, when the object was made: there is no other way to one.
            let metadata = StoredObject::head(&self.value, &"an object").unwrap_or_default();
            Box::new(Metadata { resource_version: self.revision, ..metadata })
        })
    }

    fn revision(&self) -> Option<Revision> {
        self.revision
    }

    fn spec(&self) -> &Value {
        &self.value
    }

    fn status(&self) -> &Value {
        &self.value
    }

    fn conditions(&self) -> Option<Cow<'_, Conditions>> {
        self.to_dynamic().ok().map(|tree| Cow::Owned(tree.conditions()))
    }

    fn set_revision(&mut self, revision: Revision) {
        self.revision = Some(revision);
        self.metadata.take();
    }

    /// That it is an object is found out now; what was parsed for that is not kept.
    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        StoredObject::head(&entry.value, &entry.key)?;
        Ok(Self { value: entry.value.clone(), revision: Some(entry.revision), metadata: OnceLock::new() })
    }

    fn from_tree(tree: DynamicObject) -> Result<Self, DecodeError> {
        let (value, revision) = (StoredObject::encode(&tree)?, tree.metadata.resource_version);
        Ok(Self { value, revision, metadata: OnceLock::new() })
    }

    fn merge_into(&self, _before: Option<&Self>, _stored: DynamicObject) -> Result<DynamicObject, DecodeError> {
        self.to_dynamic()
    }
}

impl fmt::Debug for RawObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawObject({} bytes at {:?})", self.value.bytes.len(), self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, TxnId};
    use serde_json::json;

    #[test]
    fn it_says_what_the_object_in_its_bytes_says() {
        let key = Key::new("g", "things", "n", "a").unwrap();
        let json = json!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "uid": "u"}, "data": [1]});
        let value = StoredObject::encode(&DynamicObject::from_json(json).unwrap()).unwrap();
        let [first, second] = [7, 9].map(|number| Revision::new(number).unwrap());
        let entry = Entry::created(key.clone(), value, first, TxnId::none(), "t".into());
        let mut raw = RawObject::decode(&entry).unwrap();
        assert_eq!((raw.revision(), raw.metadata().uid.as_str()), (Some(first), "u"));
        assert_eq!(raw.to_dynamic().unwrap(), DynamicObject::decode(&entry).unwrap());
        raw.set_revision(second);
        assert_eq!((raw.revision(), raw.metadata().resource_version), (Some(second), Some(second)));
        let broken = Entry::created(key, Value::json("{\"metadata\":{\"name\":7}}"), first, TxnId::none(), "t".into());
        assert!(RawObject::decode(&broken).unwrap_err().to_string().contains("things.g/n/a"));
    }
}
