//! `roa watch`: what changes, a line each: when, what happened, to which object, and which of its fields are different.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::cli::{LogArgs, WatchArgs};
use crate::client::{Change, Chosen, Client, ClientError, Form, Kind, Seen, Selectors, choose, with_client};
use crate::report::Failure;
use crate::show::{diff, note, redact, say, styled};

/// Fields that one line names.
const MAX_FIELDS: usize = 6;
/// Objects whose last state is kept, to say what changed in them.
const MAX_KNOWN: usize = 20_000;

/// Prints until it is told to stop.
///
/// # Errors
/// There is no such kind, or the server refuses.
pub(crate) fn run(args: &WatchArgs, log: &LogArgs) -> Result<(), Failure> {
    with_client(&args.access, log, async |client| watch(client, args).await)
}

async fn watch(client: &Client, args: &WatchArgs) -> anyhow::Result<()> {
    let mut chosen = choose(client, &args.objects).await?;
    let (Some(Chosen { kind, names }), true) = (chosen.pop(), chosen.is_empty()) else {
        return Err(ClientError::usage("several kinds can't be watched at once, expected one").into());
    };
    let selectors = match names.as_slice() {
        [] => Selectors { labels: args.select.selector.clone(), fields: args.select.field_selector.clone() },
        [name] => Selectors::name(name),
        _ => return Err(ClientError::usage("several names can't be watched at once, expected one").into()),
    };
    let namespace = client.namespace(args.places.place.namespace.as_deref());
    let namespace = Some(namespace).filter(|_| !args.places.all_namespaces);
    let listed = client.list(&kind, namespace, &selectors, Form::Object).await?;
    let mut follow = client.follow(&kind, namespace, &selectors, Form::Object, &listed.version);
    let mut reporter = Reporter { client, kind: &kind, known: HashMap::new() };
    listed.items.into_iter().for_each(|object| _ = reporter.keep(object));
    note(&format!("watching {} from version {}", kind.plural, listed.version));
    loop {
        match follow.next().await? {
            Seen::Change(change, object) => reporter.report(change, object)?,
            Seen::Lost(why) => note(&format!("{why}; trying again until it does")),
            Seen::Resumed => note("the server answers again: no change was missed"),
            Seen::Expired => {
                let listed = client.list(&kind, namespace, &selectors, Form::Object).await?;
                note(
                    "listed again, since the server no longer has what happened: of several changes the last is shown",
                );
                reporter.catch_up(listed.items)?;
                follow.restart(&listed.version);
            }
        }
    }
}

/// Namespace and name.
type Place = (String, String);

struct Reporter<'a> {
    client: &'a Client,
    kind: &'a Kind,
    known: HashMap<Place, Json>,
}

impl Reporter<'_> {
    /// Keeps an object; answers with what it was.
    fn keep(&mut self, mut object: Json) -> Option<Json> {
        // What is printed of it later is printed of this.
        redact(&mut object);
        let place = place(&object);
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&place) {
            return None;
        }
        self.known.insert(place, object)
    }

    fn report(&mut self, change: Change, object: Json) -> anyhow::Result<()> {
        let place = place(&object);
        let details = match change {
            Change::Deleted => {
                self.known.remove(&place);
                Vec::new()
            }
            Change::Added => {
                self.keep(object);
                Vec::new()
            }
            Change::Modified => {
                let before = self.keep(object);
                let after = self.known.get(&place);
                before.zip(after).map(|(before, after)| diff(&before, after, MAX_FIELDS)).unwrap_or_default()
            }
        };
        self.print(change, &place, &details)
    }

    fn catch_up(&mut self, objects: Vec<Json>) -> anyhow::Result<()> {
        let mut before = std::mem::take(&mut self.known);
        for object in objects {
            let was = before.remove(&place(&object));
            let change = match &was {
                Some(was) if was["metadata"]["resourceVersion"] == object["metadata"]["resourceVersion"] => {
                    self.keep(object);
                    continue;
                }
                Some(_) => Change::Modified,
                None => Change::Added,
            };
            was.into_iter().for_each(|was| _ = self.known.insert(place(&was), was));
            self.report(change, object)?;
        }
        before.keys().try_for_each(|place| self.print(Change::Deleted, place, &[]))
    }

    fn print(&self, change: Change, (namespace, name): &Place, details: &[String]) -> anyhow::Result<()> {
        let time = self.client.clock().now();
        let word = styled("EVENT", &format!("{:<8}", change.word()));
        let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let details = if details.is_empty() { String::new() } else { format!("  {}", details.join("; ")) };
        say(&format!("{time}  {word}  {} {place}{name}{details}", self.kind.singular))
    }
}

fn place(object: &Json) -> Place {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}
