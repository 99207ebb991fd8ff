//! [`LabSettings`]: what the controller and the reconciler of labs share.

use crate::{Capacity, LabMetrics, LabPolicy, Provisioners};

/// What the controller and the reconciler of labs share. A clone shares what it holds.
#[derive(Debug, Clone)]
pub struct LabSettings {
    /// How patient they are.
    pub policy: LabPolicy,
    /// How much the machine can take.
    pub capacity: Capacity,
    /// The machine's id, which is the same after a restart. Labs that exist on one machine only are touched by the
    /// process with its id alone.
    pub node: String,
    /// Who brings labs up.
    pub provisioners: Provisioners,
    /// What is measured.
    pub metrics: LabMetrics,
}

impl LabSettings {
    /// With the default policy and capacity, and metrics that nobody reads.
    pub fn new(node: impl Into<String>, provisioners: Provisioners) -> Self {
        Self {
            policy: LabPolicy::default(),
            capacity: Capacity::default(),
            node: node.into(),
            provisioners,
            metrics: LabMetrics::unregistered(),
        }
    }
}
