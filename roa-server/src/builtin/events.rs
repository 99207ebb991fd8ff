//! Events under two groups: one store, two sets of names.

use roa_core::{DynamicObject, KindDescriptor};
use serde_json::{Map, Value as Json};

/// The newer group of events.
pub(crate) const EVENTS_GROUP: &str = "events.k8s.io";

/// The fields that have another name there: as stored, and as in the newer group.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("reportingComponent", "reportingController"),
];
/// The version under which all of them are stored.
const STORED_VERSION: &str = "v1";

/// Whether a kind is that of events.
pub(crate) fn is_event(kind: &KindDescriptor) -> bool {
    kind.group.is_empty() && &*kind.plural == "events"
}

/// An event of the newer group as it is stored.
pub(crate) fn to_stored(mut object: DynamicObject) -> DynamicObject {
    object.api_version = STORED_VERSION.to_owned();
    rename(&mut object.body, |(stored, shown)| (shown, stored));
    object
}

/// A stored event as the newer group shows it.
pub(crate) fn from_stored(mut object: DynamicObject) -> DynamicObject {
    object.api_version = format!("{EVENTS_GROUP}/v1");
    rename(&mut object.body, |(stored, shown)| (stored, shown));
    object
}

fn rename<'a>(body: &mut Map<String, Json>, direction: impl Fn((&'a str, &'a str)) -> (&'a str, &'a str)) {
    for (from, to) in NAMES.map(direction) {
        if let Some(value) = body.remove(from) {
            body.insert(to.to_owned(), value);
        }
    }
}

/// A path of a field selector as it is stored.
pub(crate) fn stored_path(path: &str) -> String {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let first = NAMES.iter().find(|(_, shown)| *shown == first).map_or(first, |(stored, _)| stored);
    rest.map_or_else(|| first.to_owned(), |rest| format!("{first}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_goes_there_and_back() {
        let stored = DynamicObject::from_json(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "a.1", "namespace": "n" },
            "involvedObject": { "kind": "Lab", "name": "a" }, "message": "said", "count": 3, "reason": "Said",
            "eventTime": "2027-01-02T03:04:05.000006Z", "reportingComponent": "me",
        }))
        .unwrap();
        let shown = from_stored(stored.clone());
        assert_eq!(shown.api_version, "events.k8s.io/v1");
        assert_eq!(
            (shown.body["note"].clone(), shown.body["regarding"]["kind"].clone()),
            (json!("said"), json!("Lab"))
        );
        assert_eq!(to_stored(shown), stored);
    }

    #[test]
    fn selectors_of_both_groups_find_the_same() {
        assert_eq!(stored_path("regarding.name"), "involvedObject.name");
        assert_eq!(stored_path("involvedObject.name"), "involvedObject.name");
        assert_eq!(stored_path("reportingController"), "reportingComponent");
        assert_eq!(stored_path("reason"), "reason");
    }
}
