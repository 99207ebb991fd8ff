//! The aspects of a lab that are told as conditions.

use roa_core::{ConditionStatus, Timestamp};

use crate::instance::Lab;

/// Whether it has its time, its template and room.
pub(crate) const SCHEDULED: &str = "Scheduled";
/// Whether a worker has it.
pub(crate) const WORKER_ASSIGNED: &str = "WorkerAssigned";
/// Whether it was brought up.
pub(crate) const PROVISIONED: &str = "Provisioned";
/// Whether it answers.
pub(crate) const READY: &str = "Ready";
/// Whether its time is over.
pub(crate) const EXPIRED: &str = "Expired";
/// Whether it was found to be other than it should.
pub(crate) const DEGRADED: &str = "Degraded";

/// Tells an aspect of a lab.
pub(crate) fn set(lab: &mut Lab, kind: &str, status: ConditionStatus, reason: &str, message: &str, now: Timestamp) {
    let generation = lab.metadata.generation;
    lab.status.conditions.set(kind, status, (reason, message), generation, now);
}
