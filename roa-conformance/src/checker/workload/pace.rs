//! [`Pace`]: how an unavailable store is asked again.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

const FIRST: Duration = Duration::from_millis(5);

/// Lets one attempt through every few milliseconds, until a deadline.
#[derive(Debug)]
pub(super) struct Pace {
    deadline: Instant,
    ticks: Interval,
}

impl Pace {
    pub(super) fn new(limit: Duration) -> Self {
        let mut ticks = interval(FIRST);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        Self { deadline: Instant::now() + limit, ticks }
    }

    /// Waits for the next attempt; false if there is none.
    pub(super) async fn wait(&mut self) -> bool {
        self.ticks.tick().await < self.deadline
    }
}
