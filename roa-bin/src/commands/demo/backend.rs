//! The demo's store: of the backend that was chosen, and nobody else's.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use roa_core::{RandomExt, SystemRandom};
use roa_runtime::SystemClock;
use roa_store_redis::OpenError;

use super::super::config::load_from;
use super::directory::Directory;
use crate::cli::{ConfigArgs, DemoArgs, LogArgs};
use crate::config::SecretUrl;
use crate::config::settings::{Config, StoreBackend};
use crate::engine::store;
use crate::report::Failure;

/// The demo's configuration, with a store of the demo's own: where Redis is, is taken from `--redis-url` or from the user's
/// own configuration; which store there, never.
///
/// # Errors
/// One of the configurations is wrong.
pub(super) fn configuration(directory: &Directory, args: &DemoArgs, log: &LogArgs) -> Result<Config, Failure> {
    let backend = args.backend.clone().or_else(|| args.redis_url.is_some().then(|| "redis".to_owned()));
    let own = ConfigArgs { config: Some(directory.config()), data_dir: None, store_backend: backend };
    let mut config = load_from(&own, log)?.config;
    config.store.sqlite.path = config.data_dir.join("roa.db");
    match (config.store.backend, &args.redis_url) {
        (StoreBackend::Redis, url) => {
            let users = ConfigArgs { config: args.config.clone(), data_dir: None, store_backend: None };
            config.store.redis = load_from(&users, log)?.config.store.redis;
            config.store.redis.name = format!("demo-{}", SystemRandom.uuid());
            if let Some(url) = url {
                config.store.redis.url = SecretUrl::new(url);
            }
        }
        (_, Some(_)) => return Err(anyhow!("--redis-url says where Redis is, which is for --backend redis").into()),
        (_, None) => {}
    }
    Ok(config)
}

/// What to do about a store that can't be opened.
pub(super) fn explain(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Unreachable { .. }) => {
            anyhow!("{error:#}; hint: start one, as with `redis-server`, or say with --redis-url where one is")
        }
        _ => error,
    }
}

/// Removes what is not in the demo's directory, which goes by itself.
///
/// # Errors
/// It can't be removed.
pub(super) async fn remove(config: &Config) -> anyhow::Result<()> {
    if config.store.backend != StoreBackend::Redis {
        return Ok(());
    }
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let opened = store::open_redis(&config.store, false, clock, random).await?;
    opened.remove().await.context("failed to remove the demo's store from Redis")
}

/// Where all of it is that is kept.
pub(super) fn kept(config: &Config, directory: &Path) -> String {
    let directory = directory.display();
    match config.store.backend {
        StoreBackend::Redis => {
            format!("kept in {directory} and in the store {:?} at {}", config.store.redis.name, config.store.redis.url)
        }
        StoreBackend::Sqlite | StoreBackend::Memory => format!("kept in {directory}"),
    }
}
