//! The few objects that clients send in Kubernetes' protobuf encoding, and in nothing else if that is refused.

use serde_json::{Map, Value as Json, json};

/// The media type.
pub(crate) const MEDIA: &str = "application/vnd.kubernetes.protobuf";
/// What each message begins with.
const MAGIC: &[u8] = b"k8s\0";

/// A field of a message: its number, its name in JSON, and what it holds.
type Field = (u64, &'static str, Holds);

/// What a field holds.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    Texts,
    Number,
    Flag,
    Message(&'static [Field]),
    Messages(&'static [Field]),
    /// Text by text.
    Map,
    /// Seconds and nanoseconds; told to the second.
    Time,
    /// The same, told to the microsecond.
    MicroTime,
}

use Holds::{Flag, Message, Messages, MicroTime, Number, Text, Texts, Time};

const OWNER: &[Field] = &[
    (5, "apiVersion", Text),
    (1, "kind", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (6, "controller", Flag),
    (7, "blockOwnerDeletion", Flag),
];
const METADATA: &[Field] = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (5, "uid", Text),
    (6, "resourceVersion", Text),
    (11, "labels", Holds::Map),
    (12, "annotations", Holds::Map),
    (13, "ownerReferences", Messages(OWNER)),
    (14, "finalizers", Texts),
];
const RESOURCE_ATTRIBUTES: &[Field] = &[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
];
const ACCESS: &[Field] = &[
    (1, "resourceAttributes", Message(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Message(&[(1, "path", Text), (2, "verb", Text)])),
];
const LEASE: &[Field] = &[
    (1, "holderIdentity", Text),
    (2, "leaseDurationSeconds", Number),
    (3, "acquireTime", MicroTime),
    (4, "renewTime", MicroTime),
    (5, "leaseTransitions", Number),
];
const REFERENCE: &[Field] = &[
    (1, "kind", Text),
    (2, "namespace", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "resourceVersion", Text),
    (7, "fieldPath", Text),
];
const EVENT: &[Field] = &[
    (1, "metadata", Message(METADATA)),
    (2, "involvedObject", Message(REFERENCE)),
    (3, "reason", Text),
    (4, "message", Text),
    (5, "source", Message(&[(1, "component", Text), (2, "host", Text)])),
    (6, "firstTimestamp", Time),
    (7, "lastTimestamp", Time),
    (8, "count", Number),
    (9, "type", Text),
    (10, "eventTime", MicroTime),
    (11, "series", Message(&[(1, "count", Number), (2, "lastObservedTime", MicroTime)])),
    (12, "action", Text),
    (13, "related", Message(REFERENCE)),
    (14, "reportingComponent", Text),
    (15, "reportingInstance", Text),
];

const RULE: &[Field] = &[
    (1, "verbs", Texts),
    (2, "apiGroups", Texts),
    (3, "resources", Texts),
    (4, "resourceNames", Texts),
    (5, "nonResourceURLs", Texts),
];
const SELECTOR: &[Field] = &[
    (1, "matchLabels", Holds::Map),
    (2, "matchExpressions", Messages(&[(1, "key", Text), (2, "operator", Text), (3, "values", Texts)])),
];
const ROLE: &[Field] = &[
    (1, "metadata", Message(METADATA)),
    (2, "rules", Messages(RULE)),
    (3, "aggregationRule", Message(&[(1, "clusterRoleSelectors", Messages(SELECTOR))])),
];
const BINDING: &[Field] = &[
    (1, "metadata", Message(METADATA)),
    (2, "subjects", Messages(&[(1, "kind", Text), (2, "apiGroup", Text), (3, "name", Text), (4, "namespace", Text)])),
    (3, "roleRef", Message(&[(1, "apiGroup", Text), (2, "kind", Text), (3, "name", Text)])),
];

/// The fields of a kind.
fn fields(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    Some(match (api_version, kind) {
        ("v1", "Namespace") => &[(1, "metadata", Message(METADATA))],
        ("v1", "Event") => EVENT,
        ("coordination.k8s.io/v1", "Lease") => &[(1, "metadata", Message(METADATA)), (2, "spec", Message(LEASE))],
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => {
            &[(1, "metadata", Message(METADATA)), (2, "spec", Message(ACCESS))]
        }
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => {
            &[(1, "metadata", Message(METADATA)), (2, "spec", Message(&[(1, "namespace", Text)]))]
        }
        ("rbac.authorization.k8s.io/v1", "Role" | "ClusterRole") => ROLE,
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => BINDING,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => &[(1, "metadata", Message(METADATA))],
        _ => return None,
    })
}

/// The object of a message.
///
/// # Errors
/// What is wrong: no message, one that is cut off, or of a kind that is not taken so.
pub(crate) fn decode(bytes: &[u8]) -> Result<Json, String> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or("the body is no message of Kubernetes' protobuf encoding")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    each_field(envelope, |number, value| {
        match (number, value) {
            (1, Wire::Bytes(meta)) => each_field(meta, |number, value| {
                match (number, value) {
                    (1, Wire::Bytes(text)) => api_version = utf8(text)?,
                    (2, Wire::Bytes(text)) => kind = utf8(text)?,
                    _ => {}
                }
                Ok(())
            })?,
            (2, Wire::Bytes(object)) => raw = object,
            _ => {}
        }
        Ok(())
    })?;
    let fields = fields(&api_version, &kind)
        .ok_or_else(|| format!("{api_version} {kind} is not taken as protobuf: send it as application/json"))?;
    let mut object = message(raw, fields)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Json::Object(object))
}

fn message(bytes: &[u8], fields: &[Field]) -> Result<Map<String, Json>, String> {
    let mut object = Map::new();
    each_field(bytes, |number, value| {
        let Some((_, name, holds)) = fields.iter().find(|(known, ..)| *known == number) else { return Ok(()) };
        put(&mut object, name, *holds, value)
    })?;
    Ok(object)
}

/// Puts a field into its object. A number or text of nothing counts as absent, as Go encodes it.
fn put(object: &mut Map<String, Json>, name: &str, holds: Holds, value: Wire<'_>) -> Result<(), String> {
    let value = match (holds, value) {
        (Text, Wire::Bytes(text)) => json!(utf8(text)?),
        (Flag, Wire::Number(number)) => json!(number != 0),
        (Number, Wire::Number(number)) => json!(number.cast_signed()),
        (Message(fields), Wire::Bytes(inner)) => Json::Object(message(inner, fields)?),
        (Time, Wire::Bytes(inner)) => return time(inner, false).map(|time| insert(object, name, time)),
        (MicroTime, Wire::Bytes(inner)) => return time(inner, true).map(|time| insert(object, name, time)),
        (Texts, Wire::Bytes(text)) => return append(object, name, json!(utf8(text)?)),
        (Messages(fields), Wire::Bytes(inner)) => return append(object, name, Json::Object(message(inner, fields)?)),
        (Holds::Map, Wire::Bytes(inner)) => {
            let entry = message(inner, &[(1, "key", Text), (2, "value", Text)])?;
            let text = |field: &str| entry.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
            if let Json::Object(map) = object.entry(name.to_owned()).or_insert_with(|| json!({})) {
                map.insert(text("key"), json!(text("value")));
            }
            return Ok(());
        }
        _ => return Err(format!("the field {name} of a message is of another type than expected")),
    };
    insert(object, name, value);
    Ok(())
}

fn insert(object: &mut Map<String, Json>, name: &str, value: Json) {
    let is_nothing = value.is_null() || value.as_str().is_some_and(str::is_empty) || value.as_i64() == Some(0);
    if !is_nothing {
        object.insert(name.to_owned(), value);
    }
}

fn append(object: &mut Map<String, Json>, name: &str, value: Json) -> Result<(), String> {
    if let Json::Array(list) = object.entry(name.to_owned()).or_insert_with(|| json!([])) {
        list.push(value);
    }
    Ok(())
}

fn time(bytes: &[u8], microseconds: bool) -> Result<Json, String> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, Wire::Number(found)) => seconds = found.cast_signed(),
            (2, Wire::Number(found)) => nanoseconds = found,
            _ => {}
        }
        Ok(())
    })?;
    // A time of nothing is Go's zero time: it stands for none.
    let Some(time) = roa_core::Timestamp::from_unix_seconds(seconds).filter(|_| seconds > 0) else {
        return Ok(Json::Null);
    };
    let text = time.to_string();
    let whole = text.split(['.', 'Z']).next().unwrap_or_default();
    Ok(json!(if microseconds { format!("{whole}.{:06}Z", nanoseconds / 1000) } else { format!("{whole}Z") }))
}

