//! [`PoolStatus`]: what is observed of a pool.

use std::fmt;

use roa_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Quantity;
use crate::values::or_nothing;
use crate::worker::{Account, Utilisation};

/// What is observed of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolStatus {
    /// What is going on, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How many workers it has, whatever their phase.
    pub replicas: u32,
    /// How many of them take labs.
    pub ready_workers: u32,
    /// The processors of those.
    #[serde(with = "or_nothing")]
    pub cpu: Quantity,
    /// The memory of those.
    #[serde(with = "or_nothing")]
    pub memory: Quantity,
    /// What of those is given away.
    pub allocated: Account,
    /// The same, in percent.
    pub utilisation: Utilisation,
    /// When it last got a worker more or less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scaling: Option<Timestamp>,
    /// When it last got a worker more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scale_up: Option<Timestamp>,
    /// Its last decisions.
    #[serde(skip_serializing_if = "Decisions::is_empty")]
    pub decisions: Decisions,
    /// Which generation of its spec was taken up.
    pub observed_generation: u64,
}

/// Which way a pool was scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// A worker more.
    Up,
    /// A worker less: it drains.
    Down,
    /// A worker that failed was taken away.
    Remove,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "Up",
            Self::Down => "Down",
            Self::Remove => "Remove",
        })
    }
}

/// A decision that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingDecision {
    /// When.
    pub time: Timestamp,
    /// Which way.
    pub direction: Direction,
    /// Which worker came or goes.
    pub worker: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// The last [`Decisions::MAX`] decisions, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Decisions(Vec<ScalingDecision>);

impl Decisions {
    /// How many are kept.
    pub const MAX: usize = 50;

    /// Adds one, and forgets the oldest if there are too many.
    pub fn push(&mut self, decision: ScalingDecision) {
        self.0.push(decision);
        let surplus = self.0.len().saturating_sub(Self::MAX);
        self.0.drain(..surplus);
    }

    /// One by one, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ScalingDecision> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PoolStatus {
    /// Writes a decision down.
    pub fn decided(&mut self, direction: Direction, worker: &str, reason: &str, now: Timestamp) {
        match direction {
            Direction::Up => {
                self.last_scaling = Some(now);
                self.last_scale_up = Some(now);
            }
            Direction::Down => self.last_scaling = Some(now),
            Direction::Remove => {}
        }
        reason.clone_into(&mut self.message);
        let (worker, reason) = (worker.to_owned(), reason.to_owned());
        self.decisions.push(ScalingDecision { time: now, direction, worker, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fifty_decisions_are_kept() {
        let mut status = PoolStatus::default();
        for second in 0..120 {
            let now = Timestamp::from_unix_seconds(second).unwrap();
            status.decided(Direction::Up, &format!("w-{second}"), "why", now);
        }
        let workers: Vec<_> = status.decisions.iter().map(|decision| decision.worker.as_str()).collect();
        assert_eq!((workers.len(), workers[0], workers[49]), (Decisions::MAX, "w-70", "w-119"));
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(serde_json::from_value::<PoolStatus>(json).unwrap(), status);
    }
}
