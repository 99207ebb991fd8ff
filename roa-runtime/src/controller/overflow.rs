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
    /// How often all keys have been queued again.
    pass: u64,
    /// The last key that was queued again.
    cursor: Option<Key>,
}

/// All keys are being queued again, perhaps by several at once: which time that is, and after which key to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pass {
    number: u64,
    pub(super) after: Option<Key>,
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

    /// What to do, if keys were left out.
    pub(super) fn due(&self) -> Option<Pass> {
        if !self.due.load(Ordering::Acquire) {
            return None;
        }
        let state = locks::lock(&self.state);
        state.due.then(|| Pass { number: state.pass, after: state.cursor.clone() })
    }

    /// All keys up to this one are queued again.
    pub(super) fn reached(&self, pass: &mut Pass, key: Key) {
        let mut state = locks::lock(&self.state);
        if state.pass == pass.number {
            state.cursor = state.cursor.take().max(Some(key.clone()));
        }
        pass.after = Some(key);
    }

    /// All keys are queued again. What was left out since the pass began is for the next, which somebody else who ends this
    /// one late must not call done.
    pub(super) fn done(&self, pass: &Pass) {
        let mut state = locks::lock(&self.state);
        if state.pass == pass.number {
            *state = State { due: state.again, again: false, pass: state.pass + 1, cursor: None };
            self.due.store(state.due, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    #[test]
    fn c5_two_who_end_one_pass_leave_the_next_to_be_done() {
        let overflow = Overflow::default();
        assert!(overflow.note() && overflow.due().is_some());
        let (one, mut other) = (overflow.due().unwrap(), overflow.due().unwrap());
        assert!(!overflow.note(), "left out while both are on their way");
        overflow.done(&one);
        overflow.reached(&mut other, key("z"));
        overflow.done(&other);
        let next = overflow.due().unwrap();
        assert_eq!(next.after, None, "from the begin");
        overflow.done(&next);
        assert_eq!(overflow.due(), None);
    }

    #[test]
    fn c5_who_is_behind_moves_nothing_back() {
        let overflow = Overflow::default();
        overflow.note();
        let (mut one, mut other) = (overflow.due().unwrap(), overflow.due().unwrap());
        overflow.reached(&mut one, key("m"));
        overflow.reached(&mut other, key("b"));
        assert_eq!(overflow.due().unwrap().after, Some(key("m")));
        assert_eq!(other.after, Some(key("b")));
    }
}
