//! Real time: each operation gets the earliest place in the log that its answer and what returned before it allow.
//!
//! Since the places of commits and reads are given by their revisions, and the earliest place is always the best one
//! for an operation that has a choice, one sweep over calls and returns decides.

use roa_core::{At, CommitError, Error, Expect, Key, Result, Revision, Txn};

use super::anomaly::Anomalies;
use super::attribution::Attribution;
use super::gaps::{Gaps, Place};
use super::timeline::{Timeline, Wanted};
use super::{CommitAnomaly, History, Operation, ReadAnomaly, Site, Step, Tick};

/// The greatest revision of some sort that has been returned, and by which operation.
#[derive(Debug, Clone, Copy)]
struct Seen {
    revision: Revision,
    by: Option<usize>,
}

impl Seen {
    fn raise(&mut self, revision: Revision, by: usize) {
        if revision > self.revision {
            *self = Self { revision, by: Some(by) };
        }
    }
}

/// What an operation proves to all that are called after it returned.
#[derive(Debug, Clone, Copy, Default)]
struct Proof {
    revision: Option<Revision>,
    floor: Option<Revision>,
}

/// What is compared with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) history: &'a History,
    pub(super) attribution: &'a Attribution,
    pub(super) timeline: &'a Timeline<'a>,
    pub(super) gaps: &'a Gaps<'a>,
}

/// Checks that each operation has a place. Gives how many could not be checked, since their stretch of the log was not
/// recorded.
pub(super) fn check_order(facts: Facts<'_>, first: Revision, anomalies: &mut Anomalies) -> usize {
    let nothing = Seen { revision: first, by: None };
    let mut sweep = Sweep { facts, seen: nothing, floor: nothing, unrecorded: 0, anomalies };
    let operations = &facts.history.operations;
    let mut proofs = vec![Proof::default(); operations.len()];
    for (_, moment, operation) in moments(operations) {
        match moment {
            Moment::Call => proofs[operation] = sweep.call(operation),
            Moment::Return => sweep.learn(operation, proofs[operation]),
        }
    }
    sweep.unrecorded
}

/// At one tick calls come first: such operations overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Call,
    Return,
}

fn moments(operations: &[Operation]) -> Vec<(Tick, Moment, usize)> {
    let calls = operations.iter().enumerate().map(|(operation, done)| (done.called, Moment::Call, operation));
    let returned = |(operation, done): (usize, &Operation)| done.returned.map(|tick| (tick, Moment::Return, operation));
    let mut moments: Vec<_> = calls.chain(operations.iter().enumerate().filter_map(returned)).collect();
    moments.sort_unstable();
    moments
}

struct Sweep<'a> {
    facts: Facts<'a>,
    /// The newest revision that a returned operation has seen.
    seen: Seen,
    /// The highest floor that a returned operation has seen.
    floor: Seen,
    unrecorded: usize,
    anomalies: &'a mut Anomalies,
}

