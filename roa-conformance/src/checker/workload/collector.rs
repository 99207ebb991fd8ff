//! [`Collector`]: takes the log from the change feed, while it is still kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{At, Batch, Error, Result, Revision, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Workload;
use super::pace::Pace;
use super::watcher::{Reading, read};
use crate::checker::{ClientId, State, WatchHistory, WatchItem, WatchRecorder};

/// What was collected.
#[derive(Debug)]
pub(super) struct Collected {
    /// Whether it reaches to the end of the run.
    pub(super) complete: bool,
    pub(super) log: Vec<Arc<Batch>>,
    pub(super) resyncs: Vec<State>,
    pub(super) watch: WatchHistory,
}

/// Follows the change feed without leaving it; where it breaks off, reads the state and goes on from there.
#[derive(Debug)]
pub(super) struct Collector {
    recorder: WatchRecorder,
    resyncs: Vec<State>,
}

impl Collector {
    pub(super) const fn new(client: ClientId, limit: usize) -> Self {
        Self { recorder: WatchRecorder::new(client, limit), resyncs: Vec::new() }
    }

    /// Begins to collect; also tells how far it has come, so that nothing is compacted before it is collected.
    pub(super) fn start(
        self,
        workload: Workload,
        store: Arc<dyn Store>,
        after: Revision,
        goals: watch::Receiver<Option<Revision>>,
    ) -> (JoinSet<Collected>, watch::Receiver<Revision>) {
        let (positions, position) = watch::channel(after);
        let mut task = JoinSet::new();
        task.spawn(self.collect(workload, store, positions, goals));
        (task, position)
    }

    async fn collect(
        mut self,
        workload: Workload,
        store: Arc<dyn Store>,
        positions: watch::Sender<Revision>,
        mut goals: watch::Receiver<Option<Revision>>,
    ) -> Collected {
        let mut after = *positions.borrow();
        let mut complete = false;
        while !complete && self.resume(&workload, &*store, after).await {
            complete = self.session(&workload, &positions, &mut goals).await;
            after = self.recorder.position().unwrap_or(after);
        }
        let watch = self.recorder.into_history();
        Collected { complete, log: batches(&watch), resyncs: self.resyncs, watch }
    }

    /// Reads to the end of the session. Whether that was the end of the run.
    async fn session(
        &mut self,
        workload: &Workload,
        positions: &watch::Sender<Revision>,
        goals: &mut watch::Receiver<Option<Revision>>,
    ) -> bool {
        loop {
            let reading = read(&mut self.recorder, goals, workload.settle).await;
            let position = self.recorder.position();
            positions.send_if_modified(|sent| position.is_some_and(|position| raise(sent, position)));
            match reading {
                Reading::Delivered => {}
                Reading::Ended => return false,
                Reading::Arrived => return true,
            }
        }
    }

    /// Opens a session, where the store says to, waiting for it while it is unavailable.
    async fn resume(&mut self, workload: &Workload, store: &dyn Store, after: Revision) -> bool {
        let mut pace = Pace::new(workload.outage);
        let mut after = after;
        loop {
            // What could not be read anew is asked for again, to learn the floor again.
            after = self.resync(store, after).await.unwrap_or(after);
            if self.recorder.open(store, after).await.is_ok() {
                return true;
            }
            if self.recorder.is_full() || !pace.wait().await {
                return false;
            }
        }
    }

    /// Where to go on: where it was, or at the floor, with the state there.
    async fn resync(&mut self, store: &dyn Store, after: Revision) -> Result<Revision> {
        match self.recorder.expired() {
            Some(floor) if floor > after => {
                let state = State::read(store, At::Exact(floor)).await?;
                self.resyncs.push(state);
                Ok(floor)
            }
            _ => Ok(after),
        }
    }
}

fn raise(sent: &mut Revision, position: Revision) -> bool {
    let further = position > *sent;
    *sent = position.max(*sent);
    further
}

fn batches(watch: &WatchHistory) -> Vec<Arc<Batch>> {
    let items = watch.sessions.iter().flat_map(|session| &session.items);
    let batch = |item: &WatchItem| match item {
        WatchItem::Batch(batch) => Some(Arc::clone(batch)),
        _ => None,
    };
    items.filter_map(batch).collect()
}

/// Reads the log after a revision, up to what is the head now.
///
/// # Errors
/// As [`Store::tail`]; [`Error::Unavailable`] if the feed ends before the head. `limit` bounds how long it may take.
///
/// # Cancel safety
/// Safe: nothing changes.
pub async fn read_log(store: &dyn Store, after: Revision, limit: Duration) -> Result<Vec<Arc<Batch>>> {
    let head = store.state().await?.head;
    let mut tail = store.tail(after).await?;
    let mut log: Vec<Arc<Batch>> = Vec::new();
    while log.last().map_or(after, |last| last.revision) < head {
        match timeout(limit, tail.next()).await {
            Ok(Some(Ok(mut batches))) => log.append(&mut batches),
            Ok(Some(Err(end))) => return Err(Error::unavailable(end.to_string())),
            Ok(None) | Err(_) => return Err(lost()),
        }
    }
    Ok(log)
}

pub(super) fn lost() -> Error {
    Error::unavailable("the log could not be collected")
}
