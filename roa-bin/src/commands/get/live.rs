//! `roa get -w`: shows objects again whenever they change. It goes on when the server was started anew, and says so when
//! changes in between may not all have been seen.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::rows::Rows;
use super::{find, form, selectors, unclutter};
use crate::cli::{Format, GetArgs};
use crate::client::{Change, Chosen, Client, Form, Kind, Listed, Seen, Selectors};
use crate::show::{Document, document, note, say, say_all};

/// Prints what is there, then what changes, until it is told to stop.
///
/// # Errors
/// The server refuses.
pub(super) async fn watch(client: &Client, args: &GetArgs, chosen: &Chosen) -> anyhow::Result<()> {
    let Chosen { kind, names } = chosen;
    let selectors = match names.as_slice() {
        [] => selectors(args),
        [name] => Selectors::name(name),
        _ => return Err(crate::client::ClientError::usage("several names can't be watched at once").into()),
    };
    // One that is named is there, or its near ones are told.
    if !names.is_empty() {
        find(client, args, chosen, &mut 0).await?;
    }
    let form = if form(args) == Form::Metadata { Form::Object } else { form(args) };
    let namespace = client.namespace(args.places.place.namespace.as_deref());
    let namespace = Some(namespace).filter(|_| !args.places.all_namespaces);
    let listed = client.list(kind, namespace, &selectors, form).await?;
    let version = listed.version.clone();
    let mut screen = Screen::new(args, kind, &listed, form);
    screen.begin(&listed.items, !args.watch_only)?;
    let mut follow = client.follow(kind, namespace, &selectors, form, &version);
    loop {
        match follow.next().await? {
            Seen::Change(change, object) => screen.show(change, object)?,
            Seen::Lost(why) => note(&format!("{why}; trying again until it does")),
            Seen::Resumed => note("the server answers again: no change was missed"),
            Seen::Expired => {
                let listed = client.list(kind, namespace, &selectors, form).await?;
                note(
                    "listed again, since the server no longer has what happened: of several changes the last is shown",
                );
                screen.catch_up(listed.items)?;
                follow.restart(&listed.version);
            }
        }
    }
}

/// What is shown, and what was last seen of each object.
struct Screen<'a> {
    args: &'a GetArgs,
    kind: &'a Kind,
    rows: Rows,
    table: bool,
    headed: bool,
    /// Namespace and name, and the newest version with its row or object.
    known: HashMap<(String, String), (String, Json)>,
}

impl<'a> Screen<'a> {
    fn new(args: &'a GetArgs, kind: &'a Kind, listed: &Listed, form: Form) -> Self {
        let rows = Rows::new(args, kind, &listed.columns, false);
        Self { args, kind, rows, table: form != Form::Object, headed: false, known: HashMap::new() }
    }

    fn begin(&mut self, items: &[Json], shown: bool) -> anyhow::Result<()> {
        if self.table && shown {
            let cells: Vec<_> = items.iter().map(|row| self.rows.cells(row)).collect();
            self.rows.table.fit(&cells);
        }
        for item in items {
            let mut item = item.clone();
            unclutter(self.args, &mut item);
            let item = &item;
            self.note(item);
            if shown {
                self.print(Change::Added, item)?;
            }
        }
        Ok(())
    }

    fn show(&mut self, change: Change, mut object: Json) -> anyhow::Result<()> {
        let mut item = if self.table { object["rows"][0].take() } else { object.take() };
        unclutter(self.args, &mut item);
        match change {
            Change::Deleted => _ = self.known.remove(&self.key(&item)),
            Change::Added | Change::Modified => self.note(&item),
        }
        self.print(change, &item)
    }

    /// Shows what is different from what was last seen.
    fn catch_up(&mut self, items: Vec<Json>) -> anyhow::Result<()> {
        let mut before = std::mem::take(&mut self.known);
        for item in items {
            let known = before.remove(&self.key(&item));
            self.note(&item);
            match known {
                Some((version, _)) if version == self.version(&item) => {}
                Some(_) => self.print(Change::Modified, &item)?,
                None => self.print(Change::Added, &item)?,
            }
        }
        before.into_values().try_for_each(|(_, item)| self.print(Change::Deleted, &item))
    }

    fn print(&mut self, change: Change, item: &Json) -> anyhow::Result<()> {
        match self.args.output {
            Format::Table | Format::Wide => self.print_row(change, item),
            Format::Name => say(&self.kind.object(item["metadata"]["name"].as_str().unwrap_or_default())),
            Format::Json => say_all(&document(item, Document::Json)?),
            Format::Yaml => say_all(&format!("---\n{}", document(item, Document::Yaml)?)),
        }
    }

    fn print_row(&mut self, change: Change, row: &Json) -> anyhow::Result<()> {
        let cells = self.rows.cells(row);
        if !self.headed && !self.args.no_headers {
            self.rows.table.fit([&cells]);
            say(&self.rows.table.heading())?;
        }
        self.headed = true;
        // A row of what is gone would look like any other.
        let gone = if change == Change::Deleted { "   (deleted)" } else { "" };
        say(&format!("{}{gone}", self.rows.table.row(&cells)))
    }

    fn note(&mut self, item: &Json) {
        // Of what is shown again when it is gone, only rows are kept.
        let kept = if self.table || self.args.output == Format::Name { item.clone() } else { Json::Null };
        let version = self.version(item);
        self.known.insert(self.key(item), (version, kept));
    }

    fn metadata<'b>(&self, item: &'b Json) -> &'b Json {
        if self.table { &item["object"]["metadata"] } else { &item["metadata"] }
    }

    fn key(&self, item: &Json) -> (String, String) {
        let metadata = self.metadata(item);
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        (text("namespace"), text("name"))
    }

    fn version(&self, item: &Json) -> String {
        self.metadata(item)["resourceVersion"].as_str().unwrap_or_default().to_owned()
    }
}
