//! [`Capacity`]: how much the machine can take, which serves all labs where nobody has declared workers.

use crate::{Quantity, Resources};

/// The name of the worker that is there without having been declared: what `status.workerRef` says of its labs.
pub(crate) const LOCAL_WORKER: &str = "local";

/// How much the machine can take, for all labs together. By default high: 1000 processors, 4 TiB, 1000 labs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processors.
    pub cpu: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
    /// Labs, whatever they need.
    pub labs: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { cpu: Quantity::whole(1000), memory: Quantity::mebi(4 << 20), labs: 1000 }
    }
}

impl Capacity {
    /// Two together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
            labs: self.labs.saturating_add(other.labs),
        }
    }

    /// What there is too little of for so many labs that need `wanted` together.
    pub(crate) fn lacks(&self, wanted: Resources, labs: usize) -> Vec<&'static str> {
        let checks = [
            ("insufficient cpu", wanted.cpu <= self.cpu),
            ("insufficient memory", wanted.memory <= self.memory),
            ("too many labs", labs <= self.labs),
        ];
        checks.into_iter().filter(|(_, fits)| !fits).map(|(lack, _)| lack).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_is_used_up_to_its_last_bit() {
        let (cpu, memory) = (Quantity::whole(2), Quantity::mebi(1024));
        let (capacity, all) = (Capacity { cpu, memory, labs: 2 }, Resources { cpu, memory });
        assert!(capacity.lacks(all, 2).is_empty());
        let more = all + Resources { cpu: Quantity::milli(1), memory: Quantity::ZERO };
        assert_eq!(capacity.lacks(more, 1), ["insufficient cpu"]);
        assert_eq!(capacity.lacks(all + all, 3), ["insufficient cpu", "insufficient memory", "too many labs"]);
        assert!(Capacity::default().lacks(all, 1000).is_empty());
    }
}
