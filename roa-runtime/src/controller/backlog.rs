//! [`Backlog`]: changes that concern more objects than are queued at once, and how far each is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use roa_core::Key;
use tokio::sync::Notify;

use crate::locks;

/// By which index who refers to what changed is found, and what changed.
pub(super) type Change = (Arc<str>, Key);

/// Changes whose concerned objects are queued some at a time, by the workers: who tells of a change is held up by the first
/// few alone. As many as objects that others refer to.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    there_is: Notify,
}

#[derive(Debug, Default)]
struct State {
    progress: HashMap<Change, Progress>,
    turns: VecDeque<Change>,
}

/// How far a change is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The last key that was queued; `None` for none yet.
    pub(super) after: Option<Key>,
    /// Whether it may help objects that were given up.
    pub(super) released: bool,
    /// It changed once more meanwhile; whether that may help them too.
    again: Option<bool>,
}

impl Backlog {
    /// Whether a change is under way already: then all are queued once more after it.
    pub(super) fn joins(&self, change: &Change, released: bool) -> bool {
        let mut state = locks::lock(&self.state);
        let Some(progress) = state.progress.get_mut(change) else { return false };
        progress.again = Some(progress.again.unwrap_or(false) || released);
        true
    }

    /// Nobody whom the change concerns is queued yet.
    pub(super) fn begin(&self, change: Change, released: bool) {
        self.go_on(change, Progress { released, ..Progress::default() }, None);
    }

    /// The change goes on after a key.
    pub(super) fn go_on(&self, change: Change, mut progress: Progress, after: Option<Key>) {
        progress.after = after;
        {
            let mut state = locks::lock(&self.state);
            state.turns.push_back(change.clone());
            state
                .progress
                .entry(change)
                .and_modify(|known| known.after.clone_from(&progress.after))
                .or_insert(progress);
        }
        self.there_is.notify_one();
    }

    /// All that the change concerns are queued.
    pub(super) fn done(&self, change: Change) {
        let again = {
            let mut state = locks::lock(&self.state);
            state.progress.remove(&change).and_then(|progress| progress.again)
        };
        if let Some(released) = again {
            self.begin(change, released);
        }
    }

    /// The change whose turn it is: whoever takes it says how far it got.
    pub(super) fn take(&self) -> Option<(Change, Progress)> {
        let mut state = locks::lock(&self.state);
        let change = state.turns.pop_front()?;
        let progress = state.progress.get(&change).cloned().unwrap_or_default();
        Some((change, progress))
    }

    /// Completes when there may be a change to go on with.
    pub(super) async fn there_is(&self) {
        self.there_is.notified().await;
    }
}
