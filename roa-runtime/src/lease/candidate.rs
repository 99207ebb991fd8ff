//! [`Candidate`]: whether a lease may be taken, decided from what was seen of it and when. Does no I/O.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{Epoch, Monotonic, Revision};

use super::record::{HeartbeatRecord, Owner, OwnershipRecord, Stored};

/// What the store says of a lease.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The epoch before the rest was read.
    pub(super) epoch: Epoch,
    pub(super) ownership: Option<Stored<OwnershipRecord>>,
    /// The owner's; its content is `None` if it can't be read as one.
    pub(super) heartbeat: Option<Stored<Option<HeartbeatRecord>>>,
}

impl View {
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.ownership.as_ref()?.record.owner.as_ref()
    }
}

/// What a look leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The lease may be taken, and why.
    Take(&'static str),
    /// It belongs to somebody who may be alive.
    Wait,
}

/// One process that wants a lease, and what it has seen of others.
#[derive(Debug)]
pub(super) struct Candidate {
    holder: Arc<str>,
    incarnation: Arc<str>,
    /// How long to wait for an owner that does not say how long it counts on.
    duration: Duration,
    /// Known from the first look on: the owner of the same name that was there.
    predecessor: Option<Predecessor>,
    seen: Option<Seen>,
}

/// The incarnation of this process before the present one, if it left the lease behind.
#[derive(Debug)]
struct Predecessor(Option<String>);

/// What a look found, and since when nothing else was found.
#[derive(Debug, Clone, Copy)]
struct Seen {
    ownership: Revision,
    heartbeat: Option<Revision>,
    since: Monotonic,
}

impl Candidate {
    pub(super) const fn new(holder: Arc<str>, incarnation: Arc<str>, duration: Duration) -> Self {
        Self { holder, incarnation, duration, predecessor: None, seen: None }
    }

    /// Judges what was read; `now` is a time after it was read.
    pub(super) fn judge(&mut self, view: &View, now: Monotonic) -> Judgement {
        let same_name = view.owner().filter(|owner| *owner.holder == *self.holder);
        let predecessor =
            self.predecessor.get_or_insert_with(|| Predecessor(same_name.map(|owner| owner.incarnation.clone())));
        let (Some(owner), Some(ownership)) = (view.owner(), &view.ownership) else {
            return Judgement::Take("nobody has it");
        };
        if *owner.incarnation == *self.incarnation {
            return Judgement::Take("it is this process's, from an earlier term or an unclear answer");
        }
        if predecessor.0.as_ref() == Some(&owner.incarnation) {
            return Judgement::Take("it was this process's before it was started again");
        }
        let heartbeat = view.heartbeat.as_ref().map(|heartbeat| heartbeat.revision);
        let since = self.unchanged_since(ownership.revision, heartbeat, now);
        let declared = view.heartbeat.as_ref().and_then(|heartbeat| heartbeat.record.as_ref());
        let patience = declared.map_or(self.duration, HeartbeatRecord::lease_duration);
        if now.saturating_since(since) >= patience {
            return Judgement::Take("its owner gave no sign of life");
        }
        Judgement::Wait
    }

    fn unchanged_since(&mut self, ownership: Revision, heartbeat: Option<Revision>, now: Monotonic) -> Monotonic {
        match &self.seen {
            Some(seen) if (seen.ownership, seen.heartbeat) == (ownership, heartbeat) => seen.since,
            _ => {
                self.seen = Some(Seen { ownership, heartbeat, since: now });
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{SeededRandom, Timestamp};

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    fn candidate() -> Candidate {
        Candidate::new("me".into(), "new".into(), Duration::from_secs(15))
    }

    fn owned(holder: &str, incarnation: &str, revisions: (u64, Option<u64>), lease_seconds: u64) -> View {
        let revision = |number| Revision::new(number).unwrap();
        let acquired_at = Timestamp::from_unix_seconds(0).unwrap();
        let owner = Owner { holder: holder.into(), incarnation: incarnation.into(), acquired_at };
        let lease_duration_ms = lease_seconds * 1000;
        let beat =
            HeartbeatRecord { holder: holder.into(), incarnation: incarnation.into(), renewals: 1, lease_duration_ms };
        View {
            epoch: Epoch::first(&SeededRandom::new(1)),
            ownership: Some(Stored {
                revision: revision(revisions.0),
                record: OwnershipRecord { owner: Some(owner), transitions: 1 },
            }),
            heartbeat: revisions.1.map(|number| Stored { revision: revision(number), record: Some(beat) }),
        }
    }

    fn takes(judgement: Judgement) -> bool {
        matches!(judgement, Judgement::Take(_))
    }

    #[test]
    fn l2_any_change_of_either_record_begins_the_wait_anew() {
        let mut candidate = candidate();
        for (seconds, revisions) in [(0, (1, Some(1))), (10, (1, Some(2))), (20, (3, Some(2))), (30, (3, None))] {
            let view = owned("other", "x", revisions, 15);
            assert!(!takes(candidate.judge(&view, at(seconds))), "{revisions:?}");
            assert!(!takes(candidate.judge(&view, at(seconds + 9))));
        }
        let view = owned("other", "x", (3, None), 15);
        assert!(!takes(candidate.judge(&view, at(44))));
        assert!(takes(candidate.judge(&view, at(45))));
    }

    #[test]
    fn l2_the_owner_says_how_long_it_counts_on() {
        let mut candidate = candidate();
        let view = owned("other", "x", (1, Some(1)), 60);
        assert!(!takes(candidate.judge(&view, at(0))));
        assert!(!takes(candidate.judge(&view, at(59))));
        assert!(takes(candidate.judge(&view, at(60))));
    }

    #[test]
    fn l6_what_nobody_has_is_taken_at_once() {
        let absent = View { ownership: None, heartbeat: None, ..owned("other", "x", (1, None), 15) };
        assert!(takes(candidate().judge(&absent, at(0))));
        let mut released = owned("other", "x", (1, None), 15);
        released.ownership = released
            .ownership
            .map(|stored| Stored { record: OwnershipRecord { owner: None, transitions: 1 }, ..stored });
        assert!(takes(candidate().judge(&released, at(0))));
    }

    /// Lesson 42: the same identity gets its own lease back after a restart.
    #[test]
    fn a_process_that_was_started_again_takes_its_lease_at_once() {
        let mut candidate = candidate();
        let before = owned("me", "old", (1, Some(1)), 15);
        assert!(takes(candidate.judge(&before, at(0))));
        assert!(takes(candidate.judge(&before, at(1))), "also if the first attempt failed");
        assert!(takes(candidate.judge(&owned("me", "new", (2, Some(2)), 15), at(2))));
    }

    #[test]
    fn two_live_processes_of_one_name_do_not_take_it_from_each_other() {
        let mut candidate = candidate();
        assert!(!takes(candidate.judge(&owned("other", "x", (1, Some(1)), 15), at(0))));
        let double = owned("me", "double", (2, Some(2)), 15);
        assert!(!takes(candidate.judge(&double, at(1))));
        assert!(takes(candidate.judge(&double, at(16))));
    }
}
