//! How a cache is kept true: snapshot, changes, and a snapshot again when the history was lost.

use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{
    ChangeKind, Clock, ClockExt, Error, Position, Resource, Start, TailEnd, WatchEvent, WatchItem, WatchStream, Watcher,
};

use super::Cache;

const RETRY_BASE: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

pub(super) async fn run<R: Resource>(cache: &Cache<R>, watcher: &dyn Watcher<R>, clock: &dyn Clock) {
    let mut feed = Feed { cache, clock, resume: None, listing: false };
    let mut failures: u32 = 0;
    loop {
        match watcher.watch(feed.begin()).await {
            Ok(stream) => {
                let before = cache.position();
                feed.follow(stream).await;
                failures = if cache.position() == before { failures.saturating_add(1) } else { 0 };
            }
            Err(error) => {
                feed.refused(&error);
                failures = failures.saturating_add(1);
            }
        }
        if failures > 0 {
            clock.sleep(RETRY_BASE.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(RETRY_MAX)).await;
        }
    }
}

struct Feed<'a, R> {
    cache: &'a Cache<R>,
    clock: &'a dyn Clock,
    /// Where to go on; `None` if a snapshot is needed.
    resume: Option<Position>,
    /// Whether a snapshot is under way.
    listing: bool,
}

impl<R: Resource> Feed<'_, R> {
    fn begin(&mut self) -> Start {
        match self.resume {
            Some(position) => {
                self.listing = false;
                Start::Resume(position)
            }
            None => {
                self.listing = true;
                self.cache.begin_list();
                Start::Snapshot
            }
        }
    }

    async fn follow(&mut self, mut stream: WatchStream<R>) {
        while let Some(item) = stream.next().await {
            match item {
                Ok(item) => self.take(item),
                Err(TailEnd::Expired { floor, head }) => {
                    tracing::info!(%floor, %head, "a cache's history is no longer kept, listing again");
                    self.resume = None;
                }
                Err(end) => tracing::debug!(%end, "a cache's watch ended, going on"),
            }
        }
    }

    fn refused(&mut self, error: &Error) {
        tracing::warn!(%error, "a cache can't watch, trying again");
        if !matches!(error, Error::Unavailable { .. }) {
            self.resume = None;
        }
    }

    fn take(&mut self, item: WatchItem<R>) {
        match item {
            WatchItem::Events { position, events } => {
                for event in events {
                    self.apply(event, position);
                }
                self.reached(position);
            }
            WatchItem::Synced(position) => {
                if std::mem::take(&mut self.listing) {
                    self.cache.sweep();
                }
                self.reached(position);
            }
            WatchItem::Progress(position) => self.reached(position),
            _ => {}
        }
    }

    fn apply(&self, WatchEvent { change, key, object }: WatchEvent<R>, position: Position) {
        match change {
            ChangeKind::Deleted => self.cache.remove(&key, Some(position.revision)),
            ChangeKind::Added | ChangeKind::Modified => self.cache.put(&key, object, self.listing),
        }
    }

    /// A snapshot under way is not yet true at any revision.
    fn reached(&mut self, position: Position) {
        if !self.listing {
            self.resume = Some(position);
            self.cache.reached(position, self.clock.monotonic());
        }
    }
}
