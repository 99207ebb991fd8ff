//! [`Lease`]: whether this process leads, for all who need to know.

use std::fmt;
use std::sync::{Arc, Mutex};

use roa_core::{Clock, Monotonic, Ownership};
use tokio::sync::watch;

use crate::locks;

/// What became of a lease, as it was last found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseState {
    /// Somebody else has it, or nobody.
    Standby {
        /// Who has it, if that is known.
        holder: Option<Arc<str>>,
    },
    /// This process has it. Each term has an ownership of its own: if it differs from the one before, the lease was
    /// lost in between.
    Held {
        /// What writes are to be fenced by.
        ownership: Ownership,
    },
    /// This process had it. What it does under the old ownership must stop; the store takes no more writes of it once
    /// somebody else has the lease.
    Lost,
}

/// Whether this process has a lease. A clone shows the same; a [`LeaseDriver`](crate::LeaseDriver) keeps it true.
#[derive(Clone)]
pub struct Lease {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    tenure: Mutex<Option<Tenure>>,
    state: watch::Sender<LeaseState>,
}

/// What this process owns, and how long it may act on it without another renewal.
struct Tenure {
    ownership: Ownership,
    until: Monotonic,
}

impl Lease {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether this process has it now: at most until the renew deadline after the begin of its last good renewal.
    /// Looks at the clock alone, so it is right even right after the process was paused for hours (L4). Ask before
    /// each effect outside of the store.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.ownership().is_some()
    }

    /// What writes are to be fenced by, while [`Lease::is_held`].
    #[must_use]
    pub fn ownership(&self) -> Option<Ownership> {
        self.shared.tenure(|tenure| tenure.ownership.clone())
    }

    /// What was last found.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        self.shared.state.borrow().clone()
    }

    /// Tells of each change of the state; of several changes in a row, perhaps of the last one only.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LeaseState> {
        self.shared.state.subscribe()
    }

    /// Completes when this process has the lease.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn acquired(&self) -> Ownership {
        let mut state = self.watch();
        loop {
            state.mark_unchanged();
            if let Some(ownership) = self.ownership() {
                return ownership;
            }
            changed(&mut state).await;
        }
    }

    /// Completes when this process no longer has the lease under this ownership, at the latest when it can't have been
    /// renewed in time: whatever happens to the driver.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn lost(&self, ownership: &Ownership) {
        let mut state = self.watch();
        loop {
            state.mark_unchanged();
            let until = self.shared.tenure(|tenure| (tenure.ownership == *ownership).then_some(tenure.until)).flatten();
            let Some(until) = until else { return };
            tokio::select! {
                biased;
                () = changed(&mut state) => {}
                () = self.shared.clock.sleep_until(until) => {}
            }
        }
    }
}

/// The sender lives as long as the lease that is asked, so that there is always another change to wait for.
async fn changed(state: &mut watch::Receiver<LeaseState>) {
    if state.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Shared {
    pub(super) fn new(name: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        let (state, _) = watch::channel(LeaseState::Standby { holder: None });
        Self { name, clock, tenure: Mutex::new(None), state }
    }

    fn tenure<T>(&self, read: impl FnOnce(&Tenure) -> T) -> Option<T> {
        let now = self.clock.monotonic();
        locks::lock(&self.tenure).as_ref().filter(|tenure| now < tenure.until).map(read)
    }

    pub(super) fn stand_by(&self, holder: Option<&str>) {
        self.publish(LeaseState::Standby { holder: holder.map(Arc::from) });
    }

    /// Begins a term.
    pub(super) fn hold(&self, ownership: Ownership, until: Monotonic) {
        *locks::lock(&self.tenure) = Some(Tenure { ownership: ownership.clone(), until });
        self.publish(LeaseState::Held { ownership });
    }

    /// Goes on with a term.
    pub(super) fn extend(&self, until: Monotonic) {
        if let Some(tenure) = locks::lock(&self.tenure).as_mut() {
            tenure.until = until;
        }
    }

    /// Ends a term. From when it returns nobody acts on it.
    pub(super) fn resign(&self) {
        *locks::lock(&self.tenure) = None;
        self.state.send_if_modified(|state| {
            let held = matches!(state, LeaseState::Held { .. });
            if held {
                *state = LeaseState::Lost;
            }
            held
        });
    }

    fn publish(&self, next: LeaseState) {
        self.state.send_if_modified(|state| {
            let changes = *state != next;
            *state = next;
            changes
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}: {:?})", self.shared.name, self.state())
    }
}
