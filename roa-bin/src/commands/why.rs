//! `roa why`: why an object is as it is, told by the API, or else by the process that handles it, or else by the store.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use roa_core::{Clock, HumanDuration, ResourceStore, Scope, Store, SystemRandom};
use roa_runtime::{Explanation, Handling, Phase, SystemClock, explain_from_store};

use crate::cli::{LogArgs, Output, WhyArgs};
use crate::client::{self, Client, ClientError, with_server};
use crate::config::settings::{Config, StoreBackend};
use crate::engine::{self, Asked, DIVIDED, Told, ask_owner, ask_process, store};
use crate::report::Failure;

/// The namespace of a command that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Explains and prints to stdout.
///
/// # Errors
/// The configuration is wrong, there is no such kind, or neither a server, nor a process, nor the store answers.
pub(crate) fn run(args: &WhyArgs, log: &LogArgs) -> Result<(), Failure> {
    with_server(&args.access, log, async |server, config| {
        let told = explain(args, server, config).await?;
        let text = match args.output {
            Some(Output::Json) => serde_json::to_string_pretty(&told.why).context("failed to write JSON")? + "\n",
            None => render(&told),
        };
        io::stdout().lock().write_all(text.as_bytes()).context("failed to print")
    })
}

async fn explain(args: &WhyArgs, server: Option<&Client>, config: &Config) -> anyhow::Result<Told> {
    if let Some(client) = server {
        match ask_server(client, args).await {
            Ok(told) => return Ok(told),
            // Who can read the admin socket, or the store, may know without being known to the server.
            Err(error) if error.is_not_allowed() && !args.access.names_server() => {
                tracing::debug!(%error, "the server does not tell us");
            }
            Err(error) => return Err(error.into()),
        }
    }
    explain_here(args, config).await
}

async fn ask_server(client: &Client, args: &WhyArgs) -> Result<Told, ClientError> {
    let (kind, name) = client::one(client, &args.object).await?;
    let body = client.part(&kind, client.namespace(args.namespace.as_deref()), &name, "why").await?;
    serde_json::from_value(body).map_err(|error| ClientError::Strange {
        at: client.http().endpoint().to_string(),
        why: format!("its answer is no explanation: {error}"),
    })
}

async fn explain_here(args: &WhyArgs, config: &Config) -> anyhow::Result<Told> {
    let asked = asked_here(args)?;
    let told = match ask_process(&config.admin.socket, &asked).await {
        Ok(why) => Told { why, note: None },
        Err(error) => {
            let socket = config.admin.socket.display();
            let note = format!("no `roa run` answers on {socket} ({error:#}): this is what the store alone tells");
            Told { why: ask_store(config, &asked).await?, note: Some(note) }
        }
    };
    Ok(ask_owner(told, &asked).await)
}

fn asked_here(args: &WhyArgs) -> anyhow::Result<Asked> {
    let object = args.object.join("/");
    let Some((kind, name)) = object.split_once('/') else {
        bail!("{object:?} names no object, expected KIND/NAME, such as labinstance/python-basics-lab");
    };
    let kind = Arc::clone(engine::kinds().by_name(kind)?);
    let namespace = match kind.scope {
        Scope::Cluster => String::new(),
        Scope::Namespaced => args.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
    };
    Ok(Asked { kind: kind.plural.to_string(), namespace, name: name.to_owned() })
}

