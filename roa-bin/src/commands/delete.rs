//! `roa delete`: deletes objects, and waits until they are gone.

use std::io;

use serde_json::Value as Json;

use super::gone::until_gone;
use crate::cli::{Cascade, DeleteArgs, DryRun, LogArgs};
use crate::client::{Chosen, Client, ClientError, Deleting, Form, Kind, Selectors, choose, with_client};
use crate::manifest::{self, Manifest};
use crate::report::{Failure, report_one};
use crate::show::say;

/// Deletes, and prints a line for each.
///
/// # Errors
/// What could not be deleted, after all others were.
pub(crate) fn run(args: &DeleteArgs, log: &LogArgs) -> Result<(), Failure> {
    let manifests = manifest::load(&args.manifests, &mut io::stdin().lock())?;
    with_client(&args.access, log, async |client| delete(client, args, manifests).await)
}

/// One object to delete.
struct Doomed {
    kind: Kind,
    object: Json,
}

async fn delete(client: &Client, args: &DeleteArgs, manifests: Vec<Manifest>) -> anyhow::Result<()> {
    let mut failures = 0;
    let mut doomed = Vec::new();
    for found in find(client, args, manifests).await? {
        match found {
            Ok(found) => doomed.push(found),
            Err(error) if error.is_absent() && args.ignore_not_found => {}
            Err(error) => {
                failures += 1;
                report_one(&error.into());
            }
        }
    }
    failures += delete_all(client, args, doomed).await?;
    match failures {
        0 => Ok(()),
        count => Err(ClientError::Some { what: format!("{count} of them could not be deleted") }.into()),
    }
}

/// Deletes all, then waits for all; answers with how many could not be deleted.
async fn delete_all(client: &Client, args: &DeleteArgs, doomed: Vec<Doomed>) -> anyhow::Result<usize> {
    let mut failures = 0;
    let mut marked = Vec::new();
    for one in doomed {
        match delete_one(client, args, &one).await {
            Ok(()) => marked.push(one),
            Err(error) => {
                failures += 1;
                report_one(&error);
            }
        }
    }
    if args.wait && args.dry_run == DryRun::None {
        let deadline = client.clock().monotonic() + args.timeout.0;
        for Doomed { kind, object } in &marked {
            until_gone(client, kind, object, deadline).await?;
        }
    }
    Ok(failures)
}

async fn delete_one(client: &Client, args: &DeleteArgs, doomed: &Doomed) -> anyhow::Result<()> {
    let Doomed { kind, object } = doomed;
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let propagation = args.cascade.map(|cascade| match cascade {
        Cascade::Background => "Background",
        Cascade::Foreground => "Foreground",
        Cascade::Orphan => "Orphan",
    });
    let dry_run = args.dry_run == DryRun::Server;
    let how = Deleting { propagation, dry_run };
    match client.delete(kind, text("namespace"), text("name"), text("uid"), how).await {
        Ok(()) => {}
        // Somebody else was faster, which is what was wanted.
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error.into()),
    }
    say(&format!("{} deleted{}", kind.object(text("name")), if dry_run { " (dry run)" } else { "" }))
}

async fn find(
    client: &Client,
    args: &DeleteArgs,
    manifests: Vec<Manifest>,
) -> Result<Vec<Result<Doomed, ClientError>>, ClientError> {
    let mut found = Vec::new();
    for Manifest { source, value } in manifests {
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let (Some(api_version), Some(kind)) = (text(&value["apiVersion"]), text(&value["kind"])) else { continue };
        let known = client.kinds().await?.of_manifest(&api_version, &kind).cloned();
        let kind = known
            .ok_or_else(|| ClientError::usage(format!("{source}: the server has no kind {kind} of {api_version}")))?;
        let namespace = text(&value["metadata"]["namespace"]);
        let namespace = namespace.as_deref().or(args.places.place.namespace.as_deref());
        let name = text(&value["metadata"]["name"]).unwrap_or_default();
        found.push(get(client, &kind, client.namespace(namespace), &name).await);
    }
    if args.objects.is_empty() {
        return Ok(found);
    }
    for Chosen { kind, names } in choose(client, &args.objects).await? {
        let namespace = client.namespace(args.places.place.namespace.as_deref());
        for name in &names {
            found.push(get(client, &kind, namespace, name).await);
        }
        if names.is_empty() {
            let selected = selected(client, args, &kind, namespace).await?;
            found.extend(selected.into_iter().map(|object| Ok(Doomed { kind: kind.clone(), object })));
        }
    }
    Ok(found)
}

async fn get(client: &Client, kind: &Kind, namespace: &str, name: &str) -> Result<Doomed, ClientError> {
    let object = client.get(kind, namespace, name, Form::Object).await?;
    Ok(Doomed { kind: kind.clone(), object })
}

async fn selected(client: &Client, args: &DeleteArgs, kind: &Kind, namespace: &str) -> Result<Vec<Json>, ClientError> {
    let selectors = Selectors { labels: args.select.selector.clone(), fields: args.select.field_selector.clone() };
    if selectors == Selectors::default() && !args.all {
        let what = format!("which {} to delete is not said", kind.plural);
        let hint = Some("give names, a selector with -l, or --all".to_owned());
        return Err(ClientError::Usage { what, hint });
    }
    let namespace = Some(namespace).filter(|_| !args.places.all_namespaces);
    Ok(client.list(kind, namespace, &selectors, Form::Metadata).await?.items)
}
