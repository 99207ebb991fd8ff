//! `roa apply`: makes objects as manifests declare them. All are checked before the first is written.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use roa_core::ClockExt as _;
use serde_json::Value as Json;

use crate::cli::{ApplyArgs, DryRun, LogArgs};
use crate::client::{Applied, Client, ClientError, Kind, with_client};
use crate::manifest::{self, Manifest};
use crate::report::{Failure, report_one};
use crate::show::{note, say};

/// How long a kind that a manifest declares may take to be served.
const DECLARED_WITHIN: Duration = Duration::from_secs(10);
/// How often to look.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const DEFINITION: &str = "CustomResourceDefinition";

/// Applies, and prints what became of each.
///
/// # Errors
/// What is wrong with the manifests: then nothing was written. Or what the server answered.
pub(crate) fn run(args: &ApplyArgs, log: &LogArgs) -> Result<(), Failure> {
    let manifests = manifest::load(&args.manifests, &mut io::stdin().lock())?;
    with_client(&args.access, log, async |client| apply(client, args, manifests).await)
}

/// A manifest, and where its object is.
struct Document {
    source: String,
    value: Json,
    namespace: String,
    name: String,
    /// Absent if a manifest before it declares it.
    kind: Option<Kind>,
}

async fn apply(client: &Client, args: &ApplyArgs, manifests: Vec<Manifest>) -> anyhow::Result<()> {
    let documents = check(client, args, manifests).await?;
    let dry_run = args.dry_run == DryRun::Server;
    for (done, document) in documents.iter().enumerate() {
        let kind = match &document.kind {
            Some(kind) => kind.clone(),
            None if dry_run => {
                note(&format!("{}: not checked, its kind is declared by a manifest before it", document.source));
                continue;
            }
            None => declared(client, document).await?,
        };
        match write(client, args, document, &kind).await {
            Ok(applied) => say(&line(document, &kind, applied, dry_run))?,
            Err(error) => {
                report(document, error);
                let what = format!("{done} of {} manifests were applied before this one", documents.len());
                return Err(ClientError::Some { what }.into());
            }
        }
    }
    Ok(())
}

fn line(document: &Document, kind: &Kind, applied: Applied, dry_run: bool) -> String {
    let word = match applied {
        Applied::Created => "created",
        Applied::Configured => "configured",
        Applied::Unchanged => "unchanged",
    };
    format!("{} {word}{}", kind.object(&document.name), if dry_run { " (dry run)" } else { "" })
}

/// Finds the kinds, and lets the server look at everything that does not depend on another manifest.
async fn check(client: &Client, args: &ApplyArgs, manifests: Vec<Manifest>) -> anyhow::Result<Vec<Document>> {
    let mut failures = 0;
    let (mut documents, mut coming) = (Vec::new(), Coming::default());
    for manifest in manifests {
        match place(client, args, manifest, &coming).await {
            Ok(document) => {
                coming.note(&document);
                documents.push(document);
            }
            Err(error) => {
                failures += 1;
                report_one(&error.into());
            }
        }
    }
    for document in &documents {
        let Some(kind) = document.kind.as_ref().filter(|_| !coming.namespaces.contains(&document.namespace)) else {
            continue;
        };
        let force = args.force_conflicts;
        if let Err(error) = client.apply(kind, &document.namespace, &document.value, force, true).await {
            failures += 1;
            report(document, error);
        }
    }
    match failures {
        0 => Ok(documents),
        count => {
            let manifests = if count == 1 { "manifest" } else { "manifests" };
            let what = format!("{count} {manifests} can't be applied; nothing was written");
            Err(ClientError::Some { what }.into())
        }
    }
}

/// What manifests make that others need.
#[derive(Default)]
struct Coming {
    namespaces: HashSet<String>,
    /// Group and kind.
    kinds: HashSet<(String, String)>,
}

