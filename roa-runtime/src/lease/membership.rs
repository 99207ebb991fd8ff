//! [`Membership`]: how a process stands among the others, for those who watch it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roa_core::{Clock, Monotonic};

use super::term::{Deadline, Signals};
use super::territory::Territory;
use crate::locks;

/// How a process stands among the others that share its store. A clone shows the same.
///
/// ```
/// # use roa_runtime::Membership;
/// fn says(membership: &Membership) -> String {
///     format!("{} has {} shards or leases", membership.holder(), membership.held())
/// }
/// ```
#[derive(Clone)]
pub struct Membership {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    holder: Arc<str>,
    clock: Arc<dyn Clock>,
    pub(super) deadline: Arc<Deadline>,
    /// The begin of the last good renewal.
    renewed: Mutex<Option<Monotonic>>,
    territories: Mutex<Vec<Territory>>,
    acquisitions: AtomicU64,
    losses: AtomicU64,
}

/// Has the owners looked at soon.
#[derive(Debug, Clone)]
pub(crate) struct Nudge(pub(super) Arc<Signals>);

impl Nudge {
    pub(crate) fn give(&self) {
        self.0.nudge();
    }
}

impl Membership {
    pub(super) fn new(holder: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        let deadline = Arc::new(Deadline::new(Arc::clone(&clock)));
        let shared = Shared {
            holder,
            clock,
            deadline,
            renewed: Mutex::new(None),
            territories: Mutex::default(),
            acquisitions: AtomicU64::new(0),
            losses: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The name of the process among the others.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.shared.holder
    }

    /// Whether others count on this process now: its heartbeat was renewed in time. Only then can it own anything.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.shared.deadline.is_live()
    }

    /// How long ago the last good renewal of the heartbeat began; `None` before the first.
    #[must_use]
    pub fn heartbeat_age(&self) -> Option<Duration> {
        let renewed = *locks::lock(&self.shared.renewed);
        renewed.map(|renewed| self.shared.clock.monotonic().saturating_since(renewed))
    }

    /// How many leases and shards it has now.
    #[must_use]
    pub fn held(&self) -> usize {
        locks::lock(&self.shared.territories).iter().map(|territory| territory.held().len()).sum()
    }

    /// How many leases and shards it ever got.
    #[must_use]
    pub fn acquisitions(&self) -> u64 {
        self.shared.acquisitions.load(Ordering::Relaxed)
    }

    /// How many it lost, as against gave back.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.shared.losses.load(Ordering::Relaxed)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    pub(super) fn watch(&self, territory: &Territory) {
        locks::lock(&self.territories).push(territory.clone());
    }

    pub(super) fn renewed(&self, begin: Monotonic) {
        *locks::lock(&self.renewed) = Some(begin);
    }

    pub(super) fn acquired(&self, count: usize) {
        self.acquisitions.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, count: usize) {
        self.losses.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Membership({}, {} held, live: {})", self.holder(), self.held(), self.is_live())
    }
}
