//! `roa logs`: what a lab's process wrote, read where it was written.
//!
//! The lab's directory says whose it is, so that this works while nothing else does. The store is asked only where the
//! directories leave a question open: there is none, or more than one.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use roa_core::{Error, KindRegistry, ResourceStore, SystemRandom};
use roa_lab::provision::{LabIdentity, LabLogs, LogError};
use roa_lab::{Lab, LabInstance};
use roa_runtime::SystemClock;

use super::config::load_from;
use super::run::runtime;
use crate::cli::{LogArgs, LogsArgs};
use crate::config::settings::{Config, StoreBackend};
use crate::engine::store;
use crate::logging;
use crate::report::Failure;

/// Prints to stdout, byte for byte as it was written.
///
/// # Errors
/// The configuration is wrong, or there is no such output here; then it says why.
pub(crate) fn run(args: &LogsArgs, log: &LogArgs) -> Result<(), Failure> {
    let config = load_from(&args.config, log)?.config;
    logging::start(&config.log)?;
    Ok(runtime()?.block_on(show(args, &config))?)
}

async fn show(args: &LogsArgs, config: &Config) -> anyhow::Result<()> {
    let logs = LabLogs::new(&config.data_dir);
    let found = logs.find(&args.namespace, &args.name).await?;
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
    let (name, namespace) = (&args.name, &args.namespace);
    match look_up(args, config).await {
        Ok(Some(lab)) => match found.iter().find(|identity| identity.uid == lab.metadata.uid) {
            Some(identity) => Ok(identity.uid.clone()),
            None => bail!("lab {name} in namespace {namespace} has no output here: {}", why(&lab, &config.data_dir)),
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

/// Why a lab that there is has no output in this data directory.
fn why(lab: &Lab, data_dir: &Path) -> String {
    let status = &lab.status;
    let Some(allocation) = &status.allocation else {
        return format!("it is {} and does not run; {}", status.state(), status.message);
    };
    if allocation.provisioner != "process" {
        return format!("it is a {:?} lab, and only \"process\" labs write any", allocation.provisioner);
    }
    let here = std::fs::read_to_string(data_dir.join("node-id")).unwrap_or_default();
    if here.trim() != allocation.node {
        return format!("it is on node {}; hint: run this there, with its --data-dir", allocation.node);
    }
    format!("it is {} and has not been started yet", status.state())
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
    let found = match resources.api::<LabInstance>()?.get(&args.namespace, &args.name).await {
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
