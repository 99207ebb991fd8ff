//! [`DynamicObject`]: an object of any kind, as a tree. [`StoredObject`]: the same as it is stored, bytes and metadata.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::metadata::FIELDS;
use crate::{Entry, FieldPath, FieldSelector, Format, LabelSelector, Metadata, Revision, Value};

/// What a value begins with that holds an object: the place where its `resourceVersion` is put in.
pub(super) const OPENING: &[u8] = b"{\"metadata\":{";

/// Bytes or a tree that are no object of the kind that was expected.
///
/// ```
/// use roa_core::DynamicObject;
/// let error = DynamicObject::from_json(serde_json::json!([])).unwrap_err();
/// assert!(error.to_string().contains("expected a mapping"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("decode {subject}: {reason}")]
pub struct DecodeError {
    /// Which object.
    pub subject: Arc<str>,
    /// What is wrong with it, and where.
    pub reason: Arc<str>,
}

impl DecodeError {
    pub(crate) fn new(subject: &dyn ToString, reason: &dyn ToString) -> Self {
        Self { subject: subject.to_string().into(), reason: reason.to_string().into() }
    }
}

/// An object of any kind: metadata parsed, everything else as it came. Fields that nobody knows survive.
///
/// ```
/// use roa_core::DynamicObject;
/// let lab = DynamicObject::from_json(serde_json::json!({
///     "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": "one" }, "status": { "state": "ready" }
/// }))?;
/// assert_eq!((lab.metadata.name.as_str(), lab.state()), ("one", Some("ready")));
/// # Ok::<(), roa_core::DecodeError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct DynamicObject {
    /// `group/version` of its kind.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its metadata.
    pub metadata: Metadata,
    /// Fields of `metadata` that this version does not know.
    pub other_metadata: Map<String, Json>,
    /// All other fields: `spec`, `status`, and whatever else the kind has.
    pub body: Map<String, Json>,
}

/// Shows which object it is and which fields it has, not what is in them: that may be secret.
impl fmt::Debug for DynamicObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = self.metadata.resource_version;
        let mut shown = f.debug_struct("DynamicObject");
        shown.field("object", &self.display_name()).field("revision", &revision);
        shown.field("fields", &self.body.keys()).finish_non_exhaustive()
    }
}

impl DynamicObject {
    /// The object of a JSON tree.
    ///
    /// # Errors
    /// [`DecodeError`] if it is no JSON object, or has no proper `apiVersion`, `kind` or `metadata`; it names the path.
    pub fn from_json(json: Json) -> Result<Self, DecodeError> {
        let Json::Object(mut body) = json else {
            return Err(DecodeError::new(&"an object", &format!("expected a mapping, found {}", kind_of(&json))));
        };
        let metadata = match body.remove("metadata") {
            Some(Json::Object(metadata)) => metadata,
            None => Map::new(),
            Some(other) => {
                return Err(DecodeError::new(&"metadata", &format!("expected a mapping, found {}", kind_of(&other))));
            }
        };
        let (known, other_metadata) = metadata.into_iter().partition(|(name, _)| FIELDS.contains(&name.as_str()));
        Ok(Self {
            api_version: text(&mut body, "apiVersion")?,
            kind: text(&mut body, "kind")?,
            metadata: serde_path_to_error::deserialize(Json::Object(known))
                .map_err(|error| DecodeError::new(&format!("metadata.{}", error.path()), error.inner()))?,
            other_metadata,
            body,
        })
    }

    /// The same of a tree whose metadata were parsed before.
    fn with_metadata(metadata: Metadata, mut body: Map<String, Json>) -> Result<Self, DecodeError> {
        let mut other_metadata = match body.remove("metadata") {
            Some(Json::Object(fields)) => fields,
            _ => Map::new(),
        };
        other_metadata.retain(|name, _| !FIELDS.contains(&name.as_str()));
        let (api_version, kind) = (text(&mut body, "apiVersion")?, text(&mut body, "kind")?);
        Ok(Self { api_version, kind, metadata, other_metadata, body })
    }

