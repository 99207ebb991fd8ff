//! [`Overflow`]: what was left out when the queue was full.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use roa_core::Key;

use crate::locks;

/// Remembers that keys were left out, and how far all keys have been queued again since. Level-triggered work allows
/// that: which keys they were need not be kept.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    state: Mutex<State>,
    /// Whether keys were left out: almost never, which each call finds out without the lock.
    due: AtomicBool,
}

#[derive(Debug, Default, Clone)]
struct State {
    /// Keys were left out.
    due: bool,
    /// More were left out since all keys are being queued again.
    again: bool,
    /// The last key that was queued again.
    cursor: Option<Key>,
}

impl Overflow {
    /// A key was left out. Gives whether that is news.
    pub(super) fn note(&self) -> bool {
        let mut state = locks::lock(&self.state);
        let news = !state.due;
        state.again = state.due;
        state.due = true;
        self.due.store(true, Ordering::Release);
        news
    }

    /// After which key to go on, if keys were left out.
    pub(super) fn due(&self) -> Option<Option<Key>> {
        if !self.due.load(Ordering::Acquire) {
            return None;
        }
        let state = locks::lock(&self.state);
        state.due.then(|| state.cursor.clone())
    }

    /// All keys up to this one are queued again.
    pub(super) fn reached(&self, key: Key) {
        locks::lock(&self.state).cursor = Some(key);
    }

    /// All keys are queued again.
    pub(super) fn done(&self) {
        let mut state = locks::lock(&self.state);
        *state = State { due: state.again, again: false, cursor: None };
        self.due.store(state.due, Ordering::Release);
    }
}
