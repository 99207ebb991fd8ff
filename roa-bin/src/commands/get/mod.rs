//! `roa get`: shows objects, as a table or as they are.
//!
//! # Layout
//! - Which objects, and in which form: here
//! - As a table: [`rows`]; what becomes of them: [`live`]

mod live;
mod rows;

use serde_json::{Value as Json, json};

use self::rows::Rows;
use crate::cli::{Format, GetArgs, LogArgs};
use crate::client::{Chosen, Client, ClientError, Form, Kind, Listed, Selectors, choose, with_client};
use crate::report::{Failure, report_one};
use crate::show::{Align, Document, Table, document, note, say, say_all};

/// Prints to stdout.
///
/// # Errors
/// There is no such kind or object, after all others were printed.
pub(crate) fn run(args: &GetArgs, log: &LogArgs) -> Result<(), Failure> {
    with_client(&args.access, log, async |client| get(client, args).await)
}

async fn get(client: &Client, args: &GetArgs) -> anyhow::Result<()> {
    if args.kinds {
        return print_kinds(client).await;
    }
    let chosen = choose(client, &args.objects).await?;
    if args.watch || args.watch_only {
        let [only] = chosen.as_slice() else {
            return Err(ClientError::usage("several kinds can't be watched at once, expected one").into());
        };
        return live::watch(client, args, only).await;
    }
    let mut missing = 0;
    let mut found = Vec::new();
    for one in chosen {
        let listed = find(client, args, &one, &mut missing).await?;
        found.push((one.kind, listed));
    }
    match args.output {
        Format::Table | Format::Wide => print_tables(client, args, &found)?,
        Format::Name => print_names(&found)?,
        Format::Json => print_document(found, Document::Json)?,
        Format::Yaml => print_document(found, Document::Yaml)?,
    }
    if missing == 0 { Ok(()) } else { Err(ClientError::Told.into()) }
}

/// In which form the objects are needed.
const fn form(args: &GetArgs) -> Form {
    match (args.output, args.sort_by.is_some()) {
        (Format::Table | Format::Wide, false) => Form::Table,
        (Format::Table | Format::Wide, true) => Form::FullTable,
        (Format::Name, false) => Form::Metadata,
        _ => Form::Object,
    }
}

fn selectors(args: &GetArgs) -> Selectors {
    Selectors { labels: args.select.selector.clone(), fields: args.select.field_selector.clone() }
}

/// The objects of one kind. One that is missing is told at once if there are others; the only one is the answer.
async fn find(client: &Client, args: &GetArgs, chosen: &Chosen, missing: &mut usize) -> Result<Listed, anyhow::Error> {
    let (form, namespace) = (form(args), client.namespace(args.places.place.namespace.as_deref()));
    let Chosen { kind, names } = chosen;
    if names.is_empty() {
        let namespace = Some(namespace).filter(|_| !args.places.all_namespaces);
        let mut listed = client.list(kind, namespace, &selectors(args), form).await?;
        sort(args, &mut listed.items)?;
        listed.items.iter_mut().for_each(|item| unclutter(args, item));
        return Ok(listed);
    }
    if args.places.all_namespaces || selectors(args) != Selectors::default() {
        return Err(ClientError::usage("names and a selection can't be given together").into());
    }
    let mut all = Listed::default();
    for name in names {
        // One object has no list of metadata.
        let form = if form == Form::Metadata { Form::Object } else { form };
        match client.get(kind, namespace, name, form).await {
            Ok(object) => take(&mut all, object),
            Err(error) if names.len() > 1 && error.is_absent() => {
                *missing += 1;
                report_one(&error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    sort(args, &mut all.items)?;
    all.items.iter_mut().for_each(|item| unclutter(args, item));
    Ok(all)
}

/// Leaves out who has set which fields, unless that is asked for.
fn unclutter(args: &GetArgs, item: &mut Json) {
    if let Some(metadata) = item.get_mut("metadata").and_then(Json::as_object_mut).filter(|_| !args.show_managed_fields)
    {
        metadata.remove("managedFields");
    }
}

/// An object, or the row of a table with one row.
fn take(all: &mut Listed, mut object: Json) {
    if object["kind"] != "Table" {
        all.items.push(object);
        return;
    }
    let mut array = |name: &str| match object[name].take() {
        Json::Array(items) => items,
        _ => Vec::new(),
    };
    all.items.extend(array("rows"));
    all.columns = array("columnDefinitions");
}

fn sort(args: &GetArgs, items: &mut [Json]) -> Result<(), ClientError> {
    let Some(path) = &args.sort_by else { return Ok(()) };
    rows::sort(path, items).map_err(ClientError::usage)
}

fn print_tables(client: &Client, args: &GetArgs, found: &[(Kind, Listed)]) -> anyhow::Result<()> {
    let several = found.len() > 1;
    let mut shown = 0;
    for (kind, listed) in found {
        if listed.items.is_empty() {
            continue;
        }
        if shown > 0 {
            say("")?;
        }
        shown += 1;
        let mut rows = Rows::new(args, kind, &listed.columns, several);
        let cells: Vec<_> = listed.items.iter().map(|row| rows.cells(row)).collect();
        rows.table.fit(&cells);
        if !args.no_headers {
            say(&rows.table.heading())?;
        }
        cells.iter().try_for_each(|cells| say(&rows.table.row(cells)))?;
    }
    if shown == 0 {
        let what = match found {
            [(kind, _)] => kind.plural.clone(),
            _ => "objects".to_owned(),
        };
        let namespaced = found.iter().any(|(kind, _)| kind.namespaced) && !args.places.all_namespaces;
        let namespace = client.namespace(args.places.place.namespace.as_deref());
        note(&if namespaced { format!("no {what} in namespace {namespace}") } else { format!("no {what}") });
    }
    Ok(())
}

fn print_names(found: &[(Kind, Listed)]) -> anyhow::Result<()> {
    for (kind, listed) in found {
        for item in &listed.items {
            say(&kind.object(item["metadata"]["name"].as_str().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// One object that was named stands alone; several, and what was selected, are a list.
fn print_document(found: Vec<(Kind, Listed)>, how: Document) -> anyhow::Result<()> {
    let alone =
        found.len() == 1 && found.iter().all(|(_, listed)| listed.version.is_empty() && listed.items.len() == 1);
    let mut items: Vec<Json> = found.into_iter().flat_map(|(_, listed)| listed.items).collect();
    let value = match items.pop() {
        Some(only) if alone => only,
        last => {
            items.extend(last);
            json!({ "apiVersion": "v1", "kind": "List", "items": items })
        }
    };
    say_all(&document(&value, how)?)
}

async fn print_kinds(client: &Client) -> anyhow::Result<()> {
    let mut table =
        Table::new(["NAME", "SHORT", "GROUP", "NAMESPACED", "KIND"].map(|heading| (heading.to_owned(), Align::Left)));
    let row = |kind: &Kind| {
        let namespaced = if kind.namespaced { "yes" } else { "no" };
        vec![
            kind.plural.clone(),
            kind.short_names.join(","),
            kind.api_version(),
            namespaced.to_owned(),
            kind.kind.clone(),
        ]
    };
    let rows: Vec<_> = client.kinds().await?.iter().filter(|kind| kind.can("get")).map(row).collect();
    table.lines(&rows).iter().try_for_each(|line| say(line))
}
