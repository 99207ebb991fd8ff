//! `roa demo`: five labs' whole lives in under a minute, on the same engine as `roa run`.
//!
//! It writes a configuration and manifests into a directory of its own, starts the engine with them, and prints what a
//! watch delivers. It knows how each lab should end, and succeeds only if each did. Its one act of its own is to kill
//! the process of one lab, as an accident would. With `--workers` it tells another story: that of a pool of workers.

mod accident;
mod backend;
mod directory;
mod narrator;
mod story;
mod verdict;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roa_core::{CancellationSource, ClockExt};
use roa_runtime::ChannelSink;

use super::run::{Signals, runtime};
use crate::cli::{DemoArgs, LogArgs};
use crate::config::settings::Config;
use crate::engine::Engine;
use crate::report::Failure;
use crate::{logging, manifest};

use directory::Directory;
use narrator::Narrator;
use story::Story;

/// How fast the labs' time passes, unless told otherwise.
const SPEED: u16 = 12;
/// How long the story may take in real time at that speed; it takes less than half of it.
const LIMIT: Duration = Duration::from_secs(55);
/// How long its own labs may take to go when the story is cut short.
const CLEAN_UP: Duration = Duration::from_secs(8);
/// How many events may wait to be printed.
const EVENTS: usize = 1_024;

/// Tells the story, and says whether every lab ended as it should.
///
/// # Errors
/// A lab ended otherwise, or not in time; or the engine can't be started.
pub(crate) fn run(args: &DemoArgs, log: &LogArgs) -> Result<(), Failure> {
    let place = Place::new(args.keep)?;
    let speed = args.speed.unwrap_or(SPEED);
    let directory = Directory::write(place.path(), speed)?;
    if args.workers {
        workers::write(&directory.manifests())?;
    }
    let config = backend::configuration(&directory, args, log)?;
    logging::start(&config.log)?;
    let manifests = manifest::load(&[directory.manifests()], &mut std::io::empty())?;
    let limit = LIMIT.mul_f64(f64::from(SPEED) / f64::from(speed)).clamp(Duration::from_secs(10), LIMIT);
    let outcome = runtime()?.block_on(async {
        let signals = Signals::new()?;
        let interrupt = CancellationSource::new();
        let outcome = tokio::select! {
            outcome = tell_one(args.workers, config.clone(), manifests, limit, &interrupt) => outcome,
            never = signals.cancel_on_first(&interrupt) => match never {},
        };
        match if args.keep { Ok(()) } else { backend::remove(&config).await } {
            Err(error) if outcome.is_ok() => Err(error.into()),
            // One failure is enough: a store that could not be opened can't be removed either.
            _ => outcome,
        }
    });
    place.say_where(&config);
    outcome
}

/// The story of the labs, or that of a pool of workers.
async fn tell_one(
    of_workers: bool,
    config: Config,
    manifests: Vec<manifest::Manifest>,
    limit: Duration,
    interrupt: &CancellationSource,
) -> Result<(), Failure> {
    if of_workers {
        Box::pin(workers::tell(config, manifests, limit, interrupt)).await
    } else {
        Box::pin(tell(config, manifests, limit, interrupt)).await
    }
}

async fn tell(
    config: Config,
    manifests: Vec<manifest::Manifest>,
    limit: Duration,
    interrupt: &CancellationSource,
) -> Result<(), Failure> {
    let (sink, events) = ChannelSink::new(EVENTS);
    let data_dir = config.data_dir.clone();
    let engine = Engine::open(config, vec![Arc::new(sink)]).await.map_err(backend::explain)?;
    let (clock, interrupted, stop) = (Arc::clone(&engine.clocks().io), interrupt.token(), CancellationSource::new());
    let mut story = Story::begin(&engine, events, Narrator::new(clock.clone()), data_dir).await?;
    engine.apply(manifests).await?;
    let running = engine.run(stop.token());
    tokio::pin!(running);
    let told = tokio::select! {
        outcome = &mut running => Err(ended_early(outcome)),
        told = story.tell() => told,
        () = clock.sleep(limit) => Ok(()),
        () = interrupted.cancelled() => Ok(()),
    };
    tokio::select! {
        _ = &mut running => {}
        () = story.clean_up() => {}
        () = clock.sleep(CLEAN_UP) => tracing::warn!("not all of the demo's labs went in time"),
    }
    stop.cancel();
    running.await.or_else(|error| if told.is_err() { Ok(()) } else { Err(error) })?;
    told?;
    Ok(story.judge()?)
}

fn ended_early(outcome: anyhow::Result<()>) -> anyhow::Error {
    match outcome {
        Ok(()) => anyhow::anyhow!("the engine ended before the story"),
        Err(error) => error,
    }
}

/// The demo's directory: gone at the end unless it is to be kept.
enum Place {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Place {
    fn new(keep: bool) -> anyhow::Result<Self> {
        let made = tempfile::Builder::new().prefix("roa-demo-").tempdir().context("failed to make a directory")?;
        Ok(if keep { Self::Kept(made.keep()) } else { Self::Temporary(made) })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(made) => made.path(),
            Self::Kept(path) => path,
        }
    }

    fn say_where(&self, config: &Config) {
        if let Self::Kept(path) = self {
            narrator::print(&backend::kept(config, path));
        }
    }
}
