//! [`State`]: all that a queue's lock guards. Knows no clock and no task: it is told the time, and says whom to wake.

use std::fmt;
use std::time::Duration;

use roa_core::{Cause, Monotonic};

use super::bucket::TokenBucket;
use super::causes::Causes;
use super::lane::Place;
use super::line::Line;
use super::stats::{Depths, KeyPhase, KeyState, QueueStats};
use super::table::{Id, Table, Vacant};
use super::waiting::Waiting;
use super::{AddError, NextRun, Outcome, Priority, QueueConfig, QueueKey, Streak, next_run};

/// To whom a key belongs, of those who share the queue.
pub(super) type ShareOf<K> = fn(&K) -> &str;

/// Why a key is to run, how urgently, and from when on.
#[derive(Debug, Clone)]
pub(super) struct Request {
    due: Monotonic,
    priority: Priority,
    causes: Causes,
}

impl Request {
    pub(super) const fn new(due: Monotonic, priority: Priority, causes: Causes) -> Self {
        Self { due, priority, causes }
    }

    /// One request for two (C6): the earlier time, the higher priority, all causes.
    fn merged(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }

    fn merge(&mut self, other: Self) {
        self.due = self.due.min(other.due);
        self.priority = self.priority.max(other.priority);
        self.causes.extend(other.causes);
    }

    /// What a run that this led to asks for when it wants another. Nobody changed anything: it is no user's change any
    /// more, but a resync stays one.
    fn following(&self, outcome: Outcome, due: Monotonic) -> Self {
        let causes = match outcome {
            Outcome::Failed | Outcome::FailedAfter(_) => {
                let mut causes = self.causes.clone();
                causes.insert(Cause::Retry);
                causes
            }
            Outcome::Defer(_) => self.causes.clone(),
            _ => Causes::one(Cause::Requeued),
        };
        Self { due, priority: self.priority.min(Priority::Retry), causes }
    }
}

/// What is known of a key. A key that neither waits nor runs is not known.
#[derive(Debug)]
struct Entry {
    phase: Phase,
    /// What it waits to run for, or runs for.
    request: Request,
    streak: Streak,
}

#[derive(Debug)]
enum Phase {
    Waiting(Place),
    Running {
        /// Which of all runs.
        number: u64,
        since: Monotonic,
        /// What was asked for meanwhile (C5).
        again: Option<Box<Request>>,
        /// Whether the key was forgotten meanwhile: then the run's own outcome no longer counts.
        forgotten: bool,
    },
}

/// A key that a worker may run now, and alone (C4).
#[derive(Debug)]
pub(super) struct Claim<K> {
    id: Id,
    pub(super) key: K,
    pub(super) priority: Priority,
    pub(super) causes: Causes,
    pub(super) failures: u32,
    pub(super) queued_for: Duration,
    /// When it was taken.
    pub(super) begun: Monotonic,
}

/// What a worker that looks for work finds.
#[derive(Debug)]
pub(super) enum Take<K> {
    Claim(Claim<K>),
    /// Nothing, and not before this time without an add.
    Nothing(Option<Monotonic>),
    ShutDown,
}

/// What is left for other workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// Keys that may run.
    Ready,
    /// None that may run, but keys whose time will come.
    Delayed,
}

/// Whom a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    Nobody,
    /// A key has become ready: any worker.
    Worker,
    /// The next due time has changed: the worker that waits for it.
    Timekeeper,
}

pub(super) struct State<K> {
    config: QueueConfig,
    share_of: ShareOf<K>,
    keys: Table<K, Entry>,
    waiting: Waiting<Id>,
    /// When each run began; the numbers rise, so the first is the oldest.
    running: Line<u64, Monotonic>,
    bucket: Option<TokenBucket>,
    next_number: u64,
    /// Only the counters are kept here.
    totals: QueueStats,
    shut_down: bool,
}

impl<K: QueueKey> State<K> {
    pub(super) fn new(config: QueueConfig, share_of: ShareOf<K>) -> Self {
        Self {
            keys: Table::new(),
            waiting: Waiting::new(config.promote_after),
            running: Line::new(),
            bucket: config.rate.map(TokenBucket::new),
            next_number: 0,
            totals: QueueStats::default(),
            shut_down: false,
            share_of,
            config,
        }
    }

