//! `roa bench`: how fast the configured store is, with writers and watchers of this process.

mod histogram;
mod load;
mod scratch;
mod summary;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use roa_core::SystemRandom;
use roa_runtime::SystemClock;

use self::load::{Load, Measured};
use self::scratch::Scratch;
use self::summary::Summary;
use super::config::load_from;
use super::run::{Signals, runtime};
use crate::cli::{BenchArgs, BenchOutput, LogArgs};
use crate::config::settings::StoreConfig;
use crate::engine::store;
use crate::report::Failure;

/// Measures, clears away what it wrote, and prints.
///
/// # Errors
/// The configuration is wrong, the store holds something or can't be used, or it was told to stop.
pub(crate) fn run(args: &BenchArgs, log: &LogArgs) -> Result<(), Failure> {
    let config = load_from(&args.config, log)?.config;
    crate::logging::start(&config.log)?;
    let summary = runtime()?.block_on(bench(args, &config.store))?;
    let text = match args.output {
        BenchOutput::Table => summary.table(),
        BenchOutput::Json => summary.json(),
    };
    Ok(anstream::stdout().write_all(text.as_bytes()).context("failed to write to stdout")?)
}

async fn bench(args: &BenchArgs, config: &StoreConfig) -> anyhow::Result<Summary> {
    let signals = Signals::new()?;
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let opened = store::open(config, true, clock.clone(), random.clone()).await?;
    let held = Arc::clone(&opened.store);
    let scratch = Arc::new(Scratch::new(&*random)?);
    let load = Load {
        store: Arc::clone(&held),
        clock,
        random: random.clone(),
        scratch: Arc::clone(&scratch),
        writers: args.writers.into(),
        watchers: args.watchers.into(),
        duration: Duration::from_secs(args.seconds.into()),
        value_size: args.value_size,
    };
    let measured = match scratch::check(&*held, args.in_use).await {
        Ok(()) => measure(&load, signals).await,
        Err(refused) => Err(refused),
    };
    let cleared = if measured.is_ok() || args.in_use { scratch.clear(&*held, &*random).await } else { Ok(0) };
    let store = held.to_string();
    drop((load, held));
    opened.close().await;
    let measured = measured?;
    cleared?;
    Ok(Summary { store, writers: args.writers, watchers: args.watchers, value_size: args.value_size, measured })
}

async fn measure(load: &Load, mut signals: Signals) -> anyhow::Result<Measured> {
    let bar = ProgressBar::with_draw_target(Some(load.duration.as_secs()), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let tell = |elapsed: Duration, commits: u64, events: u64| {
        bar.set_position(elapsed.as_secs());
        bar.set_message(summary::rates(elapsed, commits, events));
    };
    let measured = tokio::select! {
        measured = load.run(tell) => measured,
        () = signals.next() => Err(anyhow::anyhow!("told to stop before the end")),
    };
    bar.finish_and_clear();
    match measured {
        Ok(measured) if measured.commits == 0 => bail!("nothing could be written in time"),
        measured => measured,
    }
}
