//! [`State`]: all that a queue's lock guards. Knows no clock and no task: it is told the time, and says whom to wake.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use roa_core::{Cause, Monotonic};

use super::bucket::TokenBucket;
use super::causes::Causes;
use super::lane::{Place, ShareOf};
use super::stats::{Depths, KeyPhase, KeyState, QueueStats};
use super::waiting::Waiting;
use super::{AddError, NextRun, Outcome, Priority, QueueConfig, QueueKey, Streak, next_run};

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
        /// What was asked for meanwhile (C5).
        again: Option<Request>,
        /// Whether the key was forgotten meanwhile: then the run's own outcome no longer counts.
        forgotten: bool,
    },
}

/// A key that a worker may run now, and alone (C4).
#[derive(Debug)]
pub(super) struct Claim<K> {
    pub(super) key: K,
    pub(super) priority: Priority,
    pub(super) causes: Causes,
    pub(super) failures: u32,
    pub(super) queued_for: Duration,
}

/// What a worker that looks for work finds.
#[derive(Debug)]
pub(super) enum Take<K> {
    Claim(Claim<K>),
    /// Nothing, and not before this time without an add.
    Nothing(Option<Monotonic>),
    ShutDown,
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

#[derive(Debug)]
pub(super) struct State<K> {
    config: QueueConfig,
    keys: HashMap<K, Entry>,
    waiting: Waiting<K>,
    /// When each run began; the numbers rise, so the first is the oldest.
    running: BTreeMap<u64, Monotonic>,
    bucket: Option<TokenBucket>,
    next_number: u64,
    /// Only the counters are kept here.
    totals: QueueStats,
    shut_down: bool,
}

impl<K: QueueKey> State<K> {
    pub(super) fn new(config: QueueConfig, share_of: ShareOf<K>) -> Self {
        Self {
            keys: HashMap::new(),
            waiting: Waiting::new(config.promote_after, share_of),
            running: BTreeMap::new(),
            bucket: config.rate.map(TokenBucket::new),
            next_number: 0,
            totals: QueueStats::default(),
            shut_down: false,
            config,
        }
    }

    pub(super) fn add(&mut self, key: &K, request: Request, now: Monotonic) -> Result<Wake, AddError> {
        if self.shut_down {
            return Err(AddError::ShutDown);
        }
        let (timer, known) = (self.waiting.next_due(), self.keys.len());
        let became_ready = match self.keys.get_mut(key) {
            Some(entry) => entry.add(key, request, &mut self.waiting, now),
            None if known >= self.config.max_keys => {
                self.totals.refused += 1;
                return Err(AddError::Full { max_keys: self.config.max_keys });
            }
            None => self.insert(key, request, now),
        };
        self.totals.adds += 1;
        Ok(self.whom_to_wake(became_ready, timer))
    }

    fn insert(&mut self, key: &K, request: Request, now: Monotonic) -> bool {
        let place = Place { at: request.due, number: self.number() };
        self.waiting.insert(request.priority, place, key.clone(), now);
        let ready = request.due <= now;
        self.keys.insert(key.clone(), Entry { phase: Phase::Waiting(place), request, streak: Streak::default() });
        ready
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
        self.waiting.release_due(now);
        if self.waiting.ready().is_empty() {
            return Take::Nothing(self.waiting.next_due());
        }
        if let Some(Err(free)) = self.bucket.as_mut().map(|bucket| bucket.take(now)) {
            return Take::Nothing(Some(free));
        }
        match self.waiting.pop(now).and_then(|key| self.claim(key, now)) {
            Some(claim) => Take::Claim(claim),
            None => Take::Nothing(None),
        }
    }

    fn claim(&mut self, key: K, now: Monotonic) -> Option<Claim<K>> {
        let number = self.number();
        let entry = self.keys.get_mut(&key)?;
        entry.phase = Phase::Running { number, again: None, forgotten: false };
        self.running.insert(number, now);
        let Request { due, priority, causes } = entry.request.clone();
        Some(Claim { key, priority, causes, failures: entry.streak.failures, queued_for: now.saturating_since(due) })
    }

