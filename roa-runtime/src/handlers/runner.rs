//! [`EventHandler`]: something that wants to be told of each change, at least once, also across restarts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use roa_core::{
    Clock, ClockExt, Error, Position, ReconcileError, Resource, Result, Start, WatchEvent, WatchItem, Watcher,
};

use crate::Bookmarks;

/// Something that wants to be told of each change: a sink, a relay, an auditor.
///
/// ```
/// # use async_trait::async_trait;
/// # use roa_core::{DynamicObject, ReconcileError, WatchEvent};
/// # use roa_runtime::EventHandler;
/// struct Auditor;
///
/// #[async_trait]
/// impl EventHandler<DynamicObject> for Auditor {
///     fn name(&self) -> &str {
///         "auditor"
///     }
///
///     async fn handle(&self, event: &WatchEvent<DynamicObject>) -> Result<(), ReconcileError> {
///         println!("{:?} {}", event.change, event.key);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait EventHandler<R: Resource>: Send + Sync + 'static {
    /// Its name, under which its bookmark is kept.
    fn name(&self) -> &str;

    /// Handles one event. It is told again until it succeeds, also after a restart: at least once, in order.
    ///
    /// # Errors
    /// [`ReconcileError`]: the same event comes again after a back-off, and nothing after it before.
    async fn handle(&self, event: &WatchEvent<R>) -> Result<(), ReconcileError>;
}

/// Tells one handler of every change that a watcher sees, and keeps how far it is. Each handler has a runner of its own:
/// one that is slow or fails delays no other.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use roa_core::{DynamicObject, Watcher};
/// # use roa_runtime::{Bookmarks, EventHandler, HandlerRunner, SystemClock};
/// async fn tell(
///     watcher: Arc<dyn Watcher<DynamicObject>>,
///     handler: Arc<dyn EventHandler<DynamicObject>>,
///     bookmarks: Bookmarks,
/// ) {
///     let retry = Duration::from_secs(1);
///     HandlerRunner::new(watcher, handler, bookmarks, Arc::new(SystemClock::new()), retry).run().await;
/// }
/// ```
pub struct HandlerRunner<R> {
    watcher: Arc<dyn Watcher<R>>,
    handler: Arc<dyn EventHandler<R>>,
    bookmarks: Bookmarks,
    clock: Arc<dyn Clock>,
    retry: Duration,
}

impl<R: Resource> HandlerRunner<R> {
    /// A runner for `handler`; a failed event is told again after `retry`.
    #[must_use]
    pub fn new(
        watcher: Arc<dyn Watcher<R>>,
        handler: Arc<dyn EventHandler<R>>,
        bookmarks: Bookmarks,
        clock: Arc<dyn Clock>,
        retry: Duration,
    ) -> Self {
        Self { watcher, handler, bookmarks, clock, retry }
    }

    /// Runs until dropped: from the bookmark if there is one that can be resumed, else from a snapshot.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: an event whose bookmark was not kept comes again.
    pub async fn run(&self) {
        loop {
            if let Err(error) = self.follow().await {
                tracing::warn!(handler = self.handler.name(), %error, "handler stopped, going on");
            }
            self.clock.sleep(self.retry).await;
        }
    }

    async fn follow(&self) -> Result<()> {
        let start = self.bookmarks.load(self.handler.name()).await?.map_or(Start::Snapshot, Start::Resume);
        let (mut stream, begun) = match self.watcher.watch(start).await {
            Err(Error::Expired { .. } | Error::TooLarge { .. }) => {
                (self.watcher.watch(Start::Snapshot).await?, Start::Snapshot)
            }
            outcome => (outcome?, start),
        };
        // A bookmark before the end of a snapshot would leave out the rest of it.
        let mut in_snapshot = begun == Start::Snapshot;
        while let Some(item) = stream.next().await {
            match item {
                Ok(WatchItem::Events { position, events }) => {
                    self.handle_all(&events).await;
                    if !in_snapshot {
                        self.keep(position).await?;
                    }
                }
                Ok(WatchItem::Synced(position)) => {
                    in_snapshot = false;
                    self.keep(position).await?;
                }
                // Keeping mere progress would be a commit, which is progress, and so on for ever.
                Ok(_) => {}
                Err(end) => {
                    tracing::debug!(handler = self.handler.name(), %end, "watch ended, going on");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn handle_all(&self, events: &[WatchEvent<R>]) {
        for event in events {
            while let Err(error) = self.handler.handle(event).await {
                tracing::warn!(handler = self.handler.name(), key = %event.key, %error, "event not handled, trying again");
                self.clock.sleep(self.retry).await;
            }
        }
    }

    async fn keep(&self, position: Position) -> Result<()> {
        self.bookmarks.save(self.handler.name(), position).await
    }
}

impl<R> std::fmt::Debug for HandlerRunner<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HandlerRunner(every {:?})", self.retry)
    }
}
