//! [`Resource`]: what controllers handle. [`Object`]: a resource of a kind that is defined by a Rust type.

use std::borrow::Cow;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{Conditions, DecodeError, DynamicObject, Entry, Error, Metadata, Result, Revision, Spec, Violations, kind};

/// Anything with metadata, a desired and an observed state: [`Object`] for kinds that are Rust types,
/// [`DynamicObject`] for all others.
///
/// ```
/// # use roa_core::Resource;
/// fn name<R: Resource>(object: &R) -> &str {
///     &object.metadata().name
/// }
/// ```
pub trait Resource: Clone + Debug + Send + Sync + 'static {
    /// The desired state.
    type Spec;
    /// The observed state.
    type Status;

    /// Its metadata.
    fn metadata(&self) -> &Metadata;

    /// The revision that wrote it: as its metadata say, perhaps without parsing them.
    fn revision(&self) -> Option<Revision> {
        self.metadata().resource_version
    }

    /// The desired state.
    fn spec(&self) -> &Self::Spec;

    /// The observed state.
    fn status(&self) -> &Self::Status;

    /// Its conditions, if the type keeps all that are stored.
    fn conditions(&self) -> Option<Cow<'_, Conditions>> {
        None
    }

    /// Says that it is as of `revision`: an object that left a selection is, when it left.
    fn set_revision(&mut self, revision: Revision);

    /// The resource in an entry.
    ///
    /// # Errors
    /// [`DecodeError`] if the entry holds none of this type.
    fn decode(entry: &Entry) -> Result<Self, DecodeError>;

    /// The resource of a tree.
    ///
    /// # Errors
    /// [`DecodeError`] if it is none of this type; it names the path.
    fn from_tree(tree: DynamicObject) -> Result<Self, DecodeError>;

    /// Writes what differs between `before` and `self` into the tree that is stored. Fields of the tree that the type
    /// does not know stay as they are.
    ///
    /// # Errors
    /// [`DecodeError`] if it can't be written as JSON.
    fn merge_into(&self, before: Option<&Self>, stored: DynamicObject) -> Result<DynamicObject, DecodeError>;
}

/// A resource whose kind is the Rust type `S`.
///
/// ```
/// # use roa_core::{Object, Spec};
/// fn with_label<S: Spec>(mut object: Object<S>, name: &str, value: &str) -> Object<S> {
///     object.metadata.labels.insert(name.to_owned(), value.to_owned());
///     object
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Object<S: Spec> {
    /// Name, labels, identity, times.
    pub metadata: Metadata,
    /// What is desired.
    pub spec: S,
    /// What is observed; the default until something was.
    pub status: S::Status,
}

#[derive(Deserialize)]
struct Wire<S, T> {
    metadata: Metadata,
    spec: S,
    #[serde(default)]
    status: Option<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireRef<'a, S, T> {
    metadata: &'a Metadata,
    api_version: String,
    kind: &'a str,
    spec: &'a S,
    status: &'a T,
}

impl<S: Spec> Object<S> {
    /// An object to be created; the namespace is empty for cluster scope.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, spec: S) -> Self {
        Self { metadata: Metadata::named(namespace, name), spec, status: S::Status::default() }
    }

    /// The same as a tree.
    ///
    /// # Errors
    /// [`DecodeError`] if it can't be written as JSON.
    pub fn to_dynamic(&self) -> Result<DynamicObject, DecodeError> {
        let failed = |reason: &dyn ToString| DecodeError::new(&self.metadata.name, reason);
        let tree = serde_json::to_value(self).map_err(|error| failed(&error))?;
        DynamicObject::from_json(tree)
    }

    /// The object of a tree.
    ///
    /// # Errors
    /// [`DecodeError`] if it is none of this kind; it names the path.
    pub fn from_dynamic(object: &DynamicObject) -> Result<Self, DecodeError> {
        let part = |name: &str| object.body.get(name).unwrap_or(&Json::Null);
        Ok(Self {
            metadata: object.metadata.clone(),
            spec: parse("spec", part("spec"))?,
            status: parse::<Option<S::Status>>("status", part("status"))?.unwrap_or_default(),
        })
    }

    /// Spec and status as they stand in a tree.
    fn body(&self) -> Result<Map<String, Json>, DecodeError> {
        let failed = |error: serde_json::Error| DecodeError::new(&self.metadata.name, &error);
        let (spec, status) = (serde_json::to_value(&self.spec), serde_json::to_value(&self.status));
        Ok([("spec".to_owned(), spec.map_err(failed)?), ("status".to_owned(), status.map_err(failed)?)]
            .into_iter()
            .collect())
    }
}

