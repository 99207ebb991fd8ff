//! `roa history`: what happened to an object, by time: how its state went, and its events.

use roa_core::Timestamp;
use serde_json::Value as Json;

use super::happened::events;
use crate::cli::{HistoryArgs, LogArgs};
use crate::client::{Client, Form, one, with_client};
use crate::report::Failure;
use crate::show::{Table, note, say};

/// Fields of an entry of `status.history` that say when it happened.
const TIMES: [&str; 4] = ["time", "at", "timestamp", "lastTransitionTime"];

/// Prints to stdout, the oldest first.
///
/// # Errors
/// There is no such object.
pub(crate) fn run(args: &HistoryArgs, log: &LogArgs) -> Result<(), Failure> {
    with_client(&args.access, log, async |client| history(client, args).await)
}

/// One thing that happened.
struct Entry {
    time: Option<Timestamp>,
    what: &'static str,
    reason: String,
    details: String,
}

async fn history(client: &Client, args: &HistoryArgs) -> anyhow::Result<()> {
    let (kind, name) = one(client, &args.object).await?;
    let namespace = client.namespace(args.place.namespace.as_deref());
    let object = client.get(&kind, namespace, &name, Form::Object).await?;
    let mut entries = own(&object);
    entries.extend(events(client, &object).await?.into_iter().map(|event| {
        let times = if event.count > 1 { format!(" ({} times)", event.count) } else { String::new() };
        let what = if event.kind == "Warning" { "warning" } else { "event" };
        Entry { time: event.time, what, reason: event.reason, details: format!("{}{times}", event.message) }
    }));
    // Sorting keeps the order of what has one time: states come before events about them.
    entries.sort_by_key(|entry| entry.time);
    if entries.is_empty() {
        note(&format!("nothing is recorded of {}", kind.short_object(&name)));
        return Ok(());
    }
    let row = |entry: Entry| {
        let time = entry.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        vec![time, entry.what.to_owned(), entry.reason, entry.details]
    };
    let rows: Vec<_> = entries.into_iter().map(row).collect();
    Table::of_text(&["TIME", "WHAT", "REASON", "DETAILS"]).lines(&rows).iter().try_for_each(|line| say(line))
}

/// When it was made, how its state went, and when it was deleted.
fn own(object: &Json) -> Vec<Entry> {
    let metadata = |field: &str| object["metadata"][field].as_str().and_then(|time| time.parse().ok());
    let mark = |time, reason: &str| Entry { time, what: "object", reason: reason.to_owned(), details: String::new() };
    let mut entries = vec![mark(metadata("creationTimestamp"), "Created")];
    let history = object["status"]["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.extend(history.iter().map(state));
    let deleted: Option<Timestamp> = metadata("deletionTimestamp");
    entries.extend(deleted.map(|time| mark(Some(time), "Deleted")));
    entries
}

/// An entry of `status.history`, whose fields are its kind's own.
fn state(entry: &Json) -> Entry {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let time = TIMES.iter().find_map(|name| entry[*name].as_str()?.parse().ok());
    let details = match (text("from"), text("to")) {
        (from, to) if !from.is_empty() && !to.is_empty() => format!("{from} -> {to}"),
        (_, to) if !to.is_empty() => to,
        _ => others(entry),
    };
    Entry { time, what: "state", reason: text("reason"), details }
}

fn others(entry: &Json) -> String {
    let fields = entry.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !TIMES.contains(&name.as_str()) && *name != "reason");
    fields
        .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn states_and_marks_of_an_object_are_entries() {
        let object = json!({
            "metadata": {"creationTimestamp": "2027-01-01T00:00:00Z"},
            "status": {"history": [
                {"to": "Pending", "time": "2027-01-01T00:00:01Z", "reason": "New"},
                {"from": "Pending", "to": "Ready", "time": "2027-01-01T00:00:02Z", "reason": "Up"},
                {"at": "2027-01-01T00:00:03Z", "size": 3, "reason": "Grown"},
            ]},
        });
        let told: Vec<_> = own(&object).into_iter().map(|entry| (entry.reason, entry.details)).collect();
        let expected = [("Created", ""), ("New", "Pending"), ("Up", "Pending -> Ready"), ("Grown", "size=3")];
        assert_eq!(told, expected.map(|(reason, details)| (reason.to_owned(), details.to_owned())));
    }
}