    pub(super) fn add(&mut self, key: &K, request: Request, now: Monotonic) -> Result<Wake, AddError> {
        if self.shut_down {
            return Err(AddError::ShutDown);
        }
        let timer = self.waiting.next_due();
        let became_ready = match self.keys.find(key) {
            Ok(id) => self.merge(id, request, now),
            Err(_) if self.keys.len() >= self.config.max_keys => {
                self.totals.refused += 1;
                return Err(AddError::Full { max_keys: self.config.max_keys });
            }
            Err(vacant) => self.insert(vacant, key, request, now),
        };
        self.totals.adds += 1;
        Ok(self.whom_to_wake(became_ready, timer))
    }

    fn insert(&mut self, vacant: Vacant, key: &K, request: Request, now: Monotonic) -> bool {
        let (due, priority) = (request.due, request.priority);
        let place = Place { at: due, number: self.number() };
        let entry = Entry { phase: Phase::Waiting(place), request, streak: Streak::default() };
        let id = self.keys.insert(vacant, key.clone(), entry);
        self.waiting.insert(priority, (self.share_of)(key), place, id, now);
        due <= now
    }

    /// Merges a request into what is known of a key; says whether the key became ready by it.
    fn merge(&mut self, id: Id, request: Request, now: Monotonic) -> bool {
        let Some((key, entry)) = self.keys.get_mut(id) else { return false };
        let place = match &mut entry.phase {
            Phase::Running { again, .. } => {
                match again {
                    Some(known) => known.merge(request),
                    None => *again = Some(Box::new(request)),
                }
                return false;
            }
            Phase::Waiting(place) => place,
        };
        let (due, priority) = (entry.request.due, entry.request.priority);
        entry.request.merge(request);
        let moved = Place { at: entry.request.due, ..*place };
        if moved != *place || entry.request.priority != priority {
            let sharer = (self.share_of)(key);
            if let Some(id) = self.waiting.remove(priority, sharer, *place) {
                self.waiting.insert(entry.request.priority, sharer, moved, id, now);
            }
            *place = moved;
        }
        due > now && entry.request.due <= now
    }

    const fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn whom_to_wake(&self, became_ready: bool, timer_before: Option<Monotonic>) -> Wake {
        match self.waiting.next_due() {
            _ if became_ready => Wake::Worker,
            timer if timer != timer_before => Wake::Timekeeper,
            _ => Wake::Nobody,
        }
    }

    pub(super) fn take(&mut self, now: Monotonic) -> Take<K> {
        if self.shut_down {
            return Take::ShutDown;
        }
        let (keys, share_of) = (&self.keys, self.share_of);
        self.waiting.release_due(now, |id| keys.key(*id).map_or("", share_of));
        if self.waiting.ready().is_empty() {
            return Take::Nothing(self.waiting.next_due());
        }
        if let Some(Err(free)) = self.bucket.as_mut().map(|bucket| bucket.take(now)) {
            return Take::Nothing(Some(free));
        }
        match self.waiting.pop(now).and_then(|id| self.claim(id, now)) {
            Some(claim) => Take::Claim(claim),
            None => Take::Nothing(None),
        }
    }

    fn claim(&mut self, id: Id, now: Monotonic) -> Option<Claim<K>> {
        let number = self.number();
        let (key, entry) = self.keys.get_mut(id)?;
        entry.phase = Phase::Running { number, since: now, again: None, forgotten: false };
        self.running.insert(number, now);
        let Request { due, priority, causes } = entry.request.clone();
        let (failures, queued_for) = (entry.streak.failures, now.saturating_since(due));
        Some(Claim { id, key: key.clone(), priority, causes, failures, queued_for, begun: now })
    }

