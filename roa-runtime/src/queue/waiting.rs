//! [`Waiting`]: the keys that do not run: those that may, in [`Lanes`], and those whose time has not come.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use roa_core::Monotonic;

use super::lane::Place;
use super::lanes::{Lanes, Priority};

/// A key keeps its place, from when it may run, as its time comes; so a lane is ordered by how long its keys wait.
pub(super) struct Waiting<T> {
    ready: Lanes<T>,
    delayed: BTreeMap<Place, (Priority, T)>,
}

impl<T> Waiting<T> {
    pub(super) fn new(promote_after: Duration) -> Self {
        Self { ready: Lanes::new(promote_after), delayed: BTreeMap::new() }
    }

    pub(super) fn insert(&mut self, priority: Priority, sharer: &str, place: Place, key: T, now: Monotonic) {
        if place.at <= now {
            self.ready.insert(priority, sharer, place, key);
        } else {
            self.delayed.insert(place, (priority, key));
        }
    }

    pub(super) fn remove(&mut self, priority: Priority, sharer: &str, place: Place) -> Option<T> {
        let delayed = self.delayed.remove(&place).map(|(_, key)| key);
        delayed.or_else(|| self.ready.remove(priority, sharer, place))
    }

    /// Makes ready what is due.
    pub(super) fn release_due<'a>(&mut self, now: Monotonic, sharer_of: impl Fn(&T) -> &'a str) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().at <= now) {
            let (place, (priority, key)) = first.remove_entry();
            self.ready.insert(priority, sharer_of(&key), place, key);
        }
    }

    /// Takes out the ready key whose turn it is.
    pub(super) fn pop(&mut self, now: Monotonic) -> Option<T> {
        self.ready.pop(now)
    }

    /// When the next delayed key is due.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        Some(self.delayed.first_key_value()?.0.at)
    }

    pub(super) const fn ready(&self) -> &Lanes<T> {
        &self.ready
    }

    pub(super) fn delayed(&self) -> usize {
        self.delayed.len()
    }

    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.delayed.clear();
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiting({} delayed)", self.delayed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seconds: u64, number: u64) -> Place {
        Place { at: Monotonic::from_start(Duration::from_secs(seconds)), number }
    }

    #[test]
    fn a_key_is_ready_when_its_time_has_come_and_not_before() {
        let mut waiting = Waiting::new(Duration::MAX);
        let now = |seconds| place(seconds, 0).at;
        waiting.insert(Priority::User, "", place(5, 1), "late", now(0));
        waiting.insert(Priority::Resync, "", place(3, 2), "early", now(0));
        assert_eq!((waiting.next_due(), waiting.pop(now(9))), (Some(now(3)), None));
        waiting.release_due(now(3), |_| "");
        assert_eq!((waiting.pop(now(3)), waiting.pop(now(3)), waiting.delayed()), (Some("early"), None, 1));
        waiting.release_due(now(5), |_| "");
        assert_eq!((waiting.pop(now(5)), waiting.next_due()), (Some("late"), None));
    }

    #[test]
    fn a_key_is_removed_wherever_it_waits() {
        let mut waiting = Waiting::new(Duration::MAX);
        waiting.insert(Priority::User, "", place(0, 1), "ready", place(0, 0).at);
        waiting.insert(Priority::User, "", place(7, 2), "delayed", place(0, 0).at);
        assert_eq!(waiting.remove(Priority::User, "", place(7, 2)), Some("delayed"));
        assert_eq!(waiting.remove(Priority::User, "", place(0, 1)), Some("ready"));
        assert_eq!(waiting.remove(Priority::User, "", place(0, 1)), None);
    }
}
