//! [`Lanes`]: the keys that may run now, and which of them is next: between priorities here, within one in [`Lane`].

use std::time::Duration;

use roa_core::Monotonic;

use super::lane::{Lane, Place};

/// How urgent a key is: a user's change goes before a retry, a retry before a resync.
///
/// ```
/// use roa_runtime::Priority;
/// assert!(Priority::User > Priority::Retry && Priority::Retry > Priority::Resync);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Everything is looked at again from time to time.
    Resync,
    /// The last run failed, or asked to be called again.
    Retry,
    /// Somebody changed something.
    User,
}

impl Priority {
    /// All, the most urgent first.
    pub const ALL: [Self; 3] = [Self::User, Self::Retry, Self::Resync];

    /// A word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Retry => "retry",
            Self::Resync => "resync",
        }
    }
}

/// While keys of a lower priority are overdue, they get one of so many turns.
pub(super) const OVERDUE_TURN: u32 = 4;

/// One [`Lane`] for each priority.
///
/// A key that has waited for `promote_after` is overdue: it no longer waits for all that is more urgent. The lanes with
/// overdue keys together get every fourth turn, and of two such lanes the one whose oldest key waits longer; so nothing
/// starves and yet a backlog of resyncs never holds up users. If `n` share the lane of an overdue key, and all that is
/// overdue is in that lane, the oldest key of each of them runs within `4 * n` turns.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    lanes: [Lane<T>; 3],
    promote_after: Duration,
    /// How many turns in a row passed over an overdue key.
    passed_over: u32,
}

impl<T> Lanes<T> {
    pub(super) fn new(promote_after: Duration) -> Self {
        Self { lanes: [Lane::new(), Lane::new(), Lane::new()], promote_after, passed_over: 0 }
    }

    const fn lane(&self, priority: Priority) -> &Lane<T> {
        &self.lanes[priority as usize]
    }

    const fn lane_mut(&mut self, priority: Priority) -> &mut Lane<T> {
        &mut self.lanes[priority as usize]
    }

    pub(super) fn insert(&mut self, priority: Priority, sharer: &str, place: Place, key: T) {
        self.lane_mut(priority).insert(sharer, place, key);
    }

    pub(super) fn remove(&mut self, priority: Priority, sharer: &str, place: Place) -> Option<T> {
        self.lane_mut(priority).remove(sharer, place)
    }

    /// Takes out the key whose turn it is.
    pub(super) fn pop(&mut self, now: Monotonic) -> Option<T> {
        let first = Priority::ALL.into_iter().find(|priority| self.depth(*priority) > 0)?;
        let turn = match self.overdue_below(first, now) {
            Some(overdue) if self.passed_over + 1 >= OVERDUE_TURN => overdue,
            Some(_) => {
                self.passed_over += 1;
                first
            }
            None => first,
        };
        if turn != first {
            self.passed_over = 0;
        }
        self.lane_mut(turn).pop()
    }

    /// The lane below `first` that has an overdue key; the one whose oldest key waits longer if there are two.
    fn overdue_below(&self, first: Priority, now: Monotonic) -> Option<Priority> {
        let below = Priority::ALL.into_iter().filter(|priority| *priority < first);
        let oldest = below.filter_map(|priority| Some((self.lane(priority).oldest()?, priority)));
        let overdue = oldest.filter(|(place, _)| now.saturating_since(place.at) >= self.promote_after);
        overdue.min().map(|(_, priority)| priority)
    }

    pub(super) fn depth(&self, priority: Priority) -> usize {
        self.lane(priority).len()
    }

    /// How many share the lane that most share.
    pub(super) fn sharers(&self) -> usize {
        self.lanes.iter().map(Lane::sharers).max().unwrap_or(0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// Since when the key waits that waits longest.
    pub(super) fn waiting_since(&self) -> Option<Monotonic> {
        self.lanes.iter().filter_map(|lane| Some(lane.oldest()?.at)).min()
    }

    pub(super) fn clear(&mut self) {
        self.lanes.iter_mut().for_each(Lane::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AGE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    fn filled(keys: &[(Priority, u64)]) -> Lanes<usize> {
        let mut lanes = Lanes::new(AGE);
        for (key, (priority, seconds)) in keys.iter().enumerate() {
            lanes.insert(*priority, "", Place { at: at(*seconds), number: key as u64 }, key);
        }
        lanes
    }

    fn pop_all(lanes: &mut Lanes<usize>, now: u64) -> Vec<usize> {
        std::iter::from_fn(|| lanes.pop(at(now))).collect()
    }

    #[test]
    fn a_users_change_goes_before_a_retry_before_a_resync_each_in_order() {
        use Priority::{Resync, Retry, User};
        let mut lanes = filled(&[(Resync, 0), (Retry, 0), (User, 2), (Retry, 0), (User, 1)]);
        assert_eq!(lanes.waiting_since(), Some(at(0)));
        assert_eq!(pop_all(&mut lanes, 29), [4, 2, 1, 3, 0]);
        assert!(lanes.is_empty() && lanes.waiting_since().is_none());
    }

    /// Lesson 5: ages against starvation.
    #[test]
    fn c7_an_overdue_key_gets_every_fourth_turn() {
        use Priority::{Resync, User};
        let mut keys = vec![(Resync, 0), (Resync, 0)];
        keys.extend([(User, 20); 8]);
        let mut lanes = filled(&keys);
        assert_eq!(pop_all(&mut lanes, 30), [2, 3, 4, 0, 5, 6, 7, 1, 8, 9]);
    }

    #[test]
    fn of_two_overdue_keys_the_older_goes_first() {
        use Priority::{Resync, Retry, User};
        let mut keys = vec![(Retry, 1), (Resync, 0)];
        keys.extend([(User, 20); 8]);
        assert_eq!(pop_all(&mut filled(&keys), 60), [2, 3, 4, 1, 5, 6, 7, 0, 8, 9]);
    }

    #[test]
    fn a_removed_key_is_gone() {
        let mut lanes = filled(&[(Priority::User, 0), (Priority::User, 0)]);
        assert_eq!(lanes.remove(Priority::User, "", Place { at: at(0), number: 0 }), Some(0));
        assert_eq!(lanes.remove(Priority::Retry, "", Place { at: at(0), number: 1 }), None);
        assert_eq!((lanes.depth(Priority::User), pop_all(&mut lanes, 0)), (1, vec![1]));
    }

    proptest! {
        /// The stated bound: however many more urgent keys keep coming, the oldest key of each who shares the lane runs
        /// within four turns for each of them.
        #[test]
        fn c7_no_overdue_key_waits_longer_than_the_stated_bound(
            sharers in prop::collection::vec(1_usize..20, 1..8), lower in prop::sample::select(vec![Priority::Retry, Priority::Resync]),
        ) {
            const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let mut lanes = Lanes::new(AGE);
            let mut number = 0;
            let mut next = || { number += 1; Place { at: at(0), number } };
            for (sharer, keys) in sharers.iter().enumerate() {
                for _ in 0..*keys {
                    lanes.insert(lower, NAMES[sharer], next(), Some(sharer));
                }
            }
            let mut seen = vec![false; sharers.len()];
            for _ in 0..4 * sharers.len() {
                // Two urgent keys come for each that runs.
                lanes.insert(Priority::User, "users", next(), None);
                lanes.insert(Priority::User, "others", next(), None);
                if let Some(Some(sharer)) = lanes.pop(at(30)) {
                    seen[sharer] = true;
                }
            }
            prop_assert!(seen.iter().all(|seen| *seen), "{seen:?}");
        }
    }
}