    /// Ends a run. Asks for the time only if the key is to run again.
    pub(super) fn finish(
        &mut self,
        claim: &Claim<K>,
        outcome: Outcome,
        jitter: f64,
        now: impl FnOnce() -> Monotonic,
    ) -> (NextRun, Wake) {
        let settled = NextRun { after: None, streak: Streak::default() };
        let Some((_, entry)) = self.keys.get_mut(claim.id) else { return (settled, Wake::Nobody) };
        let Phase::Running { number, again, forgotten, .. } = &mut entry.phase else { return (settled, Wake::Nobody) };
        let (again, forgotten) = (again.take(), *forgotten);
        self.running.remove(*number);
        let decide = || next_run(outcome, entry.streak, &self.config.backoff, jitter);
        let next = if forgotten { settled } else { decide() };
        self.totals.retries += u64::from(outcome.is_failure() && next.after.is_some());
        self.totals.drops += u64::from(outcome == Outcome::Drop);
        if self.shut_down || (next.after.is_none() && again.is_none()) {
            self.keys.remove(claim.id);
            return (next, Wake::Nobody);
        }
        let now = now();
        let own = next.after.map(|after| entry.request.following(outcome, now + after));
        let request = own.into_iter().chain(again.map(|again| *again)).reduce(Request::merged);
        let wake = request.map(|request| self.wait_again(claim, request, next.streak, now));
        (next, wake.unwrap_or(Wake::Nobody))
    }

    fn wait_again(&mut self, claim: &Claim<K>, mut request: Request, streak: Streak, now: Monotonic) -> Wake {
        let timer = self.waiting.next_due();
        // What was asked for during the run waits from its end on.
        request.due = request.due.max(now);
        let place = Place { at: request.due, number: self.number() };
        self.waiting.insert(request.priority, (self.share_of)(&claim.key), place, claim.id, now);
        let ready = request.due <= now;
        if let Some((_, entry)) = self.keys.get_mut(claim.id) {
            *entry = Entry { phase: Phase::Waiting(place), request, streak };
        }
        self.whom_to_wake(ready, timer)
    }

    /// Whether the key was known.
    pub(super) fn forget(&mut self, key: &K) -> bool {
        let Ok(id) = self.keys.find(key) else { return false };
        let Some((_, entry)) = self.keys.get_mut(id) else { return false };
        match &mut entry.phase {
            Phase::Waiting(place) => {
                self.waiting.remove(entry.request.priority, (self.share_of)(key), *place);
                self.keys.remove(id);
            }
            Phase::Running { again, forgotten, .. } => {
                *again = None;
                *forgotten = true;
            }
        }
        true
    }

    pub(super) fn shut_down(&mut self) {
        self.shut_down = true;
        self.waiting.clear();
        self.keys.retain(|entry| matches!(entry.phase, Phase::Running { .. }));
    }

    pub(super) const fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// What is left for other workers.
    pub(super) fn left(&self) -> Left {
        match self.waiting.next_due() {
            _ if !self.waiting.ready().is_empty() => Left::Ready,
            Some(_) => Left::Delayed,
            None => Left::Nothing,
        }
    }

    pub(super) fn stats(&self, now: Monotonic) -> QueueStats {
        let since = |since: Option<Monotonic>| since.map(|since| now.saturating_since(since));
        let depth = |priority| self.waiting.ready().depth(priority);
        QueueStats {
            ready: Depths {
                user: depth(Priority::User),
                retry: depth(Priority::Retry),
                resync: depth(Priority::Resync),
            },
            sharers: self.waiting.ready().sharers(),
            delayed: self.waiting.delayed(),
            in_flight: self.in_flight(),
            longest_running: since(self.running.first().map(|(_, begin)| *begin)),
            oldest_waiting: since(self.waiting.ready().waiting_since()),
            ..self.totals.clone()
        }
    }

    pub(super) fn why(&self, key: &K, now: Monotonic) -> Option<KeyState> {
        let entry = self.keys.get(self.keys.find(key).ok()?)?;
        let phase = match &entry.phase {
            Phase::Waiting(place) if place.at > now => KeyPhase::Delayed { left: place.at.saturating_since(now) },
            Phase::Waiting(place) => KeyPhase::Waiting { waited: now.saturating_since(place.at) },
            Phase::Running { since, again, .. } => {
                KeyPhase::Processing { ran: now.saturating_since(*since), again: again.is_some() }
            }
        };
        let Request { priority, causes, .. } = &entry.request;
        let (causes, related) = (causes.as_slice().to_vec(), causes.objects().to_vec());
        Some(KeyState { phase, priority: *priority, causes, related, failures: entry.streak.failures })
    }
}

impl<K> fmt::Debug for State<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?}, {} running)", self.waiting, self.running.len())
    }
}