impl<S: Spec> Serialize for Object<S> {
    fn serialize<T: serde::Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let api_version = kind::api_version(S::GROUP, S::VERSION);
        WireRef { metadata: &self.metadata, api_version, kind: S::KIND, spec: &self.spec, status: &self.status }
            .serialize(serializer)
    }
}

impl<S: Spec> Resource for Object<S> {
    type Spec = S;
    type Status = S::Status;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn spec(&self) -> &S {
        &self.spec
    }

    fn status(&self) -> &S::Status {
        &self.status
    }

    fn conditions(&self) -> Option<Cow<'_, Conditions>> {
        S::conditions(&self.status).map(Cow::Borrowed)
    }

    fn set_revision(&mut self, revision: Revision) {
        self.metadata.resource_version = Some(revision);
    }

    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        let wire: Wire<S, S::Status> = match serde_json::from_slice(&entry.value.bytes) {
            Ok(wire) => wire,
            // Once more, to say where: to keep track of that costs more than the rest.
            Err(error) => return Err(located::<Wire<S, S::Status>>(entry, &error)),
        };
        let mut metadata = wire.metadata;
        metadata.resource_version = Some(entry.revision);
        Ok(Self { metadata, spec: wire.spec, status: wire.status.unwrap_or_default() })
    }

    fn from_tree(tree: DynamicObject) -> Result<Self, DecodeError> {
        Self::from_dynamic(&tree)
    }

    fn merge_into(&self, before: Option<&Self>, mut stored: DynamicObject) -> Result<DynamicObject, DecodeError> {
        let before = before.map(Self::body).transpose()?.unwrap_or_default();
        merge_maps(&before, &self.body()?, &mut stored.body);
        stored.metadata.clone_from(&self.metadata);
        Ok(stored)
    }
}

impl Resource for DynamicObject {
    type Spec = Json;
    type Status = Json;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn spec(&self) -> &Json {
        self.body.get("spec").unwrap_or(&Json::Null)
    }

    fn status(&self) -> &Json {
        self.body.get("status").unwrap_or(&Json::Null)
    }

    fn conditions(&self) -> Option<Cow<'_, Conditions>> {
        Some(Cow::Owned(self.conditions()))
    }

    fn set_revision(&mut self, revision: Revision) {
        self.metadata.resource_version = Some(revision);
    }

    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        entry.object().map_err(Clone::clone)?.to_dynamic()
    }

    fn from_tree(tree: DynamicObject) -> Result<Self, DecodeError> {
        Ok(tree)
    }

    fn merge_into(&self, _before: Option<&Self>, _stored: Self) -> Result<Self, DecodeError> {
        Ok(self.clone())
    }
}

/// What is wrong with an entry, and where.
fn located<T: serde::de::DeserializeOwned>(entry: &Entry, error: &serde_json::Error) -> DecodeError {
    let mut json = serde_json::Deserializer::from_slice(&entry.value.bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(located) => DecodeError::new(&entry.key, &format!("{}: {}", located.path(), located.inner())),
        // Nothing but what comes after the object.
        Ok(_) => DecodeError::new(&entry.key, error),
    }
}

/// A three-way merge: what `after` changed against `before` is changed in `stored`, all else stays.
fn merge_maps(before: &Map<String, Json>, after: &Map<String, Json>, stored: &mut Map<String, Json>) {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        stored.remove(name);
    }
    for (name, after) in after {
        match (before.get(name), after, stored.get_mut(name)) {
            (Some(before), after, _) if before == after => {}
            (before, Json::Object(after), Some(Json::Object(stored))) => {
                let nothing = Map::new();
                merge_maps(before.and_then(Json::as_object).unwrap_or(&nothing), after, stored);
            }
            _ => {
                stored.insert(name.clone(), after.clone());
            }
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(root: &str, json: &Json) -> Result<T, DecodeError> {
    // Once more if it fails, to say where: to keep track of that costs more than the rest.
    T::deserialize(json).or_else(|_| serde_path_to_error::deserialize(json)).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => root.to_owned(),
            path => format!("{root}.{path}"),
        };
        DecodeError::new(&path, error.inner())
    })
}

/// What is wrong with an object of the kind `S`: its types, and its own rules.
pub(crate) fn validate<S: Spec>(object: &DynamicObject, old: Option<&DynamicObject>) -> Violations {
    let parsed = match Object::<S>::from_dynamic(object) {
        Ok(parsed) => parsed,
        Err(error) => return Violations::one(error.subject.to_string(), error.reason.to_string()),
    };
    let mut found = parsed.spec.validate();
    if let Some(old) = old.and_then(|old| Object::<S>::from_dynamic(old).ok()) {
        found.merge(parsed.spec.validate_update(&old.spec));
    }
    found.nested("spec")
}

