//! `roa describe`: all about an object, in sections.

use roa_core::Timestamp;
use serde_json::Value as Json;

use super::happened::{Happened, events};
use crate::cli::{DescribeArgs, LogArgs};
use crate::client::{Chosen, Client, ClientError, Form, Kind, Selectors, choose, with_client};
use crate::report::Failure;
use crate::show::{Align, BOLD, Table, age, redact, safe, say, since, tree};

/// Annotations that repeat the object.
const ECHOES: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];
/// What is shown besides sections of the object's own.
const COMMON: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// Prints to stdout.
///
/// # Errors
/// There is no such object.
pub(crate) fn run(args: &DescribeArgs, log: &LogArgs) -> Result<(), Failure> {
    with_client(&args.access, log, async |client| {
        let namespace = client.namespace(args.place.namespace.as_deref());
        let mut first = true;
        for Chosen { kind, names } in choose(client, &args.objects).await? {
            let names = if names.is_empty() { all(client, &kind, namespace).await? } else { names };
            for name in names {
                if !std::mem::take(&mut first) {
                    say("")?;
                }
                let object = client.get(&kind, namespace, &name, Form::Object).await?;
                describe(client, &kind, object).await?.iter().try_for_each(|line| say(line))?;
            }
        }
        Ok(())
    })
}

