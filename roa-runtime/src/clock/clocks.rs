//! [`Clocks`]: the times of a process.

use std::sync::Arc;

use roa_core::Clock;

/// The times of a process: that of the domain, which can be scaled or simulated, and those of the machine.
///
/// ```
/// # use std::sync::Arc;
/// use roa_runtime::{BootClock, Clocks, SystemClock};
/// let lease = Arc::new(BootClock::new()); // goes on while the machine sleeps
/// let clocks = Clocks { lease, ..Clocks::same(Arc::new(SystemClock::new())) };
/// # drop(clocks);
/// ```
#[derive(Debug, Clone)]
pub struct Clocks {
    /// For what the domain says: expiry, back-off, sweeps, time stamps.
    pub domain: Arc<dyn Clock>,
    /// For what the machine does: deadlines of calls, shutdown.
    pub io: Arc<dyn Clock>,
    /// For leases: one that goes on while the machine sleeps (L4), such as a [`BootClock`](crate::BootClock).
    pub lease: Arc<dyn Clock>,
}

impl Clocks {
    /// One clock for all.
    #[must_use]
    pub fn same(clock: Arc<dyn Clock>) -> Self {
        Self { domain: Arc::clone(&clock), io: Arc::clone(&clock), lease: clock }
    }
}
