//! [`Account`]: what of a worker is given away. It stands on the worker; what each lab has of it stands on the lab.

use serde::{Deserialize, Serialize};

use crate::values::or_nothing;
use crate::{Capacity, Lab, Quantity, Resources};

/// What of a worker is given away: the sum of what its labs hold. Each lab that comes or goes changes it in the same
/// commit as its own status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Account {
    /// Processors.
    #[serde(with = "or_nothing")]
    pub cpu: Quantity,
    /// Bytes of memory.
    #[serde(with = "or_nothing")]
    pub memory: Quantity,
    /// Labs.
    pub labs: u32,
}

impl Account {
    /// With one more lab.
    #[must_use]
    pub fn with(self, Resources { cpu, memory }: Resources) -> Self {
        Self { cpu: self.cpu + cpu, memory: self.memory + memory, labs: self.labs.saturating_add(1) }
    }

    /// With one lab less.
    #[must_use]
    pub fn without(self, Resources { cpu, memory }: Resources) -> Self {
        Self { cpu: self.cpu - cpu, memory: self.memory - memory, labs: self.labs.saturating_sub(1) }
    }

    /// Two together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
            labs: self.labs.saturating_add(other.labs),
        }
    }

    /// What the labs of the worker with this uid hold.
    pub fn of<'a>(uid: &str, labs: impl Iterator<Item = &'a Lab>) -> Self {
        let held = labs.filter_map(|lab| lab.status.allocation.as_ref()).filter(|held| held.is_on(uid));
        held.fold(Self::default(), |account, held| account.with(held.resources()))
    }

    /// What there would be too little of, with one more lab.
    pub(crate) fn lacks(self, more: Resources, capacity: Capacity) -> Vec<&'static str> {
        let then = self.with(more);
        let labs = usize::try_from(then.labs).unwrap_or(usize::MAX);
        capacity.lacks(Resources { cpu: then.cpu, memory: then.memory }, labs)
    }

    /// Which part of a capacity it is, for each resource; not exact.
    pub(crate) fn shares(self, capacity: Capacity) -> Shares {
        let of = |part: Quantity, whole: Quantity| {
            if whole == Quantity::ZERO { 1.0 } else { part.as_f64() / whole.as_f64() }
        };
        let slots = u32::try_from(capacity.labs).unwrap_or(u32::MAX).max(1);
        Shares {
            cpu: of(self.cpu, capacity.cpu),
            memory: of(self.memory, capacity.memory),
            labs: f64::from(self.labs) / f64::from(slots),
        }
    }
}

/// Parts of a capacity, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
    pub(crate) labs: f64,
}

impl Shares {
    /// The mean of processors and memory.
    pub(crate) const fn load(self) -> f64 {
        f64::midpoint(self.cpu, self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(cpu: u32) -> Resources {
        Resources { cpu: Quantity::milli(cpu), memory: Quantity::mebi(512) }
    }

    #[test]
    fn what_is_added_and_taken_away_again_leaves_nothing() {
        let account = Account::default().with(needs(250)).with(needs(500));
        assert_eq!((account.cpu, account.labs), (Quantity::milli(750), 2));
        assert_eq!(account.without(needs(500)).without(needs(250)), Account::default());
        assert_eq!(Account::default().without(needs(1)), Account::default(), "never less than nothing");
    }

    #[test]
    fn an_empty_account_is_written_and_read() {
        let json = serde_json::to_value(Account::default()).unwrap();
        assert_eq!(json, serde_json::json!({"cpu": "0", "memory": "0", "labs": 0}));
        assert_eq!(serde_json::from_value::<Account>(json).unwrap(), Account::default());
        let used = Account::default().with(needs(250));
        assert_eq!(serde_json::from_value::<Account>(serde_json::to_value(used).unwrap()).unwrap(), used);
    }

    /// Lesson 54: shares are of what was given away, against what there is.
    #[test]
    fn lesson_54_shares_are_of_what_is_given_away() {
        let capacity = Capacity { cpu: Quantity::whole(2), memory: Quantity::mebi(2048), labs: 4 };
        let Shares { cpu, memory, labs } = Account::default().with(needs(500)).shares(capacity);
        assert!([cpu, memory, labs].iter().all(|share| (share - 0.25).abs() < 1e-9), "{cpu} {memory} {labs}");
        assert_eq!(Account::default().with(needs(1800)).lacks(needs(500), capacity), ["insufficient cpu"]);
    }
}