async fn all(client: &Client, kind: &Kind, namespace: &str) -> Result<Vec<String>, ClientError> {
    let listed = client.list(kind, Some(namespace), &Selectors::default(), Form::Metadata).await?;
    if listed.items.is_empty() {
        let what = format!("{} in namespace {namespace}", kind.plural);
        return Err(ClientError::NotFound { what, hint: None });
    }
    Ok(listed.items.iter().filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

async fn describe(client: &Client, kind: &Kind, mut object: Json) -> Result<Vec<String>, ClientError> {
    let now = client.clock().now();
    let owned = owned(client, kind, &object).await?;
    let events = events(client, &object).await?;
    redact(&mut object);
    let mut lines = head(kind, &object, now);
    for (name, value) in object.as_object().into_iter().flatten().filter(|(name, _)| !COMMON.contains(&name.as_str())) {
        lines.push(title(&capitalised(name)));
        lines.extend(tree(value, 2));
    }
    lines.extend(conditions(&object["status"], now));
    lines.extend(status(object["status"].take()));
    if !owned.is_empty() {
        lines.push(title("Owns"));
        lines.extend(owned.iter().map(|one| format!("  {}", safe(one))));
    }
    lines.extend(happened(&events, now));
    Ok(lines)
}

fn title(text: &str) -> String {
    format!("{BOLD}{text}:{BOLD:#}")
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Name, place, labels, age, owners, finalizers.
fn head(kind: &Kind, object: &Json, now: Timestamp) -> Vec<String> {
    let metadata = &object["metadata"];
    let text = |name: &str| safe(metadata[name].as_str().unwrap_or_default()).into_owned();
    let mut fields = vec![("Name", text("name"))];
    if kind.namespaced {
        fields.push(("Namespace", text("namespace")));
    }
    fields.push(("Kind", format!("{} ({})", kind.kind, kind.api_version())));
    fields.extend(pairs("Labels", &metadata["labels"]));
    fields.extend(pairs("Annotations", &metadata["annotations"]));
    fields.push(("Created", since(&text("creationTimestamp"), now)));
    if metadata["deletionTimestamp"].is_string() {
        fields.push(("Deleted", since(&text("deletionTimestamp"), now)));
    }
    fields.push(("UID", text("uid")));
    if let Some(generation) = metadata["generation"].as_u64() {
        let seen = object["status"]["observedGeneration"].as_u64().filter(|seen| *seen != generation);
        let seen = seen.map(|seen| format!(", {seen} observed")).unwrap_or_default();
        fields.push(("Generation", format!("{generation}{seen}")));
    }
    for owner in array(&metadata["ownerReferences"]) {
        let text = |name: &str| owner[name].as_str().unwrap_or_default();
        let controls = if owner["controller"] == true { ", its controller" } else { "" };
        fields.push(("Owner", safe(&format!("{}/{}{controls}", text("kind"), text("name"))).into_owned()));
    }
    for finalizer in array(&metadata["finalizers"]) {
        // How long it keeps the object from going is how long that was asked for.
        let asked: Option<Timestamp> = metadata["deletionTimestamp"].as_str().and_then(|time| time.parse().ok());
        let waiting = asked.map(|asked| format!(", for {}", age(asked, now))).unwrap_or_default();
        fields.push(("Finalizer", format!("{}{waiting}", safe(finalizer.as_str().unwrap_or_default()))));
    }
    aligned(&fields)
}

fn pairs(title: &'static str, map: &Json) -> Vec<(&'static str, String)> {
    let pairs = map.as_object().into_iter().flatten().filter(|(name, _)| !ECHOES.contains(&name.as_str()));
    pairs
        .map(|(name, value)| (title, safe(&format!("{name}={}", value.as_str().unwrap_or_default())).into_owned()))
        .collect()
}

/// Fields under each other; of several with one title only the first shows it.
fn aligned(fields: &[(&str, String)]) -> Vec<String> {
    let width = fields.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
    let mut before = "";
    fields
        .iter()
        .map(|(title, value)| {
            let again = std::mem::replace(&mut before, *title) == *title;
            let padding = width - title.len();
            if again {
                format!("{:width$}   {value}", "")
            } else {
                format!("{BOLD}{title}:{BOLD:#}{:padding$}  {value}", "")
            }
        })
        .collect()
}

fn conditions(status: &Json, now: Timestamp) -> Vec<String> {
    let conditions = array(&status["conditions"]);
    if conditions.is_empty() {
        return Vec::new();
    }
    let row = |condition: &Json| {
        let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
        let since: Option<Timestamp> = text("lastTransitionTime").parse().ok();
        let since = since.map_or_else(|| "-".to_owned(), |since| age(since, now));
        vec![text("type"), text("status"), since, text("reason"), text("message")]
    };
    let rows: Vec<_> = conditions.iter().map(row).collect();
    section("Conditions", Table::of_text(&["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"]), &rows)
}

/// What else the status says; its history is `roa history`.
fn status(mut status: Json) -> Vec<String> {
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|name, _| name != "conditions" && name != "history");
    }
    if status.as_object().is_none_or(serde_json::Map::is_empty) {
        return Vec::new();
    }
    let mut lines = vec![title("Status")];
    lines.extend(tree(&status, 2));
    lines
}

fn happened(events: &[Happened], now: Timestamp) -> Vec<String> {
    if events.is_empty() {
        return vec![format!("{}  none", title("Events"))];
    }
    let headings = [
        ("AGE", Align::Left),
        ("TYPE", Align::Left),
        ("COUNT", Align::Right),
        ("REASON", Align::Left),
        ("FROM", Align::Left),
        ("MESSAGE", Align::Left),
    ];
    let table = Table::new(headings.map(|(heading, align)| (heading.to_owned(), align)));
    let row = |event: &Happened| {
        let time = event.time.map_or_else(|| "-".to_owned(), |time| age(time, now));
        let Happened { kind, reason, message, source, count, .. } = event.clone();
        vec![time, kind, count.to_string(), reason, source, message]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    section("Events", table, &rows)
}

fn section(name: &str, mut table: Table, rows: &[Vec<String>]) -> Vec<String> {
    std::iter::once(title(name)).chain(table.lines(rows).iter().map(|line| format!("  {line}"))).collect()
}

/// The objects that name this one as an owner: where owners count, in its namespace, or anywhere.
async fn owned(client: &Client, kind: &Kind, object: &Json) -> Result<Vec<String>, ClientError> {
    let Some(uid) = object["metadata"]["uid"].as_str() else { return Ok(Vec::new()) };
    let namespace = object["metadata"]["namespace"].as_str();
    let mut found = Vec::new();
    for other in client.kinds().await?.iter() {
        let reachable = other.namespaced || !kind.namespaced;
        // Events are shown as such.
        if !other.can("list") || !other.can("get") || !reachable || other.kind == "Event" {
            continue;
        }
        let listed = match client.list(other, namespace, &Selectors::default(), Form::Metadata).await {
            Ok(listed) => listed,
            // Whoever may see an object need not see all kinds.
            Err(ClientError::Refused(refusal)) if refusal.code == 403 => continue,
            Err(error) => return Err(error),
        };
        let owned = listed
            .items
            .iter()
            .filter(|item| array(&item["metadata"]["ownerReferences"]).iter().any(|owner| owner["uid"] == uid));
        found.extend(owned.map(|item| other.short_object(item["metadata"]["name"].as_str().unwrap_or_default())));
    }
    Ok(found)
}

fn array(value: &Json) -> &[Json] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_title_show_it_once() {
        let fields = [("Name", "a".to_owned()), ("Labels", "x=1".to_owned()), ("Labels", "y=2".to_owned())];
        let lines: Vec<_> =
            aligned(&fields).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(lines, ["Name:    a", "Labels:  x=1", "         y=2"]);
    }
}