/// A field's value as it stands in a message.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A fixed width that nothing here uses.
    Other,
}

fn each_field<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u64, Wire<'a>) -> Result<(), String>,
) -> Result<(), String> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => cut(&mut bytes, 8).map(|_| Wire::Other)?,
            2 => {
                let length = varint(&mut bytes)?;
                Wire::Bytes(cut(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            5 => cut(&mut bytes, 4).map(|_| Wire::Other)?,
            other => return Err(format!("a message has a field of the unknown wire type {other}")),
        };
        take(tag >> 3, value)?;
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("a message is cut off")?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a message has a number that is too long".to_owned())
}

fn cut<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (first, rest) = bytes.split_at_checked(length).ok_or("a message is cut off")?;
    *bytes = rest;
    Ok(first)
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a message has text that is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(inner.len()).unwrap()];
        bytes.extend(inner);
        bytes
    }

    fn envelope(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, object)].concat()
    }

    #[test]
    fn a_namespace_is_read() {
        let label = [field(1, b"team"), field(2, b"blue")].concat();
        let metadata = [field(1, b"school"), field(11, &label)].concat();
        let object = decode(&envelope("v1", "Namespace", &field(1, &metadata))).unwrap();
        let expected = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "school", "labels": {"team": "blue"}}});
        assert_eq!(object, expected);
    }

    #[test]
    fn a_lease_keeps_its_microseconds() {
        let time = vec![0x08, 0x80, 0x80, 0x80, 0x80, 0x06, 0x10, 0xc0, 0x84, 0x3d];
        let spec = [field(1, b"me"), vec![0x10, 15], field(4, &time)].concat();
        let object = decode(&envelope("coordination.k8s.io/v1", "Lease", &field(2, &spec))).unwrap();
        assert_eq!(object["spec"]["leaseDurationSeconds"], 15);
        assert_eq!(object["spec"]["renewTime"], "2021-01-14T08:25:36.001000Z");
    }

    #[test]
    fn other_kinds_say_what_to_send_instead() {
        let message = decode(&envelope("v1", "Pod", b"")).unwrap_err();
        assert!(message.contains("v1 Pod") && message.contains("application/json"), "{message}");
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[MAGIC, &bytes].concat());
            let _ = decode(&envelope("v1", "Event", &bytes[..bytes.len().min(100)]));
        }
    }
}
