//! How a cache is kept true: snapshot, changes, and a snapshot again when the history was lost.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{
    ChangeKind, Clock, ClockExt, Error, Key, Position, Resource, Start, TailEnd, WatchEvent, WatchItem, WatchStream,
    Watcher,
};

use super::Cache;

const RETRY_BASE: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

pub(super) async fn run<R: Resource>(cache: &Cache<R>, watcher: &dyn Watcher<R>, clock: &dyn Clock) {
    let mut feed = Feed { cache, resume: None, listing: None };
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
    /// Where to go on; `None` if a snapshot is needed.
    resume: Option<Position>,
    /// The keys of the snapshot so far; `None` when there is none under way.
    listing: Option<BTreeSet<Key>>,
}

impl<R: Resource> Feed<'_, R> {
    fn begin(&mut self) -> Start {
        match self.resume {
            Some(position) => {
                self.listing = None;
                Start::Resume(position)
            }
            None => {
                self.listing = Some(BTreeSet::new());
                self.cache.shared.relists.fetch_add(1, Ordering::Relaxed);
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
                    self.apply(event);
                }
                self.reached(position);
            }
            WatchItem::Synced(position) => {
                if let Some(seen) = self.listing.take() {
                    self.cache.sweep(&seen);
                }
                self.reached(position);
            }
            WatchItem::Progress(position) => self.reached(position),
            _ => {}
        }
    }

    fn apply(&mut self, WatchEvent { change, key, object }: WatchEvent<R>) {
        match (change, &mut self.listing) {
            (ChangeKind::Deleted, _) => self.cache.remove(&key),
            (ChangeKind::Added | ChangeKind::Modified, listing) => {
                if let Some(seen) = listing {
                    seen.insert(key.clone());
                }
                self.cache.put(&key, object);
            }
        }
    }

    /// A snapshot under way is not yet true at any revision.
    fn reached(&mut self, position: Position) {
        if self.listing.is_none() {
            self.resume = Some(position);
            self.cache.reached(position);
        }
    }
}
