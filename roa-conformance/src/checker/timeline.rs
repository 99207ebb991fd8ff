//! [`Timeline`]: when each revision can have come to be, and when each key was at which revision.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use roa_core::{Batch, Key, Revision};

use super::attribution::Attribution;
use super::gaps::Gaps;
use super::{History, State, Step, Tick};

/// From a revision on, until the key's next moment, the key is at `current`.
#[derive(Debug, Clone, Copy)]
struct Moment {
    from: Revision,
    current: Option<Revision>,
}

/// What a key has to be at: the revision of its entry, `None` if absent.
pub(super) type Wanted<'a> = (&'a Key, Option<Revision>);

/// When each revision can have come to be, and when each key was at which revision.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    initial: &'a State,
    /// The revision of each batch, with the first tick at which it and all before it had been asked for.
    possible: Vec<(Revision, Tick)>,
    /// The moments of the keys that the log touches; each begins with the initial state.
    keys: HashMap<&'a Key, Vec<Moment>>,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(
        history: &History,
        attribution: &Attribution,
        initial: &'a State,
        log: &'a [Arc<Batch>],
        gaps: &Gaps<'a>,
    ) -> Self {
        let mut found = Self { initial, possible: Vec::with_capacity(log.len()), keys: HashMap::new() };
        let mut latest = Tick(0);
        let mut resyncs = gaps.iter().filter_map(|gap| gap.resync).peekable();
        for (batch, called) in log.iter().zip(calls(history, attribution)) {
            while let Some(resync) = resyncs.next_if(|resync| resync.revision < batch.revision) {
                found.resync(resync);
            }
            latest = latest.max(called);
            found.possible.push((batch.revision, latest));
            for change in batch.changes.iter() {
                found.turn(change.key(), batch.revision, change.current().map(|_| batch.revision));
            }
        }
        resyncs.for_each(|resync| found.resync(resync));
        found
    }

    fn turn(&mut self, key: &'a Key, from: Revision, current: Option<Revision>) {
        let first = || vec![Moment { from: self.initial.revision, current: current_in(self.initial, key) }];
        self.keys.entry(key).or_insert_with(first).push(Moment { from, current });
    }

    fn resync(&mut self, state: &'a State) {
        let known: HashSet<&'a Key> = self.keys.keys().copied().chain(self.initial.entries().map(|e| &e.key)).collect();
        for key in known.into_iter().chain(state.entries().map(|entry| &entry.key)) {
            let current = current_in(state, key);
            if self.newest(key) != current {
                self.turn(key, state.revision, current);
            }
        }
    }

    fn newest(&self, key: &Key) -> Option<Revision> {
        let moment = self.keys.get(key).and_then(|moments| moments.last());
        moment.map_or_else(|| current_in(self.initial, key), |moment| moment.current)
    }

    /// The newest revision that can have existed at a tick: it and all before it had been asked for.
    pub(super) fn newest_at(&self, tick: Tick, gaps: &Gaps<'_>) -> Revision {
        let count = self.possible.partition_point(|(_, asked)| *asked <= tick);
        let last = count.checked_sub(1).map_or(self.initial.revision, |last| self.possible[last].0);
        gaps.past(last)
    }

    /// The first revision from `from` up to `to` at which all keys are as wanted.
    pub(super) fn first_with(&self, wanted: &[Wanted<'_>], from: Revision, to: Revision) -> Option<Revision> {
        let mut at = from;
        while at <= to {
            let before = at;
            for (key, current) in wanted {
                at = self.first_of(key, *current, at, to)?;
            }
            if at == before {
                return Some(at);
            }
        }
        None
    }

    fn first_of(&self, key: &Key, wanted: Option<Revision>, from: Revision, to: Revision) -> Option<Revision> {
        let Some(moments) = self.keys.get(key) else {
            return (current_in(self.initial, key) == wanted && from <= to).then_some(from);
        };
        let begun = moments.partition_point(|moment| moment.from <= from).saturating_sub(1);
        let mut later = moments[begun..].iter().take_while(|moment| moment.from <= to);
        later.find(|moment| moment.current == wanted).map(|moment| moment.from.max(from))
    }
}

/// When each batch was asked for. One that was called after a later one had been acknowledged is an anomaly of its own,
/// and says nothing here: else all that follows it would seem to come from the future.
fn calls(history: &History, attribution: &Attribution) -> Vec<Tick> {
    let mut acknowledged = Tick(u64::MAX);
    let mut calls: Vec<Tick> = Vec::with_capacity(attribution.operations.len());
    for operation in attribution.operations.iter().rev() {
        let done = operation.map(|operation| &history.operations[operation]);
        calls.push(done.map(|done| done.called).filter(|called| *called <= acknowledged).unwrap_or(Tick(0)));
        if let Some(Step::Commit { result: Ok(_), .. }) = done.map(|done| &done.step) {
            acknowledged = done.and_then(|done| done.returned).map_or(acknowledged, |tick| acknowledged.min(tick));
        }
    }
    calls.reverse();
    calls
}

fn current_in(state: &State, key: &Key) -> Option<Revision> {
    state.get(key).map(|entry| entry.revision)
}