impl Coming {
    fn note(&mut self, document: &Document) {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let value = &document.value;
        match text(&value["kind"]).as_str() {
            "Namespace" if value["apiVersion"] == "v1" => _ = self.namespaces.insert(document.name.clone()),
            DEFINITION => {
                let spec = &value["spec"];
                self.kinds.insert((text(&spec["group"]), text(&spec["names"]["kind"])));
            }
            _ => {}
        }
    }

    fn has(&self, api_version: &str, kind: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.kinds.contains(&(group.to_owned(), kind.to_owned()))
    }
}

async fn place(
    client: &Client,
    args: &ApplyArgs,
    manifest: Manifest,
    coming: &Coming,
) -> Result<Document, ClientError> {
    let Manifest { source, value } = manifest;
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
    let known = client.kinds().await?.of_manifest(&api_version, &kind).cloned();
    if known.is_none() && !coming.has(&api_version, &kind) {
        let what = format!("{source}: the server has no kind {kind} of {api_version}");
        let hint = client.kinds().await?.find(&kind).map_or_else(
            |error| error.hint(),
            |near| Some(format!("there is {} of {}", near.kind, near.api_version())),
        );
        return Err(ClientError::NotFound { what, hint });
    }
    let name = text(&value["metadata"]["name"]);
    if name.is_empty() {
        return Err(ClientError::usage(format!("{source}: metadata.name is missing")));
    }
    let own = value["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty());
    let asked = args.place.namespace.as_deref();
    if let (Some(own), Some(asked)) = (own, asked)
        && own != asked
    {
        let what = format!("{source}: it is of the namespace {own}, and -n says {asked}");
        return Err(ClientError::usage(what));
    }
    let cluster_wide = known.as_ref().is_some_and(|kind| !kind.namespaced);
    let namespace = if cluster_wide { String::new() } else { client.namespace(own.or(asked)).to_owned() };
    Ok(Document { source, namespace, name, kind: known, value })
}

/// Waits until the server serves a kind that was just declared.
async fn declared(client: &Client, document: &Document) -> Result<Kind, ClientError> {
    let text = |field: &str| document.value[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let deadline = client.clock().monotonic() + DECLARED_WITHIN;
    loop {
        if let Some(kind) = client.kinds_now().await?.of_manifest(api_version, kind) {
            return Ok(kind.clone());
        }
        if client.clock().monotonic() >= deadline {
            let what = format!("{}: {kind} of {api_version} is declared and not served yet", document.source);
            return Err(ClientError::Waited { what, hint: Some("`roa get crd` says why".to_owned()) });
        }
        client.clock().sleep(LOOK_AGAIN).await;
    }
}

async fn write(client: &Client, args: &ApplyArgs, document: &Document, kind: &Kind) -> Result<Applied, ClientError> {
    let (namespace, name) = (&document.namespace, &document.name);
    let before = client.find(kind, namespace, name).await?;
    let (force, dry_run) = (args.force_conflicts, args.dry_run == DryRun::Server);
    let (created, after) = client.apply(kind, namespace, &document.value, force, dry_run).await?;
    let version = |object: &Json| object["metadata"]["resourceVersion"].clone();
    Ok(match before {
        _ if created => Applied::Created,
        Some(before) if version(&before) == version(&after) && same(&before, &after) => Applied::Unchanged,
        _ => Applied::Configured,
    })
}

/// Whether nothing is different but who is known to have set it, and when.
fn same(before: &Json, after: &Json) -> bool {
    let strip = |object: &Json| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|name, _| !matches!(name.as_str(), "managedFields" | "resourceVersion" | "generation"));
        }
        object
    };
    strip(before) == strip(after)
}

/// What the server says of one manifest: a conflict field by field.
fn report(document: &Document, error: ClientError) {
    let error = match &error {
        ClientError::Refused(refusal) if refusal.is_of_managers() => {
            for (field, message) in &refusal.causes {
                note(&format!("{}: {field}: {message}", document.source));
            }
            anyhow::Error::new(error)
        }
        _ => anyhow::Error::new(error),
    };
    report_one(&error.context(document.source.clone()));
}
