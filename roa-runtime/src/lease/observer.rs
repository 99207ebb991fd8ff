//! [`Observer`]: who is dead, by what was seen and when, on this process's clock alone (L2, L7). Does no I/O.

use std::collections::HashMap;
use std::time::Duration;

use roa_core::{Monotonic, Revision};

use super::record::HeartbeatRecord;
use super::view::View;

/// What one process has seen of the lives of others.
#[derive(Debug)]
pub(super) struct Observer {
    /// How long to wait for one that does not say how long it counts on.
    duration: Duration,
    /// By incarnation. As many as there are heartbeats and owners.
    seen: HashMap<String, Seen>,
}

/// A sign of life, and since when there was no other. That it went is none.
#[derive(Debug, Clone, Copy)]
struct Seen {
    sign: Option<Revision>,
    since: Monotonic,
    patience: Duration,
}

impl Observer {
    pub(super) fn new(duration: Duration) -> Self {
        Self { duration, seen: HashMap::new() }
    }

    /// Takes in what was read; `now` is a time after it was read.
    pub(super) fn look(&mut self, view: &View, now: Monotonic) {
        let mut seen = HashMap::new();
        for record in view.heartbeats.values() {
            if let Some(HeartbeatRecord { incarnation, .. }) = &record.record {
                let patience = record.record.as_ref().map(HeartbeatRecord::lease_duration);
                seen.insert(incarnation.clone(), self.observe(incarnation, Some(record.revision), patience, now));
            }
        }
        for owner in view.ownerships.keys().filter_map(|key| view.owner(key)) {
            if !seen.contains_key(&owner.incarnation) {
                let observed = self.observe(&owner.incarnation, view.sign_of(owner), None, now);
                seen.insert(owner.incarnation.clone(), observed);
            }
        }
        self.seen = seen;
    }

    fn observe(&self, incarnation: &str, sign: Option<Revision>, patience: Option<Duration>, now: Monotonic) -> Seen {
        match self.seen.get(incarnation) {
            Some(seen) if sign.is_none() || seen.sign == sign => *seen,
            known => {
                let before = known.map_or(self.duration, |seen| seen.patience);
                Seen { sign, since: now, patience: patience.unwrap_or(before) }
            }
        }
    }

    /// Whether it gave no sign of life for as long as it counts on not being replaced. Of one that was never seen
    /// nothing is known.
    pub(super) fn is_dead(&self, incarnation: &str, now: Monotonic) -> bool {
        self.seen.get(incarnation).is_some_and(|seen| now.saturating_since(seen.since) >= seen.patience)
    }

    /// The processes that take part in a group and may live, by name.
    pub(super) fn members<'a>(&self, view: &'a View, group: &str, now: Monotonic) -> Vec<&'a str> {
        let takes_part = |record: &HeartbeatRecord| {
            record.member_of.iter().any(|of| of == group) && !self.is_dead(&record.incarnation, now)
        };
        let members = view.heartbeats.iter().filter(|(_, stored)| stored.record.as_ref().is_some_and(takes_part));
        members.map(|(holder, _)| holder.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use roa_core::{Epoch, SeededRandom, Timestamp};

    use super::*;
    use crate::lease::record::{Owner, OwnershipRecord, Stored, ownership_key};

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    fn observer() -> Observer {
        Observer::new(Duration::from_secs(15))
    }

    /// `x` of `other` owns the lease; its heartbeat is at this revision, if there is one.
    fn view(heartbeat: Option<u64>, lease_seconds: u64) -> View {
        let revision = |number| Revision::new(number).unwrap();
        let acquired_at = Timestamp::from_unix_seconds(0).unwrap();
        let owner = Owner { holder: "other".into(), incarnation: "x".into(), acquired_at };
        let ownership = OwnershipRecord { owner: Some(owner), transitions: 1 };
        let record = HeartbeatRecord {
            holder: "other".into(),
            incarnation: "x".into(),
            renewals: 1,
            lease_duration_ms: lease_seconds * 1000,
            member_of: vec!["things".into()],
            address: None,
        };
        let heartbeat = heartbeat.map(|number| Stored { revision: revision(number), record: Some(record) });
        View {
            epoch: Epoch::first(&SeededRandom::new(1)),
            heartbeats: heartbeat.map(|heartbeat| ("other".to_owned(), heartbeat)).into_iter().collect(),
            ownerships: [(
                ownership_key("manager").unwrap(),
                Stored { revision: revision(1), record: Some(ownership) },
            )]
            .into(),
        }
    }

    #[test]
    fn l2_each_sign_of_life_begins_the_wait_anew() {
        let mut observer = observer();
        for (seconds, heartbeat) in [(0, 1), (10, 2), (20, 3)] {
            observer.look(&view(Some(heartbeat), 15), at(seconds));
            assert!(!observer.is_dead("x", at(seconds + 14)));
        }
        observer.look(&view(Some(3), 15), at(30));
        assert!(!observer.is_dead("x", at(34)) && observer.is_dead("x", at(35)));
    }

    #[test]
    fn l2_a_heartbeat_that_goes_is_no_sign_of_life_and_no_shorter_wait() {
        let mut observer = observer();
        observer.look(&view(Some(1), 15), at(0));
        observer.look(&view(None, 15), at(10));
        assert!(!observer.is_dead("x", at(14)) && observer.is_dead("x", at(15)));
        let mut late = self::observer();
        late.look(&view(None, 15), at(10));
        assert!(!late.is_dead("x", at(24)) && late.is_dead("x", at(25)));
    }

    #[test]
    fn l2_the_owner_says_how_long_it_counts_on() {
        let mut observer = observer();
        observer.look(&view(Some(1), 60), at(0));
        assert!(!observer.is_dead("x", at(59)) && observer.is_dead("x", at(60)));
    }

    #[test]
    fn a_heartbeat_that_cannot_be_read_counts_while_it_moves() {
        let mut observer = observer();
        let unreadable = |revision| {
            let mut view = view(Some(revision), 15);
            view.heartbeats.get_mut("other").unwrap().record = None;
            view
        };
        observer.look(&unreadable(1), at(0));
        observer.look(&unreadable(2), at(10));
        assert!(!observer.is_dead("x", at(24)) && observer.is_dead("x", at(25)));
    }

    #[test]
    fn members_are_those_who_say_so_and_live() {
        let mut observer = observer();
        let view = view(Some(1), 15);
        observer.look(&view, at(0));
        assert_eq!(observer.members(&view, "things", at(14)), ["other"]);
        assert!(observer.members(&view, "labs", at(14)).is_empty());
        assert!(observer.members(&view, "things", at(15)).is_empty());
    }

    #[test]
    fn of_whom_nothing_was_seen_nothing_is_known() {
        assert!(!observer().is_dead("x", at(1_000_000)));
    }
}
