//! `roa store copy`: one store made equal to another, whatever their backends.
//!
//! # Layout
//! - `address`: which stores
//! - `entries`, `difference`: both are read page by page in key order, and compared
//! - `writes`: what differs is written, in transactions
//! - `marker`: how a copy that was cut off is recognised, so that it can go on
//! - `content`: what both hold in the end, as a number and a digest
//! - `round`: one pass over both; it begins again where that helps
//! - `progress`: how far it is, on a terminal

mod address;
mod content;
mod difference;
mod entries;
mod marker;
mod progress;
mod round;
#[cfg(test)]
mod tests;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use roa_core::{Clock, ClockExt, Random, Store};

use self::content::Content;
pub(crate) use self::marker::unfinished;
use self::progress::Progress;
use self::round::{Copied, Interrupted};
use crate::cli::CopyArgs;
use crate::config::settings::{StoreBackend, StoreConfig};
use crate::engine::store::{Opened, open};

/// How often a copy begins again by itself, when it was interrupted.
const ROUNDS: u32 = 5;
/// How long it waits before the second round; twice as long before each later one.
const PAUSE: Duration = Duration::from_secs(1);

/// Copies, and says what it did: a name and a value a line.
///
/// # Errors
/// A store can't be used, the target holds something else, or both are not equal in the end. The copy can be run again.
pub(super) async fn run(
    args: &CopyArgs,
    configured: &StoreConfig,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let [from, to] = [&args.from, &args.to].map(|text| address::parse(text.as_deref(), configured));
    let (from, to) = (from.context("--from")?, to.context("--to")?);
    if from.backend == StoreBackend::Sqlite && !from.sqlite.path.exists() {
        bail!("there is no store at {}, expected the one to copy", from.sqlite.path.display());
    }
    let source = open(&from, false, Arc::clone(&clock), Arc::clone(&random)).await.context("--from")?;
    let outcome = match open(&to, true, Arc::clone(&clock), Arc::clone(&random)).await.context("--to") {
        Ok(target) => {
            let outcome = between(&source, &target, args.overwrite, &*clock, &*random).await;
            target.close().await;
            outcome
        }
        Err(error) => Err(error),
    };
    source.close().await;
    outcome
}

async fn between(
    source: &Opened,
    target: &Opened,
    overwrite: bool,
    clock: &dyn Clock,
    random: &dyn Random,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let copy = Copy { source: &*source.store, target: &*target.store, overwrite, clock, random };
    let progress = Progress::on_terminal();
    let copied = copy.run(&progress).await;
    progress.finish();
    Ok(copy.facts(&copied?))
}

/// One store to be made equal to another.
struct Copy<'a> {
    source: &'a dyn Store,
    target: &'a dyn Store,
    /// Whether the target may lose what it holds.
    overwrite: bool,
    clock: &'a dyn Clock,
    random: &'a dyn Random,
}

impl Copy<'_> {
    async fn run(&self, progress: &Progress) -> anyhow::Result<Copied> {
        let (source, target) = (self.source, self.target);
        if source.id() == target.id() {
            bail!("{source} is both source and target, expected two stores");
        }
        let mut pause = PAUSE;
        for _ in 1..ROUNDS {
            match round::run(self, progress).await {
                Ok(copied) => return Ok(copied),
                Err(Interrupted::Refused(error)) => return Err(error),
                Err(Interrupted::Again(error)) => {
                    tracing::warn!("the copy begins again in {pause:?}, with what it has: {error:#}");
                }
            }
            self.clock.sleep(pause).await;
            pause *= 2;
        }
        round::run(self, progress).await.map_err(|interrupted| match interrupted {
            Interrupted::Refused(error) => error,
            Interrupted::Again(error) => error.context("the copy is not complete; hint: run it again, it goes on"),
        })
    }

    fn facts(&self, copied: &Copied) -> Vec<(&'static str, String)> {
        let Copied { content, revision, resumes_after, written, .. } = copied;
        let [created, replaced, deleted] = written;
        let Content { entries, .. } = content;
        vec![
            ("copied", format!("{entries} entries as of revision {revision}")),
            ("from", self.source.to_string()),
            ("to", self.target.to_string()),
            ("written", format!("{created} created, {replaced} replaced, {deleted} deleted")),
            ("source", content.to_string()),
            ("target", copied.target.to_string()),
            ("history", format!("the target goes on after revision {resumes_after}: watches of it list again")),
        ]
    }
}
