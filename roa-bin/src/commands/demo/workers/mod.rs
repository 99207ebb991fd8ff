//! `roa demo --workers`: a pool that grows with its labs, drains and shrinks, on the same engine as `roa run`.
//!
//! It writes a configuration and a manifest, starts the engine with them, creates and deletes labs, and prints what
//! watches deliver. Each step of the story must be seen; it succeeds only if all were.

mod scene;
mod steps;
mod story;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roa_core::{CancellationSource, ClockExt};
use roa_runtime::ChannelSink;

use super::EVENTS;
use super::narrator::Narrator;
use crate::config::settings::Config;
use crate::engine::Engine;
use crate::manifest::Manifest;
use crate::report::Failure;
use story::Story;

/// The pool, and the template of its labs.
const MANIFESTS: &str = include_str!("pool.yaml");

/// Puts the pool's manifest in the place of the labs'.
pub(super) fn write(manifests: &Path) -> anyhow::Result<()> {
    let path = manifests.join("labs.yaml");
    std::fs::write(&path, MANIFESTS).with_context(|| format!("failed to write {}", path.display()))
}

/// Tells the story, and says whether all of it happened.
///
/// # Errors
/// A step did not happen in time, a rule was broken, or the engine can't be run.
pub(super) async fn tell(
    config: Config,
    manifests: Vec<Manifest>,
    limit: Duration,
    interrupt: &CancellationSource,
) -> Result<(), Failure> {
    let (sink, events) = ChannelSink::new(EVENTS);
    let engine = Engine::open(config, vec![Arc::new(sink)]).await.map_err(super::backend::explain)?;
    let (clock, interrupted, stop) = (Arc::clone(&engine.clocks().io), interrupt.token(), CancellationSource::new());
    let mut story = Story::begin(&engine, events, Narrator::new(clock.clone())).await?;
    engine.apply(manifests).await?;
    let running = engine.run(stop.token());
    tokio::pin!(running);
    let told = tokio::select! {
        outcome = &mut running => Err(super::ended_early(outcome)),
        told = story.tell() => told,
        () = clock.sleep(limit) => Ok(()),
        () = interrupted.cancelled() => Ok(()),
    };
    stop.cancel();
    running.await.or_else(|error| if told.is_err() { Ok(()) } else { Err(error) })?;
    told?;
    Ok(story.judge()?)
}
