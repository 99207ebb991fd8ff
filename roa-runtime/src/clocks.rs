//! [`Clocks`]: the two times of a process.

use std::sync::Arc;

use roa_core::Clock;

/// The two times of a process: that of the domain, which can be scaled or simulated, and that of the machine.
#[derive(Debug, Clone)]
pub struct Clocks {
    /// For what the domain says: expiry, back-off, sweeps, time stamps.
    pub domain: Arc<dyn Clock>,
    /// For what the machine does: deadlines of calls, leases, shutdown.
    pub io: Arc<dyn Clock>,
}

impl Clocks {
    /// One clock for both.
    #[must_use]
    pub fn same(clock: Arc<dyn Clock>) -> Self {
        Self { domain: Arc::clone(&clock), io: clock }
    }
}
