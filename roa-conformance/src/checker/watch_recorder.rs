//! [`WatchRecorder`]: reads a store's change feed and writes down what it delivers.

use std::sync::Arc;

use futures_util::StreamExt;
use roa_core::{Batch, Error, Result, Revision, Store, Tail, TailEnd};

use super::{ClientId, Selection, WatchEnd, WatchHistory, WatchItem, WatchSession};

/// Reads a store's change feed, in any number of sessions, and writes down what it delivers.
#[derive(Debug)]
pub struct WatchRecorder {
    history: WatchHistory,
    tail: Option<Tail>,
    /// How many batches and sessions it holds before it refuses to go on.
    limit: usize,
    held: usize,
    position: Option<Revision>,
}

impl WatchRecorder {
    /// A recorder that holds up to `limit` batches and sessions.
    #[must_use]
    pub const fn new(client: ClientId, limit: usize) -> Self {
        let history = WatchHistory::new(client, Selection::Everything);
        Self { history, tail: None, limit, held: 0, position: None }
    }

    /// Opens a session. One that is still open ends as dropped.
    ///
    /// # Errors
    /// As [`Store::tail`]; [`Error::Unavailable`] if the recorder is full.
    ///
    /// # Cancel safety
    /// Safe: a session that was not opened is not written down.
    pub async fn open(&mut self, store: &dyn Store, after: Revision) -> Result<()> {
        self.tail = None;
        if self.is_full() {
            return Err(Error::unavailable("the recording is full"));
        }
        let opened = store.tail(after).await;
        let mut session = WatchSession::new(after);
        if let Err(error) = &opened {
            session.end = WatchEnd::Refused(error.clone());
        }
        self.held += 1;
        self.history.sessions.push(session);
        self.tail = Some(opened?);
        self.position = Some(after);
        Ok(())
    }

    /// The next batches; `None` once the session has ended, or when the recorder is full.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken from the feed that is not written down.
    pub async fn next(&mut self) -> Option<Vec<Arc<Batch>>> {
        if self.is_full() {
            return None;
        }
        let item = self.tail.as_mut()?.next().await;
        let session = self.history.sessions.last_mut()?;
        match item {
            Some(Ok(batches)) => {
                self.held += batches.len();
                self.position = self.position.max(batches.last().map(|batch| batch.revision));
                session.items.extend(batches.iter().map(|batch| WatchItem::Batch(Arc::clone(batch))));
                return Some(batches);
            }
            Some(Err(end)) => session.end = WatchEnd::Ended(end),
            None => session.end = WatchEnd::Silent,
        }
        self.tail = None;
        None
    }

    /// Drops the feed.
    pub fn drop_session(&mut self) {
        self.tail = None;
    }

    /// Drops the feed and writes down that a revision did not come in time.
    pub fn give_up(&mut self, waited_for: Revision) {
        self.tail = None;
        if let Some(session) = self.history.sessions.last_mut() {
            session.end = WatchEnd::Stalled { waited_for };
        }
    }

    /// Why the last session ended, if it ended with `Expired`: the floor then.
    #[must_use]
    pub fn expired(&self) -> Option<Revision> {
        match &self.history.sessions.last()?.end {
            WatchEnd::Ended(TailEnd::Expired { floor, .. }) | WatchEnd::Refused(Error::Expired { floor, .. }) => {
                Some(*floor)
            }
            _ => None,
        }
    }

    /// Whether it holds as much as it may.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.held >= self.limit
    }

    /// Everything up to here has been delivered; `None` before a session was opened.
    #[must_use]
    pub const fn position(&self) -> Option<Revision> {
        self.position
    }

    /// What was delivered.
    #[must_use]
    pub fn into_history(self) -> WatchHistory {
        self.history
    }
}
