//! [`Follower`]: a watcher that drops its feed and resumes it, over and over.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{Revision, SeededRandom, Store};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Workload;
use super::keys::index;
use super::pace::Pace;
use crate::checker::{ClientId, WatchHistory, WatchRecorder};

/// How many deliveries a session lasts at most, so that resuming is tried often.
const LONGEST_SESSION: usize = 40;

/// Follows the change feed in sessions of random length until it has come to the goal.
#[derive(Debug)]
pub(super) struct Follower {
    recorder: WatchRecorder,
    random: SeededRandom,
    settle: Duration,
    outage: Duration,
}

impl Follower {
    pub(super) fn new(workload: &Workload, client: ClientId, limit: usize) -> Self {
        let recorder = WatchRecorder::new(client, limit);
        Self { recorder, random: workload.random(client), settle: workload.settle, outage: workload.outage }
    }

    pub(super) async fn follow(
        mut self,
        store: Arc<dyn Store>,
        after: Revision,
        mut goals: watch::Receiver<Option<Revision>>,
    ) -> WatchHistory {
        let mut next = after;
        while self.resume(&*store, next).await {
            if self.session(&mut goals).await == Reading::Arrived || self.recorder.is_full() {
                break;
            }
            let position = self.recorder.position().unwrap_or(after);
            next = self.recorder.expired().map_or(position, |floor| floor.max(position));
        }
        self.recorder.into_history()
    }

    /// Reads for a while, then drops the session.
    async fn session(&mut self, goals: &mut watch::Receiver<Option<Revision>>) -> Reading {
        for _ in 0..=index(&self.random, LONGEST_SESSION) {
            match read(&mut self.recorder, goals, self.settle).await {
                Reading::Delivered => {}
                end => return end,
            }
        }
        self.recorder.drop_session();
        Reading::Ended
    }

    /// Opens a session, where the store says to, waiting for it while it is unavailable.
    async fn resume(&mut self, store: &dyn Store, after: Revision) -> bool {
        let mut pace = Pace::new(self.outage);
        let mut after = after;
        while self.recorder.open(store, after).await.is_err() {
            match self.recorder.expired() {
                Some(floor) if floor > after => after = floor,
                _ if self.recorder.is_full() || !pace.wait().await => return false,
                _ => {}
            }
        }
        true
    }
}

/// What came of waiting for a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Batches came.
    Delivered,
    /// The session has ended.
    Ended,
    /// The goal is reached, or was given up since it did not come in time.
    Arrived,
}

/// Waits for a delivery; once there is a goal, no longer than `settle`.
pub(super) async fn read(
    recorder: &mut WatchRecorder,
    goals: &mut watch::Receiver<Option<Revision>>,
    settle: Duration,
) -> Reading {
    loop {
        let goal = *goals.borrow_and_update();
        let delivered = match goal {
            Some(goal) if recorder.position() >= Some(goal) => return Reading::Arrived,
            Some(goal) => match timeout(settle, recorder.next()).await {
                Ok(delivered) => delivered,
                Err(_) => {
                    recorder.give_up(goal);
                    return Reading::Arrived;
                }
            },
            None => tokio::select! {
                delivered = recorder.next() => delivered,
                Ok(()) = goals.changed() => continue,
            },
        };
        return if delivered.is_some() { Reading::Delivered } else { Reading::Ended };
    }
}
