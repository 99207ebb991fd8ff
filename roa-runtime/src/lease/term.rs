//! [`Term`]: a time of owning a lease or a shard. [`Deadline`]: until when. [`Permit`]: a call in it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use roa_core::{Cancellation, CancellationSource, Clock, Monotonic, Ownership, ResourceStore, Revision, Tenure};
use tokio::sync::Notify;

use crate::locks;

/// A time of owning a slot.
#[derive(Debug)]
pub(super) struct Term {
    /// None where nobody else could own it, else one.
    ownership: Arc<[Ownership]>,
    deadline: Option<Arc<Deadline>>,
    over: AtomicBool,
    /// The calls that run under it.
    calls: AtomicUsize,
    /// Whether somebody waits for their end.
    draining: AtomicBool,
    leaving: CancellationSource,
    cancellation: CancellationSource,
    signals: Arc<Signals>,
}

/// Until when a process may act on what it owns: shared by all that it owns, for it has one heartbeat.
#[derive(Debug)]
pub(super) struct Deadline {
    clock: Arc<dyn Clock>,
    until: Mutex<Option<Monotonic>>,
}

impl Deadline {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, until: Mutex::new(None) }
    }

    pub(super) fn begin(&self, until: Monotonic) {
        *locks::lock(&self.until) = Some(until);
    }

    /// Goes on, unless the time is over: then there is no way back. Says whether it went on.
    pub(super) fn extend(&self, until: Monotonic) -> bool {
        let (now, mut known) = (self.clock.monotonic(), locks::lock(&self.until));
        let live = known.is_some_and(|known| now < known) && now < until;
        *known = live.then_some(until);
        live
    }

    pub(super) fn end(&self) {
        *locks::lock(&self.until) = None;
    }

    /// The end, if it has not come.
    pub(super) fn until(&self) -> Option<Monotonic> {
        let now = self.clock.monotonic();
        locks::lock(&self.until).filter(|until| now < *until)
    }

    pub(super) fn is_live(&self) -> bool {
        self.until().is_some()
    }
}

impl Term {
    pub(super) fn new(ownership: Option<Ownership>, deadline: Option<Arc<Deadline>>, signals: Arc<Signals>) -> Self {
        Self {
            ownership: ownership.into_iter().collect(),
            deadline,
            over: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            leaving: CancellationSource::new(),
            cancellation: CancellationSource::new(),
            signals,
        }
    }

    pub(super) fn ownership(&self) -> Option<&Ownership> {
        self.ownership.first()
    }

    /// From now on somebody waits for the end of the last call.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.leaving.cancel();
    }

    /// Whether no call runs under it.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.load(Ordering::SeqCst) == 0
    }

    /// What runs must end, and writes nothing more.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.leaving.cancel();
        self.cancellation.cancel();
    }

    /// Until when it may be acted on without another renewal; `None` if it is over.
    pub(super) fn until(&self) -> Option<Option<Monotonic>> {
        match &self.deadline {
            _ if self.over.load(Ordering::Acquire) => None,
            None => Some(None),
            Some(deadline) => deadline.until().map(Some),
        }
    }
}

impl Tenure for Term {
    fn is_current(&self) -> bool {
        self.until().is_some()
    }
}

/// All of several terms.
#[derive(Debug)]
pub(super) struct Terms(pub(super) Vec<Arc<Term>>);

impl Tenure for Terms {
    fn is_current(&self) -> bool {
        self.0.iter().all(|term| term.is_current())
    }
}

/// Which term it was, to be recognised.
#[derive(Debug)]
pub(crate) struct TermToken(Arc<Term>);

/// The right to handle one key, for one call. While there is one, the slot of the key is not given to anybody else,
/// unless the time of this process is over.
///
/// ```
/// # use roa_core::{Key, ResourceStore};
/// # use roa_runtime::Territory;
/// /// Resources for one call for a key, if it is this process's now.
/// fn fenced(territory: &Territory, key: &Key, resources: ResourceStore) -> Option<ResourceStore> {
///     let permit = territory.begin(key)?; // held until the call ends
///     Some(permit.fence(resources))
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    term: Arc<Term>,
    slot: usize,
}

impl Permit {
    pub(super) fn new(term: &Arc<Term>, slot: usize) -> Self {
        term.calls.fetch_add(1, Ordering::SeqCst);
        Self { term: Arc::clone(term), slot }
    }

    /// Whether another call may begin under it, for a key of this slot: nobody waits for its end, and its time is not over.
    pub(super) fn serves(&self, slot: usize) -> bool {
        self.slot == slot && !self.term.draining.load(Ordering::SeqCst) && self.term.is_current()
    }

    pub(crate) fn token(&self) -> TermToken {
        TermToken(Arc::clone(&self.term))
    }

    /// Whether it is of the same term.
    pub(crate) fn is_under(&self, token: &TermToken) -> bool {
        self.is_of(&token.0)
    }

    pub(super) fn is_of(&self, term: &Arc<Term>) -> bool {
        Arc::ptr_eq(&self.term, term)
    }

    /// The same resources, with each write under the fence of the key's owner.
    #[must_use]
    pub fn fence(&self, resources: ResourceStore) -> ResourceStore {
        if self.term.ownership.is_empty() {
            return resources;
        }
        let tenure = Arc::<Term>::clone(&self.term);
        resources.fenced_by_all(Arc::clone(&self.term.ownership)).during(tenure)
    }

    /// What its writes are fenced by; `None` where nobody else could own it.
    #[must_use]
    pub fn ownership(&self) -> Option<&Ownership> {
        self.term.ownership()
    }

    /// What caches must have reached: then they show all that the owner before wrote.
    #[must_use]
    pub fn since(&self) -> Option<Revision> {
        self.term.ownership().map(|ownership| ownership.revision)
    }

    /// The sign that somebody waits for the end of the call: what would go on for long should end soon.
    #[must_use]
    pub fn leaving(&self) -> Cancellation {
        self.term.leaving.token()
    }

    /// The sign that the call must end.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.term.cancellation.token()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // In one order with `Territory::drain` and `drained`: one of the two sees the other.
        let last = self.term.calls.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.term.draining.load(Ordering::SeqCst) {
            self.term.signals.wake.notify_one();
        }
    }
}

/// What the coordinator of a process wakes up for.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) wake: Notify,
    nudged: AtomicBool,
}

impl Signals {
    /// Others may have changed something.
    pub(super) fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn take_nudge(&self) -> bool {
        self.nudged.swap(false, Ordering::AcqRel)
    }
}
