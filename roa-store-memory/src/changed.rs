//! [`Changed`]: wakes the feeds that wait, and costs a commit next to nothing while none does.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Wakes the feeds that wait. It tells nothing but that they are to look again, so that many commits are one wake-up.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    notify: Notify,
    /// Whether a feed may wait. It says so before it takes the lock of the state for its last look, and whoever changes
    /// the state looks here after that lock: so one of both sees the other.
    awaited: AtomicBool,
}

impl Changed {
    /// Resolves after the next change. Whoever waits for it looks at the state once more before.
    pub(crate) fn notified(&self) -> Notified<'_> {
        let notified = self.notify.notified();
        self.awaited.store(true, Ordering::Release);
        notified
    }

    /// The state was changed, and its lock released.
    pub(crate) fn notify(&self) {
        if self.awaited.load(Ordering::Acquire) && self.awaited.swap(false, Ordering::AcqRel) {
            self.notify.notify_waiters();
        }
    }
}
