//! [`Inbox`]: what waits for the writer, and how long it waits for more, so that more transactions share a sync.
//!
//! Whoever was just answered is often about to ask again. Were the next group begun at once, those would miss it, and wait
//! for the one after: two groups that take turns, with a sync each. So the writer first looks for as many as there were
//! together, those that it answered and those that had come meanwhile, for a part of the time that a sync takes. The idea
//! is that of PostgreSQL's `commit_delay`, with the delay and the number of siblings taken from the group before.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::Queued;

/// Which part of a group's time is waited at most.
const PART: u32 = 4;
/// How long is waited at most.
const LONGEST: Duration = Duration::from_millis(1);

pub(super) struct Inbox {
    requests: Receiver<Queued>,
    waiting: VecDeque<Queued>,
    /// How many are taken at a time.
    max: usize,
    /// How many are to be there soon, and how long to wait for them.
    expected: (usize, Duration),
}

impl Inbox {
    pub(super) const fn new(requests: Receiver<Queued>, max: usize) -> Self {
        Self { requests, waiting: VecDeque::new(), max, expected: (0, Duration::ZERO) }
    }

    /// Waits for requests until `deadline`; takes those that are there.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<VecDeque<Queued>, RecvTimeoutError> {
        if self.waiting.is_empty() {
            let wait = deadline.saturating_duration_since(Instant::now());
            let first = self.requests.recv_timeout(wait)?;
            self.waiting.push_back(first);
        }
        self.look();
        let (expected, patience) = std::mem::take(&mut self.expected);
        if self.waiting.len() < expected {
            let deadline = Instant::now() + patience;
            while self.waiting.len() < expected && Instant::now() < deadline {
                // It is they who need the processor now.
                thread::yield_now();
                self.look();
            }
        }
        Ok(std::mem::take(&mut self.waiting))
    }

    /// So many are about to be answered, after that time.
    pub(super) fn answers(&mut self, count: usize, took: Duration) {
        self.look();
        self.expected = ((self.waiting.len() + count).min(self.max), (took / PART).min(LONGEST));
    }

    fn look(&mut self) {
        self.waiting.extend(self.requests.try_iter().take(self.max.saturating_sub(self.waiting.len())));
    }
}