    /// The JSON tree of it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        // Serialising a tree into a tree has no way to fail: all keys are strings, no number is special.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The field at a path such as `status.state` or `metadata.name`.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<Json> {
        match path.split_once('.') {
            Some(("metadata", rest)) => walk(&self.metadata_json(), rest).cloned(),
            Some((first, rest)) => walk(self.body.get(first)?, rest).cloned(),
            None => self.body.get(path).cloned(),
        }
    }

    /// All values at a path that may fit several, such as that of a column.
    #[must_use]
    pub fn find(&self, path: &FieldPath) -> Vec<Json> {
        let owned = |found: Vec<&Json>| found.into_iter().cloned().collect();
        match path.split_first() {
            Some(("metadata", rest)) => owned(rest.all(&self.metadata_json())),
            Some(("apiVersion", _)) => vec![self.api_version.as_str().into()],
            Some(("kind", _)) => vec![self.kind.as_str().into()],
            Some((name, rest)) => self.body.get(name).map(|value| owned(rest.all(value))).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// `status.state`, if it is text.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state_in("state")
    }

    /// The state of a kind that keeps it in another field of the status, if it is text.
    #[must_use]
    pub fn state_in(&self, field: &str) -> Option<&str> {
        self.status()?.get(field)?.as_str()
    }

    /// `status.observedGeneration`; 0 if there is none.
    #[must_use]
    pub fn observed_generation(&self) -> u64 {
        self.status().and_then(|status| status.get("observedGeneration")?.as_u64()).unwrap_or(0)
    }

    /// The spec.
    #[must_use]
    pub fn spec(&self) -> Option<&Json> {
        self.body.get("spec")
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Option<&Json> {
        self.body.get("status")
    }

    /// A name for messages: `Kind namespace/name`.
    #[must_use]
    pub fn display_name(&self) -> String {
        let Metadata { namespace, name, generate_name, .. } = &self.metadata;
        let name = if name.is_empty() { generate_name } else { name };
        if namespace.is_empty() { format!("{} {name}", self.kind) } else { format!("{} {namespace}/{name}", self.kind) }
    }

    fn metadata_json(&self) -> Json {
        let mut known = serde_json::to_value(&self.metadata).unwrap_or_default();
        if let Json::Object(fields) = &mut known {
            fields.extend(self.other_metadata.clone());
        }
        known
    }
}

impl Serialize for DynamicObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, &self.metadata_json(), serializer)
    }
}

/// As it is stored: the revision that wrote it says its `resourceVersion`.
struct WithoutVersion<'a>(&'a DynamicObject);

impl Serialize for WithoutVersion<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut metadata = self.0.metadata_json();
        metadata.as_object_mut().and_then(|fields| fields.remove("resourceVersion"));
        serialize(self.0, &metadata, serializer)
    }
}

fn serialize<S: Serializer>(object: &DynamicObject, metadata: &Json, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("metadata", metadata)?;
    map.serialize_entry("apiVersion", &object.api_version)?;
    map.serialize_entry("kind", &object.kind)?;
    for (name, value) in &object.body {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

impl<'de> Deserialize<'de> for DynamicObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Json::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn text(body: &mut Map<String, Json>, name: &str) -> Result<String, DecodeError> {
    match body.remove(name) {
        Some(Json::String(text)) => Ok(text),
        None => Err(DecodeError::new(&name, &"missing, expected text")),
        Some(other) => Err(DecodeError::new(&name, &format!("expected text, found {}", kind_of(&other)))),
    }
}

fn walk<'a>(from: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(from, |value, name| value.get(name))
}

const fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a mapping",
    }
}

