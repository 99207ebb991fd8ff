//! [`Territory`]: which keys this process may handle now, and under which fence.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roa_core::{Key, Monotonic, Ownership, ResourceStore, Revision, Tenure};
use tokio::sync::watch;

use super::term::{Deadline, Permit, Signals, Term, Terms};
use crate::{ShardBy, locks};

/// Which keys this process may handle now, and under which fence. A clone is the same.
///
/// Without other processes that is everything, without a fence. Else it is made of slots, one lease or many shards, each
/// of which is vacant, held, or being given up: then what runs may end, and nothing new begins.
///
/// ```
/// use roa_core::Key;
/// use roa_runtime::Territory;
/// let all = Territory::everything();
/// assert!(all.owns(&Key::new("lab.example.com", "labs", "school", "one")?));
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Territory {
    shared: Arc<Shared>,
}

struct Shared {
    division: Division,
    slots: Mutex<Vec<Slot>>,
    /// Rises with each change of a slot.
    changes: watch::Sender<u64>,
    signals: Arc<Signals>,
    leaving: AtomicBool,
    /// Whether it is left because of that: see [`Territory::outvoted`].
    outvoted: AtomicBool,
}

/// How keys belong to slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Division {
    /// All to the only one.
    One,
    /// To shards.
    Shards(ShardBy),
}

#[derive(Debug)]
enum Slot {
    Vacant { lost: bool, holder: Option<Arc<str>> },
    Held(Arc<Term>),
    Draining { term: Arc<Term>, since: Monotonic },
}

impl Territory {
    /// Everything, for a process that is alone.
    #[must_use]
    pub fn everything() -> Self {
        Self::of_one(None)
    }

    /// Everything, each write under the condition that `ownership` still holds.
    #[must_use]
    pub fn under(ownership: Ownership) -> Self {
        Self::of_one(Some(ownership))
    }

    /// Nothing: what a process has that stands by.
    #[must_use]
    pub fn nothing() -> Self {
        Self::vacant(Division::One, 1, Arc::default())
    }

    fn of_one(ownership: Option<Ownership>) -> Self {
        let this = Self::vacant(Division::One, 1, Arc::default());
        this.hold([(0, ownership)], None);
        this
    }

    pub(super) fn vacant(division: Division, slots: usize, signals: Arc<Signals>) -> Self {
        let slots = (0..slots).map(|_| Slot::Vacant { lost: false, holder: None }).collect();
        let (changes, _) = watch::channel(0);
        let (slots, [leaving, outvoted]) = (Mutex::new(slots), [false; 2].map(AtomicBool::new));
        Self { shared: Arc::new(Shared { division, slots, changes, signals, leaving, outvoted }) }
    }

    /// The slot of a key.
    #[must_use]
    pub fn slot(&self, key: &Key) -> usize {
        match self.shared.division {
            Division::One => 0,
            Division::Shards(by) => by.shard(key),
        }
    }

    /// Whether a call for a key may begin now.
    #[must_use]
    pub fn owns(&self, key: &Key) -> bool {
        matches!(locks::lock(&self.shared.slots).get(self.slot(key)), Some(Slot::Held(term)) if term.is_current())
    }

    /// The right to begin a call for a key, if this process has it now.
    #[must_use]
    pub fn begin(&self, key: &Key) -> Option<Permit> {
        self.begin_slot(self.slot(key))
    }

    /// The same for the next call of one who had a right before, and has kept it: it serves again if it can. While it is
    /// kept, no call's end is the last.
    pub(crate) fn begin_next(&self, key: &Key, last: Option<Permit>) -> Option<Permit> {
        let slot = self.slot(key);
        last.filter(|last| last.serves(slot)).or_else(|| self.begin_slot(slot))
    }

    /// The same for what belongs to a slot rather than to a key.
    pub(crate) fn begin_slot(&self, number: usize) -> Option<Permit> {
        match locks::lock(&self.shared.slots).get(number) {
            // Under the lock: a slot whose last call has ended begins no other once it is being given up.
            Some(Slot::Held(term)) if term.is_current() => Some(Permit::new(term, number)),
            _ => None,
        }
    }

