//! [`Lease`]: whether this process leads, for all who need to know.

use std::fmt;
use std::sync::Arc;

use roa_core::{Clock, Ownership};

use super::territory::{Standing, Territory};

/// What became of a lease, as it was last found.
///
/// ```
/// # use roa_runtime::{Lease, LeaseState};
/// fn says(lease: &Lease) -> String {
///     match lease.state() {
///         LeaseState::Held { .. } => "leads".into(),
///         LeaseState::Standby { holder: Some(holder) } => format!("{holder} leads"),
///         _ => "nobody is known to lead".into(),
///     }
/// }
/// ```
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

/// Whether this process has a lease. A clone shows the same; a [`Coordinator`](crate::Coordinator) keeps it true.
///
/// ```
/// # use roa_core::ResourceStore;
/// # use roa_runtime::Lease;
/// /// Waits until this process leads; what it writes then is refused once it does not lead any more.
/// async fn lead(lease: &Lease, resources: ResourceStore) -> ResourceStore {
///     resources.fenced_by(lease.acquired().await)
/// }
/// ```
#[derive(Clone)]
pub struct Lease {
    name: Arc<str>,
    territory: Territory,
    clock: Arc<dyn Clock>,
}

impl Lease {
    pub(super) const fn new(name: Arc<str>, territory: Territory, clock: Arc<dyn Clock>) -> Self {
        Self { name, territory, clock }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a process that has it may do: everything.
    #[must_use]
    pub const fn territory(&self) -> &Territory {
        &self.territory
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
        match self.territory.standing() {
            Standing::Held(term) if term.until().is_some() => term.ownership().cloned(),
            _ => None,
        }
    }

    /// What was last found.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        match self.territory.standing() {
            Standing::Standby(holder) => LeaseState::Standby { holder },
            Standing::Held(term) => match term.ownership() {
                Some(ownership) => LeaseState::Held { ownership: ownership.clone() },
                None => LeaseState::Lost,
            },
            Standing::Lost => LeaseState::Lost,
        }
    }

    /// Completes when this process has the lease.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn acquired(&self) -> Ownership {
        let mut changes = self.territory.changes();
        loop {
            changes.mark_unchanged();
            if let Some(ownership) = self.ownership() {
                return ownership;
            }
            // The sender lives in the territory, so that there is always another change to wait for.
            let _ = changes.changed().await;
        }
    }

    /// Completes when this process no longer has the lease under this ownership, at the latest when it can't have been
    /// renewed in time: whatever happens to the coordinator.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn lost(&self, ownership: &Ownership) {
        let mut changes = self.territory.changes();
        loop {
            changes.mark_unchanged();
            let Standing::Held(term) = self.territory.standing() else { return };
            if term.ownership() != Some(ownership) {
                return;
            }
            let Some(Some(until)) = term.until() else { return };
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = self.clock.sleep_until(until) => {}
            }
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}: {:?})", self.name, self.state())
    }
}