/// The fields of an object that the kind `S` does not have.
pub(crate) fn unknown_fields<S: Spec>(object: &DynamicObject) -> Vec<String> {
    let top = object.body.keys().filter(|name| !matches!(name.as_str(), "spec" | "status"));
    let metadata = object.other_metadata.keys().map(|name| format!("metadata.{name}"));
    let mut unknown: Vec<String> = top.cloned().chain(metadata).collect();
    let mut ignored = |root: &str, path: &serde_ignored::Path<'_>| unknown.push(format!("{root}.{path}"));
    // A spec or status of a wrong type is reported by `validate`; here only names count.
    if let Some(spec) = object.spec() {
        let _ = serde_ignored::deserialize::<_, _, S>(spec, |path| ignored("spec", &path));
    }
    if let Some(status) = object.status() {
        let _ = serde_ignored::deserialize::<_, _, Option<S::Status>>(status, |path| ignored("status", &path));
    }
    unknown.iter().map(|path| path.replace(".?", "")).collect()
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::corrupt(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Revision, Scope, StoredObject, TxnId};
    use serde_json::json;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Thing {
        size: u32,
        #[serde(default)]
        inner: Inner,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }

    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    struct Inner {
        #[serde(default)]
        name: String,
    }

    impl Spec for Thing {
        type Status = Inner;
        const GROUP: &'static str = "g";
        const VERSION: &'static str = "v1";
        const KIND: &'static str = "Thing";
        const PLURAL: &'static str = "things";
        const SCOPE: Scope = Scope::Namespaced;

        fn validate(&self) -> Violations {
            Violations::unless(self.size > 0, "size", "must be positive")
        }

        fn schema() -> Option<Json> {
            panic!("a schema takes long to make: once for each kind, and not for each object")
        }
    }

    #[test]
    fn what_costs_much_of_a_kind_is_not_made_for_each_object() {
        let thing = Object::<Thing>::from_dynamic(&tree()).unwrap();
        assert_eq!(thing.to_dynamic().unwrap().api_version, "g/v1");
    }

    fn tree() -> DynamicObject {
        let json = json!({
            "apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "n", "extra": 1},
            "spec": {"size": 1, "note": "x", "future": {"a": 1}, "inner": {"name": "i", "future": 2}}, "data": 7
        });
        DynamicObject::from_json(json).unwrap()
    }

    #[test]
    fn a_typed_write_keeps_fields_that_the_type_does_not_know() {
        let stored = tree();
        let before = Object::<Thing>::from_dynamic(&stored).unwrap();
        let mut after = before.clone();
        after.spec.size = 9;
        after.spec.note = None;
        after.spec.inner.name = "j".into();
        let merged = after.merge_into(Some(&before), stored).unwrap();
        let expected = json!({"size": 9, "future": {"a": 1}, "inner": {"name": "j", "future": 2}});
        assert_eq!(merged.body["spec"], expected);
        assert_eq!((&merged.body["data"], &merged.other_metadata["extra"]), (&json!(7), &json!(1)));
    }

    #[test]
    fn a_stored_entry_decodes_with_its_revision() {
        let key = Key::new("g", "things", "n", "a").unwrap();
        let value = StoredObject::encode(&tree()).unwrap();
        let entry = Entry::created(key, value, Revision::new(7).unwrap(), TxnId::none(), "t".into());
        let thing = Object::<Thing>::decode(&entry).unwrap();
        assert_eq!((thing.spec.size, thing.metadata.resource_version), (1, Some(entry.revision)));
        assert_eq!(DynamicObject::decode(&entry).unwrap().metadata.resource_version, Some(entry.revision));
    }

    #[test]
    fn wrong_types_broken_rules_and_unknown_fields_are_named_with_their_paths() {
        let mut object = tree();
        assert_eq!(unknown_fields::<Thing>(&object), ["data", "metadata.extra", "spec.future", "spec.inner.future"]);
        object.body["spec"]["size"] = json!(0);
        assert!(validate::<Thing>(&object, None).to_string().contains("spec.size: must be positive"));
        object.body["spec"]["size"] = json!("many");
        assert!(validate::<Thing>(&object, None).to_string().contains("spec.size: invalid type: string"));
        object.body.remove("spec");
        assert!(validate::<Thing>(&object, None).to_string().contains("spec"));
    }
}
