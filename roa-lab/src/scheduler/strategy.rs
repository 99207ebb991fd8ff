//! [`Strategy`]: by which rule a worker is chosen.

use std::fmt;
use std::str::FromStr;

use crate::Resources;
use crate::worker::Worker;

/// By which rule a worker is chosen among those that have room. Of several that are equal, the first by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// The one that has the least left afterwards: others stay free for large labs, or become idle.
    #[default]
    BestFit,
    /// The one with the least of its processors and memory given away.
    LeastUtilized,
    /// The one with the fewest labs.
    LeastLabs,
    /// One after the other, by name.
    RoundRobin,
    /// Any.
    Random,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::BestFit, Self::LeastUtilized, Self::LeastLabs, Self::RoundRobin, Self::Random];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BestFit => "BestFit",
            Self::LeastUtilized => "LeastUtilized",
            Self::LeastLabs => "LeastLabs",
            Self::RoundRobin => "RoundRobin",
            Self::Random => "Random",
        }
    }

    /// The less, the better.
    pub(super) fn score(self, more: Resources, worker: &Worker) -> f64 {
        let (account, capacity) = (worker.status.allocated, worker.spec.capacity());
        match self {
            Self::BestFit => -account.with(more).shares(capacity).load(),
            Self::LeastUtilized => account.shares(capacity).load(),
            Self::LeastLabs => f64::from(account.labs),
            Self::RoundRobin | Self::Random => 0.0,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.as_str() == text);
        found.ok_or_else(|| format!("is {text:?}, expected {}", Self::ALL.map(Self::as_str).join(" or ")))
    }
}
