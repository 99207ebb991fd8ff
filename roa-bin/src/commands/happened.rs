//! What happened to an object: its events, as they were recorded.

use roa_core::Timestamp;
use serde_json::Value as Json;

use crate::client::{Client, ClientError, Form, Selectors};

/// Something that happened, perhaps more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happened {
    /// The last time.
    pub(super) time: Option<Timestamp>,
    /// `Normal` or `Warning`.
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) message: String,
    /// Who says so.
    pub(super) source: String,
    pub(super) count: u64,
}

/// The events of an object, the oldest first; what is said again and again is there once.
///
/// # Errors
/// The server refuses.
pub(super) async fn events(client: &Client, object: &Json) -> Result<Vec<Happened>, ClientError> {
    let metadata = &object["metadata"];
    let Some(kind) = client.kinds().await?.iter().find(|kind| kind.kind == "Event" && kind.group.is_empty()) else {
        return Ok(Vec::new());
    };
    let selectors = match metadata["uid"].as_str() {
        Some(uid) => Selectors { labels: None, fields: Some(format!("involvedObject.uid={uid}")) },
        None => return Ok(Vec::new()),
    };
    // What is of the cluster has its events in the default namespace.
    let namespace = metadata["namespace"].as_str();
    let listed = client.list(kind, namespace, &selectors, Form::Object).await?;
    Ok(merge(listed.items.iter().map(read)))
}

fn read(event: &Json) -> Happened {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["firstTimestamp"],
        &event["metadata"]["creationTimestamp"],
    ];
    let time = times.iter().find_map(|time| time.as_str()?.parse().ok());
    let source = match text("reportingComponent") {
        own if own.is_empty() => event["source"]["component"].as_str().unwrap_or_default().to_owned(),
        own => own,
    };
    let count = event["series"]["count"].as_u64().or_else(|| event["count"].as_u64()).unwrap_or(1);
    Happened { time, kind: text("type"), reason: text("reason"), message: text("message"), source, count }
}

fn merge(events: impl Iterator<Item = Happened>) -> Vec<Happened> {
    let mut merged: Vec<Happened> = Vec::new();
    for event in events {
        let same = |known: &&mut Happened| {
            (&known.kind, &known.reason, &known.message, &known.source)
                == (&event.kind, &event.reason, &event.message, &event.source)
        };
        match merged.iter_mut().find(same) {
            Some(known) => {
                known.count += event.count;
                known.time = known.time.max(event.time);
            }
            None => merged.push(event),
        }
    }
    merged.sort_by_key(|event| event.time);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_said_again_is_there_once_with_its_last_time() {
        let event = |time: &str, count: u64, message: &str| {
            read(&json!({"type": "Normal", "reason": "R", "message": message, "count": count, "lastTimestamp": time,
                "reportingComponent": "c"}))
        };
        let events = [
            event("2027-01-01T00:00:03Z", 2, "a"),
            event("2027-01-01T00:00:01Z", 1, "b"),
            event("2027-01-01T00:00:09Z", 3, "a"),
        ];
        let merged = merge(events.into_iter());
        let told: Vec<_> = merged.iter().map(|event| (event.message.as_str(), event.count)).collect();
        assert_eq!(told, [("b", 1), ("a", 5)]);
        assert_eq!(merged[1].time.unwrap().to_string(), "2027-01-01T00:00:09Z");
    }
}
