//! `roa run`: the control plane, until it is told to stop.

use std::io;

use anyhow::Context as _;
use roa_core::CancellationSource;
use tokio::signal::unix::{SignalKind, signal};

use super::config::load_from;
use crate::cli::{LogArgs, RunArgs};
use crate::engine::Engine;
use crate::report::Failure;
use crate::{logging, manifest};

/// Runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// The configuration or a manifest is wrong: then nothing was written. Or something can't be started.
pub(crate) fn run(args: &RunArgs, log: &LogArgs) -> Result<(), Failure> {
    let config = load_from(&args.config, log)?.config;
    let manifests = manifest::load(&args.manifests, &mut io::stdin().lock())?;
    logging::start(&config.log)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let stop = CancellationSource::new();
        let signals = Signals::new()?;
        let engine = Engine::open(config, Vec::new()).await?;
        let applied = engine.apply(manifests).await?;
        if applied > 0 {
            tracing::info!(applied, "manifests applied");
        }
        let token = stop.token();
        tokio::select! {
            outcome = engine.run(token) => Ok(outcome?),
            never = signals.cancel_on_first(&stop) => match never {},
        }
    })
}

/// The runtime that everything runs on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.context("failed to start the asynchronous runtime")?)
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Gives the sign at the first signal; at the second, the process ends at once. Never returns.
    pub(crate) async fn cancel_on_first(mut self, stop: &CancellationSource) -> std::convert::Infallible {
        self.next().await;
        tracing::info!("told to stop: running calls may end; once more to stop at once");
        stop.cancel();
        self.next().await;
        std::process::exit(EXIT_INTERRUPTED)
    }

    /// Waits for one of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The exit status of a process that was told twice to stop: 128 and the number of SIGINT.
const EXIT_INTERRUPTED: i32 = 130;