/// An object as it is stored: its metadata parsed, the rest as the bytes that were written.
///
/// ```
/// use roa_core::{DynamicObject, StoredObject};
/// let lab = DynamicObject::from_json(serde_json::json!({
///     "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": "one" }
/// }))?;
/// let value = StoredObject::encode(&lab)?; // what is put into a store
/// assert!(value.bytes.starts_with(b"{\"metadata\""));
/// # Ok::<(), roa_core::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct StoredObject {
    /// The metadata, with `resourceVersion`.
    pub metadata: Metadata,
    stored: Bytes,
    json: OnceLock<Bytes>,
}

/// Shows which object it is and how long, not what is in it: that may be secret.
impl fmt::Debug for StoredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = (&self.metadata.name, self.stored.len());
        f.debug_struct("StoredObject").field("name", name).field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl StoredObject {
    /// The value that stores an object: JSON with `metadata` first, without its `resourceVersion`.
    ///
    /// # Errors
    /// [`DecodeError`] if it can't be written as JSON.
    pub fn encode(object: &DynamicObject) -> Result<Value, DecodeError> {
        let failed = |reason: &dyn ToString| DecodeError::new(&object.display_name(), reason);
        if object.metadata.name.is_empty() {
            return Err(failed(&"metadata.name is empty"));
        }
        let bytes = serde_json::to_vec(&WithoutVersion(object)).map_err(|error| failed(&error))?;
        Ok(Value::json(bytes))
    }

    /// The object of an entry.
    ///
    /// # Errors
    /// [`DecodeError`] if the entry's value is none.
    pub fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        let mut metadata = Self::head(&entry.value, &entry.key)?;
        metadata.resource_version = Some(entry.revision);
        Ok(Self { metadata, stored: entry.value.bytes.clone(), json: OnceLock::new() })
    }

    /// The metadata in a value, without `resourceVersion`.
    pub(crate) fn head(value: &Value, subject: &dyn ToString) -> Result<Metadata, DecodeError> {
        #[derive(Deserialize)]
        struct Head {
            metadata: Metadata,
        }
        let failed = |reason: &dyn ToString| DecodeError::new(subject, reason);
        if value.format != Format::Json || !value.bytes.starts_with(OPENING) {
            return Err(failed(&"not an object: expected JSON that begins with its metadata"));
        }
        let Head { metadata } = serde_json::from_slice(&value.bytes).map_err(|error| failed(&error))?;
        Ok(metadata)
    }

    /// The whole object as JSON, `resourceVersion` included; made once, then shared.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| splice(&self.stored, self.metadata.resource_version)).clone()
    }

    /// The object as a tree.
    ///
    /// # Errors
    /// [`DecodeError`] if the stored bytes are no object.
    pub fn to_dynamic(&self) -> Result<DynamicObject, DecodeError> {
        let failed = |reason: &dyn ToString| DecodeError::new(&self.metadata.name, reason);
        let body = serde_json::from_slice(&self.stored).map_err(|error| failed(&error))?;
        DynamicObject::with_metadata(self.metadata.clone(), body)
    }

    /// Whether it has these labels and fields.
    #[must_use]
    pub fn is_selected(&self, labels: &LabelSelector, fields: &FieldSelector) -> bool {
        labels.matches(&self.metadata.labels) && (fields.is_everything() || self.has_fields(fields))
    }

    fn has_fields(&self, fields: &FieldSelector) -> bool {
        let tree = OnceCell::new();
        fields.matches(|path| match path {
            "metadata.name" => Some(Cow::Borrowed(self.metadata.name.as_str())),
            "metadata.namespace" => Some(Cow::Borrowed(self.metadata.namespace.as_str())),
            path => {
                let value = tree.get_or_init(|| self.to_dynamic().unwrap_or_default()).field(path)?;
                Some(Cow::Owned(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            }
        })
    }

    /// The bytes as they are stored, without `resourceVersion`.
    #[must_use]
    pub const fn stored(&self) -> &Bytes {
        &self.stored
    }
}

fn splice(stored: &Bytes, revision: Option<Revision>) -> Bytes {
    let (Some(revision), Some(rest)) = (revision, stored.strip_prefix(OPENING)) else {
        return stored.clone();
    };
    let field = format!("\"resourceVersion\":\"{revision}\",");
    [OPENING, field.as_bytes(), rest].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, TxnId};
    use serde_json::json;

    fn sample() -> Json {
        json!({
            "apiVersion": "g/v1", "kind": "Thing",
            "metadata": { "name": "a", "namespace": "n", "uid": "u", "labels": {"x": "y"}, "futureField": {"deep": [1]} },
            "spec": { "size": 18_446_744_073_709_551_615_u64, "unknown": null }, "status": { "state": "ready", "observedGeneration": 3 }, "data": "kept"
        })
    }

    fn entry(value: Value) -> Entry {
        let key = Key::new("g", "things", "n", "a").unwrap();
        Entry::created(key, value, Revision::new(42).unwrap(), TxnId::none(), "test".into())
    }

    #[test]
    fn t14_debug_of_an_object_shows_nothing_of_its_spec_in_any_form() {
        let json = serde_json::json!({
            "apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "b"},
            "spec": {"environment": {"DB_PASSWORD": "canary"}}
        });
        let object = DynamicObject::from_json(json).unwrap();
        let value = StoredObject::encode(&object).unwrap();
        let shown = format!("{object:?} {value:?}");
        assert!(!shown.contains("canary") && shown.contains("\"spec\"") && shown.contains("Json("), "{shown}");
    }

    #[test]
    fn unknown_fields_survive_a_round_trip_through_the_store() {
        let object = DynamicObject::from_json(sample()).unwrap();
        let entry = entry(StoredObject::encode(&object).unwrap());
        let stored = entry.object().unwrap();
        let mut expected = sample();
        expected["metadata"]["resourceVersion"] = json!("42");
        assert_eq!(serde_json::from_slice::<Json>(&stored.json()).unwrap(), expected);
        assert_eq!(stored.to_dynamic().unwrap().to_json(), expected);
        assert_eq!(stored.metadata.resource_version, Some(entry.revision));
    }

    #[test]
    fn fields_are_found_by_path() {
        let object = DynamicObject::from_json(sample()).unwrap();
        assert_eq!(object.field("status.state"), Some(json!("ready")));
        assert_eq!(object.field("metadata.labels.x"), Some(json!("y")));
        assert_eq!(object.field("spec.nothing.here"), None);
        for (path, expected) in [
            (".metadata.labels.x", vec![json!("y")]),
            (".metadata.futureField.deep[0]", vec![json!(1)]),
            (".status.state", vec![json!("ready")]),
            (".kind", vec![json!("Thing")]),
            (".data", vec![json!("kept")]),
            (".spec.nothing[0]", vec![]),
        ] {
            assert_eq!(object.find(&path.parse().unwrap()), expected, "{path}");
        }
        assert_eq!((object.state(), object.observed_generation()), (Some("ready"), 3));
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_path() {
        let cases = [
            (json!([1]), "expected a mapping, found a list"),
            (json!({"kind": "Thing"}), "apiVersion: missing"),
            (json!({"apiVersion": 1, "kind": "Thing"}), "apiVersion: expected text, found a number"),
            (json!({"apiVersion": "v1", "kind": "T", "metadata": {"labels": {"a": 1}}}), "metadata.labels.a"),
            (json!({"apiVersion": "v1", "kind": "T", "metadata": 3}), "metadata: expected a mapping"),
        ];
        for (json, expected) in cases {
            let message = DynamicObject::from_json(json).unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
    }

    #[test]
    fn a_corrupt_value_is_an_error_of_that_entry_alone() {
        for bytes in ["", "{}", "{\"metadata\":{\"name\":", "{\"metadata\":{\"name\":7}}", "garbage"] {
            assert!(entry(Value::json(bytes)).object().is_err(), "{bytes:?}");
        }
    }
}