    /// Ends a run. Without effect for a key that does not run.
    pub(super) fn finish(&mut self, key: &K, outcome: Outcome, jitter: f64, now: Monotonic) -> (NextRun, Wake) {
        let settled = NextRun { after: None, streak: Streak::default() };
        let Some(entry) = self.keys.get_mut(key) else { return (settled, Wake::Nobody) };
        let Phase::Running { number, again, forgotten } = &mut entry.phase else { return (settled, Wake::Nobody) };
        let (again, forgotten) = (again.take(), *forgotten);
        self.running.remove(number);
        let decide = || next_run(outcome, entry.streak, &self.config.backoff, jitter);
        let next = if forgotten { settled } else { decide() };
        self.totals.retries += u64::from(outcome.is_failure() && next.after.is_some());
        self.totals.drops += u64::from(outcome == Outcome::Drop);
        let own = next.after.map(|after| entry.request.following(outcome, now + after));
        let request = own.into_iter().chain(again).reduce(Request::merged);
        let wake = match request {
            Some(request) if !self.shut_down => self.wait_again(key, request, next.streak, now),
            _ => {
                self.keys.remove(key);
                Wake::Nobody
            }
        };
        (next, wake)
    }

    fn wait_again(&mut self, key: &K, mut request: Request, streak: Streak, now: Monotonic) -> Wake {
        let timer = self.waiting.next_due();
        // What was asked for during the run waits from its end on.
        request.due = request.due.max(now);
        let place = Place { at: request.due, number: self.number() };
        self.waiting.insert(request.priority, place, key.clone(), now);
        let ready = request.due <= now;
        if let Some(entry) = self.keys.get_mut(key) {
            *entry = Entry { phase: Phase::Waiting(place), request, streak };
        }
        self.whom_to_wake(ready, timer)
    }

    /// Whether the key was known.
    pub(super) fn forget(&mut self, key: &K) -> bool {
        let Some(entry) = self.keys.get_mut(key) else { return false };
        match &mut entry.phase {
            Phase::Waiting(place) => {
                self.waiting.remove(entry.request.priority, *place, key);
                self.keys.remove(key);
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
        self.keys.retain(|_, entry| matches!(entry.phase, Phase::Running { .. }));
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

    /// Whether a key is ready: another worker may be needed.
    pub(super) fn has_ready(&self) -> bool {
        !self.waiting.ready().is_empty()
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
            longest_running: since(self.running.first_key_value().map(|(_, begin)| *begin)),
            oldest_waiting: since(self.waiting.ready().waiting_since()),
            ..self.totals.clone()
        }
    }

    pub(super) fn why(&self, key: &K, now: Monotonic) -> Option<KeyState> {
        let entry = self.keys.get(key)?;
        let phase = match &entry.phase {
            Phase::Waiting(place) if place.at > now => KeyPhase::Delayed { left: place.at.saturating_since(now) },
            Phase::Waiting(place) => KeyPhase::Waiting { waited: now.saturating_since(place.at) },
            Phase::Running { number, again, .. } => {
                let begin = self.running.get(number).copied().unwrap_or(now);
                KeyPhase::Processing { ran: now.saturating_since(begin), again: again.is_some() }
            }
        };
        let Request { priority, causes, .. } = &entry.request;
        let (causes, related) = (causes.to_vec(), causes.clone().into_related());
        Some(KeyState { phase, priority: *priority, causes, related, failures: entry.streak.failures })
    }
}

impl Entry {
    /// Merges a request in; says whether the key became ready by it.
    fn add<K>(&mut self, key: &K, request: Request, waiting: &mut Waiting<K>, now: Monotonic) -> bool {
        let place = match &mut self.phase {
            Phase::Running { again, .. } => {
                match again {
                    Some(known) => known.merge(request),
                    None => *again = Some(request),
                }
                return false;
            }
            Phase::Waiting(place) => place,
        };
        let (due, priority) = (self.request.due, self.request.priority);
        self.request.merge(request);
        let moved = Place { at: self.request.due, ..*place };
        if moved != *place || self.request.priority != priority {
            if let Some(key) = waiting.remove(priority, *place, key) {
                waiting.insert(self.request.priority, moved, key, now);
            }
            *place = moved;
        }
        due > now && self.request.due <= now
    }
}
