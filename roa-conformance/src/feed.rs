//! [`Feed`]: a store's change feed, read batch by batch, each bounded in time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{Batch, Key, Revision, Tail, TailEnd};

use crate::failure::{CaseFailure, Outcome, ensure};
use crate::harness::within;

/// A change feed as cases read it.
#[derive(Debug)]
pub(crate) struct Feed {
    tail: Tail,
    /// The last revision that was given.
    at: Revision,
    ready: VecDeque<Arc<Batch>>,
    patience: Duration,
}

impl Feed {
    pub(crate) const fn new(tail: Tail, patience: Duration) -> Self {
        Self { at: tail.after, tail, ready: VecDeque::new(), patience }
    }

    /// The feed itself, with what it says of its history. Nothing must have been read before.
    pub(crate) const fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The next batch; a failure if it ends.
    pub(crate) async fn next(&mut self) -> Outcome<Arc<Batch>> {
        self.next_or_end().await?.map_err(|end| CaseFailure::Ended { what: "a change feed".to_owned(), end })
    }

    /// The next batch, or the reason of the end.
    pub(crate) async fn next_or_end(&mut self) -> Outcome<Result<Arc<Batch>, TailEnd>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.at = batch.revision;
                return Ok(Ok(batch));
            }
            match within(self.patience, "the next batch of a change feed", self.tail.next()).await? {
                Some(Ok(batches)) => self.ready.extend(batches),
                Some(Err(end)) => return Ok(Err(end)),
                None => return Err(CaseFailure::EndedSilently { what: "a change feed".to_owned() }),
            }
        }
    }

    /// All batches up to and including a revision, or past it if that one is left out.
    pub(crate) async fn until(&mut self, revision: Revision) -> Outcome<Vec<Arc<Batch>>> {
        let mut batches: Vec<Arc<Batch>> = Vec::new();
        while batches.last().is_none_or(|last| last.revision < revision) {
            batches.push(self.next().await?);
        }
        Ok(batches)
    }

    /// The same, and each must have the revision after the one before.
    pub(crate) async fn dense_until(&mut self, revision: Revision) -> Outcome<Vec<Arc<Batch>>> {
        let mut batches = Vec::new();
        while self.at < revision {
            let last = self.at;
            batches.push(self.next().await?);
            self.ensure_follows(last)?;
        }
        Ok(batches)
    }

    fn ensure_follows(&self, last: Revision) -> Outcome {
        ensure::equal("the next revision of a feed", self.at.get(), last.get() + 1)
    }

    /// All batches until it ends, each with the revision after the one before, and why it ends; a failure if anything
    /// comes after that.
    pub(crate) async fn until_end(&mut self) -> Outcome<(Vec<Arc<Batch>>, TailEnd)> {
        let mut batches = Vec::new();
        loop {
            let last = self.at;
            match self.next_or_end().await? {
                Ok(batch) => {
                    batches.push(batch);
                    self.ensure_follows(last)?;
                }
                Err(end) => {
                    let after = within(self.patience, "the end of a change feed", self.tail.next()).await?;
                    ensure::that("nothing after the end of a feed", after.is_none(), &after)?;
                    return Ok((batches, end));
                }
            }
        }
    }
}

/// The revisions of batches.
pub(crate) fn revisions<'a>(batches: impl IntoIterator<Item = &'a Arc<Batch>>) -> Vec<u64> {
    batches.into_iter().map(|batch| batch.revision.get()).collect()
}

/// What a batch wrote: each key and its new value; `None` for one that was removed.
pub(crate) fn writes(batch: &Batch) -> Vec<(Key, Option<String>)> {
    let write = |change: &roa_core::Change| {
        let value = change.current().map(|entry| String::from_utf8_lossy(&entry.value.bytes).into_owned());
        (change.key().clone(), value)
    };
    batch.changes.iter().map(write).collect()
}

/// The batches are those of the revisions after one, each once, in order, up to another.
#[track_caller]
pub(crate) fn ensure_dense(what: &str, batches: &[Arc<Batch>], after: Revision, to: Revision) -> Outcome {
    ensure::equal(what, revisions(batches), (after.get() + 1..=to.get()).collect::<Vec<_>>())
}