impl Sweep<'_> {
    fn call(&mut self, operation: usize) -> Proof {
        let facts = self.facts;
        let site = Site::of(facts.history, operation);
        let done = &facts.history.operations[operation];
        match &done.step {
            Step::Commit { txn, result } => self.commit(site, txn, result, done.returned),
            Step::Get { result, .. } => {
                let revision = result.as_ref().ok().and_then(|read| self.read(site, done, At::Latest, read.revision));
                Proof { revision, floor: None }
            }
            Step::List { request, result } => match result {
                Ok(page) => Proof { revision: self.read(site, done, request.at, page.revision), floor: None },
                Err(error) => self.refusal(site, done, wanted_by(request.at), error),
            },
            Step::Tail { after, result } => match result {
                Ok(_) => {
                    self.not_from_future(site, done, *after);
                    self.kept(site, *after)
                }
                Err(error) => self.refusal(site, done, Some(*after), error),
            },
            Step::Compact { to, result } => match result {
                Ok(floor) => {
                    self.not_from_future(site, done, *to);
                    self.floor(site, done, *floor)
                }
                Err(error) => self.refusal(site, done, Some(*to), error),
            },
            step => step.store_state().map_or_else(Proof::default, |state| Proof {
                revision: self.read(site, done, At::Latest, state.head),
                ..self.floor(site, done, state.floor)
            }),
        }
    }

    fn learn(&mut self, operation: usize, proof: Proof) {
        proof.revision.into_iter().for_each(|revision| self.seen.raise(revision, operation));
        proof.floor.into_iter().for_each(|floor| self.floor.raise(floor, operation));
    }

    fn commit(&mut self, site: Site, txn: &Txn, result: &Result<Revision, CommitError>, end: Option<Tick>) -> Proof {
        let logged = self.facts.attribution.revisions[site.operation];
        let revision = match result {
            Ok(_) => {
                self.check_validation(site, txn, false);
                logged.and_then(|revision| self.written(site, revision, true))
            }
            Err(CommitError::Ambiguous { .. }) => {
                logged.and_then(|revision| self.written(site, revision, false));
                None
            }
            Err(CommitError::Conflict { key, current }) => self.refused(site, txn, key, *current, end, Reason::Write),
            Err(CommitError::GuardFailed { key, current }) => {
                self.refused(site, txn, key, *current, end, Reason::Guard)
            }
            Err(CommitError::Fenced { current }) => {
                if txn.epoch.is_none_or(|expected| expected == *current) {
                    let (expected, current) = (txn.epoch, *current);
                    self.anomalies.add(CommitAnomaly::UnjustifiedFence { site, expected, current });
                }
                None
            }
            Err(CommitError::Invalid(_)) => {
                self.check_validation(site, txn, true);
                None
            }
            Err(_) => None,
        };
        Proof { revision, floor: None }
    }

    fn check_validation(&mut self, site: Site, txn: &Txn, refused: bool) {
        if txn.validate().is_err() != refused {
            self.anomalies.add(CommitAnomaly::WrongValidation { site, refused });
        }
    }

    /// A write's place is its revision; all that was seen before its call must lie before it.
    fn written(&mut self, site: Site, revision: Revision, acknowledged: bool) -> Option<Revision> {
        let seen = self.seen.revision;
        if revision > seen {
            return Some(revision);
        }
        let earlier = self.earlier(self.seen.by);
        self.anomalies.add(if acknowledged {
            CommitAnomaly::OutOfOrder { site, revision, earlier, seen }
        } else {
            CommitAnomaly::BeforeCall { site, revision, earlier, seen }
        });
        None
    }

    /// A refused commit's place is any revision at which its reason held, and nothing that is checked before it failed.
    fn refused(
        &mut self,
        site: Site,
        txn: &Txn,
        key: &Key,
        current: Option<Revision>,
        end: Option<Tick>,
        reason: Reason,
    ) -> Option<Revision> {
        let facts = self.facts;
        let from = self.seen.revision;
        let to = end.map_or(facts.gaps.last(), |end| facts.timeline.newest_at(end, facts.gaps));
        if facts.gaps.unrecorded_within(from, to) {
            self.unrecorded += 1;
            return None;
        }
        let wanted = reason.wanted(txn, key, current);
        let place = wanted.and_then(|wanted| facts.timeline.first_with(&wanted, from, to));
        if place.is_none() {
            let key = key.clone();
            self.anomalies.add(CommitAnomaly::UnjustifiedRefusal { site, key, current, from, to });
        }
        place
    }

    /// A read's place is the revision it names.
    fn read(&mut self, site: Site, done: &Operation, asked: At, revision: Revision) -> Option<Revision> {
        let Seen { revision: seen, by } = self.seen;
        match asked {
            At::Exact(exact) if exact == revision => drop(self.kept(site, revision)),
            At::NotOlderThan(oldest) if oldest <= revision => {}
            At::Latest if seen <= revision => {}
            At::Latest => {
                let earlier = self.earlier(by);
                self.anomalies.add(ReadAnomaly::Stale { site, revision, earlier, seen });
            }
            _ => self.anomalies.add(ReadAnomaly::OtherRevision { site, asked, revision }),
        }
        match self.facts.gaps.place(revision) {
            Place::Known => self.not_from_future(site, done, revision),
            Place::Unrecorded => {
                self.unrecorded += 1;
                None
            }
            Place::Nowhere => {
                self.anomalies.add(ReadAnomaly::NoSuchRevision { site, revision });
                None
            }
        }
    }

    fn not_from_future(&mut self, site: Site, done: &Operation, revision: Revision) -> Option<Revision> {
        let newest = self.newest(done);
        if revision > newest {
            self.anomalies.add(ReadAnomaly::FromFuture { site, revision, newest });
        }
        (revision <= newest).then_some(revision)
    }

    /// What is served must not be known to be forgotten.
    fn kept(&mut self, site: Site, requested: Revision) -> Proof {
        let Seen { revision: floor, by } = self.floor;
        if requested < floor && by.is_some() {
            let earlier = self.earlier(by);
            self.anomalies.add(ReadAnomaly::BelowFloor { site, requested, earlier, floor });
        }
        Proof::default()
    }

    fn floor(&mut self, site: Site, done: &Operation, floor: Revision) -> Proof {
        let head = self.newest(done);
        if floor > head {
            self.anomalies.add(ReadAnomaly::FloorPastHead { site, floor, head });
            return Proof::default();
        }
        let Seen { revision: seen, by } = self.floor;
        if floor < seen && by.is_some() {
            let earlier = self.earlier(by);
            self.anomalies.add(ReadAnomaly::FloorFell { site, floor, earlier, seen });
        }
        Proof { revision: None, floor: Some(floor) }
    }

    fn refusal(&mut self, site: Site, done: &Operation, requested: Option<Revision>, error: &Error) -> Proof {
        match *error {
            Error::Expired { floor, .. } => {
                if requested.is_none_or(|requested| requested >= floor) {
                    self.anomalies.add(ReadAnomaly::UnjustifiedExpired { site, requested, floor });
                }
                self.floor(site, done, floor)
            }
            Error::TooLarge { head, .. } => {
                let reached = self.seen.revision;
                if requested.is_none_or(|requested| requested <= head || requested <= reached) {
                    self.anomalies.add(ReadAnomaly::UnjustifiedTooLarge { site, requested, head, reached });
                }
                Proof::default()
            }
            _ => Proof::default(),
        }
    }

    fn newest(&self, done: &Operation) -> Revision {
        let facts = self.facts;
        done.returned.map_or(facts.gaps.last(), |end| facts.timeline.newest_at(end, facts.gaps))
    }

    fn earlier(&self, by: Option<usize>) -> Option<Site> {
        by.map(|by| Site::of(self.facts.history, by))
    }
}

/// What a commit was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Write,
    Guard,
}

impl Reason {
    /// What all keys must have been at for `key` to be the first reason; `None` if it can't be one.
    fn wanted<'a>(self, txn: &'a Txn, key: &'a Key, current: Option<Revision>) -> Option<Vec<Wanted<'a>>> {
        let expectations: Vec<(&Key, Expect)> = match self {
            Self::Write => txn.ops.iter().map(|op| (op.key(), op.expect())).collect(),
            Self::Guard => txn.guards.iter().map(|guard| (&guard.key, guard.expect)).collect(),
        };
        let failed = expectations.iter().position(|(of, expect)| *of == key && !expect.holds(current))?;
        let before = expectations[..failed].iter().map(|(key, expect)| (*key, revision_of(*expect)));
        Some(before.chain([(key, current)]).collect())
    }
}

const fn revision_of(expect: Expect) -> Option<Revision> {
    match expect {
        Expect::Absent => None,
        Expect::At(revision) => Some(revision),
    }
}

const fn wanted_by(at: At) -> Option<Revision> {
    match at {
        At::Exact(revision) | At::NotOlderThan(revision) => Some(revision),
        _ => None,
    }
}
