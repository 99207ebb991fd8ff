//! `roa store …`: what is kept, whether it is whole, and copies of it.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use roa_core::{Clock, KeyPrefix, ListRequest, Revision, Store, StoreState, SystemRandom};
use roa_runtime::SystemClock;
use roa_store_redis::RedisStore;
use roa_store_sqlite::{CheckReport, SqliteStore};

use super::config::load_from;
use super::copy;
use super::run::runtime;
use crate::cli::{CopyArgs, LogArgs, StoreArgs, StoreCommand};
use crate::config::settings::{Config, StoreBackend};
use crate::engine::store::{open_redis, open_sqlite, sqlite};
use crate::report::Failure;

/// Runs the command and prints to stdout.
///
/// # Errors
/// The configuration is wrong, the store can't be used, or it is not whole.
pub(crate) fn run(command: &StoreCommand, log: &LogArgs) -> Result<(), Failure> {
    let config = load_from(&command.args().config, log)?.config;
    crate::logging::start(&config.log)?;
    runtime()?.block_on(dispatch(command, &config)).map_err(Failure::Run)
}

async fn dispatch(command: &StoreCommand, config: &Config) -> anyhow::Result<()> {
    match (command, config.store.backend) {
        (StoreCommand::Copy(args), _) => {
            let facts = copy::run(args, &config.store, clock(), Arc::new(SystemRandom)).await?;
            print(&table(&facts))
        }
        (_, StoreBackend::Sqlite) => sqlite_command(command, config).await,
        (_, StoreBackend::Redis) => redis_command(command, config).await,
        (_, StoreBackend::Memory) => bail!(
            "store.backend is \"memory\", which is gone when roa ends: there is nothing to look at, expected \"sqlite\" or \"redis\""
        ),
    }
}

async fn redis_command(command: &StoreCommand, config: &Config) -> anyhow::Result<()> {
    if matches!(command, StoreCommand::Backup { .. } | StoreCommand::Restore { .. }) {
        bail!(
            "store.backend is \"redis\", which makes and reads its own copies; hint: `redis-cli BGSAVE` and its append-only file, or `roa store copy --to sqlite:FILE`"
        );
    }
    let store = open_redis(&config.store, false, clock(), Arc::new(SystemRandom)).await?;
    let done = match command {
        StoreCommand::Check(_) => check_redis(&store).await,
        StoreCommand::Compact { to, .. } => compact_to(&store, *to).await.map(compacted),
        _ => redis_facts(&store).await.map(|facts| table(&facts)),
    };
    store.close().await;
    print(&done?)
}

async fn redis_facts(store: &RedisStore) -> anyhow::Result<Vec<(&'static str, String)>> {
    let info = store.info().await?;
    let StoreState { head, floor, epoch } = info.state;
    let mut facts = vec![
        ("store", info.id.to_string()),
        ("backend", format!("redis {}", info.version)),
        ("address", info.address),
        ("durability", store.capabilities().durability.to_string()),
        ("persistence", info.persistence.to_string()),
        ("epoch", epoch.to_string()),
        ("head", head.to_string()),
        ("floor", floor.to_string()),
        ("log", format!("{} revisions, {} bytes", info.log_batches, info.log_bytes)),
        ("entries", info.entries.to_string()),
        ("health", format!("{:?}", store.health().await)),
    ];
    facts.extend(info.warnings.into_iter().map(|warning| ("warning", warning)));
    Ok(facts)
}

async fn check_redis(store: &RedisStore) -> anyhow::Result<String> {
    let report = store.check().await?;
    if !report.problems.is_empty() {
        bail!("{store} is not whole:\n  {}", report.problems.join("\n  "));
    }
    Ok(whole(report.state, report.entries, report.batches))
}

fn whole(StoreState { head, floor, .. }: StoreState, entries: u64, batches: u64) -> String {
    format!("ok: {entries} entries, {batches} revisions after {floor} up to {head}\n")
}

