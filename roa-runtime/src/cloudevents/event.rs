//! [`CloudEvent`]: one event, in the structured mode of CloudEvents 1.0.

use bytes::Bytes;
use roa_core::{ChangeKind, DecodeError, DynamicObject, Key, Timestamp, WatchEvent};
use serde::Serialize;
use serde_json::Value as Json;

/// One event, as the format of CloudEvents 1.0 for JSON writes it. Each has its attributes and the whole object.
///
/// An event that is told again, as after a restart, has the same `source` and `id`: that is how a receiver recognises it.
///
/// ```
/// # use roa_core::{DecodeError, DynamicObject, WatchEvent};
/// # use roa_runtime::CloudEvent;
/// fn line(event: &WatchEvent<DynamicObject>) -> Result<bytes::Bytes, DecodeError> {
///     Ok(CloudEvent::of("/roa/main", event)?.to_json())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: &'static str,
    /// The object's uid and its revision.
    pub id: String,
    /// Which store: an URI reference.
    pub source: String,
    /// What happened, such as `dev.roa.resource.modified`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Which object: its key.
    pub subject: String,
    /// When it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Always `application/json`.
    pub datacontenttype: &'static str,
    /// The object, as it is after the event; one that is gone, as it last was.
    pub data: Json,
}

impl CloudEvent {
    /// The media type of [`CloudEvent::to_json`].
    pub const CONTENT_TYPE: &'static str = "application/cloudevents+json; charset=UTF-8";

    /// The event of a change.
    ///
    /// # Errors
    /// [`DecodeError`] if the object can't be read.
    pub fn of(source: impl Into<String>, event: &WatchEvent<DynamicObject>) -> Result<Self, DecodeError> {
        let object = event.object.as_ref().map_err(Clone::clone)?;
        let metadata = &object.metadata;
        let revision = metadata.resource_version.map(|revision| revision.to_string()).unwrap_or_default();
        Ok(Self {
            specversion: "1.0",
            id: format!("{}.{revision}", metadata.uid),
            source: source.into(),
            kind: match event.change {
                ChangeKind::Added => "dev.roa.resource.added",
                ChangeKind::Modified => "dev.roa.resource.modified",
                ChangeKind::Deleted => "dev.roa.resource.deleted",
            },
            subject: subject(&event.key),
            time: metadata.last_modified.or(metadata.creation_timestamp),
            datacontenttype: "application/json",
            data: object.to_json(),
        })
    }

    /// The event in structured mode.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        // All keys are text and no number is special: writing it as JSON has no way to fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// `group/resource/namespace/name`, without what is empty.
fn subject(key: &Key) -> String {
    let segments = [key.group(), key.resource(), key.namespace(), key.name()];
    segments.into_iter().filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::Revision;
    use serde_json::json;
    use std::sync::Arc;

    fn event(change: ChangeKind) -> WatchEvent<DynamicObject> {
        let object = json!({
            "apiVersion": "lab.example.com/v1", "kind": "Lab", "spec": {"size": 1},
            "metadata": {"name": "one", "namespace": "school", "uid": "u-1", "lastModified": "2027-01-01T00:00:00.500000Z"},
        });
        let mut object = DynamicObject::from_json(object).unwrap();
        object.metadata.resource_version = Some(Revision::new(7).unwrap());
        let key = Key::new("lab.example.com", "labs", "school", "one").unwrap();
        WatchEvent { change, key, object: Ok(Arc::new(object)) }
    }

    #[test]
    fn it_is_what_the_specification_asks_for() {
        let event = CloudEvent::of("/roa/test", &event(ChangeKind::Modified)).unwrap();
        let json: Json = serde_json::from_slice(&event.to_json()).unwrap();
        let data = json["data"].clone();
        assert_eq!((data["metadata"]["name"].as_str(), data["spec"]["size"].as_u64()), (Some("one"), Some(1)));
        let expected = json!({
            "specversion": "1.0",
            "id": "u-1.7",
            "source": "/roa/test",
            "type": "dev.roa.resource.modified",
            "subject": "lab.example.com/labs/school/one",
            "time": "2027-01-01T00:00:00.500000Z",
            "datacontenttype": "application/json",
            "data": data,
        });
        assert_eq!(json, expected);
        for name in json.as_object().unwrap().keys() {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) && name.len() <= 20, "{name}");
        }
    }

    #[test]
    fn each_change_has_a_type_of_its_own() {
        let kinds = [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted]
            .map(|change| CloudEvent::of("/", &event(change)).unwrap().kind);
        assert_eq!(kinds, ["dev.roa.resource.added", "dev.roa.resource.modified", "dev.roa.resource.deleted"]);
    }
}