    /// All that is held at once, for work on all of it; `None` if nothing is held.
    pub(crate) fn begin_all(&self) -> Option<Holding> {
        let terms = self.held_terms();
        (!terms.is_empty()).then(|| Holding { territory: self.clone(), terms: terms.into_iter().collect() })
    }

    fn held_terms(&self) -> Vec<(usize, Arc<Term>)> {
        let slots = locks::lock(&self.shared.slots);
        let held = slots.iter().enumerate().filter_map(|(number, slot)| match slot {
            Slot::Held(term) if term.is_current() => Some((number, Arc::clone(term))),
            _ => None,
        });
        held.collect()
    }

    /// The slots that are held now, in order, each with the revision since which it is.
    #[must_use]
    pub fn held(&self) -> Vec<(usize, Option<Revision>)> {
        let since = |term: &Term| term.ownership().map(|ownership| ownership.revision);
        self.held_terms().into_iter().map(|(number, term)| (number, since(&term))).collect()
    }

    /// Tells of each change of a slot; of several in a row perhaps once.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Gives all of it up for good: nothing new begins, and each slot is given back when what runs in it has ended.
    pub fn leave(&self) {
        self.shared.leaving.store(true, Ordering::Release);
        self.shared.signals.wake.notify_one();
    }

    /// The same, because the others have agreed on another division of the work.
    pub(super) fn outvote(&self) {
        self.leave();
        self.shared.outvoted.store(true, Ordering::Release);
        self.shared.changes.send_modify(|version| *version += 1);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Acquire)
    }

    /// Completes when the others have agreed on another division of the work: then nothing of it is held, nor will be.
    pub(crate) async fn outvoted(&self) {
        let mut changes = self.changes();
        while !self.shared.outvoted.load(Ordering::Acquire) {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Completes when all slots are vacant.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn vacated(&self) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let vacant = |slot: &Slot| matches!(slot, Slot::Vacant { .. });
            if locks::lock(&self.shared.slots).iter().all(vacant) {
                return;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Begins terms.
    pub(super) fn hold(
        &self,
        acquired: impl IntoIterator<Item = (usize, Option<Ownership>)>,
        deadline: Option<&Arc<Deadline>>,
    ) {
        self.change(|slots| {
            for (number, ownership) in acquired {
                let term = Arc::new(Term::new(ownership, deadline.cloned(), Arc::clone(&self.shared.signals)));
                if let Some(slot) = slots.get_mut(number) {
                    *slot = Slot::Held(term);
                }
            }
        });
    }

    /// Begins to give up slots.
    pub(super) fn drain(&self, numbers: &[usize], now: Monotonic) {
        self.change(|slots| {
            for number in numbers {
                let Some(slot) = slots.get_mut(*number) else { continue };
                if let Slot::Held(term) = slot {
                    term.drain();
                    *slot = Slot::Draining { term: Arc::clone(term), since: now };
                }
            }
        });
    }

    /// Begins to give up all that is held; says whether there was anything.
    pub(super) fn drain_all(&self, now: Monotonic) -> bool {
        let held: Vec<usize> = self.held().into_iter().map(|(number, _)| number).collect();
        if !held.is_empty() {
            self.drain(&held, now);
        }
        !held.is_empty()
    }

    /// The slots in which nothing runs any more, of those that are being given up; with `limit`, those too that took
    /// longer: what runs there is ended, and writes nothing more.
    pub(super) fn drained(&self, now: Monotonic, limit: Option<Duration>) -> Vec<usize> {
        let slots = locks::lock(&self.shared.slots);
        let mut drained = Vec::new();
        for (number, slot) in slots.iter().enumerate() {
            let Slot::Draining { term, since } = slot else { continue };
            let late = limit.is_some_and(|limit| now.saturating_since(*since) >= limit);
            if late || term.is_idle() {
                term.end();
                drained.push(number);
            }
        }
        drained
    }

    /// From when on a slot that is being given up can be given back: now if nothing runs in it, else after `limit`.
    pub(super) fn drain_due(&self, limit: Option<Duration>) -> Option<Monotonic> {
        let slots = locks::lock(&self.shared.slots);
        let due = |slot: &Slot| match slot {
            Slot::Draining { term, since } if term.is_idle() => Some(*since),
            Slot::Draining { since, .. } => limit.map(|limit| *since + limit),
            _ => None,
        };
        slots.iter().filter_map(due).min()
    }

    /// Ends terms: at once, whatever runs in them.
    pub(super) fn vacate(&self, numbers: &[usize], lost: bool) {
        self.change(|slots| {
            for slot in numbers.iter().copied() {
                let Some(found) = slots.get_mut(slot) else { continue };
                if let Slot::Held(term) | Slot::Draining { term, .. } = found {
                    term.end();
                    *found = Slot::Vacant { lost, holder: None };
                }
            }
        });
    }

    /// Ends all terms; gives how many there were.
    pub(super) fn vacate_all(&self) -> usize {
        let occupied = self.occupied();
        let numbers: Vec<usize> = occupied.iter().map(|(number, _)| *number).collect();
        if !numbers.is_empty() {
            self.vacate(&numbers, true);
        }
        numbers.len()
    }

    /// The slots that are held or being given up.
    pub(super) fn occupied(&self) -> Vec<(usize, Ownership)> {
        let slots = locks::lock(&self.shared.slots);
        let occupied = slots.iter().enumerate().filter_map(|(number, slot)| match slot {
            Slot::Held(term) | Slot::Draining { term, .. } => Some((number, term.ownership().cloned()?)),
            Slot::Vacant { .. } => None,
        });
        occupied.collect()
    }

    /// Notes who has a slot that this process has not, as far as is known.
    pub(super) fn note_holder(&self, number: usize, holder: Option<&str>) {
        let changed = match locks::lock(&self.shared.slots).get_mut(number) {
            Some(Slot::Vacant { lost, holder: known }) if *lost || known.as_deref() != holder => {
                (*lost, *known) = (false, holder.map(Arc::from));
                true
            }
            _ => false,
        };
        if changed {
            self.shared.changes.send_modify(|version| *version += 1);
        }
    }

    /// How the only slot stands.
    pub(super) fn standing(&self) -> Standing {
        match locks::lock(&self.shared.slots).first() {
            Some(Slot::Held(term) | Slot::Draining { term, .. }) => Standing::Held(Arc::clone(term)),
            Some(Slot::Vacant { lost: true, .. }) => Standing::Lost,
            Some(Slot::Vacant { holder, .. }) => Standing::Standby(holder.clone()),
            None => Standing::Standby(None),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Slot>)) {
        change(&mut locks::lock(&self.shared.slots));
        self.shared.changes.send_modify(|version| *version += 1);
    }
}

/// What was held at one moment. It is not kept from being given up: but then what is written under it is refused.
pub(crate) struct Holding {
    territory: Territory,
    terms: BTreeMap<usize, Arc<Term>>,
}

impl Holding {
    /// What caches must have reached: then they show all that the owners before wrote.
    pub(crate) fn since(&self) -> Option<Revision> {
        self.terms.values().filter_map(|term| term.ownership()).map(|ownership| ownership.revision).max()
    }

    /// Whether a key was held then.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.terms.contains_key(&self.territory.slot(key))
    }

    /// The right to begin a call for a key, if it is held now and was without a break: what was known of it then has been
    /// nobody else's to change.
    pub(crate) fn begin(&self, key: &Key) -> Option<Permit> {
        let held = self.terms.get(&self.territory.slot(key))?;
        self.territory.begin(key).filter(|permit| permit.is_of(held))
    }

    /// The same resources with each write under the fences of all of it.
    pub(crate) fn fence(&self, resources: ResourceStore) -> ResourceStore {
        let terms: Vec<_> = self.terms.values().cloned().collect();
        let ownerships: Vec<_> = terms.iter().filter_map(|term| term.ownership().cloned()).collect();
        if ownerships.is_empty() {
            return resources;
        }
        resources.fenced_by_all(ownerships).during(Arc::new(Terms(terms)))
    }
}

/// How a slot stands.
pub(super) enum Standing {
    Standby(Option<Arc<str>>),
    Held(Arc<Term>),
    Lost,
}

impl fmt::Debug for Territory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Territory({:?}, {} held)", self.shared.division, self.held().len())
    }
}