fn compacted((before, after): (Revision, Revision)) -> String {
    format!("the log begins after {after} (before: {before})\n")
}

fn table(facts: &[(&str, String)]) -> String {
    facts.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect()
}

async fn sqlite_command(command: &StoreCommand, config: &Config) -> anyhow::Result<()> {
    let path = &config.store.sqlite.path;
    let there = path.exists();
    match command {
        StoreCommand::Restore { from, .. } => restore(config, from).await,
        _ if !there => bail!("there is no store at {}, expected one; hint: `roa run` makes it", path.display()),
        StoreCommand::Check(_) => check(config).await,
        StoreCommand::Compact { to, .. } => compact(config, *to).await,
        StoreCommand::Backup { to, .. } => backup(config, to).await,
        _ => info(config).await,
    }
}

impl StoreCommand {
    const fn args(&self) -> &StoreArgs {
        match self {
            Self::Info(args) | Self::Check(args) => args,
            Self::Copy(CopyArgs { args, .. })
            | Self::Compact { args, .. }
            | Self::Backup { args, .. }
            | Self::Restore { args, .. } => args,
        }
    }
}

async fn open(config: &Config) -> anyhow::Result<SqliteStore> {
    open_sqlite(&config.store, clock(), Arc::new(SystemRandom)).await
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

async fn info(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let facts = facts(&store, &config.store.sqlite.path).await;
    store.close().await;
    print(&table(&facts?))
}

async fn facts(store: &SqliteStore, path: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    let StoreState { head, floor, epoch } = store.state().await?;
    let entries = store.list(ListRequest::new(KeyPrefix::everything())).await?.entries.len();
    let bytes = std::fs::metadata(path).with_context(|| format!("failed to look at {}", path.display()))?.len();
    Ok(vec![
        ("store", store.id().to_string()),
        ("backend", "sqlite".to_owned()),
        ("path", path.display().to_string()),
        ("durability", store.capabilities().durability.to_string()),
        ("epoch", epoch.to_string()),
        ("head", head.to_string()),
        ("floor", floor.to_string()),
        ("log", format!("{} revisions", head.get() - floor.get())),
        ("entries", entries.to_string()),
        ("size", format!("{bytes} bytes")),
        ("health", format!("{:?}", store.health().await)),
    ])
}

async fn check(config: &Config) -> anyhow::Result<()> {
    let CheckReport { state, batches, entries, problems, .. } = roa_store_sqlite::check(&sqlite(&config.store)).await?;
    if problems.is_empty() {
        return print(&whole(state, entries, batches));
    }
    bail!("the store at {} is not whole:\n  {}", config.store.sqlite.path.display(), problems.join("\n  "))
}

async fn compact(config: &Config, to: Option<u64>) -> anyhow::Result<()> {
    let store = open(config).await?;
    let done = compact_to(&store, to).await;
    store.close().await;
    print(&compacted(done?))
}

async fn compact_to(store: &dyn Store, to: Option<u64>) -> anyhow::Result<(Revision, Revision)> {
    let before = store.state().await?;
    let to = to.map_or(Ok(before.head), Revision::new)?;
    Ok((before.floor, store.compact(to).await?))
}

async fn backup(config: &Config, to: &Path) -> anyhow::Result<()> {
    let store = open(config).await?;
    let copied = store.backup(to).await;
    store.close().await;
    let state = copied.context("failed to back the store up")?;
    print(&format!("{} holds the store as of revision {}\n", to.display(), state.head))
}

async fn restore(config: &Config, from: &Path) -> anyhow::Result<()> {
    let state = roa_store_sqlite::restore(from, &sqlite(&config.store), clock(), Arc::new(SystemRandom)).await?;
    let path = config.store.sqlite.path.display();
    print(&format!("{path} holds {} now; its history goes on at revision {}\n", from.display(), state.head))
}

/// Prints `text`. A reader that has left is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("failed to write to stdout"))
        }
        _ => Ok(()),
    }
}
