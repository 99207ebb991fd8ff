//! `roa logs`: what a lab's process wrote, as the API shows it, or else read where it was written.
//!
//! There the lab's directory says whose it is, so that this works while nothing else does. The store is asked only where the
//! directories leave a question open: there is none, or more than one.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use roa_core::{Error, KindRegistry, ResourceStore, Spec as _, SystemRandom};
use roa_lab::provision::{LabIdentity, LabLogs, LogError};
use roa_lab::{Lab, LabInstance};
use roa_runtime::SystemClock;

use crate::cli::{LogArgs, LogsArgs};
use crate::client::{Client, ClientError, with_server};
use crate::config::settings::{Config, StoreBackend};
use crate::engine::{store, why_there_is_none};
use crate::report::Failure;

/// Prints to stdout, byte for byte as it was written.
///
/// # Errors
/// The configuration is wrong, or there is no such output; then it says why.
pub(crate) fn run(args: &LogsArgs, log: &LogArgs) -> Result<(), Failure> {
    with_server(&args.access, log, async |server, config| {
        let Some(client) = server else { return show_here(args, config).await };
        match show_of_server(client, args).await {
            Ok(()) => Ok(()),
            // What is on this disk can be read whatever the server knows or tells: it may be on another machine, and a
            // lab that is gone for it may have left something here.
            Err(Unshown::Refused(told)) if !args.access.names_server() => match show_here(args, config).await {
                Err(_) if !told.is_not_allowed() => Err(told.into()),
                outcome => outcome,
            },
            Err(Unshown::Refused(told)) => Err(told.into()),
            Err(Unshown::Failed(error)) => Err(error),
        }
    })
}

/// Why the server's output was not shown.
enum Unshown {
    /// It has none, or does not show it to us.
    Refused(ClientError),
    /// Something went wrong, perhaps after a part was shown.
    Failed(anyhow::Error),
}

async fn show_of_server(client: &Client, args: &LogsArgs) -> Result<(), Unshown> {
    let refused = |error: ClientError| match error.is_absent() || error.is_not_allowed() {
        true => Unshown::Refused(error),
        false => Unshown::Failed(error.into()),
    };
    let failed = |error: ClientError| Unshown::Failed(error.into());
    let kind = client.kind(LabInstance::PLURAL).await.map_err(refused)?;
    let namespace = client.namespace(args.namespace.as_deref());
    let tail = args.tail.map(|lines| format!("&tailLines={lines}")).unwrap_or_default();
    let part = format!("log?follow={}&previous={}{tail}", args.follow, args.previous);
    let mut pieces = client.part_as_it_comes(&kind, namespace, &args.name, &part).await.map_err(refused)?;
    while let Some(piece) = pieces.next().await.map_err(failed)? {
        if !print(&piece).map_err(Unshown::Failed)? {
            break;
        }
    }
    Ok(())
}

async fn show_here(args: &LogsArgs, config: &Config) -> anyhow::Result<()> {
    let logs = LabLogs::new(&config.data_dir);
    let found = logs.find(args.namespace(), &args.name).await?;
    let uid = match &found[..] {
        [only] => only.uid.clone(),
        several => choose(several, args, config).await?,
    };
    let shown = match (args.previous, args.follow) {
        (true, _) => print(&logs.read_previous(&uid, args.tail).await.map_err(explain)?),
        (false, false) => print(&logs.read(&uid, args.tail).await.map_err(explain)?),
        (false, true) => return follow(&logs, &uid, args.tail).await,
    };
    shown.map(drop)
}

async fn follow(logs: &LabLogs, uid: &str, tail: Option<usize>) -> anyhow::Result<()> {
    let mut stream = logs.follow(uid, tail, Arc::new(SystemClock::new())).await.map_err(explain)?;
    while let Some(output) = stream.next().await.map_err(explain)? {
        if !print(&output)? {
            break;
        }
    }
    Ok(())
}

fn explain(error: LogError) -> anyhow::Error {
    match error {
        LogError::NoPrevious { .. } => anyhow!("{error}; hint: without --previous its output so far is shown"),
        error => error.into(),
    }
}

/// Which of several labs of the name is meant, or why there is none: as the store says.
async fn choose(found: &[LabIdentity], args: &LogsArgs, config: &Config) -> anyhow::Result<String> {
    let (name, namespace) = (&args.name, args.namespace());
    match look_up(args, config).await {
        Ok(Some(lab)) => match found.iter().find(|identity| identity.uid == lab.metadata.uid) {
            Some(identity) => Ok(identity.uid.clone()),
            None => {
                let why = why_there_is_none(&lab, &config.data_dir).await;
                bail!("lab {name} in namespace {namespace} has no output here: {why}")
            }
        },
        // What is left of the last one of that name.
        Ok(None) if !found.is_empty() => newest(found),
        Ok(None) => bail!("there is no lab {name} in namespace {namespace}"),
        Err(error) if !found.is_empty() => {
            tracing::warn!(error = format!("{error:#}"), "the store does not say which lab has this name now");
            newest(found)
        }
        Err(error) => Err(error.context(format!(
            "no output of a lab {name} in namespace {namespace} is in {}, and the store can't say why",
            config.data_dir.join("labs").display()
        ))),
    }
}

fn newest(found: &[LabIdentity]) -> anyhow::Result<String> {
    found.last().map(|identity| identity.uid.clone()).context("failed to find a lab")
}

/// The lab, from the store.
async fn look_up(args: &LogsArgs, config: &Config) -> anyhow::Result<Option<Lab>> {
    match config.store.backend {
        StoreBackend::Memory => bail!("store.backend is \"memory\", which only the process that has it can read"),
        StoreBackend::Sqlite if !config.store.sqlite.path.exists() => {
            bail!("there is no store at {}", config.store.sqlite.path.display())
        }
        StoreBackend::Sqlite | StoreBackend::Redis => {}
    }
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let opened = store::open(&config.store, false, clock.clone(), random.clone()).await?;
    let kinds = Arc::new(roa_lab::kinds(KindRegistry::new()));
    let resources = ResourceStore::new(Arc::clone(&opened.store), kinds, clock, random, "roa");
    let found = match resources.api::<LabInstance>()?.get(args.namespace(), &args.name).await {
        Ok(lab) => Ok(Some(lab)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    };
    opened.close().await;
    found
}

/// Writes to stdout; `false` if its reader has left, which is no failure.
fn print(output: &[u8]) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("failed to write to stdout"),
    }
}
