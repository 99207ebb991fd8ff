//! [`Trip`]: how many failures are too many.

use std::collections::VecDeque;

/// How many failures are too many.
///
/// ```
/// use roa_runtime::Trip;
/// let half_of_the_last_twenty = Trip::Rate { percent: 50, of_last: 20, at_least: 10 };
/// # let _ = half_of_the_last_twenty;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// So many in a row.
    Consecutive(u32),
    /// So large a part of the last calls.
    Rate {
        /// How many of a hundred.
        percent: u8,
        /// Of how many calls.
        of_last: u32,
        /// Not before there were so many.
        at_least: u32,
    },
}

/// The calls so far, as far as they count.
#[derive(Debug, Clone)]
pub(super) struct Record {
    trip: Trip,
    /// Whether each failed, the oldest first; as many as the trip looks at.
    calls: VecDeque<bool>,
    failures: u32,
}

impl Record {
    pub(super) const fn new(trip: Trip) -> Self {
        Self { trip, calls: VecDeque::new(), failures: 0 }
    }

    /// Notes a call; says whether there are too many failures now.
    pub(super) fn note(&mut self, failed: bool) -> bool {
        match self.trip {
            Trip::Consecutive(limit) => {
                self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
                failed && self.failures >= limit
            }
            Trip::Rate { percent, of_last, at_least } => {
                self.push(failed, of_last.max(1) as usize);
                let calls = self.calls.len() as u64;
                let too_many = u64::from(self.failures) * 100 >= calls * u64::from(percent);
                failed && calls >= u64::from(at_least) && too_many
            }
        }
    }

    fn push(&mut self, failed: bool, most: usize) {
        self.calls.push_back(failed);
        self.failures += u32::from(failed);
        if self.calls.len() > most {
            self.failures -= u32::from(self.calls.pop_front() == Some(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// After which call it trips.
    fn trips(trip: Trip, calls: &[bool]) -> Option<usize> {
        let mut record = Record::new(trip);
        calls.iter().position(|failed| record.note(*failed))
    }

    const GOOD: bool = false;
    const BAD: bool = true;

    #[test]
    fn failures_in_a_row_trip_and_a_success_in_between_begins_anew() {
        assert_eq!(trips(Trip::Consecutive(3), &[BAD, BAD, GOOD, BAD, BAD]), None);
        assert_eq!(trips(Trip::Consecutive(3), &[BAD, GOOD, BAD, BAD, BAD]), Some(4));
    }

    #[test]
    fn a_rate_looks_at_the_last_calls_alone_and_waits_for_enough_of_them() {
        let trip = Trip::Rate { percent: 50, of_last: 4, at_least: 4 };
        assert_eq!(trips(trip, &[BAD, BAD, BAD, BAD]), Some(3), "not before there are enough");
        assert_eq!(trips(trip, &[BAD, GOOD, GOOD, GOOD, BAD, GOOD, GOOD, GOOD, BAD]), None);
        assert_eq!(trips(trip, &[GOOD, GOOD, GOOD, GOOD, BAD, GOOD, BAD]), Some(6));
    }

    proptest! {
        #[test]
        fn a_rate_is_what_counting_the_last_calls_gives(
            calls in prop::collection::vec(any::<bool>(), 0..60), percent in 1_u8..=100, of_last in 1_u32..10,
        ) {
            let mut record = Record::new(Trip::Rate { percent, of_last, at_least: 3 });
            for (number, failed) in calls.iter().enumerate() {
                let last = &calls[(number + 1).saturating_sub(of_last as usize)..=number];
                let bad = last.iter().filter(|failed| **failed).count();
                let expected = *failed && last.len() >= 3 && bad * 100 >= last.len() * usize::from(percent);
                prop_assert_eq!(record.note(*failed), expected);
                prop_assert!(record.calls.len() <= of_last as usize, "bounded");
            }
        }
    }
}
