//! What the breaker before a provisioner means for a lab: it waits, and says why; none is given up for it.

use roa_core::{CallOutcome, Timestamp};

use crate::provision::{Closed, Observation, ProvisionError, Provisioner};
use crate::turn::Turn;
use crate::{Lab, LabState};

/// Why a lab's attempt does not begin now.
pub(crate) const PROVISIONER_DOWN: &str = "ProvisionerDown";

/// An attempt that has to wait, since too many of others failed.
#[derive(Debug)]
pub(crate) struct Delay {
    /// Why; the same for as long as that is why.
    pub(crate) message: String,
    /// When to ask again.
    pub(crate) until: Timestamp,
    /// Whether nothing begins before that for certain.
    pub(crate) is_certain: bool,
}

impl Turn<'_> {
    /// Lets the lab's attempt begin, unless too many of this provisioner fail just now. Its end is to be told by
    /// [`saw`](Self::saw), [`refused`](Self::refused) or [`timed_out`](Self::timed_out).
    pub(crate) fn admit(&self, provisioner: &str) -> Result<(), Delay> {
        let Some(gate) = self.settings.provisioners.gate(provisioner) else { return Ok(()) };
        gate.admit(&self.lab.metadata.uid).map_err(|closed| match closed {
            Closed::For(left) => {
                let until = self.now.saturating_add(left);
                let time = until.truncate_to_seconds();
                let message = format!("the provisioner {provisioner:?} failed too often: nothing begins before {time}");
                Delay { message, until, is_certain: true }
            }
            Closed::Trying(left) => {
                let message = format!("the provisioner {provisioner:?} failed too often: one lab tries it again");
                Delay { message, until: self.now.saturating_add(left), is_certain: false }
            }
        })
    }

    /// This is what is there now: the attempt may have ended with it.
    pub(crate) fn saw(&self, provisioner: &dyn Provisioner, seen: &Observation) {
        match seen {
            Observation::Ready { .. } => self.settle(provisioner.name(), CallOutcome::Answered),
            Observation::Absent | Observation::Exited { .. } => self.ended(provisioner, seen),
            Observation::Starting | Observation::Unhealthy { .. } => {}
        }
    }

    /// The attempt could not be begun.
    pub(crate) fn refused(&self, provisioner: &dyn Provisioner, error: &ProvisionError) {
        self.settle(provisioner.name(), error.outcome());
    }

    /// The attempt that was let begin does not: the lab got no place.
    pub(crate) fn withdrew(&self, provisioner: &str) {
        self.settle(provisioner, CallOutcome::Unknown);
    }

    /// The attempt took too long.
    pub(crate) fn timed_out(&self) {
        let allocation = self.lab.status.allocation.as_ref();
        let provisioner = allocation.and_then(|it| self.settings.provisioners.get(&it.provisioner));
        if let Some(provisioner) = provisioner {
            self.ended(&**provisioner, &Observation::Starting);
        }
    }

    fn ended(&self, provisioner: &dyn Provisioner, seen: &Observation) {
        let blame = provisioner.is_to_blame(seen);
        self.settle(provisioner.name(), if blame { CallOutcome::Failed } else { CallOutcome::Unknown });
    }

    fn settle(&self, provisioner: &str, outcome: CallOutcome) {
        if let Some(gate) = self.settings.provisioners.gate(provisioner) {
            gate.settle(&self.lab.metadata.uid, outcome);
        }
    }
}

/// Whether an attempt of the lab may be under way.
pub(crate) fn may_be_under_way(lab: &Lab) -> bool {
    match lab.status.state() {
        LabState::Provisioning => !lab.metadata.is_deleting(),
        LabState::Ready => lab.status.is_degraded() && !lab.metadata.is_deleting(),
        LabState::Pending | LabState::Failed | LabState::Deleting | LabState::Deleted => false,
    }
}