async fn ask_store(config: &Config, asked: &Asked) -> anyhow::Result<Explanation> {
    if config.store.backend == StoreBackend::Memory {
        bail!(
            "store.backend is \"memory\", which is gone when roa ends, and no `roa run` answers on {}",
            config.admin.socket.display()
        );
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random = Arc::new(SystemRandom);
    let opened = store::open(&config.store, false, Arc::clone(&clock), random.clone()).await?;
    let (shared, kinds): (Arc<dyn Store>, _) = (Arc::clone(&opened.store), engine::kinds());
    let resources = ResourceStore::new(Arc::clone(&shared), Arc::clone(&kinds), clock, random, "roa why");
    let kind = kinds.by_name(&asked.kind)?;
    let told = match kind.key(&asked.namespace, &asked.name) {
        Ok(key) => explain_from_store(&shared, &resources, kind, &key, Some(DIVIDED)).await,
        Err(error) => Err(error),
    };
    opened.close().await;
    Ok(told?)
}

/// For people: a heading and lines below it, nothing that is empty.
fn render(told: &Told) -> String {
    let Told { why, note } = told;
    let mut text = String::new();
    let place = if why.namespace.is_empty() { why.name.clone() } else { format!("{}/{}", why.namespace, why.name) };
    let mut line = |line: String| {
        // Writing into a string can't fail.
        let _ = writeln!(text, "{line}");
    };
    line(format!("{} {place}", why.kind));
    note.iter().for_each(|note| line(format!("  note: {note}")));
    match &why.object {
        None => line("  there is no such object".to_owned()),
        Some(object) => {
            line(format!("  state         {}", object.state.as_deref().unwrap_or("none yet")));
            let (generation, seen) = (object.generation, object.observed_generation);
            line(format!(
                "  generation    {generation}{}",
                if seen == 0 { String::new() } else { format!(", {seen} observed") }
            ));
            object.deleted_at.iter().for_each(|at| line(format!("  deleted       {at}")));
        }
    }
    if let Some(write) = &why.last_write {
        let at = write.at.map(|at| format!(" at {at}")).unwrap_or_default();
        line(format!("  last write    by {}{at}, revision {}", write.writer, write.revision));
    }
    if let Some(owner) = &why.owner {
        let who = match (&owner.process, owner.is_self) {
            (Some(process), true) => format!("{process}, which answers"),
            (Some(process), false) => process.clone(),
            (None, _) => "nobody".to_owned(),
        };
        line(format!("  handled by    {who} ({})", owner.what));
    }
    why.controllers.iter().for_each(|handling| line(format!("  {:<13} {}", handling.controller, phase(handling))));
    why.next_run.iter().for_each(|at| line(format!("  next run      {at}")));
    why.waits_for.iter().for_each(|wait| line(format!("  waits for     {wait}")));
    for finalizer in &why.finalizers {
        let owner = finalizer.owner.as_deref().unwrap_or("nobody in this process");
        let waiting = finalizer.waiting_seconds.map(|seconds| format!(", for {}", HumanDuration::about(seconds)));
        let waiting = waiting.unwrap_or_default();
        line(format!("  finalizer     {} (taken off by {owner}{waiting})", finalizer.name));
    }
    for event in &why.events {
        let at = event.at.map(|at| format!("{at} ")).unwrap_or_default();
        let count = if event.count > 1 { format!(" ({} times)", event.count) } else { String::new() };
        line(format!("  event         {at}{} {}: {}{count}", event.component, event.reason, event.message));
    }
    text
}

fn phase(handling: &Handling) -> String {
    let Handling { failures, .. } = handling;
    let failed = if *failures > 0 { format!(", {failures} failures in a row") } else { String::new() };
    let causes =
        if handling.causes.is_empty() { String::new() } else { format!(" because of {}", handling.causes.join(", ")) };
    match handling.phase {
        Phase::Idle => "waits for a change".to_owned(),
        Phase::Waiting { seconds } => {
            format!("waits for a worker for {}{causes}{failed}", HumanDuration::about(seconds))
        }
        Phase::Delayed { seconds } => format!("runs in {}{causes}{failed}", HumanDuration::about(seconds)),
        Phase::Running { seconds, again } => {
            let (ran, next) = (HumanDuration::about(seconds), if again { ", and runs again after that" } else { "" });
            format!("has run for {ran}{causes}{failed}{next}")
        }
        Phase::GivenUp => "has given it up until it changes".to_owned(),
        Phase::Elsewhere => "leaves it to another process".to_owned(),
        _ => "does something that this roa has no word for".to_owned(),
    }
}
