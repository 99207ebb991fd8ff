//! [`LabSettings`]: what the controllers and reconcilers of labs, workers and pools share.

use crate::{Capacity, LabMetrics, LabPolicy, Provisioners, Scheduling, WorkerProvisioners};

/// What the controllers and reconcilers of labs, workers and pools share. A clone shares what it holds.
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
    /// Who brings workers up.
    pub workers: WorkerProvisioners,
    /// How workers are chosen for labs.
    pub scheduling: Scheduling,
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
            workers: WorkerProvisioners::default(),
            scheduling: Scheduling::default(),
            metrics: LabMetrics::unregistered(),
        }
    }
}
